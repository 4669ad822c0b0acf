"""Sums with weights 2**-(age / half-life), folded from row to row.

Follows the script of `spans`. Time is cut into epochs of 32 half-lives, the same for every key. Within an epoch a row's
fold is its own value and the fold before it, weighed down by the time between them; a read adds the folds of the last
row in each of the three epochs of its window, oldest first. So a value depends on the rows of the window alone, not on
what was before them, and what a late row changes ends with its epoch.
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import LN2_HIGH, LN2_LOW
from headrace.kernels.spans import BEGIN, END, MOVE_FROM, MOVE_ROWS, MOVE_TO, NEVER, NONE

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]

EPOCH: Final = 32
"""Half-lives in an epoch."""

# columns of `reads`
WINDOW = 0
HALF = 1  # the number of its half-life
OFFSET = 2
MEAN = 3  # 1 for a mean, 0 for a sum
TARGET = 4
READ_COLUMNS = 5

# columns of `parameters`
PRIOR = 0
DEFAULT = 1

# the third axis of `folds`
VALUES = 0
ONES = 1  # only where a mean is read

LN2: Final = LN2_HIGH + LN2_LOW
HALVES: Final = np.array([math.ldexp(1.0, -k) for k in range(128)])
TERMS: Final = np.array([1.0 / math.factorial(k) for k in range(13, -1, -1)])


@njit(cache=True, nogil=True)
def weight(age: int, half_life: int) -> float:
    """Return 2**-(age / half_life), within 4e-16 of it, for 0 <= age < 127 half-lives, in plain multiply and add.

    Whole half-lives are exact. The rest is drawn between -1/2 and 1/2 by one more, or not, and raised by the Taylor
    polynomial of degree 13, whose own error is below 5e-18. An age below 0 weighs 1, one beyond the bound nothing.
    """
    if age <= 0:
        return 1.0
    whole = age // half_life
    rest = age - whole * half_life
    if 2 * rest > half_life:
        whole += 1
        rest -= half_life
    if whole >= HALVES.shape[0]:
        return 0.0
    power = -LN2 * (rest / half_life)
    value = TERMS[0]
    for term in range(1, TERMS.shape[0]):
        value = value * power + TERMS[term]
    weighed: float = value * HALVES[whole]
    return weighed


@njit(cache=True, nogil=True)
def _refold(values: F8, times: I8, folds: F8, halves: I8, at: int, last: int) -> None:
    """Fold the rows at..last anew, as far as the epoch of the first of them goes: no later epoch knows of it.

    times: i8[slab], the time of the row before each place; folds: f8[slab, halves, 1 or 2], likewise.
    """
    for half in range(halves.shape[0]):
        length = EPOCH * halves[half]
        epoch = times[at + 1] // length
        for p in range(at, last + 1):
            if times[p + 1] // length != epoch:
                break
            begins = times[p] == NEVER or times[p] // length != epoch
            faded = 0.0 if begins else weight(times[p + 1] - times[p], halves[half])
            folds[p + 1, half, VALUES] = values[p]
            if not begins:  # Whatever stands before the first row is not even multiplied: it may be infinite.
                folds[p + 1, half, VALUES] += folds[p, half, VALUES] * faded
            if folds.shape[2] > ONES:
                folds[p + 1, half, ONES] = 1.0 if begins else 1.0 + folds[p, half, ONES] * faded


@njit(cache=True, nogil=True)
def _first_from(times: I8, low: int, high: int, time: int) -> int:
    """Return the first of the rows [low, high) whose time is >= `time`, high for none."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle + 1] < time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _totals(
    values: F8, times: I8, folds: F8, halves: I8, half: int, low: int, high: int, now: int
) -> tuple[float, float]:
    """Return the weighted sums of the rows [low, high) at `now`, of their values and of ones (if those are kept)."""
    half_life = halves[half]
    length = EPOCH * half_life
    total = 0.0
    count = 0.0
    start = low
    while start < high:
        epoch = times[start + 1] // length
        stop = high
        if times[high] // length != epoch:
            stop = _first_from(times, start, high, (epoch + 1) * length)
        fold = folds[stop, half, VALUES]
        ones = folds[stop, half, folds.shape[2] - 1]
        if start == low and times[low] != NEVER and times[low] // length == epoch:
            # What is no longer read was folded in: fold the rest by itself.
            fold = values[low]
            ones = 1.0
            for p in range(low + 1, stop):
                faded = weight(times[p + 1] - times[p], half_life)
                fold = values[p] + fold * faded
                ones = 1.0 + ones * faded
        faded = weight(now - times[stop], half_life)
        total += fold * faded
        count += ones * faded
        start = stop
    return total, count


@njit(cache=True, nogil=True)
def derive(state: I8, values: F8, times: I8, folds: F8, halves: I8) -> None:
    """Fold the rows of every key anew. state: i8[K, ...], of `spans`. The time of row p stands at times[p + 1]."""
    for k in range(state.shape[0]):
        first = state[k, BEGIN]
        last = state[k, END] - 1
        if first > last:
            continue
        times[first] = NEVER
        for p in range(first, last + 1):
            _refold(values, times, folds, halves, p, p)


@njit(cache=True, nogil=True)
def run(
    operations: int,
    order: I8,
    place: I8,
    ends: I8,
    read: I8,
    low: I8,
    high: I8,
    moves: I8,
    made: int,
    time: I8,
    column: F8,
    values: F8,
    times: I8,
    folds: F8,
    halves: I8,
    reads: I8,
    parameters: F8,
    out: F8,
) -> None:
    """Make the moves, then walk the script.

    time: i8[n] and column: f8[n], of each operation. values: f8[slab]. times: i8[slab] and folds: f8[slab, halves,
    1 or 2], of what lies before a place. halves: i8[H], half-lives. reads: i8[r, 5]. parameters: f8[r, 2]. An empty
    span gives 0 for a sum, NaN for a mean, and the default for a mean with a prior.
    """
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        if rows == NONE:
            times[target] = NEVER
            continue
        for i in range(rows):
            values[target + i] = values[source + i]
        for i in range(rows + 1):
            times[target + i] = times[source + i]
            for half in range(folds.shape[1]):
                for kind in range(folds.shape[2]):
                    folds[target + i, half, kind] = folds[source + i, half, kind]
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
                times[p + 1] = times[p]
                for half in range(folds.shape[1]):
                    for kind in range(folds.shape[2]):
                        folds[p + 1, half, kind] = folds[p, half, kind]
            values[at] = column[i] + 0.0
            times[at + 1] = time[i]
            if times[at] != NEVER and times[at] > time[i]:
                # What was freed before it is later: no row may stand on that any more.
                times[at] = NEVER
                for p in range(at, last + 1):
                    _refold(values, times, folds, halves, p, p)
            else:
                _refold(values, times, folds, halves, at, last)
        row = read[i]
        if row < 0:
            continue
        for r in range(reads.shape[0]):
            start = low[q, reads[r, WINDOW]]
            stop = high[q, reads[r, WINDOW]]
            half = reads[r, HALF]
            now = time[i] - reads[r, OFFSET]
            value, count = _totals(values, times, folds, halves, half, start, stop, now)
            if reads[r, MEAN]:
                prior = parameters[r, PRIOR]
                if prior > 0.0:
                    value += prior * parameters[r, DEFAULT]
                    count += prior
                value = value / count if count > 0.0 else np.nan
            out[row, reads[r, TARGET]] = value
