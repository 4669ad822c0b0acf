"""Sums with decaying weights, by definition: epochs, folds and 2**-x in steps of plain floats. Imports nothing of ours.

`exact_sum` says what the fold is meant to be, in numbers of any precision.
"""

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

TERMS = [1.0 / math.factorial(k) for k in range(14)]
LN2 = 0.6931471803691238 + 1.9082149292705877e-10


def weight(age: int, half_life: int) -> float:
    """Return 2**-(age / half_life): whole half-lives exactly, the rest as a polynomial."""
    whole, rest = divmod(age, half_life)
    if 2 * rest > half_life:
        whole, rest = whole + 1, rest - half_life
    power = -LN2 * (rest / half_life)
    value = 0.0
    for term in reversed(TERMS):
        value = value * power + term
    return math.ldexp(value, -whole)


def decayed(times: Sequence[int], values: Sequence[float], now: int, half_life: int) -> float:
    """Return the weighted sum of rows, oldest first: the fold of each epoch of 32 half-lives, faded to now."""
    epochs: dict[int, list[tuple[int, float]]] = {}
    for time, value in zip(times, values, strict=True):
        epochs.setdefault(time // (32 * half_life), []).append((time, value))
    total = 0.0
    for epoch in sorted(epochs):
        fold, before = 0.0, None
        for time, value in epochs[epoch]:
            fold = value if before is None else value + fold * weight(time - before, half_life)
            before = time
        if before is not None:
            total += fold * weight(now - before, half_life)
    return total


def exact_weight(age: int, half_life: int) -> Decimal:
    """Return 2**-(age / half_life) to 50 digits."""
    with localcontext() as context:
        context.prec = 50
        return Decimal(2) ** (-Decimal(age) / Decimal(half_life))


def exact_sum(times: Sequence[int], values: Sequence[float], now: int, half_life: int) -> Decimal:
    """Return the weighted sum to 50 digits."""
    with localcontext() as context:
        context.prec = 50
        return sum(
            (Decimal(v) * exact_weight(now - t, half_life) for t, v in zip(times, values, strict=True)), Decimal(0)
        )
