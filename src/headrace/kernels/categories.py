"""How often each value stands in a window: distinct, entropy and the most frequent values of a column.

Follows the script of `spans`. A short span is counted row by row. For a longer one each row points to the slot of its
value, a slot counts the rows of each cursor, and a cursor, one a key and window, moves from span to span. Slots and
cursors are only a memory of what was counted before: they may be let go at any time, and answers are those of the
window's rows alone.

Beyond `cap` different values, only those are counted whose hash ends in enough zeros that `cap` suffices: adaptive
sampling (M. Wegman; P. Flajolet, "On adaptive sampling", Computing 43, 1990).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import LOG2_E, log
from headrace.kernels.murmur import finished
from headrace.kernels.spans import MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE

I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
F8 = NDArray[np.float64]

# aggregates
DISTINCT = 0
ENTROPY = 1
TOP_SHARE = 2
TOP = 3

# columns of `reads`, sorted by cursor
CODE = 0
RANK = 1
TARGET = 2
READ_COLUMNS = 3

# columns of `plan`, one row a cursor
WINDOW = 0
CAP = 1  # of a cursor that samples; 0 for one that counts all values
MOST = 2  # the greatest rank that is asked for, 0 for none
FIRST_READ = 3  # its reads are [FIRST_READ, NEXT_READ)
NEXT_READ = 4
PLAN_COLUMNS = 5

# columns of `cursors`: i8[records, cursors, ...]
LOW = 0  # the rows [LOW, HIGH) are counted
HIGH = 1
SAMPLING = 2  # 0 if all values are counted; else values of a level below SAMPLING - 1 are left out
DIFFERENT = 3  # values; of a cursor that samples by their level above the lowest, in the last column all the others
DIFFERENT_COLUMNS = 4
SUM = 7  # of `weight` over the counts
CURSOR_COLUMNS = 8

# columns of `records`, one row a key that has slots; row 0 is none
BEGIN = 0  # only rows in [BEGIN, END) have pointers
END = 1
FIRST_SLOT = 2  # the head of its list of slots, where there are lists; of a free record, the next free one
RECORD_COLUMNS = 3

# columns of `slots`, one row a value of a record; row 0 is none
BITS = 0
RECORD = 1  # of a free slot, the next free one
PLACES = 2  # rows that point to it
COUNTS = 3  # one a cursor; then, where there are lists:
SCRATCH = 0  # a count that is zero between reads
NEXT = 1
PREVIOUS = 2
LIST_COLUMNS = 3

# counts
USED_SLOTS = 0
FREE_SLOT = 1
LIVE_SLOTS = 2
USED_RECORDS = 3
FREE_RECORD = 4
COUNTERS = 5

SHORT = 16
"""Rows up to which a span is counted row by row."""
GRANULE_BITS = 2
MASK = (1 << GRANULE_BITS) - 1
"""A granule is the smallest block; `owner` says which record has pointers in it."""
LEVELS = 40
STRETCH = 1024
"""Rows that are counted before it is looked whether they are too many to count them all."""
VALUES = 4096
"""Different values of a window up to which the most frequent are looked for among all; beyond, in as many rows."""
UNIT = 2.0**32

_1 = np.uint64(1)
_SALT = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def weight_of(count: int) -> int:
    """Return c log2 c in units of 2**-32, rounded: a whole number, so that sums of it forget nothing."""
    if count < 2:
        return 0
    return math.floor(count * (log(float(count)) * LOG2_E) * UNIT + 0.5)


@njit(cache=True, nogil=True)
def weigh(weights: I8) -> None:
    """Fill a table of `weight_of`."""
    for count in range(weights.shape[0]):
        weights[count] = weight_of(count)


@njit(cache=True, nogil=True)
def _weight(count: int, weights: I8) -> int:
    if count < weights.shape[0]:
        weight: int = weights[count]
        return weight
    return weight_of(count)


@njit(cache=True, nogil=True)
def level_of(bits: np.int64, told: int) -> int:
    """Return how many zeros the hash of a value ends in. told: 1 if the value, a whole number, says so in 6 bits."""
    if told:
        return int(np.int64(bits).view(np.float64)) & 63
    word = finished(np.uint64(bits) ^ _SALT)
    level = 0
    while level < LEVELS and word & _1 == np.uint64(0):
        word >>= _1
        level += 1
    return level


@njit(cache=True, nogil=True)
def _home(record: int, bits: np.int64, mask: int) -> int:
    return int(np.int64(finished(np.uint64(bits) + (np.uint64(record) * _SALT)) & np.uint64(mask)))


@njit(cache=True, nogil=True)
def enter(table: I4, slots: I8, used: int) -> None:
    """Enter all slots ever used, but for free ones, into an empty table."""
    mask = table.shape[0] - 1
    for slot in range(1, used):
        if slots[slot, PLACES] > 0:
            home = _home(slots[slot, RECORD], slots[slot, BITS], mask)
            while table[home] != 0:
                home = (home + 1) & mask
            table[home] = slot


@njit(cache=True, nogil=True)
def _slot(record: int, bits: np.int64, cursors: int, records: I8, slots: I8, table: I4, counts: I8) -> int:
    """Return the slot of a value of a record, a new one if there was none; one more row points to it."""
    mask = table.shape[0] - 1
    home = _home(record, bits, mask)
    slot = int(np.int64(table[home]))
    while slot != 0:
        if slots[slot, BITS] == bits and slots[slot, RECORD] == record:
            slots[slot, PLACES] += 1
            return slot
        home = (home + 1) & mask
        slot = int(np.int64(table[home]))
    if counts[FREE_SLOT] != 0:
        slot = int(counts[FREE_SLOT])
        counts[FREE_SLOT] = slots[slot, RECORD]
    else:
        slot = int(counts[USED_SLOTS])
        counts[USED_SLOTS] += 1
    counts[LIVE_SLOTS] += 1
    table[home] = slot
    for column in range(slots.shape[1]):
        slots[slot, column] = 0
    slots[slot, BITS] = bits
    slots[slot, RECORD] = record
    slots[slot, PLACES] = 1
    lists = COUNTS + cursors
    if slots.shape[1] > lists:
        head = records[record, FIRST_SLOT]
        slots[slot, lists + NEXT] = head
        if head != 0:
            slots[head, lists + PREVIOUS] = slot
        records[record, FIRST_SLOT] = slot
    return slot


@njit(cache=True, nogil=True)
def _leave(slot: int, cursors: int, records: I8, slots: I8, table: I4, counts: I8) -> None:
    """Have one row less point to a slot; free it with the last (Knuth 6.4, algorithm R: no tombstones)."""
    slots[slot, PLACES] -= 1
    if slots[slot, PLACES] > 0:
        return
    mask = table.shape[0] - 1
    home = _home(slots[slot, RECORD], slots[slot, BITS], mask)
    while table[home] != slot:
        home = (home + 1) & mask
    table[home] = 0
    hole = home
    home = (home + 1) & mask
    while table[home] != 0:
        other = int(np.int64(table[home]))
        wanted = _home(slots[other, RECORD], slots[other, BITS], mask)
        if ((home - wanted) & mask) >= ((home - hole) & mask):
            table[hole] = other
            table[home] = 0
            hole = home
        home = (home + 1) & mask
    lists = COUNTS + cursors
    if slots.shape[1] > lists:
        after = slots[slot, lists + NEXT]
        before = slots[slot, lists + PREVIOUS]
        if after != 0:
            slots[after, lists + PREVIOUS] = before
        if before != 0:
            slots[before, lists + NEXT] = after
        else:
            records[slots[slot, RECORD], FIRST_SLOT] = after
    slots[slot, RECORD] = counts[FREE_SLOT]
    counts[FREE_SLOT] = slot
    counts[LIVE_SLOTS] -= 1


@njit(cache=True, nogil=True)
def _release(
    record: int,
    cursors: int,
    pointers: I4,
    owner: I4,
    records: I8,
    slots: I8,
    table: I4,
    counts: I8,
) -> None:
    """Let a record go with all its slots."""
    begin = records[record, BEGIN]
    end = records[record, END]
    for p in range(begin, end):
        if pointers[p] != 0:
            _leave(int(np.int64(pointers[p])), cursors, records, slots, table, counts)
            pointers[p] = 0
    _disown(begin, end, owner)
    records[record, FIRST_SLOT] = counts[FREE_RECORD]
    counts[FREE_RECORD] = record


@njit(cache=True, nogil=True)
def _disown(begin: int, end: int, owner: I4) -> None:
    if end > begin:
        for g in range(begin >> GRANULE_BITS, ((end - 1) >> GRANULE_BITS) + 1):
            owner[g] = 0


@njit(cache=True, nogil=True)
def _claim(
    record: int,
    begin: int,
    end: int,
    cursors: int,
    pointers: I4,
    owner: I4,
    records: I8,
    slots: I8,
    table: I4,
    counts: I8,
) -> None:
    """Make the granules of rows [begin, end) a record's own, 0 for nobody's; another that is found there is let go."""
    if end > begin:
        for g in range(begin >> GRANULE_BITS, ((end - 1) >> GRANULE_BITS) + 1):
            other = int(np.int64(owner[g]))
            if other not in (0, record):
                _release(other, cursors, pointers, owner, records, slots, table, counts)
            owner[g] = record


@njit(cache=True, nogil=True)
def _walk(
    begin: int,
    end: int,
    by: int,
    c: int,
    record: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
) -> None:
    """Count the rows [begin, end) in (by = 1) or out (by = -1) of a cursor."""
    bits = values.view(np.int64)
    lowest = cursors[record, c, SAMPLING] - 1
    weighs = weights.shape[0] > 0 and plan[c, CAP] == 0
    turning = 0 if by > 0 else 1  # A count that comes from or to 0.
    different = 0
    total = 0
    for p in range(begin, end):
        slot = int(np.int64(pointers[p]))
        if lowest > 0 and level_of(bits[p], told) < lowest:
            continue
        if slot == 0:
            slot = _slot(record, bits[p], plan.shape[0], records, slots, table, counts)
            pointers[p] = slot
        before = slots[slot, COUNTS + c]
        slots[slot, COUNTS + c] = before + by
        if weighs:
            total += _weight(before + by, weights) - _weight(before, weights)
        if before == turning:
            different += by
            if lowest >= 0:
                level = min(level_of(bits[p], told) - lowest, DIFFERENT_COLUMNS - 1)
                cursors[record, c, DIFFERENT + level] += by
    if lowest < 0:
        cursors[record, c, DIFFERENT] += different
    cursors[record, c, SUM] += total


@njit(cache=True, nogil=True)
def _different(record: int, c: int, above: int, cursors: I8) -> int:
    """Return how many different values are counted whose level is at least that much above the cursor's."""
    total = 0
    for level in range(above, DIFFERENT_COLUMNS):
        total += cursors[record, c, DIFFERENT + level]
    return total


@njit(cache=True, nogil=True)
def _steps(record: int, c: int, cap: int, cursors: I8) -> int:
    """Return whether a cursor should count values of one level more (1) or less (-1), or is right (0).

    Of every level that it counts more than `cap` values are known, or all. From one step to the next lie enough
    changes of the window to pay for it: half of `cap` or more.
    """
    sampling = cursors[record, c, SAMPLING]
    if sampling == 0:
        return 1 if 0 < cap < cursors[record, c, DIFFERENT] else 0
    if _different(record, c, 1, cursors) > 2 * cap or _different(record, c, DIFFERENT_COLUMNS - 1, cursors) > cap:
        return 1
    return -1 if _different(record, c, 0, cursors) <= (cap >> 1 if sampling == 1 else cap) else 0


@njit(cache=True, nogil=True)
def _sample(
    c: int,
    record: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
) -> None:
    """Count the rows of a cursor anew while its level is not the right one, and free slots that no cursor needs."""
    low = cursors[record, c, LOW]
    high = cursors[record, c, HIGH]
    step = _steps(record, c, plan[c, CAP], cursors)
    while step != 0:
        _walk(low, high, -1, c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights)
        cursors[record, c, SAMPLING] += step
        _walk(low, high, 1, c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights)
        for p in range(low, high):
            slot = int(np.int64(pointers[p]))
            if slot != 0:
                needed = False
                for other in range(plan.shape[0]):
                    needed = needed or slots[slot, COUNTS + other] > 0
                if not needed:
                    pointers[p] = 0
                    _leave(slot, plan.shape[0], records, slots, table, counts)
        step = _steps(record, c, plan[c, CAP], cursors)


@njit(cache=True, nogil=True)
def _go(
    start: int,
    stop: int,
    c: int,
    record: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    owner: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
) -> None:
    """Move a cursor to the rows [start, stop): it grows before it shrinks, or jumps if they have no row in common."""
    if records[record, BEGIN] > start:
        begin = records[record, BEGIN]
        _claim(record, start, begin, plan.shape[0], pointers, owner, records, slots, table, counts)
        records[record, BEGIN] = start
    if records[record, END] < stop:
        end = records[record, END]
        _claim(record, end, stop, plan.shape[0], pointers, owner, records, slots, table, counts)
        records[record, END] = stop
    # Grow at the end, at the beginning, then shrink at the end, at the beginning; to jump, first shrink to nothing.
    low = cursors[record, c, LOW]
    high = cursors[record, c, HIGH]
    jumps = start >= high or stop <= low
    for turn in range(5):
        while True:
            begin = 0
            end = 0
            if turn == 0:
                if jumps:
                    begin = low
                    end = high
                    low = start
                    high = start
            elif turn == 1:
                begin = high
                end = min(stop, high + STRETCH)
                high = max(high, end)
            elif turn == 2:
                begin = max(start, low - STRETCH)
                end = low
                low = min(low, begin)
            elif turn == 3:
                begin = stop
                end = high
                high = min(high, stop)
            else:
                begin = low
                end = start
                low = max(low, start)
            if begin >= end:
                break
            by = 1 if turn == 1 or turn == 2 else -1  # noqa: PLR1714
            _walk(
                begin, end, by, c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights
            )
            cursors[record, c, LOW] = low
            cursors[record, c, HIGH] = high
            if by > 0 and _steps(record, c, plan[c, CAP], cursors) > 0:
                _sample(c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights)
    cursors[record, c, LOW] = low
    cursors[record, c, HIGH] = high
    if _steps(record, c, plan[c, CAP], cursors) != 0:
        _sample(c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights)


@njit(cache=True, nogil=True)
def _move(
    source: int,
    target: int,
    rows: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    owner: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
) -> None:
    """Move the rows of a key, and the record that has pointers in them; rows before `source` are dropped."""
    record = 0
    if rows > 0:
        for g in range(source >> GRANULE_BITS, ((source + rows - 1) >> GRANULE_BITS) + 1):
            if owner[g] != 0:
                if record != 0 and owner[g] != record:  # A key may have left one behind: the newest is kept.
                    _release(record, plan.shape[0], pointers, owner, records, slots, table, counts)
                record = int(np.int64(owner[g]))
    begin = 0
    end = 0
    if record != 0:
        begin = records[record, BEGIN]
        end = records[record, END]
        for c in range(plan.shape[0]):
            low = cursors[record, c, LOW]
            high = cursors[record, c, HIGH]
            gone = min(high, source)
            _walk(
                low, gone, -1, c, record, told, plan, values, pointers, records, cursors, slots, table, counts, weights
            )
            cursors[record, c, LOW] = max(low, source) + target - source
            cursors[record, c, HIGH] = max(high, source) + target - source
        for p in range(begin, min(source, end)):
            if pointers[p] != 0:
                _leave(int(np.int64(pointers[p])), plan.shape[0], records, slots, table, counts)
                pointers[p] = 0
        _disown(begin, end, owner)
        begin = max(begin, source)
        if begin >= end:
            records[record, END] = records[record, BEGIN]
            _release(record, plan.shape[0], pointers, owner, records, slots, table, counts)
            record = 0
    _claim(0, target, target + rows, plan.shape[0], pointers, owner, records, slots, table, counts)
    for i in range(rows):
        values[target + i] = values[source + i]
    if record != 0:
        for p in range(begin, end):
            slot = pointers[p]
            pointers[p] = 0
            pointers[p + target - source] = slot
        records[record, BEGIN] = begin + target - source
        records[record, END] = end + target - source
        _claim(
            record,
            records[record, BEGIN],
            records[record, END],
            plan.shape[0],
            pointers,
            owner,
            records,
            slots,
            table,
            counts,
        )


@njit(cache=True, nogil=True)
def _insert(
    at: int,
    last: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    owner: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
) -> None:
    """Make room for a row whose value is put at `at`: rows behind it move on, with pointers, records and cursors."""
    if last & MASK == 0 and owner[last >> GRANULE_BITS] != 0:
        # A place beyond the key's rows: whoever has pointers there is gone.
        _release(
            int(np.int64(owner[last >> GRANULE_BITS])), plan.shape[0], pointers, owner, records, slots, table, counts
        )
    if at == last:
        return
    holder = 0
    known = 0
    for g in range((last - 1) >> GRANULE_BITS, (at >> GRANULE_BITS) - 1, -1):
        record = int(np.int64(owner[g]))
        if record in (0, known) or at >= records[record, END]:
            continue
        known = record
        if records[record, BEGIN] < at:
            holder = record
        else:
            for c in range(plan.shape[0]):
                cursors[record, c, LOW] += 1
                cursors[record, c, HIGH] += 1
        end = records[record, END]
        _claim(record, end, end + 1, plan.shape[0], pointers, owner, records, slots, table, counts)
        records[record, END] = end + 1
    for p in range(last, at, -1):
        pointers[p] = pointers[p - 1]
    pointers[at] = 0
    if holder != 0:
        for c in range(plan.shape[0]):
            if at <= cursors[holder, c, LOW]:
                cursors[holder, c, LOW] += 1
                cursors[holder, c, HIGH] += 1
            elif at < cursors[holder, c, HIGH]:
                cursors[holder, c, HIGH] += 1
                _walk(
                    at,
                    at + 1,
                    1,
                    c,
                    holder,
                    told,
                    plan,
                    values,
                    pointers,
                    records,
                    cursors,
                    slots,
                    table,
                    counts,
                    weights,
                )


@njit(cache=True, nogil=True)
def _tally(values: F8, start: int, count: int, tally: I8) -> int:
    """Count the rows of each value at the newest row that has it, 0 at any other; return how many values there are.

    tally: i8[count or more].
    """
    different = count
    for a in range(count - 1, -1, -1):
        value = values[start + a]
        tally[a] = 1
        for b in range(count - 1, a, -1):
            if values[start + b] == value:
                tally[a] = 0
                tally[b] += 1
                different -= 1
                break
    return different


@njit(cache=True, nogil=True)
def _offer(count: int, best: I8, most: int) -> None:
    """Keep the `most` largest counts in falling order."""
    if count <= best[most - 1]:
        return
    place = most - 1
    while place > 0 and best[place - 1] < count:
        best[place] = best[place - 1]
        place -= 1
    best[place] = count


@njit(cache=True, nogil=True)
def _sum(best: I8, rank: int) -> int:
    """Return the sum of the largest counts."""
    total = 0
    for place in range(rank):
        total += best[place]
    return total


@njit(cache=True, nogil=True)
def _estimate(start: int, count: int, cap: int, told: int, values_bits: I8, tally: I8) -> float:
    """Return how many different values a tally has, by the rule of sampling if they are more than `cap`."""
    level = 0
    while True:
        different = 0
        for a in range(count):
            if tally[a] > 0 and (level == 0 or level_of(values_bits[start + a], told) >= level):
                different += 1
        if different <= cap:
            return float(different * (1 << level))
        level += 1


@njit(cache=True, nogil=True)
def _answer_tally(
    start: int,
    count: int,
    c: int,
    row: int,
    told: int,
    plan: I8,
    values: F8,
    weights: I8,
    tally: I8,
    best: I8,
    reads: I8,
    out: F8,
) -> None:
    """Answer the reads of a cursor from a tally of the rows [start, start + count); no row is an empty span."""
    most = plan[c, MOST]
    if most > 0:
        for place in range(most):
            best[place] = 0
        for a in range(count):
            _offer(tally[a], best, most)
    for r in range(plan[c, FIRST_READ], plan[c, NEXT_READ]):
        code = reads[r, CODE]
        rank = reads[r, RANK]
        value = np.nan
        if code == DISTINCT:
            value = _estimate(start, count, plan[c, CAP], told, values.view(np.int64), tally)
        elif code == ENTROPY:
            total = 0
            for a in range(count):
                total += _weight(tally[a], weights)
            value = (_weight(count, weights) - total) / (UNIT * max(count, 1))
        elif code == TOP_SHARE:
            if count > 0:
                value = _sum(best, rank) / count
        elif best[rank - 1] > 0:
            left = 0
            for other in range(rank):
                left += best[other] == best[rank - 1]
            for a in range(count - 1, -1, -1):
                if tally[a] == best[rank - 1]:
                    left -= 1
                    if left == 0:
                        value = values[start + a]
                        break
        out[row, reads[r, TARGET]] = value


@njit(cache=True, nogil=True)
def _most_recent(
    wanted: int, left: int, c: int, start: int, stop: int, values: F8, pointers: I4, slots: I8, seen: I8
) -> float:
    """Return the `left`-th value from the end, each value at its newest row, of those that come `wanted` times."""
    found = 0
    for p in range(stop - 1, start - 1, -1):
        slot = int(np.int64(pointers[p]))
        if slots[slot, COUNTS + c] != wanted:
            continue
        new = True
        for other in range(found):
            new = new and seen[other] != slot
        if new:
            if found == left - 1:
                newest: float = values[p]
                return newest
            seen[found] = slot
            found += 1
    return np.nan


@njit(cache=True, nogil=True)
def _answer_slots(
    start: int,
    stop: int,
    c: int,
    row: int,
    record: int,
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    weights: I8,
    tally: I8,
    best: I8,
    seen: I8,
    reads: I8,
    out: F8,
) -> None:
    """Answer the reads of a cursor that stands at the rows [start, stop)."""
    most = plan[c, MOST]
    lists = COUNTS + plan.shape[0]
    if most > 0:
        if cursors[record, c, DIFFERENT] > VALUES:
            # Too many to look at: the newest rows speak for all of them.
            first = stop - VALUES
            for p in range(stop - 1, first - 1, -1):
                slot = int(np.int64(pointers[p]))
                tally[p - first] = slots[slot, lists + SCRATCH] == 0
                slots[slot, lists + SCRATCH] += 1
            for p in range(first, stop):
                slot = int(np.int64(pointers[p]))
                if tally[p - first] > 0:
                    tally[p - first] = slots[slot, lists + SCRATCH]
            for p in range(first, stop):
                slots[int(np.int64(pointers[p])), lists + SCRATCH] = 0
            _answer_tally(first, VALUES, c, row, told, plan, values, weights, tally, best, reads, out)
        else:
            for place in range(most):
                best[place] = 0
            slot = records[record, FIRST_SLOT]
            while slot != 0:
                _offer(slots[slot, COUNTS + c], best, most)
                slot = slots[slot, lists + NEXT]
    for r in range(plan[c, FIRST_READ], plan[c, NEXT_READ]):
        code = reads[r, CODE]
        rank = reads[r, RANK]
        if code == DISTINCT:
            level = max(cursors[record, c, SAMPLING] - 1, 0)
            above = 0
            while _different(record, c, above, cursors) > plan[c, CAP]:
                above += 1
            out[row, reads[r, TARGET]] = float(_different(record, c, above, cursors) * (1 << (level + above)))
        elif code == ENTROPY:
            count = stop - start
            total = _weight(count, weights) - cursors[record, c, SUM]
            out[row, reads[r, TARGET]] = total / (UNIT * count)
        elif cursors[record, c, DIFFERENT] > VALUES:
            continue
        elif code == TOP_SHARE:
            out[row, reads[r, TARGET]] = _sum(best, rank) / (stop - start)
        else:
            value = np.nan
            if best[rank - 1] > 0:
                left = 0
                for other in range(rank):
                    left += best[other] == best[rank - 1]
                value = _most_recent(best[rank - 1], left, c, start, stop, values, pointers, slots, seen)
            out[row, reads[r, TARGET]] = value


@njit(cache=True, nogil=True)
def _begin(start: int, cursor_count: int, records: I8, cursors: I8, counts: I8) -> int:
    """Return a new record, whose cursors stand at no row."""
    record = counts[FREE_RECORD]
    if record != 0:
        counts[FREE_RECORD] = records[record, FIRST_SLOT]
    else:
        record = counts[USED_RECORDS]
        counts[USED_RECORDS] += 1
    records[record, BEGIN] = start
    records[record, END] = start
    records[record, FIRST_SLOT] = 0
    for c in range(cursor_count):
        for column in range(CURSOR_COLUMNS):
            cursors[record, c, column] = 0
        cursors[record, c, LOW] = start
        cursors[record, c, HIGH] = start
    return int(record)


@njit(cache=True, nogil=True)
def run(
    first: int,
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
    told: int,
    plan: I8,
    values: F8,
    pointers: I4,
    owner: I4,
    records: I8,
    cursors: I8,
    slots: I8,
    table: I4,
    counts: I8,
    weights: I8,
    tally: I8,
    best: I8,
    seen: I8,
    reads: I8,
    out: F8,
) -> int:
    """Make the moves, then walk the script from place `first` on; return the place that it came to.

    It stops before a place for which `records` or `table`, which must stay at most half full, may be too small.

    column: f8[n], what each operation that inserts brings. told: see `level_of`. plan: i8[C, 5], the cursors. values:
    f8[slab]. pointers: i4[slab], the slot of a row. owner: i4[slab / 4], the record of a granule. records: i8[K, 3].
    cursors: i8[K, C, 8]. slots: i8[slab + 1, 3 + C], and 3 more columns if the most frequent are asked for. table:
    i4[2**b], slots by hash. counts: i8[5]. weights: of `weigh`, empty if no entropy is asked for. tally: i8[VALUES],
    best and seen: i8[greatest rank], scratch. reads: i8[r, 3].
    """
    for m in range(made):
        if moves[m, MOVE_ROWS] != NONE:
            _move(
                moves[m, MOVE_FROM],
                moves[m, MOVE_TO],
                moves[m, MOVE_ROWS],
                told,
                plan,
                values,
                pointers,
                owner,
                records,
                cursors,
                slots,
                table,
                counts,
                weights,
            )
    bits = values.view(np.int64)
    for q in range(first, operations):
        i = order[q]
        row = read[i]
        at = place[q]
        need = 1
        if row >= 0:
            for c in range(plan.shape[0]):
                need += high[q, plan[c, WINDOW]] - low[q, plan[c, WINDOW]]
        if 2 * (counts[LIVE_SLOTS] + need) > table.shape[0] or counts[USED_RECORDS] + 1 > records.shape[0]:
            return q
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
            values[at] = column[i] + 0.0  # There is one zero.
            if at < last or (last & MASK == 0 and owner[last >> GRANULE_BITS] != 0):
                _insert(
                    at,
                    last,
                    told,
                    plan,
                    values,
                    pointers,
                    owner,
                    records,
                    cursors,
                    slots,
                    table,
                    counts,
                    weights,
                )
        if row < 0:
            continue
        for c in range(plan.shape[0]):
            start = low[q, plan[c, WINDOW]]
            stop = high[q, plan[c, WINDOW]]
            if stop - start <= SHORT:
                different = _tally(values, start, stop - start, tally)
                if plan[c, CAP] >= SHORT:
                    for r in range(plan[c, FIRST_READ], plan[c, NEXT_READ]):
                        out[row, reads[r, TARGET]] = different
                else:
                    _answer_tally(start, stop - start, c, row, told, plan, values, weights, tally, best, reads, out)
                continue
            record = int(np.int64(owner[(stop - 1) >> GRANULE_BITS]))
            if record == 0:
                record = int(np.int64(owner[start >> GRANULE_BITS]))
            if record == 0:
                record = _begin(start, plan.shape[0], records, cursors, counts)
            low_before = cursors[record, c, LOW]
            high_before = cursors[record, c, HIGH]
            granule = (stop - 1) >> GRANULE_BITS
            beyond = granule - ((records[record, END] - 1) >> GRANULE_BITS)
            if records[record, BEGIN] < records[record, END] < stop and (
                beyond == 0 or (beyond == 1 and owner[granule] == 0)
            ):
                owner[granule] = record
                records[record, END] = stop
            if (
                low_before <= start < high_before <= stop <= records[record, END]
                and cursors[record, c, SAMPLING] == 0
                and weights.shape[0] == 0
            ):
                # What most reads do, without the cost of calls: the window moves on by a few rows.
                different = 0
                for p in range(high_before, stop):
                    slot = int(np.int64(pointers[p]))
                    if slot == 0:
                        slot = _slot(record, bits[p], plan.shape[0], records, slots, table, counts)
                        pointers[p] = slot
                    different += slots[slot, COUNTS + c] == 0
                    slots[slot, COUNTS + c] += 1
                for p in range(low_before, start):
                    slot = int(np.int64(pointers[p]))
                    slots[slot, COUNTS + c] -= 1
                    different -= slots[slot, COUNTS + c] == 0
                cursors[record, c, LOW] = start
                cursors[record, c, HIGH] = stop
                different += cursors[record, c, DIFFERENT]
                cursors[record, c, DIFFERENT] = different
                if different <= plan[c, CAP]:
                    for r in range(plan[c, FIRST_READ], plan[c, NEXT_READ]):
                        out[row, reads[r, TARGET]] = different
                    continue
            _go(
                start,
                stop,
                c,
                record,
                told,
                plan,
                values,
                pointers,
                owner,
                records,
                cursors,
                slots,
                table,
                counts,
                weights,
            )
            _answer_slots(
                start,
                stop,
                c,
                row,
                record,
                told,
                plan,
                values,
                pointers,
                records,
                cursors,
                slots,
                weights,
                tally,
                best,
                seen,
                reads,
                out,
            )
    return operations
