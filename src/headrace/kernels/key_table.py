"""A table from 128-bit keys to dense ids: open addressing, both words compared, no tombstones."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]

EMPTY = -1

# counts
USED = 0
FREE = 1
COUNTS = 2


@njit(cache=True, nogil=True)
def _home(word: np.uint64, mask: int) -> np.int64:
    return np.int64(word & np.uint64(mask))


@njit(cache=True, nogil=True)
def seek(one: np.uint64, two: np.uint64, table: I4, keys: U8) -> np.int64:
    """Return the place of a key in the table, or the empty one where it would stand."""
    mask = table.shape[0] - 1
    place = _home(one, mask)
    found = table[place]
    while found != EMPTY and (keys[found, 0] != one or keys[found, 1] != two):
        place = (place + 1) & mask
        found = table[place]
    return place


@njit(cache=True, nogil=True)
def find(hashes: U8, table: I4, keys: U8, ids: I8) -> None:
    """Look up n keys; -1 for an unknown one.

    hashes: u8[n, 2]. table: i4[2**b], ids or EMPTY. keys: u8[k, 2], by id. ids: i8[n].
    """
    for row in range(hashes.shape[0]):
        ids[row] = table[seek(hashes[row, 0], hashes[row, 1], table, keys)]


@njit(cache=True, nogil=True)
def add(hashes: U8, table: I4, keys: U8, free: I4, counts: I8, ids: I8) -> None:
    """Look up n keys, and give each unknown one an id: a free one, else the next.

    counts: i8[2], ids ever used and ids on the stack `free`. The table must stay at most half full.
    """
    for row in range(hashes.shape[0]):
        one = hashes[row, 0]
        two = hashes[row, 1]
        place = seek(one, two, table, keys)
        found = table[place]
        if found == EMPTY:
            if counts[FREE] > 0:
                counts[FREE] -= 1
                found = free[counts[FREE]]
            else:
                found = np.int32(counts[USED])
                counts[USED] += 1
            table[place] = found
            keys[found, 0] = one
            keys[found, 1] = two
        ids[row] = found


@njit(cache=True, nogil=True)
def vacate(gone: int, table: I4, keys: U8) -> bool:
    """Take an id out of the table; return whether it was there.

    Later keys of a run move back into the gap (Knuth 6.4, algorithm R), so that no tombstone is needed.
    """
    mask = table.shape[0] - 1
    place = _home(keys[gone, 0], mask)
    while table[place] != gone and table[place] != EMPTY:
        place = (place + 1) & mask
    if table[place] == EMPTY:
        return False
    table[place] = EMPTY
    hole = place
    place = (place + 1) & mask
    while table[place] != EMPTY:
        home = _home(keys[table[place], 0], mask)
        if ((place - home) & mask) >= ((place - hole) & mask):
            table[hole] = table[place]
            table[place] = EMPTY
            hole = place
        place = (place + 1) & mask
    return True


@njit(cache=True, nogil=True)
def remove(ids: I8, table: I4, keys: U8, free: I4, counts: I8) -> int:
    """Forget n keys by their ids, which may then be used again; return how many of them were not known."""
    unknown = 0
    for row in range(ids.shape[0]):
        if vacate(ids[row], table, keys):
            free[counts[FREE]] = np.int32(ids[row])
            counts[FREE] += 1
        else:
            unknown += 1
    return unknown


@njit(cache=True, nogil=True)
def enter(live: I8, table: I4, keys: U8) -> None:
    """Enter ids whose keys are known into an empty table. live: i8[n]."""
    mask = table.shape[0] - 1
    for row in range(live.shape[0]):
        place = _home(keys[live[row], 0], mask)
        while table[place] != EMPTY:
            place = (place + 1) & mask
        table[place] = np.int32(live[row])
