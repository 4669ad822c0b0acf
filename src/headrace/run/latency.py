"""How long it took from an event's creation to its prediction being readable, measured where both are known."""

from typing import TYPE_CHECKING, Final, final

import numpy as np

from headrace.run.clock import Clock
from headrace.topics.contract import Topic
from headrace.topics.reader import Reader

if TYPE_CHECKING:
    from headrace.core.records import I8

__all__ = ["LatencyProbe"]

_REQUEST: Final = 0
_FRAMES: Final = 64


@final
class LatencyProbe:
    """Called after each commit: reads the new predictions and takes now minus their arrival stamp.

    Live, a record's arrival is stamped when it is due, so the figure holds every wait: the record's, the batch's,
    the commit's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reader: Reader | None = None
        self._found: list[I8] = []

    def watch(self, predictions: Topic) -> None:
        """Begin at the end of [predictions]."""
        self._reader = Reader(predictions)
        for _ in self._reader.read(predictions.end(0)):
            pass

    def __call__(self) -> None:
        """Measure what has come since the last call."""
        if self._reader is None:
            return
        for piece in self._reader.read(_FRAMES):
            rows = piece.batch.rows_of(_REQUEST)
            if len(rows):
                self._found.append(self._clock.now_us() - piece.batch.arrival_time[rows])

    def percentiles(self) -> dict[str, float]:
        """Return p50, p95, p99 and the maximum in milliseconds, and over how many predictions."""
        found = np.concatenate([np.zeros(0, np.int64), *self._found]) / 1e3
        if len(found) == 0:
            return {"rows": 0.0}
        p50, p95, p99 = np.percentile(found, [50, 95, 99]).tolist()
        return {"p50": p50, "p95": p95, "p99": p99, "max": float(found.max()), "rows": float(len(found))}
