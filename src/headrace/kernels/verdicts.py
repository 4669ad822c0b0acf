"""Verdicts: what a record is to its source, from the records of that source that arrived before it."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8 = NDArray[np.int64]
U1 = NDArray[np.uint8]

OK = 0
LATE = 1
FUTURE = 2
DUPLICATE = 3
REJECTED = 4

NO_KEY = -1
NOBODY = -1
NEVER = -(2**63)


@njit(cache=True, nogil=True)
def judge(
    event_time: I8,
    arrival: I8,
    key: I8,
    producer: I8,
    seen: I8,
    sender: I8,
    newest: I8,
    disorder: int,
    skew: int,
    horizon: int,
    verdict: U1,
) -> None:
    """Judge n records of one source in the order in which they arrived.

    event_time, arrival: i8[n], between -2**62 and 2**62. key: i8[n], the dense number of the id, or NO_KEY.
    producer: i8[n], the dense number of who sent it, or NOBODY for one beyond the bound. seen: i8[keys], the newest
    event time under each key, or NEVER, and sender: i8[keys], whose it was; newest: i8[producers], the newest event
    time of each; the three are changed in place. verdict: u1[n], filled. Nothing but a late or good record changes
    anything, and it changes nothing for the producers of other records.

    Differences are taken between times, so that no sum of times and durations can wrap around.
    """
    for i in range(event_time.shape[0]):
        t = event_time[i]
        if t - arrival[i] > skew:
            verdict[i] = FUTURE
            continue
        p = producer[i]
        if p == NOBODY:
            verdict[i] = REJECTED
            continue
        k = key[i]
        if k != NO_KEY:
            before = seen[k]
            # Logically forgotten is forgotten, whenever the caller gives the memory back.
            if before != NEVER and newest[sender[k]] - before - disorder <= horizon and abs(t - before) <= horizon:
                verdict[i] = DUPLICATE
                continue
            if before == NEVER or t > before:
                seen[k] = t
                sender[k] = p
        verdict[i] = LATE if newest[p] - t > disorder else OK
        newest[p] = max(newest[p], t)
