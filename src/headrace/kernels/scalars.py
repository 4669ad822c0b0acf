"""Elementary functions over whole columns. Each takes f8[n] and fills f8[n]; NaN stays NaN."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import exp_wide, log, log1p, power, sin_quarters

F8 = NDArray[np.float64]


@njit(cache=True, nogil=True)
def exp_each(x: F8, found: F8) -> None:
    """Fill `found` with e**x, infinite where that is more than a float can hold."""
    for i in range(x.shape[0]):
        found[i] = exp_wide(x[i])


@njit(cache=True, nogil=True)
def log_each(x: F8, found: F8) -> None:
    """Fill `found` with the natural logarithm of x, NaN unless x is positive and finite."""
    for i in range(x.shape[0]):
        found[i] = log(x[i]) if 0.0 < x[i] < np.inf else np.nan


@njit(cache=True, nogil=True)
def log1p_each(x: F8, found: F8) -> None:
    """Fill `found` with the natural logarithm of 1 + x, NaN unless x is finite and above -1."""
    for i in range(x.shape[0]):
        found[i] = log1p(x[i]) if -1.0 < x[i] < np.inf else np.nan


@njit(cache=True, nogil=True)
def power_each(x: F8, exponent: F8, found: F8) -> None:
    """Fill `found` with x to the power of the exponent, NaN where that is not defined."""
    for i in range(x.shape[0]):
        found[i] = power(x[i], exponent[i])


@njit(cache=True, nogil=True)
def circle_each(since: F8, period: float, quarter: float, found: F8) -> None:
    """Fill `found` with the sine of 2 pi (since / period) plus some quarters of a turn.

    since: f8[n] from 0 to the period, NaN where there is none. One quarter more makes it the cosine.
    """
    for i in range(since.shape[0]):
        found[i] = sin_quarters(4.0 * (since[i] / period), quarter)
