"""Windows as spans: each key's rows lie contiguous, sorted by (event time, log order), in a block of a slab.

A batch becomes one script, grouped by key and in log order within a key: INSERT at a place, READ the span [lo, hi)
of each window. `room` and `plan` make place first, so that no block moves while the script runs. A read changes
nothing. The times are kept here; each column (`numbers`) follows the same moves and the same script.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U1 = NDArray[np.uint8]
B1 = NDArray[np.bool_]

NONE = -1
MERGED = -2
"""In `ends`, less the end of the key's rows: the row stands already, and takes in another record."""
NEVER = np.int64(np.iinfo(np.int64).max)
ALWAYS = np.int64(np.iinfo(np.int64).min)

LEAST_CLASS = 2
"""A block of class c has 2**c places; the last stays empty, since the prefixes of c rows need c + 1 places."""
SMALL_CLASS = 6
"""Blocks up to this class are looked through for expired rows only when they are full: that saves a cache miss."""

# columns of `state`, one row a key
BLOCK = 0  # first place of its block, NONE if it has none
CLASS = 1
BEGIN = 2  # its rows lie in [BEGIN, END)
END = 3
OLDEST = 4  # the earliest time that it ever had, NEVER for none
COUNT = 5  # scratch of `group`, zero between batches
GONE = 6  # the time before which rows may be gone though they were young enough, ALWAYS for none
STATE_COLUMNS = 7

# columns of `moves`
MOVE_FROM = 0
MOVE_TO = 1
MOVE_ROWS = 2  # NONE for a block that a key gets newly
MOVE_COLUMNS = 3

# kinds of windows
SLIDING = 0
FOREVER = 1
LAST_N = 2  # the newest EXTRA rows of a sliding window
SESSION = 3  # the newest rows of a sliding window, back to the first silence; EXTRA is its column of `silences`
GIVEN = 4  # [since, until) is given for each operation; EXTRA is its column of `edges`

# columns of `windows`
KIND = 0
SIZE = 1  # ENDED or more for a window without a beginning
OFFSET = 2
CURRENT = 3  # 1 to include the moment of the read itself
EXTRA = 4
WINDOW_COLUMNS = 5

ENDED = np.int64(2**62)

# the third axis of `edges`
SINCE = 0
UNTIL = 1

# columns of `reads`
CODE = 0
WINDOW = 1
READ_COLUMNS = 2

# aggregates that need the times alone; those of a column follow in `numbers`
ROWS = 0
SECONDS_SINCE = 1
RATE = 2
FIRST_OF_COLUMN = 3
"""Codes from here on are those of the kernels of columns."""

# reasons of a span, as `core.reasons` numbers them
OK = 0
NO_KEY = 1
EXPIRED = 2
TRUNCATED = 4


@njit(cache=True, nogil=True)
def group(key: I8, state: I8, order: I8, starts: I8, keys: I8) -> int:
    """Sort n operations by key, stably, keys in order of first appearance; return the number of keys.

    key: i8[n], negative for an operation that belongs to none and is left out. order: i8[n]. starts: i8[n + 1].
    keys: i8[n]. The operations of keys[j] are order[starts[j]:starts[j + 1]].
    """
    groups = 0
    for i in range(key.shape[0]):
        k = key[i]
        if k < 0:
            continue
        if state[k, COUNT] == 0:
            keys[groups] = k
            groups += 1
        state[k, COUNT] += 1
    place = 0
    for j in range(groups):
        starts[j] = place
        size = state[keys[j], COUNT]
        state[keys[j], COUNT] = place
        place += size
    starts[groups] = place
    for i in range(key.shape[0]):
        k = key[i]
        if k >= 0:
            order[state[k, COUNT]] = i
            state[k, COUNT] += 1
    for j in range(groups):
        state[keys[j], COUNT] = 0
    return groups


@njit(cache=True, nogil=True)
def _class_for(places: int) -> int:
    """Return the smallest class whose block has that many places."""
    size_class = LEAST_CLASS
    while (1 << size_class) < places:
        size_class += 1
    return size_class


@njit(cache=True, nogil=True)
def room(
    groups: int,
    starts: I8,
    keys: I8,
    order: I8,
    insert: B1,
    floor: int,
    keep: int,
    most: int,
    state: I8,
    ts: I8,
    wanted: I8,
) -> int:
    """Decide which blocks change, drop rows of those that are read no more, and return how many places that may take.

    floor, keep, most: which rows may go, see `first_kept`. wanted: i8[groups], the class of the block that the key
    shall have, NONE if it stays as it is.
    """
    need = 0
    for j in range(groups):
        k = keys[j]
        wanted[j] = NONE
        count = 0
        for q in range(starts[j], starts[j + 1]):
            count += insert[order[q]]
        if count == 0:
            continue
        if state[k, BLOCK] == NONE:
            wanted[j] = _class_for(count + 1)
            need += 1 << wanted[j]
            continue
        places = 1 << state[k, CLASS]
        last = state[k, END]
        crowded = last + count >= state[k, BLOCK] + places
        if not crowded and state[k, CLASS] <= SMALL_CLASS:
            continue
        first = first_kept(ts, state[k, BEGIN], last, floor, keep, most)
        state[k, BEGIN] = first
        rows = last - first + count + 1
        if crowded or rows * 8 < places:
            wanted[j] = _class_for(rows * 4 // 3)
            need += 1 << wanted[j]
    return need


@njit(cache=True, nogil=True)
def _take(size_class: int, free: I8, ts: I8, top: I8) -> int:
    """Return a block: a free one of the class, a part of one up to four times as large, or new places.

    free: i8[classes], the first free block of each class, whose first place in `ts` names the next. top: i8[1], the
    end of the places ever used.
    """
    for larger in range(size_class, min(size_class + 3, free.shape[0])):
        if free[larger] != NONE:
            place: int = free[larger]
            free[larger] = ts[place]
            for half in range(larger - 1, size_class - 1, -1):
                _give(half, place + (1 << half), free, ts)
            return place
    place = top[0]
    top[0] += 1 << size_class
    return place


@njit(cache=True, nogil=True)
def _give(size_class: int, place: int, free: I8, ts: I8) -> None:
    ts[place] = free[size_class]
    free[size_class] = place


@njit(cache=True, nogil=True)
def plan(groups: int, keys: I8, wanted: I8, state: I8, ts: I8, silences: I8, free: I8, top: I8, moves: I8) -> int:
    """Give each key the block that `room` wanted for it, and list the moves; return their number.

    Every column makes the same moves in the same order, since a block that one key leaves may be another's next.
    """
    made = 0
    for j in range(groups):
        if wanted[j] == NONE:
            continue
        k = keys[j]
        old = state[k, BLOCK]
        old_class = state[k, CLASS]
        first = state[k, BEGIN]
        rows = state[k, END] - first
        place = old
        if old == NONE or wanted[j] != old_class:
            place = _take(wanted[j], free, ts, top)
        moves[made, MOVE_TO] = place
        if old == NONE:
            rows = 0
            moves[made, MOVE_FROM] = place
            moves[made, MOVE_ROWS] = NONE
        else:
            moves[made, MOVE_FROM] = first
            moves[made, MOVE_ROWS] = rows
            for i in range(rows):
                ts[place + i] = ts[first + i]
            for gap in range(silences.shape[1]):
                for i in range(rows):
                    silences[place + i, gap] = silences[first + i, gap]
            if place != old:
                _give(old_class, old, free, ts)
        made += 1
        state[k, BLOCK] = place
        state[k, CLASS] = wanted[j]
        state[k, BEGIN] = place
        state[k, END] = place + rows
    return made


@njit(cache=True, nogil=True)
def _vacate(k: int, state: I8, ts: I8, free: I8) -> None:
    _give(state[k, CLASS], state[k, BLOCK], free, ts)
    state[k, BLOCK] = NONE
    state[k, BEGIN] = 0
    state[k, END] = 0


@njit(cache=True, nogil=True)
def sweep(first: int, count: int, keys: int, floor: int, state: I8, ts: I8, free: I8) -> None:
    """Give back the blocks of those among `count` keys from `first` on whose rows all lie before `floor`."""
    for i in range(count):
        k = (first + i) % keys
        if state[k, BLOCK] != NONE and (state[k, BEGIN] == state[k, END] or ts[state[k, END] - 1] < floor):
            _vacate(k, state, ts, free)


@njit(cache=True, nogil=True)
def leave(ids: I8, state: I8, ts: I8, free: I8) -> None:
    """Drop all rows of n keys, and what else is known of them."""
    for row in range(ids.shape[0]):
        k = ids[row]
        if state[k, BLOCK] != NONE:
            _vacate(k, state, ts, free)
        state[k, OLDEST] = NEVER
        state[k, GONE] = ALWAYS


@njit(cache=True, nogil=True)
def settle(length: I8, state: I8, top: I8) -> None:
    """Give each of n keys a block of its own for length[k] rows, in a slab that is empty so far."""
    for k in range(length.shape[0]):
        if length[k] > 0:
            state[k, BLOCK] = top[0]
            state[k, CLASS] = _class_for((length[k] + 1) * 4 // 3)
            state[k, BEGIN] = top[0]
            state[k, END] = top[0] + length[k]
            top[0] += 1 << state[k, CLASS]


@njit(cache=True, nogil=True)
def kept(ids: I8, state: I8, ts: I8, floor: int, keep: int, most: int, begin: I8, length: I8) -> None:
    """Find where the rows of each of n keys begin that may still be read, see `first_kept`, and how many they are.

    ids: i8[n], NONE for a key without rows.
    """
    for row in range(ids.shape[0]):
        begin[row] = 0
        length[row] = 0
        k = ids[row]
        if k != NONE:
            begin[row] = first_kept(ts, state[k, BEGIN], state[k, END], floor, keep, most)
            length[row] = state[k, END] - begin[row]


@njit(cache=True, nogil=True)
def first_kept(ts: I8, begin: int, end: int, floor: int, keep: int, most: int) -> int:
    """Return the first row of ts[begin:end] that may still be read.

    Those are the rows from the time `floor` on and the newest `keep` before it, and of them the newest `most`, if
    `most` is not 0; and one more, which tells whether a row that comes late is among the newest.
    """
    first = max(begin, lower_bound(ts, begin, end, begin, floor) - keep)
    return max(first, end - most - 1) if most else first


@njit(cache=True, nogil=True)
def lower_bound(ts: I8, begin: int, end: int, hint: int, time: int) -> int:
    """Return the first place in the sorted ts[begin:end] whose time is >= `time`, galloping from `hint`."""
    step = 1
    if hint < end and ts[hint] < time:
        low = hint
        high = hint + 1
        while high < end and ts[high] < time:
            low = high
            step <<= 1
            high = low + step
        high = min(high, end)
        low += 1
    else:
        high = hint
        low = hint - 1
        while low >= begin and ts[low] >= time:
            high = low
            step <<= 1
            low = high - step
        low = max(low + 1, begin)
    while low < high:
        middle = (low + high) >> 1
        if ts[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def count_silences(state: I8, ts: I8, gaps: I8, silences: I8) -> None:
    """Count, for the rows of every key anew, how many silences longer than each gap lie before a row.

    gaps: i8[g]. silences: i8[slab, g]; only differences within a key are ever read.
    """
    for k in range(state.shape[0]):
        for gap in range(gaps.shape[0]):
            for p in range(state[k, BEGIN], state[k, END]):
                silences[p, gap] = 0
                if p > state[k, BEGIN]:
                    silences[p, gap] = silences[p - 1, gap] + (ts[p] - ts[p - 1] > gaps[gap])


@njit(cache=True, nogil=True)
def _insert_silence(ts: I8, gaps: I8, silences: I8, first: int, at: int, last: int) -> None:
    """Enter the row that was just put at `at`: the rows behind it have moved on, and ts with them."""
    for gap in range(gaps.shape[0]):
        left = at > first and ts[at] - ts[at - 1] > gaps[gap]
        right = at < last and ts[at + 1] - ts[at] > gaps[gap]
        if at == first:
            # Counted from the row behind, which keeps its number.
            if at < last:
                for p in range(last, at, -1):
                    silences[p, gap] = silences[p - 1, gap]
                silences[at, gap] = silences[at + 1, gap] - right
            else:
                silences[at, gap] = 0
            continue
        before = silences[at - 1, gap]
        change = 0
        if at < last:
            change = before + left + right - silences[at, gap]
        for p in range(last, at, -1):
            silences[p, gap] = silences[p - 1, gap] + change
        silences[at, gap] = before + left


@njit(cache=True, nogil=True)
def _session_start(silences: I8, gap: int, start: int, stop: int) -> int:
    """Return the first row of [start, stop) behind which there is no silence."""
    wanted = silences[stop - 1, gap]
    low = start
    high = stop - 1
    while low < high:
        middle = (low + high) >> 1
        if silences[middle, gap] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def script(
    groups: int,
    starts: I8,
    keys: I8,
    order: I8,
    time: I8,
    insert: B1,
    read: I8,
    lowest: I8,
    windows: I8,
    edges: I8,
    gaps: I8,
    tile: int,
    keep: int,
    most: int,
    age: int,
    reads: I8,
    state: I8,
    ts: I8,
    silences: I8,
    hints: I8,
    why: U1,
    place: I8,
    ends: I8,
    low: I8,
    high: I8,
    out: F8,
    reason: U1,
) -> None:
    """Insert and read, key by key, in log order within a key.

    q runs over the operations as `order` has them. place[q]: where a row was inserted, NONE for none; ends[q]: the
    end of the key's rows before that. low, high: i8[n, W], the span of each window. read: i8[n], the row of `out`
    and `reason` to fill, NONE for none. lowest: i8[n], before which nothing may be read at that operation. reads:
    i8[R, 2], for the reasons of all, and the values of those that need no column. edges: i8[n, E, 2], since and until
    of the windows that are GIVEN, at each operation. gaps: i8[g], of the sessions. tile: of a history of tiles,
    their length in microseconds, else 0; records of one tile are one row, at its beginning. keep: of windows of the
    newest rows without a bound in time, the most rows; as many before `lowest` are kept for them, 0 for no such window.
    most: how many rows of a key count, the newest beside that of the operation itself, 0 for all. age: how long before
    an operation rows count, 0 for ever. hints: i8[2 W] and why: u1[W], scratch.

    A span is TRUNCATED if `lowest` or `age` cuts off a part of the window that begins after the key's earliest time, or
    if rows that it would hold are beyond `most` or were the key's before it was evicted; else OK if it holds a row,
    NO_KEY if the key never had one so far, EXPIRED if it had. The row that the operation itself inserts is none that it
    had, unless the window takes it in.
    """
    count = windows.shape[0]
    for j in range(groups):
        k = keys[j]
        first = state[k, BEGIN]
        last = state[k, END]
        oldest = state[k, OLDEST]
        gone = state[k, GONE]
        under = first
        for h in range(2 * count):
            hints[h] = last
        for q in range(starts[j], starts[j + 1]):
            i = order[q]
            t = time[i]
            place[q] = NONE
            before = oldest
            lost = gone
            own = 0  # 1 for a row of the operation itself among the newest: it takes no other's place in its own read.
            if insert[i]:
                here = t // tile * tile if tile else t
                at = last
                if last > first and ts[last - 1] > here:
                    at = lower_bound(ts, first, last, last, here + 1)
                if tile and at > first and ts[at - 1] == here:
                    place[q] = at - 1
                    ends[q] = MERGED - last
                else:
                    for p in range(last, at, -1):
                        ts[p] = ts[p - 1]
                    if at < last:
                        for h in range(2 * count):
                            hints[h] += at < hints[h]
                    ts[at] = here
                    if gaps.shape[0] > 0:
                        _insert_silence(ts, gaps, silences, first, at, last)
                    place[q] = at
                    ends[q] = last
                    last += 1
                    own = int(most > 0 and at >= last - most - 1)
                    if most and last - first > most and ts[last - most - 1] >= lowest[i]:
                        gone = max(gone, ts[last - most - 1] + 1)
                    if not own:
                        lost = gone
                oldest = min(oldest, here)
            row = read[i]
            if row < 0:
                continue
            clip = max(lowest[i], t - age) if age else lowest[i]
            bottom = max(first, last - most - own) if most else first
            if keep:
                under = lower_bound(ts, first, last, min(under, last), clip)
            for w in range(count):
                kind = windows[w, KIND]
                until = t - windows[w, OFFSET] + windows[w, CURRENT]
                since = ALWAYS
                if kind == GIVEN:
                    since = edges[i, windows[w, EXTRA], SINCE]
                    until = edges[i, windows[w, EXTRA], UNTIL]
                elif kind != FOREVER and windows[w, SIZE] < ENDED:
                    since = t - windows[w, OFFSET] - windows[w, SIZE]
                stop = last
                if last > first and ts[last - 1] >= until:
                    stop = lower_bound(ts, first, last, min(hints[2 * w + 1], last), until)
                newest = kind == LAST_N and keep > 0 and since == ALWAYS
                if newest:
                    start = min(max(first, under - keep), stop)
                else:
                    start = lower_bound(ts, first, stop, min(hints[2 * w], stop), max(since, clip))
                    hints[2 * w] = start
                hints[2 * w + 1] = stop
                start = max(start, min(bottom, stop))
                reaches = since
                if kind == LAST_N and stop - start >= windows[w, EXTRA]:
                    start = stop - windows[w, EXTRA]
                    reaches = clip  # What was cut off would not have counted.
                    since = ts[start] + 1
                elif newest and under - bottom < keep and (most == 0 or last - bottom - own < most):
                    reaches = clip  # Nothing was cut off.
                elif kind == SESSION:
                    gap = gaps[windows[w, EXTRA]]
                    begin = stop
                    if stop > start and until - windows[w, CURRENT] - ts[stop - 1] <= gap:
                        begin = _session_start(silences, windows[w, EXTRA], start, stop)
                    if begin > start:  # A silence that is kept ends it: nothing before would have counted.
                        reaches = clip
                    start = begin
                    since = max(since, (ts[start] if stop > start else until - windows[w, CURRENT]) - gap)
                low[q, w] = start
                high[q, w] = stop
                ever = oldest if windows[w, CURRENT] else before
                # How old the oldest of those that are gone was is not known.
                known = ALWAYS if lost > ALWAYS or (newest and last > bottom) else ever
                if (reaches < clip and known < min(clip, until)) or lost > (since if newest else max(since, clip)):
                    why[w] = TRUNCATED
                elif stop > start:
                    why[w] = OK
                elif ever != NEVER:
                    why[w] = EXPIRED
                else:
                    why[w] = NO_KEY if lost <= clip else TRUNCATED
            for r in range(reads.shape[0]):
                w = reads[r, WINDOW]
                reason[row, r] = why[w]
                if reads[r, CODE] == ROWS:
                    out[row, r] = high[q, w] - low[q, w]
                elif reads[r, CODE] == SECONDS_SINCE:
                    out[row, r] = (t - ts[high[q, w] - 1]) / 1e6 if high[q, w] > low[q, w] else np.nan
                elif reads[r, CODE] == RATE:
                    out[row, r] = (high[q, w] - low[q, w]) / (windows[w, SIZE] / 1e6)
        state[k, END] = last
        state[k, OLDEST] = oldest
        state[k, GONE] = gone
