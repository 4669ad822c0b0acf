"""Few rows, made one at a time: what the deciding stages write to [control] and [sketches]."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa

from headrace.core.records import NO_ID, Batch, StreamSchema, strings
from headrace.topics.schemas import no_rows

__all__ = ["Entry", "batch_of", "entries_of"]


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One row: its stream by name, its cause, its time (event and arrival alike), and its columns."""

    stream: str
    offset: int
    sub: int
    time_us: int
    columns: dict[str, Any]
    id: str = NO_ID


def batch_of(entries: Sequence[Entry], streams: Sequence[StreamSchema]) -> Batch:
    """Return entries, which rise by cause, as one batch of a topic with these streams."""
    names = [stream.name for stream in streams]
    rows: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        rows.setdefault(entry.stream, []).append(entry.columns)
    payloads = tuple(
        pa.RecordBatch.from_pylist(rows[stream.name], schema=stream.schema)
        if stream.name in rows
        else no_rows(stream.schema)
        for stream in streams
    )
    time = np.array([entry.time_us for entry in entries], np.int64)
    return Batch(
        np.array([entry.offset for entry in entries], np.int64),
        np.array([entry.sub for entry in entries], np.int64),
        np.array([names.index(entry.stream) for entry in entries], np.uint8),
        time,
        time,
        np.zeros(len(entries), np.uint8),
        strings([entry.id for entry in entries]),
        payloads,
    )


def entries_of(batch: Batch, streams: Sequence[StreamSchema]) -> list[Entry]:
    """Return the rows of a batch one by one; for topics of few rows."""
    columns = [payload.to_pylist() if payload.num_rows else [] for payload in batch.payloads]
    places = [0] * len(streams)
    made = []
    for row, (stream, time_us) in enumerate(zip(batch.stream.tolist(), batch.event_time.tolist(), strict=True)):
        offset, sub = batch.position(row)
        name = streams[stream].name
        made.append(Entry(name, offset, sub, time_us, columns[stream][places[stream]], batch.id[row].as_py()))
        places[stream] += 1
    return made
