"""Counting the values of columns in buckets of a float's own leading bits: mergeable, and the same everywhere."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
U1 = NDArray[np.uint8]

BUCKETS = 65_537
"""The leading 16 bits of a float64 (sign, exponent, 4 bits of mantissa: 6 % wide), in the order of the values; and
one bucket for a missing value."""
MISSING = 65_536
ZERO = 0x8000
BLOCK = 256
"""Buckets that share one mark of having been touched, so that few values need not be looked for among all."""
BLOCKS = BUCKETS // BLOCK + 1

_SHIFT = np.uint64(48)
_SIGN = np.uint64(0x8000)
_ALL = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def _bucket(bits: np.uint64) -> np.int64:
    head = bits >> _SHIFT
    if head & _SIGN != np.uint64(0):
        return np.int64(_ALL - head)
    return np.int64(head | _SIGN)


@njit(cache=True, nogil=True)
def bucket_numbers(values: F8, buckets: I8) -> None:
    """Fill in the bucket of each value. values: f8[n]. buckets: i8[n]."""
    bits = values.view(np.uint64)
    for row in range(values.shape[0]):
        if np.isnan(values[row]):
            buckets[row] = MISSING
        elif values[row] == 0.0:
            buckets[row] = ZERO
        else:
            buckets[row] = _bucket(bits[row])


@njit(cache=True, nogil=True)
def count_numbers(dense: F8, counts: I8, touched: U1) -> None:
    """Count the values of each column.

    dense: f8[n, d]. counts: i8[d, BUCKETS] and touched: u1[d, BLOCKS], changed in place.
    """
    bits = dense.view(np.uint64)
    for row in range(dense.shape[0]):
        for column in range(dense.shape[1]):
            x = dense[row, column]
            bucket = np.int64(ZERO)
            if np.isnan(x):
                bucket = np.int64(MISSING)
            elif x != 0.0:
                bucket = _bucket(bits[row, column])
            counts[column, bucket] += 1
            touched[column, bucket // BLOCK] = 1


@njit(cache=True, nogil=True)
def count_ids(ids: I4, counts: I8, touched: U1) -> None:
    """Count the ids of each column. ids: i4[n, c], taken modulo 2**16. The rest as in `count_numbers`."""
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            bucket = np.int64(ids[row, column]) & np.int64(0xFFFF)
            counts[column, bucket] += 1
            touched[column, bucket // BLOCK] = 1


@njit(cache=True, nogil=True)
def drain(counts: I8, touched: U1, buckets: I8, found: I8) -> int:
    """Move one column's counts that are not 0 to `buckets` and `found`, leave 0; return how many there were.

    counts: i8[BUCKETS]. touched: u1[BLOCKS]. buckets, found: i8[BUCKETS].
    """
    made = 0
    for block in range(touched.shape[0]):
        if touched[block] == 0:
            continue
        touched[block] = 0
        for bucket in range(block * BLOCK, min((block + 1) * BLOCK, counts.shape[0])):
            if counts[bucket] != 0:
                buckets[made] = bucket
                found[made] = counts[bucket]
                counts[bucket] = 0
                made += 1
    return made
