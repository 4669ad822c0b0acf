"""One column in tiles: each row stands for all records of its key in one stretch of time.

A tile holds how many values it has, their exact sum, the least and the greatest; count and sum are kept as prefixes, so
that a window costs two of them. Follows the script of `spans`, in which a record that falls into a tile that stands
already is MERGED.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.exact import HIGH, LOW, add_before, between, fixed, from_fixed
from headrace.kernels.spans import BEGIN, CODE, END, MERGED, MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE, WINDOW

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U8 = NDArray[np.uint64]

COUNT = 0
RATE = 1
SUM = 2
MEAN = 3
MIN = 4
MAX = 5
RANGE = 6

# columns of `reads`
TARGET = 2
READ_COLUMNS = 3

# columns of `prefix`, of what lies before a row, beside those of `exact`
NUMBER = 2
STRAYS = 3
PREFIX_COLUMNS = 4

# columns of `extremes`, of a row itself
LEAST = 0
GREATEST = 1

_0 = np.uint64(0)
_1 = np.uint64(1)


@njit(cache=True, nogil=True)
def _move(moves: I8, made: int, prefix: U8, extremes: F8) -> None:
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        if rows == NONE:
            for column in range(PREFIX_COLUMNS):
                prefix[target, column] = _0
            continue
        for i in range(rows + 1):
            for column in range(PREFIX_COLUMNS):
                prefix[target + i, column] = prefix[source + i, column]
        for i in range(rows):
            extremes[target + i, LEAST] = extremes[source + i, LEAST]
            extremes[target + i, GREATEST] = extremes[source + i, GREATEST]


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
    column: F8,
    prefix: U8,
    extremes: F8,
    reads: I8,
    seconds: F8,
    parameters: F8,
    out: F8,
) -> None:
    """Make the moves, then walk the script.

    prefix: u8[slab, 4]; extremes: f8[slab, 2]. reads: i8[r, 3]. seconds: f8[W], the lengths of the windows.
    parameters: f8[r, 2], prior and default of a mean. An empty span gives 0 for count, rate and sum, else NaN; a sum
    or a mean over a value that is not on the grid of `exact.fixed` is NaN.
    """
    _move(moves, made, prefix, extremes)
    bits = column.view(np.uint64)
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            value = column[i] + 0.0
            on_grid, upper, lower = fixed(bits[i])
            last = ends[q]
            if last < 0:  # MERGED: the rows behind stay where they are.
                last = MERGED - last
                for p in range(at + 1, last + 1):
                    add_before(prefix, p, p, upper, lower)
                    prefix[p, NUMBER] += _1
                    prefix[p, STRAYS] += _0 if on_grid else _1
                extremes[at, LEAST] = min(extremes[at, LEAST], value)
                extremes[at, GREATEST] = max(extremes[at, GREATEST], value)
            else:
                for p in range(last, at - 1, -1):
                    add_before(prefix, p, p + 1, upper, lower)
                    prefix[p + 1, NUMBER] = prefix[p, NUMBER] + _1
                    prefix[p + 1, STRAYS] = prefix[p, STRAYS] + (_0 if on_grid else _1)
                for p in range(last, at, -1):
                    extremes[p, LEAST] = extremes[p - 1, LEAST]
                    extremes[p, GREATEST] = extremes[p - 1, GREATEST]
                extremes[at, LEAST] = value
                extremes[at, GREATEST] = value
        if read[i] >= 0:
            _answer(q, read[i], low, high, prefix, extremes, reads, seconds, parameters, out)


@njit(cache=True, nogil=True)
def _answer(
    q: int,
    row: int,
    low: I8,
    high: I8,
    prefix: U8,
    extremes: F8,
    reads: I8,
    seconds: F8,
    parameters: F8,
    out: F8,
) -> None:
    for r in range(reads.shape[0]):
        w = reads[r, WINDOW]
        start = low[q, w]
        stop = high[q, w]
        code = reads[r, CODE]
        number = np.int64(prefix[stop, NUMBER] - prefix[start, NUMBER]) if stop > start else np.int64(0)
        value = np.nan
        if code == COUNT:
            value = float(number)
        elif code == RATE:
            value = number / seconds[w]
        elif code in (SUM, MEAN):
            total = 0.0
            if stop > start:
                high_word, low_word = between(prefix, start, stop)
                total = from_fixed(high_word, low_word)
                if prefix[stop, STRAYS] != prefix[start, STRAYS]:
                    total = np.nan
            if code == SUM:
                value = total
            elif parameters[r, 0] > 0.0:
                value = (total + parameters[r, 0] * parameters[r, 1]) / (number + parameters[r, 0])
            elif number > 0:
                value = total / number
        elif stop > start:
            least = np.inf
            greatest = -np.inf
            for p in range(start, stop):
                least = min(least, extremes[p, LEAST])
                greatest = max(greatest, extremes[p, GREATEST])
            if code == MIN:
                value = least
            elif code == MAX:
                value = greatest
            else:
                value = greatest - least
        out[row, reads[r, TARGET]] = value


@njit(cache=True, nogil=True)
def pack(rows: I8, prefix: U8, extremes: F8, packed: U8) -> None:
    """Write what each of n rows holds by itself: u8[n, 6], sum, number, strays, least, greatest (as bits)."""
    bits = extremes.view(np.uint64)
    for i in range(rows.shape[0]):
        p = rows[i]
        packed[i, HIGH], packed[i, LOW] = between(prefix, p, p + 1)
        packed[i, NUMBER] = prefix[p + 1, NUMBER] - prefix[p, NUMBER]
        packed[i, STRAYS] = prefix[p + 1, STRAYS] - prefix[p, STRAYS]
        packed[i, PREFIX_COLUMNS + LEAST] = bits[p, LEAST]
        packed[i, PREFIX_COLUMNS + GREATEST] = bits[p, GREATEST]


@njit(cache=True, nogil=True)
def unpack(packed: U8, state: I8, prefix: U8, extremes: F8) -> None:
    """Take the rows of every key, key by key, as `pack` wrote them, and make the prefixes anew."""
    bits = extremes.view(np.uint64)
    row = 0
    for k in range(state.shape[0]):
        if state[k, BEGIN] == state[k, END]:
            continue
        for column in range(PREFIX_COLUMNS):
            prefix[state[k, BEGIN], column] = _0
        for p in range(state[k, BEGIN], state[k, END]):
            add_before(prefix, p, p + 1, packed[row, HIGH], packed[row, LOW])
            prefix[p + 1, NUMBER] = prefix[p, NUMBER] + packed[row, NUMBER]
            prefix[p + 1, STRAYS] = prefix[p, STRAYS] + packed[row, STRAYS]
            bits[p, LEAST] = packed[row, PREFIX_COLUMNS + LEAST]
            bits[p, GREATEST] = packed[row, PREFIX_COLUMNS + GREATEST]
            row += 1
