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

NO_KEY = -1
NEVER = -(2**63)


@njit(cache=True, nogil=True)
def judge(
    event_time: I8,
    arrival: I8,
    key: I8,
    seen: I8,
    newest: I8,
    disorder: int,
    skew: int,
    horizon: int,
    verdict: U1,
) -> None:
    """Judge n records of one source in the order in which they arrived.

    event_time, arrival: i8[n], between -2**62 and 2**62. key: i8[n], the dense number of the id, or NO_KEY. seen:
    i8[keys], the newest event time under each key, or NEVER; newest: i8[1], the newest event time of the source; both
    are changed in place. verdict: u1[n], filled. Nothing but a late or good record changes anything.

    Differences are taken between times, so that no sum of times and durations can wrap around.
    """
    for i in range(event_time.shape[0]):
        t = event_time[i]
        if t - arrival[i] > skew:
            verdict[i] = FUTURE
            continue
        if key[i] != NO_KEY:
            before = seen[key[i]]
            # Logically forgotten is forgotten, whenever the caller gives the memory back.
            if before != NEVER and newest[0] - before - disorder <= horizon and abs(t - before) <= horizon:
                verdict[i] = DUPLICATE
                continue
            seen[key[i]] = max(before, t)
        verdict[i] = LATE if newest[0] - t > disorder else OK
        newest[0] = max(newest[0], t)
