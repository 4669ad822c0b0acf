"""A failing run made short: steps are left out as long as it still fails, larger runs of them first."""

from collections.abc import Callable, Sequence

__all__ = ["shortened"]


def shortened(steps: Sequence[int], fails: Callable[[Sequence[int]], bool], *, tries: int = 300) -> list[int]:
    """Return the fewest steps found within so many tries under which `fails` is still true.

    After delta debugging (Zeller and Hildebrandt, 2002), on the complement alone.

    >>> shortened(list(range(40)), lambda steps: 7 in steps and 31 in steps)
    [7, 31]
    """
    kept = list(steps)
    size = max(1, len(kept) // 2)
    while tries > 0:
        start, left_out = 0, False
        while start < len(kept) and tries > 0:
            fewer = kept[:start] + kept[start + size :]
            tries -= 1
            if fails(fewer):
                kept, left_out = fewer, True
            else:
                start += size
        if size == 1 and not left_out:
            break
        size = max(1, size // 2) if not left_out or size > 1 else 1
    return kept
