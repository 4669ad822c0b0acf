"""Verdicts are given once, in the order of arrival, from the records and their stamps alone, never by a clock.

For a record of a source, with its watermark = the newest event time of that source so far - `disorder`, where a source
names its producers: of that producer so far:

    future     the event time lies more than `max_future_skew` ahead of the arrival
    rejected   its producer is new, and `max_producers` others are known
    duplicate  its id was last seen at an event time at most `duplicate_horizon` away, and not further than that
               horizon behind the watermark of whoever sent it then (older ids are forgotten)
    late       the event time lies behind the watermark
    ok         none of these

The first that applies is given. A future, rejected or duplicate record moves no watermark and renews no id. So what one
producer sends changes no verdict of another one's records, but for ids that both of them send.
"""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core.records import I8, U1, Verdict, below
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.features.keys import KeyTable, hash_columns
from headrace.kernels import verdicts as kernel
from headrace.store.snapshots import Arrays

__all__ = ["Verdicts"]

_LEAST: Final = 8_192
_NEWEST: Final = "newest"
_SEEN: Final = "seen"
_SENDER: Final = "sender"
_REJECTED_STREAM: Final = 1
_FIRST_SOURCE: Final = 2


@final
class Verdicts:
    """The watermarks of some sources, and the ids that each still remembers: 48 to 108 bytes an id, 56 a producer."""

    def __init__(self, sources: Sequence[SourceSettings]) -> None:
        self._sources = tuple(sources)
        self._newest = [np.full(1, UNSPOKEN_US, np.int64) for _ in sources]
        self._producers = [KeyTable() for _ in sources]
        self._tables = [KeyTable() for _ in sources]
        self._seen = [np.full(_LEAST, kernel.NEVER, np.int64) for _ in sources]
        self._sender = [np.zeros(_LEAST, np.int64) for _ in sources]
        self._kept = [0 for _ in sources]

    @property
    def remembered(self) -> int:
        """Return how many ids are held in memory."""
        return sum(len(table) for table in self._tables)

    def give(
        self,
        number: int,
        event_time: I8,
        arrival: I8,
        ids: pa.StringArray | None,
        producers: pa.StringArray | None = None,
    ) -> U1:
        """Return the verdicts, `core.records.Verdict`, of n usable records of source `number`, in order of arrival.

        event_time, arrival: i8[n]. ids: n texts, null or empty where a record has none; None if the source has no ids.
        producers: n texts; None if the source does not name them.
        """
        source = self._sources[number]
        counts = event_time - arrival <= source.max_future_skew_us
        producer = self._numbers(number, producers, counts)
        key = np.full(len(event_time), kernel.NO_KEY, np.int64)
        if ids is not None and len(ids):
            hashed, valid = hash_columns([ids])
            known = valid & (pc.binary_length(ids).fill_null(0).to_numpy() > 0) & counts & (producer != kernel.NOBODY)
            key[known] = self._tables[number].add(np.ascontiguousarray(hashed[known]))
            self._grow(number, self._tables[number].top)
        verdict = np.zeros(len(event_time), np.uint8)
        kernel.judge(
            event_time,
            arrival,
            key,
            producer,
            self._seen[number],
            self._sender[number],
            self._newest[number],
            source.disorder_us,
            source.max_future_skew_us,
            source.duplicate_horizon_us,
            verdict,
        )
        self._forget(number)
        return verdict

    def of_rows(self, stream: U1, event_time: I8, arrival: I8, payloads: Sequence[pa.RecordBatch]) -> U1:
        """Return the verdicts of n rows of [events], in order; its streams are tick, rejected, then the sources.

        stream: u1[n]. event_time, arrival: i8[n]. payloads: one a stream.
        """
        verdict = np.zeros(len(stream), np.uint8)
        verdict[stream == _REJECTED_STREAM] = Verdict.REJECTED
        for number, settings in enumerate(self._sources):
            payload = payloads[_FIRST_SOURCE + number]
            if payload.num_rows:
                rows = np.flatnonzero(stream == _FIRST_SOURCE + number)
                ids = payload.column(settings.id) if settings.id is not None else None
                producers = payload.column(settings.producer) if settings.producer is not None else None
                verdict[rows] = self.give(number, event_time[rows], arrival[rows], ids, producers)
        return verdict

    def _numbers(self, number: int, producers: pa.StringArray | None, counts: NDArray[np.bool_]) -> I8:
        """Return the dense number of the producer of each record that counts, `NOBODY` for those beyond the bound.

        A producer beyond it is forgotten at once, so that its number stays above the bound.
        """
        if producers is None:
            return np.zeros(len(counts), np.int64)
        table = self._producers[number]
        found = np.full(len(counts), kernel.NOBODY, np.int64)
        found[counts] = table.add(np.ascontiguousarray(hash_columns([producers])[0][counts]))
        beyond = found >= self._sources[number].max_producers
        if beyond.any():
            table.remove(np.unique(found[beyond]))
            found[beyond] = kernel.NOBODY
        newest = self._newest[number]
        if len(table) > len(newest):
            more = np.full(max(len(table), 2 * len(newest)) - len(newest), UNSPOKEN_US, np.int64)
            self._newest[number] = np.concatenate([newest, more])
        return found

    def _grow(self, number: int, count: int) -> None:
        seen = self._seen[number]
        if count > len(seen):
            more = np.full(max(count, 2 * len(seen)) - len(seen), kernel.NEVER, np.int64)
            self._seen[number] = np.concatenate([seen, more])
            self._sender[number] = np.concatenate([self._sender[number], np.zeros(len(more), np.int64)])

    def _forget(self, number: int) -> None:
        """Give back the memory of forgotten ids, once there may be as many of them as of the others."""
        table, seen, source = self._tables[number], self._seen[number], self._sources[number]
        if len(table) <= 2 * self._kept[number] + _LEAST:
            return
        reach = self._newest[number] - source.disorder_us  # Then less the horizon, as far as int64 goes.
        behind = np.maximum(reach, kernel.NEVER + source.duplicate_horizon_us) - source.duplicate_horizon_us
        forgotten = np.flatnonzero((seen != kernel.NEVER) & (seen < behind[self._sender[number]]))
        table.remove(forgotten)
        seen[forgotten] = kernel.NEVER
        self._kept[number] = len(table)

    def snapshot(self) -> Arrays:
        """Return the state, without aliasing it."""
        arrays: Arrays = {}
        for number, table in enumerate(self._tables):
            arrays[f"{number}.{_NEWEST}"] = self._newest[number].copy()
            arrays[f"{number}.{_SEEN}"] = self._seen[number].copy()
            arrays[f"{number}.{_SENDER}"] = self._sender[number].copy()
            arrays |= {f"{number}.keys.{name}": array.copy() for name, array in table.snapshot().items()}
            arrays |= {f"{number}.producers.{name}": one for name, one in self._producers[number].snapshot().items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Stand where a snapshot stood."""
        for number, table in enumerate(self._tables):
            self._newest[number] = arrays[f"{number}.{_NEWEST}"].copy()
            self._seen[number] = arrays[f"{number}.{_SEEN}"].copy()
            self._sender[number] = arrays[f"{number}.{_SENDER}"].copy()
            table.restore(below(arrays, f"{number}.keys."))
            self._producers[number].restore(below(arrays, f"{number}.producers."))
            self._kept[number] = len(table)
