"""Verdicts are given once, in the order of arrival, from the records and their stamps alone, never by a clock.

For a record of a source, with its watermark = the newest event time of that source so far - `disorder`:

    future     the event time lies more than `max_future_skew` ahead of the arrival
    duplicate  its id was last seen at an event time at most `duplicate_horizon` away, and not further than that
               horizon behind the watermark (older ids are forgotten)
    late       the event time lies behind the watermark
    ok         none of these

The first that applies is given. A future or duplicate record moves no watermark and renews no id.
"""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.records import I8, U1
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.features.keys import KeyTable, hash_columns
from headrace.kernels import verdicts as kernel
from headrace.store.snapshots import Arrays

__all__ = ["Verdicts"]

_LEAST: Final = 8_192
_NEWEST: Final = "newest"
_SEEN: Final = "seen"


@final
class Verdicts:
    """The watermarks of some sources, and the ids that each still remembers: 40 to 100 bytes an id."""

    def __init__(self, sources: Sequence[SourceSettings]) -> None:
        self._sources = tuple(sources)
        self._newest = np.full(len(sources), UNSPOKEN_US, np.int64)
        self._tables = [KeyTable() for _ in sources]
        self._seen = [np.full(_LEAST, kernel.NEVER, np.int64) for _ in sources]
        self._kept = [0 for _ in sources]

    @property
    def remembered(self) -> int:
        """Return how many ids are held in memory."""
        return sum(len(table) for table in self._tables)

    def give(self, number: int, event_time: I8, arrival: I8, ids: pa.StringArray | None) -> U1:
        """Return the verdicts, `core.records.Verdict`, of n usable records of source `number`, in order of arrival.

        event_time, arrival: i8[n]. ids: n texts, null or empty where a record has none; None if the source has no ids.
        """
        source = self._sources[number]
        key = np.full(len(event_time), kernel.NO_KEY, np.int64)
        if ids is not None and len(ids):
            hashed, valid = hash_columns([ids])
            known = (
                valid
                & (pc.binary_length(ids).fill_null(0).to_numpy() > 0)
                & (event_time - arrival <= source.max_future_skew_us)
            )
            key[known] = self._tables[number].add(np.ascontiguousarray(hashed[known]))
            self._grow(number, self._tables[number].top)
        verdict = np.zeros(len(event_time), np.uint8)
        kernel.judge(
            event_time,
            arrival,
            key,
            self._seen[number],
            self._newest[number : number + 1],
            source.disorder_us,
            source.max_future_skew_us,
            source.duplicate_horizon_us,
            verdict,
        )
        self._forget(number)
        return verdict

    def _grow(self, number: int, count: int) -> None:
        seen = self._seen[number]
        if count > len(seen):
            more = np.full(max(count, 2 * len(seen)) - len(seen), kernel.NEVER, np.int64)
            self._seen[number] = np.concatenate([seen, more])

    def _forget(self, number: int) -> None:
        """Give back the memory of forgotten ids, once there may be as many of them as of the others."""
        table, seen, source = self._tables[number], self._seen[number], self._sources[number]
        if len(table) <= 2 * self._kept[number] + _LEAST:
            return
        behind = int(self._newest[number]) - source.disorder_us - source.duplicate_horizon_us
        forgotten = np.flatnonzero((seen != kernel.NEVER) & (seen < max(behind, kernel.NEVER)))
        table.remove(forgotten)
        seen[forgotten] = kernel.NEVER
        self._kept[number] = len(table)

    def snapshot(self) -> Arrays:
        """Return the state, without aliasing it."""
        arrays: Arrays = {_NEWEST: self._newest.copy()}
        for number, table in enumerate(self._tables):
            arrays[f"{number}.{_SEEN}"] = self._seen[number].copy()
            arrays |= {f"{number}.keys.{name}": array.copy() for name, array in table.snapshot().items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Stand where a snapshot stood."""
        self._newest = arrays[_NEWEST].copy()
        for number, table in enumerate(self._tables):
            self._seen[number] = arrays[f"{number}.{_SEEN}"].copy()
            prefix = f"{number}.keys."
            table.restore(
                {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            )
            self._kept[number] = len(table)
