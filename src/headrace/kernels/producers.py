"""How far event time has come with a source whose records several producers send, each by a clock of its own.

The time of the source is the lowest that any producer has reached which is still waited for. Who is waited for is told
by a clock of progress, not by any clock of a wall: it advances when a producer says that time has passed since its own
last record, by that much, one record by at most `step`; so neither a constant offset of a producer nor one that jumps
makes the others look silent. A heap holds those who are waited for, the lowest first.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8 = NDArray[np.int64]

NEVER = -(2**63)
NOBODY = -1

# scalars that outlive a batch
CLOCK = 0
LOW = 1
WAITED_FOR = 2
SCALARS = 3


@njit(cache=True, nogil=True)
def _rise(start: int, producer: int, heap: I8, place: I8, reached: I8) -> None:
    """Put a producer into the heap at `start`, which is free, or above it."""
    at = start
    while at > 0:
        parent = (at - 1) >> 1
        if reached[heap[parent]] <= reached[producer]:
            break
        heap[at] = heap[parent]
        place[heap[at]] = at
        at = parent
    heap[at] = producer
    place[producer] = at


@njit(cache=True, nogil=True)
def _sink(start: int, size: int, producer: int, heap: I8, place: I8, reached: I8) -> None:
    """Put a producer into the heap of `size` at `start`, which is free, or below it."""
    at = start
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and reached[heap[child + 1]] < reached[heap[child]]:
            child += 1
        if reached[heap[child]] >= reached[producer]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at] = producer
    place[producer] = at


@njit(cache=True, nogil=True)
def speak(
    producer: I8,
    time: I8,
    silent: int,
    step: int,
    reached: I8,
    spoke: I8,
    heap: I8,
    place: I8,
    scalars: I8,
    own: I8,
    low: I8,
) -> None:
    """Take n records in the order of the log.

    producer: i8[n], in [0, p). time: i8[n], between -2**62 and 2**62. silent: for how much progress of the others a
    producer is waited for. reached: i8[p], the highest time of each, or NEVER; spoke: i8[p], the clock of progress at
    its last record; heap: i8[p]; place: i8[p], where it stands in the heap, or NOBODY; scalars: i8[SCALARS]; all are
    changed in place. own: i8[n], filled with the highest time of the record's producer before it, or NEVER. low: i8[n],
    filled with the time of the source behind the record, which never moves back.
    """
    for i in range(producer.shape[0]):
        p = producer[i]
        t = time[i]
        own[i] = reached[p]
        if reached[p] == NEVER:
            reached[p] = t
        elif t > reached[p]:
            scalars[CLOCK] = max(scalars[CLOCK], spoke[p] + min(t - reached[p], step))
            reached[p] = t
        spoke[p] = scalars[CLOCK]
        if place[p] == NOBODY:
            scalars[WAITED_FOR] += 1
            _rise(scalars[WAITED_FOR] - 1, p, heap, place, reached)
        else:
            _sink(place[p], scalars[WAITED_FOR], p, heap, place, reached)
        while scalars[CLOCK] - spoke[heap[0]] > silent:
            place[heap[0]] = NOBODY
            scalars[WAITED_FOR] -= 1
            _sink(0, scalars[WAITED_FOR], heap[scalars[WAITED_FOR]], heap, place, reached)
        scalars[LOW] = max(scalars[LOW], reached[heap[0]])
        low[i] = scalars[LOW]
