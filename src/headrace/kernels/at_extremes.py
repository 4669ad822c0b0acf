"""The value of one column at the greatest or least of another; of several, at the newest.

Follows the script of `spans`. A tree of places, shared by all windows, bounds the work: a node stands for 16 rows, or
16 nodes, and holds the place of the best of them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.spans import BEGIN, END, MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]

# columns of `extremes`, one row a tree
OF = 0  # the column of `others` whose extreme is looked for
SIGN = 1  # 1 for the greatest, -1 for the least
EXTREME_COLUMNS = 2

# columns of `reads`
WINDOW = 0
EXTREME = 1
TARGET = 2
READ_COLUMNS = 3

LEVELS = 5
"""Levels of a tree; level 0 are the rows themselves."""


@njit(cache=True, nogil=True)
def _nodes(others: F8, tree: I8, which: int, of: int, sign: int, first: int, last: int) -> None:
    """Compute the nodes that end within rows first..last and are full by now.

    tree: i8[slab / 16, LEVELS - 1, trees]. Nodes lie at places of the slab, not of the block: one that reaches into a
    neighbour's block is computed but never read.
    """
    for level in range(1, LEVELS):
        low = first >> (4 * level)
        high = (last + 1) >> (4 * level)
        if low >= high:
            return
        for node in range(low, high):
            best = -np.inf
            best_place = 0
            for child in range(node << 4, (node << 4) + 16):
                place = child
                if level > 1:
                    place = tree[child, level - 2, which]
                value = sign * others[place, of]
                if value >= best:
                    best = value
                    best_place = place
            tree[node, level - 1, which] = best_place


@njit(cache=True, nogil=True)
def _best(others: F8, tree: I8, which: int, of: int, sign: int, low: int, high: int) -> int:
    """Return the place of the extreme of the rows [low, high), which are one at least, by the fewest nodes."""
    best = low
    level = 0
    while True:
        # What sticks out at both ends of whole nodes is looked at one by one; a few in the middle are, too.
        few = high - low <= 32 or level == LEVELS - 1
        inner_low = high if few else (low + 15) >> 4 << 4
        inner_high = high if few else high >> 4 << 4
        for turn in range(2):
            start = low if turn == 0 else inner_high
            stop = inner_low if turn == 0 else high
            for node in range(start, stop):
                place = node
                if level > 0:
                    place = tree[node, level - 1, which]
                value = sign * others[place, of]
                known = sign * others[best, of]
                if value > known or (value == known and place > best):
                    best = place
        if few:
            return best
        low = inner_low >> 4
        high = inner_high >> 4
        level += 1


@njit(cache=True, nogil=True)
def _all_nodes(others: F8, tree: I8, extremes: I8, first: int, last: int) -> None:
    for which in range(extremes.shape[0]):
        _nodes(others, tree, which, extremes[which, OF], extremes[which, SIGN], first, last)


@njit(cache=True, nogil=True)
def derive(state: I8, others: F8, tree: I8, extremes: I8) -> None:
    """Compute the nodes of the rows of every key anew. state: i8[K, ...], of `spans`."""
    for k in range(state.shape[0]):
        if state[k, BEGIN] < state[k, END]:
            _all_nodes(others, tree, extremes, state[k, BEGIN], state[k, END] - 1)


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
    columns: F8,
    values: F8,
    others: F8,
    tree: I8,
    extremes: I8,
    reads: I8,
    out: F8,
) -> None:
    """Make the moves, then walk the script.

    column: f8[n] and columns: f8[n, others], what each operation that inserts brings. values: f8[slab] and others:
    f8[slab, others], the rows. extremes: i8[trees, 2]. reads: i8[r, 3]. An empty span gives NaN.
    """
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        for i in range(rows):
            values[target + i] = values[source + i]
            for of in range(others.shape[1]):
                others[target + i, of] = others[source + i, of]
        if rows > 0:
            _all_nodes(others, tree, extremes, target, target + rows - 1)
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
                for of in range(others.shape[1]):
                    others[p, of] = others[p - 1, of]
            values[at] = column[i] + 0.0
            for of in range(others.shape[1]):
                others[at, of] = columns[i, of]
            if at < last or (at & 15) == 15:
                _all_nodes(others, tree, extremes, at, last)
        row = read[i]
        if row < 0:
            continue
        for r in range(reads.shape[0]):
            start = low[q, reads[r, WINDOW]]
            stop = high[q, reads[r, WINDOW]]
            value = np.nan
            if stop > start:
                which = reads[r, EXTREME]
                value = values[_best(others, tree, which, extremes[which, OF], extremes[which, SIGN], start, stop)]
            out[row, reads[r, TARGET]] = value
