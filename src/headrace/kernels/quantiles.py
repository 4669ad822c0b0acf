"""Quantiles of a column, to 1/64 of a power of two.

Follows the script of `spans`. A value falls into a bucket by its sign, its exponent and the first six bits behind its
point, and the record of a rank is looked for among the buckets. So that a long span costs little, the buckets of 256
rows, and of 4,096, stand sorted beside them; what such a node holds less or equal to a bucket is found by bisection.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.spans import BEGIN, END, MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]

# columns of `reads`
WINDOW = 0
SHARE = 1
TARGET = 2
READ_COLUMNS = 3

SHARES: Final = 1_000_000_000
"""A share of all, as a whole number."""
SMALL = 8  # rows of a node, as powers of two
LARGE = 12
LEVELS = 2

# rows of `pieces`: parts of nodes whose buckets may still be the one that is looked for
FROM = 0
TO = 1
MIDDLE = 2
LEVEL = 3
PIECE_ROWS = 4

_46 = np.uint64(46)
_63 = np.uint64(63)
_MAGNITUDE = np.uint64((1 << 63) - 1)


@njit(cache=True, nogil=True)
def bucket(bits: np.uint64) -> int:
    """Return the bucket of a float64, as bits: 0 for zero, rising with the value."""
    magnitude = bits & _MAGNITUDE
    if magnitude == np.uint64(0):
        return 0
    place = int(np.int64(magnitude >> _46)) + 1
    return -place if bits >> _63 != np.uint64(0) else place


@njit(cache=True, nogil=True)
def middle(place: int) -> float:
    """Return the middle of a bucket, which is at most 1/128 of a value away, or 2**-1029 from one below 2**-1022."""
    if place == 0:
        return 0.0
    bits = np.int64(((abs(place) - 1) << 46) + (1 << 45))
    value: float = np.int64(bits).view(np.float64)
    return -value if place < 0 else value


@njit(cache=True, nogil=True)
def _merge(nodes: I8, scratch: I8, level: int, start: int, size: int, run: int) -> None:
    """Merge sorted runs of the buckets nodes[start : start + size] two by two."""
    for first in range(start, start + size, 2 * run):
        left = first
        right = first + run
        for place in range(first, first + 2 * run):
            if left < first + run and (right == first + 2 * run or nodes[left, level] <= nodes[right, level]):
                scratch[place - start] = nodes[left, level]
                left += 1
            else:
                scratch[place - start] = nodes[right, level]
                right += 1
    for place in range(size):
        nodes[start + place, level] = scratch[place]


@njit(cache=True, nogil=True)
def _build(values: F8, nodes: I8, scratch: I8, first: int, last: int) -> None:
    """Sort the buckets of those nodes that end within rows first..last and are full by now.

    nodes: i8[slab, LEVELS]. scratch: i8[2**LARGE]. Nodes lie at places of the slab, not of the block: one that
    reaches into a neighbour's block is sorted but never read.
    """
    bits = values.view(np.uint64)
    for level in range(nodes.shape[1]):
        power = SMALL if level == 0 else LARGE
        size = 1 << power
        for node in range(first >> power, (last + 1) >> power):
            start = node << power
            for place in range(start, start + size):
                nodes[place, level] = bucket(bits[place]) if level == 0 else nodes[place, 0]
            run = 1 if level == 0 else 1 << SMALL
            while run < size:
                _merge(nodes, scratch, level, start, size, run)
                run <<= 1


@njit(cache=True, nogil=True)
def _count_up_to(nodes: I8, level: int, low: int, high: int, bound: int) -> int:
    """Return the first place of the sorted nodes[low:high] whose bucket is above a bound."""
    while low < high:
        half = (low + high) >> 1
        if nodes[half, level] <= bound:
            low = half + 1
        else:
            high = half
    return low


@njit(cache=True, nogil=True)
def _exchange(nodes: I8, level: int, start: int, size: int, leaves: int, comes: int) -> None:
    """Take one bucket out of a sorted node and put another in."""
    place = _count_up_to(nodes, level, start, start + size, leaves - 1)
    if place == start + size:
        place -= 1  # Only in a node that is never read.
    while place > start and nodes[place - 1, level] > comes:
        nodes[place, level] = nodes[place - 1, level]
        place -= 1
    while place < start + size - 1 and nodes[place + 1, level] < comes:
        nodes[place, level] = nodes[place + 1, level]
        place += 1
    nodes[place, level] = comes


@njit(cache=True, nogil=True)
def _insert(values: F8, nodes: I8, scratch: I8, at: int, last: int, value: float) -> None:
    """Put a row at `at`, the rows behind it one further; each full node behind loses its last row to the next."""
    bits = values.view(np.uint64)
    if at < last:
        for level in range(nodes.shape[1]):
            power = SMALL if level == 0 else LARGE
            comes = bucket(np.float64(value).view(np.uint64))
            for node in range(at >> power, last >> power):
                leaves = bucket(bits[((node + 1) << power) - 1])
                _exchange(nodes, level, node << power, 1 << power, leaves, comes)
                comes = leaves
        for p in range(last, at, -1):
            values[p] = values[p - 1]
    values[at] = value
    _build(values, nodes, scratch, last, last)


@njit(cache=True, nogil=True)
def _of_rank(values: F8, nodes: I8, pieces: I8, loose: I8, low: int, high: int, rank: int) -> int:
    """Return the bucket of that rank (from 1) among the rows [low, high).

    pieces: i8[PIECE_ROWS, ...] and loose: i8[2**(SMALL + 1)], scratch. Halves the range of buckets until one is left,
    and at each step drops what has fallen out of it.
    """
    bits = values.view(np.uint64)
    least = 1 << 62
    greatest = -least
    count = 0
    held = 0
    place = low
    while place < high:
        if place & ((1 << SMALL) - 1) == 0 and place + (1 << SMALL) <= high:
            level = int(place & ((1 << LARGE) - 1) == 0 and place + (1 << LARGE) <= high)
            stop = place + (1 << (LARGE if level else SMALL))
            pieces[FROM, count] = place
            pieces[TO, count] = stop
            pieces[LEVEL, count] = level
            least = min(least, nodes[place, level])
            greatest = max(greatest, nodes[stop - 1, level])
            count += 1
            place = stop
        else:
            loose[held] = bucket(bits[place])
            least = min(least, loose[held])
            greatest = max(greatest, loose[held])
            held += 1
            place += 1
    while least < greatest:
        bound = (least + greatest) >> 1
        below = 0
        for one in range(held):
            below += loose[one] <= bound
        for piece in range(count):
            pieces[MIDDLE, piece] = _count_up_to(
                nodes, pieces[LEVEL, piece], pieces[FROM, piece], pieces[TO, piece], bound
            )
            below += pieces[MIDDLE, piece] - pieces[FROM, piece]
        lower = rank <= below
        if lower:
            greatest = bound
        else:
            least = bound + 1
            rank -= below
        kept = 0
        for one in range(held):
            value = loose[one]
            loose[kept] = value
            kept += (value <= bound) == lower
        held = kept
        kept = 0
        for piece in range(count):
            start = pieces[FROM, piece] if lower else pieces[MIDDLE, piece]
            stop = pieces[MIDDLE, piece] if lower else pieces[TO, piece]
            pieces[FROM, kept] = start
            pieces[TO, kept] = stop
            pieces[LEVEL, kept] = pieces[LEVEL, piece]
            kept += start < stop
        count = kept
    return least


@njit(cache=True, nogil=True)
def derive(state: I8, values: F8, nodes: I8, scratch: I8) -> None:
    """Sort the nodes of the rows of every key anew. state: i8[K, ...], of `spans`."""
    for k in range(state.shape[0]):
        if state[k, BEGIN] < state[k, END]:
            _build(values, nodes, scratch, state[k, BEGIN], state[k, END] - 1)


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
    nodes: I8,
    scratch: I8,
    pieces: I8,
    loose: I8,
    reads: I8,
    out: F8,
) -> None:
    """Make the moves, then walk the script.

    column: f8[n], the value of each operation that inserts. values: f8[slab]. nodes: i8[slab, LEVELS]. scratch:
    i8[2**LARGE]; pieces: i8[PIECE_ROWS, slab / 2**LARGE + 2**(LARGE - SMALL + 1)]; loose: i8[2**(SMALL + 1)].
    reads: i8[r, 3], the SHARE in parts of `SHARES`. The rank is share * n rounded up, 1 at least. An empty span gives
    NaN.
    """
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        if rows == NONE:
            continue
        for i in range(rows):
            values[target + i] = values[source + i]
        if rows > 0:
            _build(values, nodes, scratch, target, target + rows - 1)
    for q in range(operations):
        i = order[q]
        if place[q] != NONE:
            _insert(values, nodes, scratch, place[q], ends[q], column[i] + 0.0)
        row = read[i]
        if row < 0:
            continue
        for r in range(reads.shape[0]):
            start = low[q, reads[r, WINDOW]]
            stop = high[q, reads[r, WINDOW]]
            value = np.nan
            if stop > start:
                rank = max((reads[r, SHARE] * (stop - start) + SHARES - 1) // SHARES, 1)
                value = middle(_of_rank(values, nodes, pieces, loose, start, stop, rank))
            out[row, reads[r, TARGET]] = value
