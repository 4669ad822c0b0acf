"""Files of any order become an archive in the order of the log: what `ingest` would write to [events], row for row.

Each source is judged piece by piece and sorted by arrival on disk (`archive_sort`); then all are merged, ties by the
order of the sources, and given their verdicts in that order, by the code of `ingest`. In memory are some pieces, and
what the verdicts remember.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError
from headrace.core.position import START, sub_of
from headrace.core.records import I8, NO_ID, U1, Batch, StreamSchema, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.edge.archive_pieces import PIECE_BYTES, PIECE_ROWS
from headrace.edge.archive_sort import SortedRows, StagedSource
from headrace.edge.files import SourceFiles
from headrace.edge.history import SOURCES_MAX
from headrace.edge.ledger import Ledger
from headrace.edge.verdicts import Verdicts
from headrace.store.offline import GROUP_ROWS, ArchiveWriter, replace_whole
from headrace.store.snapshots import packed
from headrace.topics.schemas import REJECTED, TICK, no_rows

__all__ = ["STAND", "Imported", "import_archive", "source_text"]

STAND: Final = "ingest.safetensors"
"""Where `ingest` would stand behind the last row of the archive."""
_ROW_BITS: Final = 32
_FIRST_SOURCE: Final = 2


@final
@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows an archive has, ticks included, and what became of each record."""

    rows: int
    ledger: dict[str, dict[str, Any]]


def source_text(settings: SourceSettings) -> str:
    """Return all that decides a source's rows and verdicts; a vector that asks of it changes none of them."""
    return repr(settings).replace(f"kind={settings.kind!r}", "")


def import_archive(
    sources: Sequence[tuple[SourceSettings, SourceFiles]],
    streams: Sequence[StreamSchema],
    folder: Path,
    *,
    memory_mb: int = 512,
    before_us: int | None = None,
    rows: int | None = None,
    group_rows: int = GROUP_ROWS,
    piece_bytes: int = PIECE_BYTES,
    piece_rows: int = PIECE_ROWS,
) -> Imported:
    """Write an archive of some sources. `streams` are those of [events]: tick, rejected, then the sources.

    `memory_mb` is what a sort may take. With `before_us` only what arrived before it is taken, with
    `rows` only the first rows: the past of a stream that goes on. A file is read in pieces of `piece_bytes` or
    `piece_rows`, and the archive has groups of `group_rows`.

    Raises SurroundingsError if there is an archive already or a file cannot be opened, ConfigError for too many
    sources or records.
    """
    if len(sources) > SOURCES_MAX:
        raise ConfigError("history", wanted=f"at most {SOURCES_MAX} sources", got=len(sources))
    writer = ArchiveWriter(folder, streams, group_rows=group_rows)
    staging = folder / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    settings = [setting for setting, _ in sources]
    verdicts, ledger = Verdicts(settings), Ledger(settings)
    reached, records = START, 0
    try:
        staged = [
            StagedSource(
                setting,
                files,
                staging / f"{number:03d}",
                memory_mb=memory_mb,
                piece_bytes=piece_bytes,
                piece_rows=piece_rows,
            )
            for number, (setting, files) in enumerate(sources)
        ]
        for merged in _merged(staged, settings):
            batch = _until(merged, before_us, None if rows is None else rows - writer.rows)
            if len(batch):
                judged = _judged(batch, verdicts)
                ledger.add(judged)
                writer.write(judged)
                reached = judged.position(len(judged) - 1)
                records += int(np.count_nonzero(judged.stream))
            if len(batch) < len(merged):
                break
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    names = [setting.name for setting in settings]
    meta = {
        "reached": list(reached),
        "records": records,
        "ledger": ledger.as_dict(),
        "sources": names,
        "files": {
            name: [[mark.name, mark.digest] for mark in one.files] for name, one in zip(names, staged, strict=True)
        },
    }
    replace_whole(folder / STAND, packed(verdicts.snapshot(), meta))
    texts = {setting.name: source_text(setting) for setting in settings}
    writer.close({"ledger": ledger.as_dict(), "sources": names, "declared": texts, "order": "arrival"})
    return Imported(writer.rows, ledger.as_dict())


def _until(batch: Batch, before_us: int | None, rows: int | None) -> Batch:
    stop = len(batch) if rows is None else min(rows, len(batch))
    if before_us is not None:
        stop = min(stop, int(np.searchsorted(batch.arrival_time, before_us, side="left")))
    return batch.slice(0, stop)


def _judged(batch: Batch, verdicts: Verdicts) -> Batch:
    given = verdicts.of_rows(batch.stream, batch.event_time, batch.arrival_time, batch.payloads)
    return Batch(
        batch.offset,
        batch.sub,
        batch.stream,
        batch.event_time,
        batch.arrival_time,
        given,
        batch.id,
        batch.payloads,
    )


@final
class _Queue:
    """The rows of one source that were read and not yet taken, and whether more may come."""

    def __init__(self, number: int, source: StagedSource) -> None:
        self.number = number
        self._rows = source.rows()
        self.held: SortedRows | None = None
        self.last: tuple[int, int] | None = None
        """Arrival and number of the record that arrives last, as far as was read."""
        self.ended = False
        self.ticked = False
        self.fill()

    @property
    def place(self) -> int:
        """Return the arrival up to which it was read; before the beginning for a source without records."""
        return UNSPOKEN_US if self.last is None else self.last[0]

    def fill(self) -> None:
        """Read on, if nothing is held."""
        while not self.ended and (self.held is None or len(self.held) == 0):
            self.held = next(self._rows, None)
            self.ended = self.held is None
        if self.held is not None and len(self.held):
            self.last = int(self.held.arrival[-1]), int(self.held.number[-1])

    def until(self, frontier: tuple[int, int]) -> SortedRows | None:
        """Take what comes no later than (arrival, source); None if there is nothing."""
        if self.held is None:
            return None
        # What arrives together goes by the order of the sources.
        before = self.held.arrival < frontier[0] + (self.number <= frontier[1])
        stop = int(np.count_nonzero(before))
        taken, self.held = self.held.slice(0, stop), self.held.slice(stop, len(self.held))
        return taken if len(taken) else None


def _merged(staged: Sequence[StagedSource], settings: Sequence[SourceSettings]) -> Iterator[Batch]:
    """Yield all rows in the order of arrival, ties by source, then number; each source's tick behind its last record.

    Whatever comes no later than the end of the source that was read least far can be merged: nothing that is still to
    be read comes before it.
    """
    queues = [_Queue(number, source) for number, source in enumerate(staged)]
    while not all(queue.ticked for queue in queues):
        frontier = min((queue.place, queue.number) for queue in queues if not queue.ticked)
        found = [(queue, rows) for queue in queues if (rows := queue.until(frontier)) is not None]
        for queue in queues:
            queue.fill()
        # One that has ended says so behind its last record, which is among these, or it had none at all.
        ticks = [queue for queue in queues if queue.ended and not queue.ticked]
        for queue in ticks:
            queue.ticked = True
        batch = _batch([(queue.number, rows) for queue, rows in found], ticks, settings)
        if len(batch):
            yield batch


def _batch(
    parts: Sequence[tuple[int, SortedRows]], ticks: Sequence[_Queue], settings: Sequence[SourceSettings]
) -> Batch:
    """Return some rows of some sources as one batch; `ticks` are the sources that have ended."""
    arrivals: list[I8] = [rows.arrival for _, rows in parts]
    subs: list[I8] = [sub_of(1) * ((number << _ROW_BITS) + rows.number) for number, rows in parts]
    events: list[I8] = [rows.event_time for _, rows in parts]
    streams: list[U1] = [np.where(rows.usable, _FIRST_SOURCE + number, 1).astype(np.uint8) for number, rows in parts]
    ids = [rows.id.fill_null(NO_ID) for _, rows in parts]
    for tick in ticks:
        time_us, number = (UNSPOKEN_US, 0) if tick.last is None else tick.last
        arrivals.append(np.array([time_us], np.int64))
        subs.append(np.array([sub_of((tick.number << _ROW_BITS) + number, 1)], np.int64))
        events.append(np.array([time_us], np.int64))
        streams.append(np.zeros(1, np.uint8))
        ids.append(strings([NO_ID]))
    nothing = np.zeros(0, np.int64)
    arrival, sub = np.concatenate([nothing, *arrivals]), np.concatenate([nothing, *subs])
    order = np.lexsort((sub, arrival))
    stream = np.concatenate([nothing.astype(np.uint8), *streams])[order]
    # Their names, in the order in which they stand among the rows.
    ended = [settings[ticks[place - len(order) + len(ticks)].number].name for place in order[stream == 0].tolist()]
    payloads = [
        pa.RecordBatch.from_arrays([strings(ended), strings(["ended"] * len(ended))], schema=TICK.schema),
        _rejected(parts),
    ]
    by_source = {number: rows.payload for number, rows in parts}
    payloads += [by_source.get(number, no_rows(setting.schema.arrow)) for number, setting in enumerate(settings)]
    return Batch(
        arrival[order],
        sub[order],
        stream,
        np.concatenate([nothing, *events])[order],
        arrival[order],
        np.zeros(len(order), np.uint8),
        pa.concat_arrays([strings([]), *ids]).take(pa.array(order)),
        tuple(payloads),
    )


def _rejected(parts: Sequence[tuple[int, SortedRows]]) -> pa.RecordBatch:
    """Return the rejected records of all sources in merged order."""
    whole = pa.concat_batches([no_rows(REJECTED.schema), *(rows.rejected for _, rows in parts)])
    arrival = np.concatenate([np.zeros(0, np.int64), *(rows.arrival[~rows.usable] for _, rows in parts)])
    return whole.take(pa.array(np.argsort(arrival, kind="stable")))
