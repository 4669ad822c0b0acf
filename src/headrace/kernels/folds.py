"""A user's aggregate over the script of `spans`: nodes of 16 rows hold merged states, a read folds them left to right.

This module is complete, for an aggregate that counts. For one of the user's, `features.generated` writes a module of
its own: this text, with the part between the two marks replaced by the user's functions. So they are compiled into the
loop, and Numba's cache on disk knows them.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.spans import BEGIN, END, MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
State = Any
States = NDArray[np.void]

LEVELS = 5
"""Levels of the nodes; level 0 are the values themselves, each node above stands for 16 below."""

# columns of `reads`
WINDOW = 0
TARGET = 1
READ_COLUMNS = 2

# <aggregate>
STATE = np.dtype([("rows", "i8")])


@njit(cache=True, nogil=True)
def begin(s: State) -> None:
    """Make a state that of no row."""
    s["rows"] = 0


@njit(cache=True, nogil=True)
def update(s: State, x: float) -> None:
    """Take in one row; NaN is none."""
    s["rows"] += not np.isnan(x)


@njit(cache=True, nogil=True)
def merge(s: State, o: State) -> None:
    """Take in the rows of another state, which come behind."""
    s["rows"] += o["rows"]


@njit(cache=True, nogil=True)
def finalize(s: State) -> float:
    """Return the answer."""
    return float(s["rows"])


# </aggregate>


@njit(cache=True, nogil=True)
def _fill_nodes(values: F8, nodes: States, levels: I8, first: int, last: int) -> None:
    """Compute the nodes that end within rows first..last and are full by now.

    levels: i8[LEVELS], where each level starts in `nodes`. Nodes lie at places of the slab, not of the block: one that
    reaches into a neighbour's block is computed but never read.
    """
    for level in range(1, LEVELS):
        low = first >> (4 * level)
        high = (last + 1) >> (4 * level)
        if low >= high:
            return
        for place in range(low, high):
            node = nodes[levels[level] + place]
            begin(node)
            for child in range(place << 4, (place << 4) + 16):
                if level == 1:
                    update(node, values[child])
                else:
                    merge(node, nodes[levels[level - 1] + child])


@njit(cache=True, nogil=True)
def _fold(values: F8, nodes: States, levels: I8, whole: int, low: int, high: int, state: State) -> None:
    """Fold rows [low, high) into a state, from left to right, by the largest nodes that fit."""
    begin(state)
    place = low
    while place < high:
        level = 0
        if whole:
            size = 16
            while level + 1 < LEVELS and (place & (size - 1)) == 0 and place + size <= high:
                level += 1
                size <<= 4
        if level == 0:
            update(state, values[place])
            place += 1
        else:
            merge(state, nodes[levels[level] + (place >> (4 * level))])
            place += 1 << (4 * level)


@njit(cache=True, nogil=True)
def derive(state: I8, values: F8, nodes: States, levels: I8, whole: int) -> None:
    """Compute the nodes of the rows of every key anew. state: i8[K, ...], of `spans`."""
    if whole:
        for k in range(state.shape[0]):
            if state[k, BEGIN] < state[k, END]:
                _fill_nodes(values, nodes, levels, state[k, BEGIN], state[k, END] - 1)


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
    nodes: States,
    levels: I8,
    whole: int,
    scratch: States,
    reads: I8,
    out: F8,
) -> None:
    """Make the moves, then walk the script: inserts shift the values, reads fold them.

    column: f8[n], the value of each operation that inserts. values: f8[slab]. nodes: STATE[...], used if `whole` is 1:
    if a merge of states is the state of all their rows, bit for bit. scratch: STATE[1]. reads: i8[r, 2]; TARGET is the
    column of `out`. An empty span gives NaN, and so does an answer that is not finite.
    """
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        for i in range(rows):
            values[target + i] = values[source + i]
        if whole and rows > 0:
            _fill_nodes(values, nodes, levels, target, target + rows - 1)
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
            values[at] = column[i] + 0.0  # One zero, as in every kernel of columns.
            if whole and (at < last or (at & 15) == 15):
                _fill_nodes(values, nodes, levels, at, last)
        row = read[i]
        if row < 0:
            continue
        for r in range(reads.shape[0]):
            start = low[q, reads[r, WINDOW]]
            stop = high[q, reads[r, WINDOW]]
            value = np.nan
            if stop > start:
                _fold(values, nodes, levels, whole, start, stop, scratch[0])
                answer = float(finalize(scratch[0]))
                if np.isfinite(answer):
                    value = answer
            out[row, reads[r, TARGET]] = value
