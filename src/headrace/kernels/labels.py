"""Labels: each request looks ahead for matching events in [t + after, t + within) of event time.

Open requests of one key hang in a list, oldest first; a heap holds the times at which requests close. Events are
kept while a request that is still to come might match them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U1 = NDArray[np.uint8]

REQUEST = 0
EVENT = 1
EVENTS_ENDED = 2
REQUESTS_ENDED = 3

FIRST = 0
LAST = 1

# counters
ANSWERED = 0
REPEATED = 1
UNMATCHED = 2
CLOSED = 3
COUNTERS = 4

# scalars that outlive a batch
EVENT_WATERMARK = 0
REQUEST_WATERMARK = 1
HEAP_SIZE = 2
QUEUE_FIRST = 3
QUEUE_COUNT = 4
SEQUENCE = 5
SCALARS = 6

NONE = -1


@njit(cache=True, nogil=True)
def _earlier(close: I8, sequence: I8, a: int, b: int) -> bool:
    return bool(close[a] < close[b] or (close[a] == close[b] and sequence[a] < sequence[b]))


@njit(cache=True, nogil=True)
def _push(heap: I8, size: int, slot: int, close: I8, sequence: I8) -> None:
    """Put a slot into the heap of `size` slots."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if not _earlier(close, sequence, slot, heap[parent]):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = slot


@njit(cache=True, nogil=True)
def _pop(heap: I8, size: int, close: I8, sequence: I8) -> None:
    """Take the first slot out of the heap of `size` slots."""
    last = heap[size - 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size - 1:
            break
        if child + 1 < size - 1 and _earlier(close, sequence, heap[child + 1], heap[child]):
            child += 1
        if not _earlier(close, sequence, heap[child], last):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = last


@njit(cache=True, nogil=True)
def _append(first: I8, last: I8, following: I8, key: int, item: int) -> None:
    """Hang an item at the end of a key's list."""
    following[item] = NONE
    if first[key] == NONE:
        first[key] = item
    else:
        following[last[key]] = item
    last[key] = item


@njit(cache=True, nogil=True)
def _unlink(first: I8, last: I8, following: I8, key: int, item: int) -> None:
    """Take an item out of a key's list; items leave about in the order in which they came."""
    before = NONE
    here = first[key]
    while here != item:
        before = here
        here = following[here]
    if before == NONE:
        first[key] = following[item]
    else:
        following[before] = following[item]
    if last[key] == item:
        last[key] = before


@njit(cache=True, nogil=True)
def resolve(
    role: U1,
    key: I8,
    time: I8,
    told: I8,
    value: F8,
    item: I8,
    how: int,
    after: int,
    within: int,
    event_disorder: int,
    request_disorder: int,
    otherwise: float,
    scalars: I8,
    slot_key: I8,
    slot_time: I8,
    slot_close: I8,
    slot_sequence: I8,
    slot_answered: U1,
    slot_value: F8,
    slot_known: I8,
    slot_following: I8,
    first_slot: I8,
    last_slot: I8,
    heap: I8,
    event_key: I8,
    event_time: I8,
    event_value: F8,
    event_used: U1,
    event_following: I8,
    first_event: I8,
    last_event: I8,
    queue: I8,
    counters: I8,
    out_row: I8,
    out_slot: I8,
    out_value: F8,
    out_time: I8,
    freed_slots: I8,
    freed_events: I8,
    freed: I8,
) -> int:
    """Walk n rows in log order; return how many labels were written to `out_*`.

    role: u1[n], REQUEST, EVENT, or that no more of either will come (time is then ENDED_US).
    key: i8[n], dense. time: i8[n]. told: i8[n], how far the source of the row has come with it.
    value: f8[n], of events; NaN is no answer. item: i8[n], the slot of a request or the place of an event, chosen by
    the caller and free. freed: i8[2], counts of `freed_slots` and `freed_events`, which the caller may use again
    after this call. A slot that closes without an answer gives `otherwise`, which may be NaN.
    """
    made = 0
    mask = queue.shape[0] - 1
    for i in range(role.shape[0]):
        if role[i] == REQUEST:
            slot = item[i]
            t = time[i]
            slot_key[slot] = key[i]
            slot_time[slot] = t
            slot_close[slot] = t + within
            slot_sequence[slot] = scalars[SEQUENCE]
            scalars[SEQUENCE] += 1
            slot_answered[slot] = 0
            slot_value[slot] = np.nan
            slot_known[slot] = 0
            _append(first_slot, last_slot, slot_following, key[i], slot)
            _push(heap, scalars[HEAP_SIZE], slot, slot_close, slot_sequence)
            scalars[HEAP_SIZE] += 1
            # An older event may still be held behind a newer one in the queue; it is forgotten all the same.
            horizon = scalars[REQUEST_WATERMARK] + after
            scalars[REQUEST_WATERMARK] = max(scalars[REQUEST_WATERMARK], told[i] - request_disorder)
            event = first_event[key[i]]
            while event != NONE:
                if event_time[event] >= horizon and t + after <= event_time[event] < t + within:
                    event_used[event] = 1
                    if how == FIRST and slot_answered[slot] == 0:
                        slot_answered[slot] = 1
                        counters[ANSWERED] += 1
                        out_row[made] = i
                        out_slot[made] = slot
                        out_value[made] = event_value[event]
                        out_time[made] = event_time[event]
                        made += 1
                    elif how == FIRST:
                        counters[REPEATED] += 1
                    elif slot_answered[slot] == 0 or event_time[event] >= slot_known[slot]:
                        slot_answered[slot] = 1
                        slot_value[slot] = event_value[event]
                        slot_known[slot] = event_time[event]
                event = event_following[event]
        elif role[i] == EVENT:
            event = item[i]
            t = time[i]
            event_key[event] = key[i]
            if np.isnan(value[i]):
                freed_events[freed[1]] = event
                freed[1] += 1
            else:
                used = 0
                slot = first_slot[key[i]]
                while slot != NONE:
                    if slot_time[slot] + after <= t < slot_close[slot]:
                        used = 1
                        if how == FIRST and slot_answered[slot] == 0:
                            slot_answered[slot] = 1
                            counters[ANSWERED] += 1
                            out_row[made] = i
                            out_slot[made] = slot
                            out_value[made] = value[i]
                            out_time[made] = t
                            made += 1
                        elif how == FIRST:
                            counters[REPEATED] += 1
                        elif slot_answered[slot] == 0 or t >= slot_known[slot]:
                            slot_answered[slot] = 1
                            slot_value[slot] = value[i]
                            slot_known[slot] = t
                    slot = slot_following[slot]
                event_time[event] = t
                event_value[event] = value[i]
                event_used[event] = used
                _append(first_event, last_event, event_following, key[i], event)
                queue[(scalars[QUEUE_FIRST] + scalars[QUEUE_COUNT]) & mask] = event
                scalars[QUEUE_COUNT] += 1
            scalars[EVENT_WATERMARK] = max(scalars[EVENT_WATERMARK], told[i] - event_disorder)
        elif role[i] == EVENTS_ENDED:
            scalars[EVENT_WATERMARK] = time[i]
        else:
            scalars[REQUEST_WATERMARK] = time[i]
        while scalars[QUEUE_COUNT] > 0:
            event = queue[scalars[QUEUE_FIRST] & mask]
            if event_time[event] >= scalars[REQUEST_WATERMARK] + after:
                break
            counters[UNMATCHED] += event_used[event] == 0
            _unlink(first_event, last_event, event_following, event_key[event], event)
            scalars[QUEUE_FIRST] += 1
            scalars[QUEUE_COUNT] -= 1
            freed_events[freed[1]] = event
            freed[1] += 1
        while scalars[HEAP_SIZE] > 0 and slot_close[heap[0]] <= scalars[EVENT_WATERMARK]:
            slot = heap[0]
            _pop(heap, scalars[HEAP_SIZE], slot_close, slot_sequence)
            scalars[HEAP_SIZE] -= 1
            _unlink(first_slot, last_slot, slot_following, slot_key[slot], slot)
            if how == LAST or slot_answered[slot] == 0:
                counters[ANSWERED if slot_answered[slot] == 1 else CLOSED] += 1
                out_row[made] = i
                out_slot[made] = slot
                out_value[made] = slot_value[slot] if slot_answered[slot] == 1 else otherwise
                out_time[made] = slot_close[slot]
                made += 1
            freed_slots[freed[0]] = slot
            freed[0] += 1
    return made
