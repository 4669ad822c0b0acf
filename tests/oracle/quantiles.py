"""Quantiles by definition: sort, count, and the middle of a bucket. Imports nothing of ours."""

import math
from collections.abc import Sequence
from fractions import Fraction


def middle(value: float) -> float:
    """Return the middle of the bucket of a value: a 64th of its power of two; of zero, zero."""
    if value == 0:
        return 0.0
    _, exponent = math.frexp(value)
    width = math.ldexp(1.0, max(exponent - 1, -1022) - 6)
    steps = math.floor(abs(value) / width)
    return math.copysign(steps * width + width / 2, value)


def quantile(values: Sequence[float], share: str) -> float:
    """Return the middle of the bucket of the value of rank ceil(share * n), at least 1; NaN of none."""
    if not values:
        return math.nan
    rank = max(math.ceil(Fraction(share) * len(values)), 1)
    return middle(sorted(values)[rank - 1])
