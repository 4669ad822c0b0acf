"""How far event time has come with [events]: what labels, closed windows, waiting requests and retention go by.

It is the highest event time so far, of usable records of the sources that are read. Where a reader was told whom to
wait for, it is what that reader told instead (`topics.watermark`). A source that names its producers has come as far as
the slowest of them (`features.producers`), and holds the others back to there, by at most its `silent`, from its first
record to its end. It never goes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.records import I8, Batch, Kind, StreamSchema, Verdict, below
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.features.producers import Producers

__all__ = ["EventClock", "Told", "ended_rows"]


@final
@dataclass(frozen=True, slots=True)
class Told:
    """What n rows of [events] tell, each i8[n].

    newest: how far event time has come behind the row. source: how far the row's source has, and own: how far the
    row's producer has; both are the row's event time where no producers are named, `UNSPOKEN_US` if it tells nothing.
    """

    newest: I8
    source: I8
    own: I8


@final
class EventClock:
    """A fold of [events] in the order of the log. Results do not depend on how it is cut into batches.

    `streams` are those of [events], in their order; `sources` those that are read.
    """

    def __init__(self, streams: Sequence[StreamSchema], sources: Sequence[SourceSettings]) -> None:
        self._streams = tuple(streams)
        self._sources = {source.name: source for source in sources}
        self._producers = {source.name: Producers(source) for source in sources if source.producer is not None}
        self._holds = dict.fromkeys(self._producers, False)
        self._told_us = UNSPOKEN_US
        self._newest_us = UNSPOKEN_US

    @property
    def newest_us(self) -> int:
        """Return how far event time has come, in microseconds."""
        return self._newest_us

    def run(self, batch: Batch) -> Told:
        """Take the next rows of [events]."""
        low_us = {name: producers.low_us for name, producers in self._producers.items()}
        source, own = self._speaking(batch)
        told = np.maximum(source if batch.reached is None else batch.reached, self._told_us)
        told = np.maximum.accumulate(told)
        held = self._held(batch, told, source, low_us)
        newest = np.maximum.accumulate(np.maximum(held, self._newest_us))
        if len(newest):
            self._told_us, self._newest_us = int(told[-1]), int(newest[-1])
        return Told(newest, source, own)

    def peek(self, asking: str, requests: pa.RecordBatch, time: I8, *, moves: bool) -> Told:
        """Return what each of n requests of a source would tell if it came next, and change nothing.

        requests: its fields. time: i8[n]. moves: whether it would move event time by itself.
        """
        own, low = time, time
        if asking in self._producers:
            own, low = self._producers[asking].peek(requests, time)
        told = np.maximum(low, self._told_us) if moves else np.full(len(time), self._told_us, np.int64)
        newest = told
        for name, producers in self._producers.items():
            if name == asking and moves:
                newest = np.minimum(newest, self._held_by(name, low, told))
            elif self._holds[name]:
                newest = np.minimum(newest, self._held_by(name, np.full(len(time), producers.low_us), told))
        return Told(np.maximum(newest, self._newest_us), low, own)

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the state, without aliasing it."""
        arrays = {
            f"{name}.{part}": array
            for name, producers in self._producers.items()
            for part, array in producers.snapshot().items()
        }
        return arrays, {"newest_us": self._newest_us, "told_us": self._told_us, "holds": dict(self._holds)}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._newest_us, self._told_us, self._holds = meta["newest_us"], meta["told_us"], dict(meta["holds"])
        for name, producers in self._producers.items():
            producers.restore(below(arrays, f"{name}."))

    def _speaking(self, batch: Batch) -> tuple[I8, I8]:
        """Return how far its source, and its producer, have come with each row; see `Told`."""
        source = np.zeros(len(batch.payloads), bool)  # [events] may have gained streams that nobody here reads.
        source[: len(self._streams)] = [stream.name in self._sources for stream in self._streams]
        counts = source[batch.stream] & ((batch.verdict == Verdict.OK) | (batch.verdict == Verdict.LATE))
        told = np.where(counts, batch.event_time, UNSPOKEN_US)
        own = told.copy() if self._producers else told
        for number, stream in enumerate(self._streams):
            if stream.name in self._producers and batch.payloads[number].num_rows:
                row = batch.rows_of(number)
                speaks = counts[row]
                row, fields = row[speaks], batch.payloads[number].filter(pa.array(speaks))
                before, told[row] = self._producers[stream.name].speak(fields, batch.event_time[row])
                own[row] = np.maximum(before, own[row])
        return told, own

    def _held(self, batch: Batch, told: I8, speaking: I8, low_us: Mapping[str, int]) -> I8:
        """Return how far event time has come, held back by each source whose producers have not come as far.

        told: i8[n], rising. low_us: how far each of these sources had come before the batch.
        """
        held, place = told, np.arange(len(told))
        for name, before_us in low_us.items():
            number = [stream.name for stream in self._streams].index(name)
            spoke = (batch.stream == number) & (speaking > UNSPOKEN_US)
            low = np.maximum.accumulate(np.where(spoke, speaking, before_us))
            changes = spoke.copy()
            changes[ended_rows(batch, self._streams, name)] = True
            last = np.maximum.accumulate(np.where(changes, place, -1))
            holds = np.where(last >= 0, spoke[last], self._holds[name])
            held = np.where(holds, np.minimum(held, self._held_by(name, low, told)), held)
            if len(told):
                self._holds[name] = bool(holds[-1])
        return held

    def _held_by(self, name: str, low: I8, told: I8) -> I8:
        """Return how far event time has come where a source has come as far as `low`, and the others as `told`."""
        held: I8 = np.maximum(low, told - self._sources[name].silent_us)
        return held


def ended_rows(batch: Batch, streams: Sequence[StreamSchema], source: str) -> I8:
    """Return the rows of [events] at which a source says that it has ended."""
    rows = [
        row
        for number, stream in enumerate(streams)
        if stream.kind == Kind.TICK and batch.payloads[number].num_rows
        for row, name in zip(batch.rows_of(number).tolist(), batch.payloads[number]["source"].to_pylist(), strict=True)
        if name == source
    ]
    return np.array(rows, np.int64)
