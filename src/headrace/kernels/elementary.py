"""exp, log, powers, the sine of a part of a turn and the logistic function in plain multiply and add.

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
HALF_PI: Final = 1.5707963267948966
SIN_TERMS: Final = np.array([(-1.0) ** k / math.factorial(2 * k + 1) for k in range(8, 0, -1)])
COS_TERMS: Final = np.array([(-1.0) ** k / math.factorial(2 * k) for k in range(8, 0, -1)])
LARGEST_REPEATED: Final = 1024.0
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


@njit(cache=True, nogil=True)
def exp_wide(x: float) -> float:
    """Return e**x over all of float64: infinite above 709.78, towards 0 below -708. NaN stays NaN.

    Outside of what `exp` reaches it is the square of e**(x / 2), which rounds once more.
    """
    if abs(x) < EXP_LARGEST - 1.0:
        return exp(x)
    half = exp(0.5 * x)
    return half * half


@njit(cache=True, nogil=True)
def log1p(x: float) -> float:
    """Return the natural logarithm of 1 + x, for a finite x above -1, exact also where x is small.

    What 1 + x loses in rounding is made good by the factor x / ((1 + x) - 1) (Kahan; Higham, Accuracy and Stability
    of Numerical Algorithms, 1.14.1).
    """
    whole = 1.0 + x
    if whole == 1.0:
        return x
    if x > 1e17:  # There the 1 is lost for good, and the factor would be 1.
        return log(x)
    return log(whole) * (x / (whole - 1.0))


@njit(cache=True, nogil=True)
def power(x: float, exponent: float) -> float:
    """Return x to the power of an exponent: NaN where that is not defined, infinite where it leaves float64.

    A whole exponent up to 1024 is repeated multiplication; any other is e**(exponent log x), for x >= 0.
    """
    if np.isnan(x) or np.isnan(exponent):
        return np.nan
    if math.floor(exponent) == exponent and abs(exponent) <= LARGEST_REPEATED:
        left = int(abs(exponent))
        if exponent < 0.0 and x == 0.0:
            return np.nan
        result, square = 1.0, x
        while left > 0:
            if left % 2 == 1:
                result = result * square
            square = square * square
            left = left // 2
        if exponent < 0.0:
            return 1.0 / result if result != 0.0 else np.inf
        return result
    if x == 0.0:
        return 0.0 if exponent > 0.0 else np.nan
    if x < 0.0:
        return np.nan
    return exp_wide(exponent * log(x))


@njit(cache=True, nogil=True)
def sin_quarters(turned: float, more: float) -> float:
    """Return the sine of an angle in quarters of a turn, plus `more` whole ones: sin(pi / 2 (turned + more)).

    |turned| < 2**51; the cosine is the sine one quarter on. The angle less its nearest whole quarter lies within an
    eighth of a turn, where Taylor's polynomials of degree 17 and 16 are exact to the last place; at whole quarters
    the result is exactly 0, 1 or -1. NaN stays NaN.
    """
    if np.isnan(turned):
        return turned
    nearest = math.floor(turned + 0.5)
    angle = (turned - nearest) * HALF_PI
    square = angle * angle
    quarter = int(nearest + more) % 4
    series = 0.0
    if quarter % 2 == 0:
        for term in range(SIN_TERMS.shape[0]):
            series = (series + SIN_TERMS[term]) * square
        value = angle + angle * series
    else:
        for term in range(COS_TERMS.shape[0]):
            series = (series + COS_TERMS[term]) * square
        value = 1.0 + series
    return -value if quarter >= 2 and value != 0.0 else value
