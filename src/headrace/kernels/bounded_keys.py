"""A bounded number of keys: ids in log order, and eviction of the one that was written longest ago.

Every write appends its key to a queue, and the key remembers at which place; so the first entry of the queue that its
key still remembers is the key that was written longest ago. Stale entries are dropped when the queue is full. What was
evicted is remembered in a filter of fixed size: at two places that its hash names, the time before which its rows lay.
A place keeps the greatest time that came to it, so a key that shares both may be taken for one that was evicted.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.key_table import EMPTY, FREE, USED, seek, vacate

U8 = NDArray[np.uint64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
B1 = NDArray[np.bool_]

NONE = -1
ALWAYS = np.int64(np.iinfo(np.int64).min)

# counts, beside those of `key_table`
LIVE = 2
HEAD = 3  # the queue's entries are queue[HEAD:TAIL]
TAIL = 4
COUNTS = 5

# columns of `marks`
NEWEST = 0  # the latest time of the key's rows
WRITTEN = 1  # the place in the queue of its last writing, NONE for a key that does not live
MARK_COLUMNS = 2

_HALF = np.uint64(32)


@njit(cache=True, nogil=True)
def _place(word: np.uint64, size: int) -> np.int64:
    """Return a place of the filter by the upper half of a word: the key table goes by the lower one."""
    return np.int64((word >> _HALF) & np.uint64(size - 1))


@njit(cache=True, nogil=True)
def lost_before(one: np.uint64, two: np.uint64, lost: I8) -> np.int64:
    """Return the time before which rows of a key may have been evicted, ALWAYS if it never was.

    lost: i8[2**b], or i8[0] as long as nothing was.
    """
    if lost.shape[0] == 0:
        return ALWAYS
    return min(lost[_place(one, lost.shape[0])], lost[_place(two, lost.shape[0])])


@njit(cache=True, nogil=True)
def look_up(hashes: U8, ids: I8, lowest: I8, lost: I8, gone: I8) -> None:
    """Say of n keys that are not known (ids of NONE) since when they are not: gone, i8[n], as in `assign`."""
    for row in range(hashes.shape[0]):
        gone[row] = ALWAYS
        if ids[row] == NONE:
            before = lost_before(hashes[row, 0], hashes[row, 1], lost)
            if before > lowest[row]:
                gone[row] = before


@njit(cache=True, nogil=True)
def compact(queue: I4, marks: I8, counts: I8) -> None:
    """Drop the stale entries of the queue; the others move to its beginning, in their order."""
    put = 0
    for place in range(counts[HEAD], counts[TAIL]):
        key = queue[place]
        if marks[key, WRITTEN] == place:
            queue[put] = key
            marks[key, WRITTEN] = put
            put += 1
    counts[HEAD] = 0
    counts[TAIL] = put


@njit(cache=True, nogil=True)
def assign(
    hashes: U8,
    valid: B1,
    insert: B1,
    time: I8,
    lowest: I8,
    most: int,
    table: I4,
    keys: U8,
    queue: I4,
    marks: I8,
    lost: I8,
    free: I4,
    counts: I8,
    ids: I8,
    gone: I8,
    entered: I8,
    evicted: I8,
) -> tuple[int, int]:
    """Give each of n operations, in log order, the id of its key; return how many keys entered, and were evicted.

    An operation that inserts writes its key, and enters it if it is not known; where that makes more than `most`, the
    key that was written longest ago is evicted first. The id of an evicted key is not given again before `release`,
    so that operations before its eviction still find its rows.

    hashes: u8[n, 2]. valid: bool[n], whether there is a key at all. insert: bool[n]. time, lowest: i8[n]; no window of
    the operation reaches to before `lowest`. table, keys, free, counts: as in `key_table`. queue: i4[q], with room
    for as many writes. marks: i8[k, 2], by id. lost: the filter; it must have places if an eviction may come. ids:
    i8[n], NONE without a key or for one that is not known. gone: i8[n], of keys that enter here, the time before which
    rows of theirs may have been evicted, and of keys that are not known, if a window reaches it; ALWAYS for none.
    entered: i8[n], the operations that entered a key. evicted: i8[n], ids.
    """
    came = 0
    went = 0
    for row in range(hashes.shape[0]):
        ids[row] = NONE
        gone[row] = ALWAYS
        if not valid[row]:
            continue
        one = hashes[row, 0]
        two = hashes[row, 1]
        place = seek(one, two, table, keys)
        found = np.int64(table[place])
        if found != EMPTY:
            ids[row] = found
            if insert[row]:
                marks[found, NEWEST] = max(marks[found, NEWEST], time[row])
                if marks[found, WRITTEN] != counts[TAIL] - 1:
                    queue[counts[TAIL]] = np.int32(found)
                    marks[found, WRITTEN] = counts[TAIL]
                    counts[TAIL] += 1
            continue
        before = lost_before(one, two, lost)
        if before > lowest[row] or insert[row]:
            gone[row] = before
        if not insert[row]:
            continue
        if counts[LIVE] == most:
            while marks[queue[counts[HEAD]], WRITTEN] != counts[HEAD]:
                counts[HEAD] += 1
            old = int(queue[counts[HEAD]])
            counts[HEAD] += 1
            marks[old, WRITTEN] = NONE
            vacate(old, table, keys)
            for word in range(2):
                cell = _place(keys[old, word], lost.shape[0])
                lost[cell] = max(lost[cell], marks[old, NEWEST] + 1)
            counts[LIVE] -= 1
            evicted[went] = old
            went += 1
            # Keys behind the gap have moved: the place of this one may be another now.
            place = seek(one, two, table, keys)
        if counts[FREE] > 0:
            counts[FREE] -= 1
            found = np.int64(free[counts[FREE]])
        else:
            found = counts[USED]
            counts[USED] += 1
        table[place] = np.int32(found)
        keys[found, 0] = one
        keys[found, 1] = two
        marks[found, NEWEST] = time[row]
        queue[counts[TAIL]] = np.int32(found)
        marks[found, WRITTEN] = counts[TAIL]
        counts[TAIL] += 1
        counts[LIVE] += 1
        entered[came] = row
        came += 1
        ids[row] = found
    return came, went


@njit(cache=True, nogil=True)
def release(ids: I8, free: I4, counts: I8) -> None:
    """Let the ids of n evicted keys be given again."""
    for row in range(ids.shape[0]):
        free[counts[FREE]] = np.int32(ids[row])
        counts[FREE] += 1


@njit(cache=True, nogil=True)
def drop(key: int, table: I4, keys: U8, marks: I8, free: I4, counts: I8) -> None:
    """Take out a key that is known, as if it had never been."""
    vacate(key, table, keys)
    marks[key, WRITTEN] = NONE
    counts[LIVE] -= 1
    free[counts[FREE]] = np.int32(key)
    counts[FREE] += 1


@njit(cache=True, nogil=True)
def order(queue: I4, marks: I8, counts: I8, ids: I8) -> None:
    """List the ids of the keys that live, the one written longest ago first. ids: i8[LIVE]."""
    row = 0
    for place in range(counts[HEAD], counts[TAIL]):
        if marks[queue[place], WRITTEN] == place:
            ids[row] = queue[place]
            row += 1
