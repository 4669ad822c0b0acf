"""One kernel for one column: every aggregate over every window, in one pass over the script of `spans`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.exact import HIGH, LOW, add_before, between, fixed, from_fixed, sum_anywhere
from headrace.kernels.spans import (
    BEGIN,
    CODE,
    END,
    FIRST_OF_COLUMN,
    MOVE_FROM,
    MOVE_ROWS,
    MOVE_TO,
    NONE,
    READ_COLUMNS,
    WINDOW,
)

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U8 = NDArray[np.uint64]
U1 = NDArray[np.uint8]

# aggregates, beside those of `spans`
SUM = FIRST_OF_COLUMN
MEAN = SUM + 1
MIN = SUM + 2
MAX = SUM + 3
RANGE = SUM + 4
FIRST = SUM + 5
LAST = SUM + 6  # the PARAMETER-th from the end

# columns of `reads`, beside those of `spans`
TARGET = READ_COLUMNS
COLUMN_READ_COLUMNS = READ_COLUMNS + 1

# columns of `parameters`
PARAMETER = 0  # the prior of a mean, the rank of a last
DEFAULT = 1

# entries of `uses`: what is kept beside the values
SUMS = 0
GREATEST = 1
LEAST = 2
STRAYS = 3
USES = 4

PREFIX_WORDS = HIGH + 1

LEVELS = 5
"""Levels of a tree of extremes; level 0 are the values themselves, each node above stands for 16 below."""

_0 = np.uint64(0)


@njit(cache=True, nogil=True)
def _nodes(values: F8, tree: F8, levels: I8, first: int, last: int, sign: float) -> None:
    """Compute the nodes that end within rows first..last and are full by now.

    levels: i8[LEVELS], where each level starts in `tree`. Nodes lie at places of the slab, not of the block: one that
    reaches into a neighbour's block is computed but never read.
    """
    for level in range(1, LEVELS):
        low = first >> (4 * level)
        high = (last + 1) >> (4 * level)
        if low >= high:
            return
        for place in range(low, high):
            best = -np.inf
            if level == 1:
                for child in range(place << 4, (place << 4) + 16):
                    best = max(best, sign * values[child])
            else:
                below = levels[level - 1]
                for child in range(place << 4, (place << 4) + 16):
                    best = max(best, tree[below + child])
            tree[levels[level] + place] = best


@njit(cache=True, nogil=True)
def _extreme(values: F8, tree: F8, levels: I8, low: int, high: int, sign: float) -> float:
    """Return the greatest of sign * values[low:high], by the fewest nodes."""
    best = -np.inf
    if high - low <= 32:
        for place in range(low, high):
            best = max(best, sign * values[place])
        return best
    while low & 15:
        best = max(best, sign * values[low])
        low += 1
    while high & 15:
        high -= 1
        best = max(best, sign * values[high])
    level = 1
    low >>= 4
    high >>= 4
    while high - low > 32 and level < LEVELS - 1:
        start = levels[level]
        while low & 15:
            best = max(best, tree[start + low])
            low += 1
        while high & 15:
            high -= 1
            best = max(best, tree[start + high])
        low >>= 4
        high >>= 4
        level += 1
    start = levels[level]
    for place in range(low, high):
        best = max(best, tree[start + place])
    return best


@njit(cache=True, nogil=True)
def derive(state: I8, values: F8, prefix: U8, strays: I8, greatest: F8, least: F8, levels: I8, uses: U1) -> None:
    """Compute prefixes and nodes of the rows of every key anew. state: i8[K, ...], of `spans`."""
    bits = values.view(np.uint64)
    for k in range(state.shape[0]):
        begin = state[k, BEGIN]
        end = state[k, END]
        if begin == end:
            continue
        if uses[SUMS]:
            prefix[begin, LOW] = _0
            prefix[begin, HIGH] = _0
            for p in range(begin, end):
                _, upper, lower = fixed(bits[p])
                add_before(prefix, p, p + 1, upper, lower)
        if uses[STRAYS]:
            strays[begin] = 0
            for p in range(begin, end):
                strays[p + 1] = strays[p] + (not fixed(bits[p])[0])
        if uses[GREATEST]:
            _nodes(values, greatest, levels, begin, end - 1, 1.0)
        if uses[LEAST]:
            _nodes(values, least, levels, begin, end - 1, -1.0)


@njit(cache=True, nogil=True)
def _move(
    moves: I8, made: int, values: F8, prefix: U8, strays: I8, greatest: F8, least: F8, levels: I8, uses: U1
) -> None:
    """Make the moves of `spans.plan`, in their order. Prefixes keep their values: only differences are ever read."""
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        if rows == NONE:
            if uses[SUMS]:
                prefix[target, LOW] = _0
                prefix[target, HIGH] = _0
            if uses[STRAYS]:
                strays[target] = 0
            continue
        for i in range(rows):
            values[target + i] = values[source + i]
        if uses[SUMS]:
            for i in range(rows + 1):
                prefix[target + i, LOW] = prefix[source + i, LOW]
                prefix[target + i, HIGH] = prefix[source + i, HIGH]
        if uses[STRAYS]:
            for i in range(rows + 1):
                strays[target + i] = strays[source + i]
        if rows > 0:
            if uses[GREATEST]:
                _nodes(values, greatest, levels, target, target + rows - 1, 1.0)
            if uses[LEAST]:
                _nodes(values, least, levels, target, target + rows - 1, -1.0)


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
    values: F8,
    prefix: U8,
    strays: I8,
    greatest: F8,
    least: F8,
    levels: I8,
    uses: U1,
    limbs: I8,
    reads: I8,
    parameters: F8,
    out: F8,
) -> None:
    """Make the moves, then walk the script: inserts shift this column's arrays, reads answer from them.

    column: f8[n], the value of each operation that inserts. reads: i8[r, 3] and parameters: f8[r, 2], the reads of this
    column; TARGET is the column of `out`. prefix: u8[slab, 2], strays: i8[slab], how many values before a row are off
    the grid. An empty span gives 0 for a sum, NaN for the rest, and the default for a mean with a prior.
    """
    _move(moves, made, values, prefix, strays, greatest, least, levels, uses)
    bits = column.view(np.uint64)
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
            values[at] = column[i] + 0.0  # One zero: which of two a maximum finds would depend on the block.
            if uses[SUMS]:
                on_grid, upper, lower = fixed(bits[i])
                # One walk moves the prefixes behind the row and adds it to each.
                for p in range(last, at - 1, -1):
                    add_before(prefix, p, p + 1, upper, lower)
                if uses[STRAYS]:
                    for p in range(last, at - 1, -1):
                        strays[p + 1] = strays[p] + (not on_grid)
            if at < last or (at & 15) == 15:
                if uses[GREATEST]:
                    _nodes(values, greatest, levels, at, last, 1.0)
                if uses[LEAST]:
                    _nodes(values, least, levels, at, last, -1.0)
        row = read[i]
        if row < 0:
            continue
        summed = NONE
        total_value = 0.0
        for r in range(reads.shape[0]):
            w = reads[r, WINDOW]
            start = low[q, w]
            stop = high[q, w]
            code = reads[r, CODE]
            value = np.nan
            if code <= MEAN:
                if summed != w:  # The reads come sorted by window.
                    summed = w
                    total_value = 0.0
                    if stop > start:
                        if uses[STRAYS] and strays[stop] != strays[start]:
                            total_value = sum_anywhere(values, start, stop, limbs)
                        else:
                            upper, lower = between(prefix, start, stop)
                            total_value = from_fixed(upper, lower)
                if code == SUM:
                    value = total_value
                elif parameters[r, PARAMETER] > 0.0:
                    prior = parameters[r, PARAMETER]
                    value = (total_value + prior * parameters[r, DEFAULT]) / (stop - start + prior)
                elif stop > start:
                    value = total_value / (stop - start)
            elif stop > start:
                if code == MAX:
                    value = _extreme(values, greatest, levels, start, stop, 1.0)
                elif code == MIN:
                    value = -_extreme(values, least, levels, start, stop, -1.0)
                elif code == RANGE:
                    value = _extreme(values, greatest, levels, start, stop, 1.0)
                    value += _extreme(values, least, levels, start, stop, -1.0)
                elif code == FIRST:
                    value = values[start]
                else:
                    rank = int(parameters[r, PARAMETER])
                    if stop - start >= rank:
                        value = values[stop - rank]
            out[row, reads[r, TARGET]] = value
