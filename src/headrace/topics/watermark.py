"""How far event time has come in one partition, when several producers write to it.

The watermark is the lowest, over the producers that are waited for, of the highest event time that each has reached;
whoever closes windows subtracts the disorder of its sources. It never moves back. A producer that has not spoken
holds it at minus infinity. One whose source said itself that it is idle is not waited for, until its next record.

A producer speaks by its rows, and, in partitions that do not get the row, by announcing each multiple of a second
that event time crosses, at the position of the row that crossed it: so no cut of its batches changes anything.
"""

from collections.abc import Collection
from typing import Final, final

import numpy as np

from headrace.core.records import I8
from headrace.core.time import SECOND_US, UNSPOKEN_US

__all__ = ["PACE_US", "Watermark", "crossings"]

PACE_US: Final = SECOND_US
"""Progress is announced whenever event time crosses a multiple of this."""


@final
class Watermark:
    """A fold of what producers, by their numbers, say in the order of the log.

    >>> watermark = Watermark()
    >>> watermark.speak(0, np.array([5, 9]), waited_for=(0, 1)).tolist() == [UNSPOKEN_US, UNSPOKEN_US]
    True
    >>> watermark.speak(1, np.array([7, 6]), waited_for=(0, 1)).tolist()
    [7, 7]
    >>> watermark.rest(1, waited_for=(0, 1))
    >>> watermark.low_us
    9
    """

    def __init__(
        self, reached: dict[int, int] | None = None, idle: Collection[int] = (), low_us: int = UNSPOKEN_US
    ) -> None:
        self.reached = dict(reached or {})
        """The highest event time of each producer that has spoken."""
        self.idle = set(idle)
        self.low_us = low_us

    def speak(self, producer: int, times: I8, *, waited_for: Collection[int]) -> I8:
        """Take n rows of one producer; return the watermark behind each.

        times: i8[n], `UNSPOKEN_US` for a row that says nothing of the time.
        """
        said = np.maximum.accumulate(np.maximum(times, self.reached.get(producer, UNSPOKEN_US)))
        before = self.low_us
        low = np.full(len(times), before, np.int64)
        spoken = times > UNSPOKEN_US
        if not spoken.any():
            return low
        first = int(np.argmax(spoken))
        self.reached[producer] = int(said[-1])
        self.idle.discard(producer)
        others = [number for number in waited_for if number != producer and number not in self.idle]
        bound = min((self.reached.get(number, UNSPOKEN_US) for number in others), default=None)
        if producer in waited_for:
            low[first:] = said[first:] if bound is None else np.minimum(said[first:], bound)
        elif bound is not None:
            low[first:] = bound
        low = np.maximum.accumulate(np.maximum(low, before))
        self.low_us = int(low[-1])
        return low

    def announce(self, producer: int, reached_us: int, *, waited_for: Collection[int]) -> None:
        """Take a producer's word that event time has come this far, of rows that went elsewhere."""
        self.speak(producer, np.array([reached_us], np.int64), waited_for=waited_for)

    def rest(self, producer: int, *, waited_for: Collection[int]) -> None:
        """Wait for a producer no more, until it speaks again."""
        self.idle.add(producer)
        self.settle(waited_for=waited_for)

    def settle(self, *, waited_for: Collection[int]) -> None:
        """Take into account that others are waited for than before."""
        lows = [self.reached.get(number, UNSPOKEN_US) for number in waited_for if number not in self.idle]
        self.low_us = max(self.low_us, min(lows, default=UNSPOKEN_US))


def crossings(times: I8, reached_us: int, pace_us: int = PACE_US) -> tuple[I8, I8]:
    """Return the rows at which the highest time crosses a multiple of the pace, and those multiples.

    times: i8[n], event times in the order of the producer. reached_us: the highest before.

    >>> rows, reached = crossings(np.array([900_000, 1_100_000, 1_050_000, 3_000_000]), UNSPOKEN_US)
    >>> rows.tolist(), reached.tolist()
    ([0, 1, 3], [0, 1000000, 3000000])
    """
    said = np.maximum.accumulate(np.maximum(times, reached_us)) // pace_us
    before = np.concatenate([[reached_us // pace_us], said[:-1]])
    rows = np.flatnonzero(said > before)
    return rows, said[rows] * pace_us
