"""ADWIN: a window over a stream that drops its older part when the two parts differ in mean.

Source: A. Bifet and R. Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007, section 4: an
exponential histogram whose buckets hold (count, mean, M2), cut where the difference of means passes a bound.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import log

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

PER_LEVEL = 5
LEVELS = 40

# columns of a bucket
COUNT = 0
MEAN = 1
M2 = 2


@njit(cache=True, nogil=True)
def _join(one: F8, other: F8) -> None:
    """Add the bucket `other` to `one` (Chan, Golub, LeVeque, 1983)."""
    count = one[COUNT] + other[COUNT]
    if count == 0.0:
        return
    gap = other[MEAN] - one[MEAN]
    one[M2] += other[M2] + gap * gap * one[COUNT] * other[COUNT] / count
    one[MEAN] += gap * other[COUNT] / count
    one[COUNT] = count


@njit(cache=True, nogil=True)
def _drop_oldest(buckets: F8, sizes: I8) -> None:
    for level in range(LEVELS - 1, -1, -1):
        if sizes[level] > 0:
            sizes[level] -= 1
            for place in range(sizes[level]):
                buckets[level, place] = buckets[level, place + 1]
            return


@njit(cache=True, nogil=True)
def total(buckets: F8, sizes: I8, out: F8) -> None:
    """Fill out with count, mean and M2 of the whole window, oldest bucket first. out: f8[3]."""
    out[:] = 0.0
    for level in range(LEVELS - 1, -1, -1):
        for place in range(sizes[level]):
            _join(out, buckets[level, place])


@njit(cache=True, nogil=True)
def insert(buckets: F8, sizes: I8, count: float, mean: float, m2: float) -> None:
    """Put one item, itself an aggregate, at the new end. buckets: f8[LEVELS, PER_LEVEL + 1, 3], oldest first."""
    place = sizes[0]
    buckets[0, place, COUNT] = count
    buckets[0, place, MEAN] = mean
    buckets[0, place, M2] = m2
    sizes[0] += 1
    for level in range(LEVELS - 1):
        if sizes[level] <= PER_LEVEL:
            return
        above = sizes[level + 1]
        buckets[level + 1, above] = buckets[level, 0]
        _join(buckets[level + 1, above], buckets[level, 1])
        sizes[level + 1] += 1
        sizes[level] -= 2
        for place in range(sizes[level]):
            buckets[level, place] = buckets[level, place + 2]


@njit(cache=True, nogil=True)
def shrink(buckets: F8, sizes: I8, log_delta: float, whole: F8, old: F8) -> float:
    """Drop old buckets while some cut shows two different means; return the last rise seen, 0 for no cut.

    log_delta: log(2 / delta). whole, old: f8[3], scratch. The bound is that of section 4.1, with the variance of
    the whole window; delta is divided by the log of the window's length, as there. The rise is new mean - old mean.
    """
    rise = 0.0
    cut = True
    while cut:
        cut = False
        total(buckets, sizes, whole)
        if whole[COUNT] < 10.0:
            return rise
        spread = whole[M2] / whole[COUNT]
        confidence = log_delta + log(log(whole[COUNT]))
        old[:] = 0.0
        for level in range(LEVELS - 1, -1, -1):
            for place in range(sizes[level]):
                _join(old, buckets[level, place])
                rest = whole[COUNT] - old[COUNT]
                if rest < 5.0 or old[COUNT] < 5.0:
                    continue
                new_mean = (whole[MEAN] * whole[COUNT] - old[MEAN] * old[COUNT]) / rest
                harmonic = 1.0 / old[COUNT] + 1.0 / rest
                bound = np.sqrt(2.0 * harmonic * spread * confidence) + 2.0 / 3.0 * harmonic * confidence
                if abs(new_mean - old[MEAN]) > bound:
                    rise = new_mean - old[MEAN]
                    cut = True
                    break
            if cut:
                break
        if cut:
            _drop_oldest(buckets, sizes)
    return rise
