"""A finite history: the files of several sources, merged into the order in which their records arrived.

Ties go by the order of the sources, then by the record's number in its source's list of files. A position is
(arrival time, source and record), so that a file appended to a list moves no record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError, StateError
from headrace.core.position import K_BITS, START, Position, sub_of
from headrace.core.records import I8, NO_ID, U1, Batch, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US, instant_text
from headrace.edge.files import SourceFiles
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.edge.source_rows import SourceRows, read_source
from headrace.edge.verdicts import Verdicts
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.schemas import REJECTED, TICK, no_rows

__all__ = ["SOURCES_MAX", "MergedHistory"]

SOURCES_MAX: Final = 127
"""A position has 7 bits for the source."""
_RECORDS_MAX: Final = 2**32
_ROW_BITS: Final = 32
_TICK_STREAM: Final = 0
_REJECTED_STREAM: Final = 1
_FIRST_SOURCE: Final = 2


@final
@dataclass(frozen=True, slots=True)
class _Spine:
    """The records of one source and its tick, in the order of the source. All arrays have one entry a row."""

    arrival: I8
    sub: I8
    stream: U1
    event_time: I8
    id_place: I8


@final
class MergedHistory(Inlet):
    """Several sources as one order of records, for the topic [events] with streams tick, rejected, then the sources.

    When a source has given its last record, its tick "ended" follows at once: at the same offset, one `sub` above. A
    source without records ends at the beginning. Verdicts are given here, in the merged order (`edge.verdicts`).

    The history is held in memory: 25 bytes a row, and the bytes of its id and of its payload; about twice that while
    it is being read. The batches are views of it: nobody may write into them.

    Raises ConfigError if there are too many sources or records, SurroundingsError if a file cannot be opened.
    """

    def __init__(self, sources: Sequence[tuple[SourceSettings, SourceFiles]]) -> None:
        if len(sources) > SOURCES_MAX:
            raise ConfigError("history", wanted=f"at most {SOURCES_MAX} sources", got=len(sources))
        self._settings = tuple(settings for settings, _ in sources)
        read = [read_source(settings, files) for settings, files in sources]
        for settings, rows in zip(self._settings, read, strict=True):
            if len(rows.arrival) >= _RECORDS_MAX:
                raise ConfigError(f"source {settings.name!r}", wanted="fewer than 2**32 records", got=len(rows.arrival))
        self._marks = {
            settings.name: [[mark.name, mark.digest] for mark in rows.files]
            for settings, rows in zip(self._settings, read, strict=True)
        }
        self._merge(read)
        self._verdicts = Verdicts(self._settings)
        self._ledger = Ledger(self._settings)
        self._given = 0
        self._taken = np.zeros(len(self._payloads), np.int64)

    def __len__(self) -> int:
        """Return the number of rows, ticks included."""
        return len(self._offset)

    @property
    def ended(self) -> bool:
        """Return whether every row has been given."""
        return self._given == len(self._offset)

    @property
    def ledger(self) -> Ledger:
        """Return the counts of what was given."""
        return self._ledger

    def next(self, limit: int) -> Batch | None:
        """Return the next `limit` rows, fewer at the end, None after it."""
        start, stop = self._given, min(self._given + limit, len(self._offset))
        if start >= stop:
            return None
        stream = self._stream[start:stop]
        event_time, arrival = self._event_time[start:stop], self._offset[start:stop]
        counts = np.bincount(stream, minlength=len(self._payloads))
        payloads = tuple(
            payload.slice(taken, count)
            for payload, taken, count in zip(self._payloads, self._taken.tolist(), counts.tolist(), strict=True)
        )
        verdict = self._verdicts.of_rows(stream, event_time, arrival, payloads)
        batch = Batch(
            arrival,
            self._sub[start:stop],
            stream,
            event_time,
            arrival,
            verdict,
            self._id.slice(start, stop - start),
            payloads,
        )
        self._ledger.add(batch)
        self._taken = self._taken + counts
        self._given = stop
        return batch

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the position, the watermarks, the remembered ids, the ledger and the digests of the files."""
        reached = (
            START if self._given == 0 else Position(int(self._offset[self._given - 1]), int(self._sub[self._given - 1]))
        )
        meta: Meta = {
            "reached": list(reached),
            "records": int(self._taken[_REJECTED_STREAM:].sum()),
            "ledger": self._ledger.as_dict(),
            "sources": [settings.name for settings in self._settings],
            "files": {source: [list(mark) for mark in marks] for source, marks in self._marks.items()},
        }
        return self._verdicts.snapshot(), meta

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood. Files may have been appended to the list of a source since.

        Raises StateError if a file of the snapshot is gone or was rewritten, if the sources are others, or if a file
        that was appended holds records that arrived before what had been given.
        """
        self._compare(meta["sources"], meta["files"])
        reached = Position(*meta["reached"])
        first = int(np.searchsorted(self._offset, reached.offset, side="left"))
        last = int(np.searchsorted(self._offset, reached.offset, side="right"))
        given = first + int(np.searchsorted(self._sub[first:last], reached.sub, side="right"))
        taken = np.bincount(self._stream[:given], minlength=len(self._payloads))
        if taken[_REJECTED_STREAM:].sum() != meta["records"]:
            raise StateError(
                "history",
                wanted=f"appended files whose records arrived after {instant_text(reached.offset)} (or a new run)",
                got=f"{int(taken[_REJECTED_STREAM:].sum()) - meta['records']} earlier ones",
            )
        self._verdicts.restore(arrays)
        self._ledger.restore(meta["ledger"])
        self._given, self._taken = given, taken

    def _compare(self, sources: list[str], files: dict[str, list[list[str]]]) -> None:
        """Refuse other sources, another order of them (it is part of each position), and other bytes."""
        if sources != list(self._marks):
            raise StateError("history", wanted=f"the sources {sources} (or a new run)", got=list(self._marks))
        for source, marks in files.items():
            here = self._marks[source]
            for number, (name, digest) in enumerate(marks):
                if number >= len(here):
                    raise StateError(
                        f"source {source!r}", wanted=f"file {name} (put it back, or start a new run)", got="none"
                    )
                if here[number][1] != digest:
                    raise StateError(
                        f"source {source!r}",
                        wanted=f"file {name} as it was read, {digest} (put it back, or start a new run)",
                        got=f"{here[number][0]}, {here[number][1]}",
                    )

    def _merge(self, read: Sequence[SourceRows]) -> None:
        """Sort once, gather each column once; every batch is then a slice."""
        id_starts = np.cumsum([0, *(len(rows.id) for rows in read)])
        spines = [_spine(number, rows, int(id_starts[number]), int(id_starts[-1])) for number, rows in enumerate(read)]
        nothing = np.zeros(0, np.int64)
        order = np.argsort(np.concatenate([nothing, *(spine.arrival for spine in spines)]), kind="stable")
        self._offset = np.concatenate([nothing, *(spine.arrival for spine in spines)])[order]
        self._sub = np.concatenate([nothing, *(spine.sub for spine in spines)])[order]
        self._event_time = np.concatenate([nothing, *(spine.event_time for spine in spines)])[order]
        self._stream = np.concatenate([nothing.astype(np.uint8), *(spine.stream for spine in spines)])[order]
        ids = pa.concat_arrays([strings([]), *(rows.id for rows in read), strings([NO_ID])])
        place = np.concatenate([nothing, *(spine.id_place for spine in spines)])[order]
        self._id = ids.take(pa.array(place)).fill_null(NO_ID)
        ticks = self._sub[self._stream == _TICK_STREAM] >> (_ROW_BITS + K_BITS)
        ended = [self._settings[number].name for number in ticks.tolist()]
        tick = pa.RecordBatch.from_arrays([strings(ended), strings(["ended"] * len(ended))], schema=TICK.schema)
        self._payloads = (tick, *_gathered(read))


def _spine(number: int, rows: SourceRows, id_start: int, no_id: int) -> _Spine:
    """Return a source's rows with its tick behind the one that arrives last."""
    count = len(rows.arrival)
    last = count - 1 - int(np.argmax(rows.arrival[::-1])) if count else -1
    time_us = int(rows.arrival[last]) if count else UNSPOKEN_US
    stream = np.where(rows.usable, _FIRST_SOURCE + number, _REJECTED_STREAM).astype(np.uint8)
    sub = sub_of(1) * ((number << _ROW_BITS) + np.arange(count))
    at = last + 1
    return _Spine(
        np.insert(rows.arrival, at, time_us),
        np.insert(sub, at, sub_of((number << _ROW_BITS) + max(last, 0), 1)),
        np.insert(stream, at, _TICK_STREAM),
        np.insert(rows.event_time, at, time_us),
        np.insert(id_start + np.arange(count), at, no_id),
    )


def _gathered(read: Sequence[SourceRows]) -> list[pa.RecordBatch]:
    """Return the rejected records, then each source's usable ones, in merged order."""
    rejected = pa.concat_batches([no_rows(REJECTED.schema), *(rows.rejected for rows in read)])
    arrival = np.concatenate([np.zeros(0, np.int64), *(rows.arrival[~rows.usable] for rows in read)])
    return [_sorted(rejected, arrival), *(_sorted(rows.payload, rows.arrival[rows.usable]) for rows in read)]


def _sorted(payload: pa.RecordBatch, arrival: I8) -> pa.RecordBatch:
    if (arrival[1:] >= arrival[:-1]).all():
        return payload
    return payload.take(pa.array(np.argsort(arrival, kind="stable")))
