"""A user's aggregate by definition: a fold over the values of a window, oldest first. Imports nothing of ours."""

from collections.abc import Callable, Sequence

Update = Callable[[dict[str, float], float], None]
Finalize = Callable[[dict[str, float]], float]


def folded(state: dict[str, float], update: Update, finalize: Finalize, values: Sequence[float]) -> float:
    """Return the answer for some values; NaN for none."""
    if not values:
        return float("nan")
    own = dict(state)
    for value in values:
        update(own, value)
    return float(finalize(own))
