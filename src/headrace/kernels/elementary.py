"""exp, log and the logistic function in plain multiply and add.

The system's own differ in their last bits from one processor to the next, and between NumPy and Numba; a replay on
another machine would then give other scores. `math.frexp` and a table of powers are exact, so they may be used.
"""

import math
from typing import Final

import numpy as np
from numba import njit

LOG2_E: Final = 1.4426950408889634
# ln 2 in two parts (Cody and Waite): the first has 21 trailing zero bits, so that a whole multiple of it is exact.
LN2_HIGH: Final = 0.6931471803691238
LN2_LOW: Final = 1.9082149292705877e-10
SQRT_HALF: Final = 0.7071067811865476
EXP_LARGEST: Final = 709.0
POWERS: Final = np.array([math.ldexp(1.0, k) for k in range(-1023, 1024)])
EXP_TERMS: Final = np.array([1.0 / math.factorial(k) for k in range(13, -1, -1)])
LOG_TERMS: Final = np.array([2.0 / (2 * k + 1) for k in range(11, 0, -1)])


@njit(cache=True, nogil=True)
def exp(x: float) -> float:
    """Return e**x for |x| <= 709, and the value at that edge beyond it. NaN stays NaN.

    x = k ln 2 + r with |r| <= ln 2 / 2; e**r is its Taylor polynomial of degree 13, whose rest is below 5e-18.
    """
    if np.isnan(x):
        return x
    bounded = min(max(x, -EXP_LARGEST), EXP_LARGEST)
    k = math.floor(bounded * LOG2_E + 0.5)
    rest = (bounded - k * LN2_HIGH) - k * LN2_LOW
    value = EXP_TERMS[0]
    for term in range(1, EXP_TERMS.shape[0]):
        value = value * rest + EXP_TERMS[term]
    scaled: float = value * POWERS[int(k) + 1023]
    return scaled


@njit(cache=True, nogil=True)
def log(x: float) -> float:
    """Return the natural logarithm of a positive, finite x.

    x = m 2**k with m in [sqrt(1/2), sqrt(2)); with s = (m - 1) / (m + 1), log m = 2 (s + s**3/3 + s**5/5 + ...).
    """
    m, k = math.frexp(x)
    if m < SQRT_HALF:
        m = m * 2.0
        k = k - 1
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = 0.0
    for term in range(LOG_TERMS.shape[0]):
        series = (series + LOG_TERMS[term]) * square
    value: float = k * LN2_HIGH + (2.0 * s + (s * series + k * LN2_LOW))
    return value


@njit(cache=True, nogil=True)
def logistic(x: float) -> float:
    """Return 1 / (1 + e**-x) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + exp(-x))
    small = exp(x)
    return small / (1.0 + small)
