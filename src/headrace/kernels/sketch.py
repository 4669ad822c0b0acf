"""Counting the values of columns in buckets of a float's own leading bits: mergeable, and the same everywhere."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

BUCKETS = 65_537
"""The leading 16 bits of a float64 (sign, exponent, 4 bits of mantissa: 6 % wide), in the order of the values; and
one bucket for a missing value."""
MISSING = 65_536

_SHIFT = np.uint64(48)
_SIGN = np.uint64(0x8000)
_ALL = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def _bucket(bits: np.uint64) -> int:
    head = bits >> _SHIFT
    if head & _SIGN != np.uint64(0):
        return np.int64(_ALL - head)
    return np.int64(head | _SIGN)


@njit(cache=True, nogil=True)
def count_numbers(dense: F8, counts: I8) -> None:
    """Count the values of each column. dense: f8[n, d]. counts: i8[d, BUCKETS], changed in place."""
    bits = dense.view(np.uint64)
    for row in range(dense.shape[0]):
        for column in range(dense.shape[1]):
            x = dense[row, column]
            if np.isnan(x):
                counts[column, MISSING] += 1
            elif x == 0.0:
                counts[column, 0x8000] += 1
            else:
                counts[column, _bucket(bits[row, column])] += 1


@njit(cache=True, nogil=True)
def count_ids(ids: I4, counts: I8) -> None:
    """Count the ids of each column. ids: i4[n, c], each below 2**16. counts: i8[c, BUCKETS], changed in place."""
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            counts[column, ids[row, column] & 0xFFFF] += 1
