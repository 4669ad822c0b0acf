"""All records of one source in memory: its files one after the other, decoded, each with the time it arrived."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core.errors import ConfigError
from headrace.core.records import I8, strings
from headrace.core.schema import EventSchema
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.edge.decode import RECORD_BYTES_MAX, Decoded, decode
from headrace.edge.files import FILE_BYTES_KEPT, RawFile, SourceFiles, read_file
from headrace.edge.reasons import REASONS, TOO_LARGE
from headrace.topics.schemas import REJECTED, no_rows

__all__ = [
    "UNREAD",
    "FileMark",
    "FileRows",
    "SourceRows",
    "carried",
    "check_fields",
    "file_rows",
    "read_source",
]

UNREAD: Final = -(2**63)
"""Stands for a time that could not be read."""


@final
@dataclass(frozen=True, slots=True)
class FileMark:
    """By what a file is known again: its name, for messages, and the digest of its bytes."""

    name: str
    digest: str


@final
@dataclass(frozen=True, slots=True)
class SourceRows:
    """n records of one source, numbered through the list of its files.

    arrival, event_time: i8[n], microseconds UTC. usable: bool[n]. id: n texts, null where a record has none. payload:
    the usable records. rejected: the others, as `topics.schemas.REJECTED` has them. files: one mark a file.
    """

    arrival: I8
    event_time: I8
    usable: NDArray[np.bool_]
    id: pa.StringArray
    payload: pa.RecordBatch
    rejected: pa.RecordBatch
    files: tuple[FileMark, ...]


@final
@dataclass(frozen=True, slots=True)
class FileRows:
    """n records of one file, as `SourceRows` has them; times that could not be read are `UNREAD`."""

    arrival: I8
    event_time: I8
    usable: NDArray[np.bool_]
    id: pa.StringArray
    payload: pa.RecordBatch
    rejected: pa.RecordBatch
    digest: str


def read_source(settings: SourceSettings, files: SourceFiles) -> SourceRows:
    """Read all files of one source.

    A usable record arrives at the time in its field `arrived`; without one (or where it is null), `delay_us` after its
    event. A record that is not usable arrives when its fields say so, if they can be read, else with the record before
    it in the list of files; in front of all records that have a time, with the first one of its own file that has; and
    in a file without any, at the beginning (`UNSPOKEN_US`). So a file appended to the list moves no record.

    Raises SurroundingsError if a file cannot be opened, ConfigError if the settings name a field that is not there.
    """
    check_fields(settings)
    parts: list[FileRows] = []
    last = UNREAD
    for path in files.paths:
        part = file_rows(settings, read_file(path, files.format, settings.schema))
        arrival = carried(part.arrival, last)
        event_time = np.where(part.event_time == UNREAD, arrival, part.event_time)
        parts.append(replace(part, arrival=arrival, event_time=event_time))
        last = int(arrival[-1]) if len(arrival) and arrival[-1] != UNSPOKEN_US else last
    return _joined(settings, parts, files.paths)


def check_fields(settings: SourceSettings) -> None:
    """Raise ConfigError if the settings name a field that is not there."""
    for name in (settings.time, settings.id, settings.arrived):
        if name is not None and name not in settings.schema.names:
            raise ConfigError(f"source {settings.name!r}", wanted=f"a field of {settings.schema.name}", got=name)


def _joined(settings: SourceSettings, parts: Sequence[FileRows], paths: Sequence[Path]) -> SourceRows:
    nothing = np.zeros(0, np.int64)
    return SourceRows(
        np.concatenate([nothing, *(part.arrival for part in parts)]),
        np.concatenate([nothing, *(part.event_time for part in parts)]),
        np.concatenate([nothing.astype(np.bool_), *(part.usable for part in parts)]),
        pa.concat_arrays([strings([]), *(part.id for part in parts)]),
        pa.concat_batches([no_rows(settings.schema.arrow), *(part.payload for part in parts)]),
        pa.concat_batches([no_rows(REJECTED.schema), *(part.rejected for part in parts)]),
        tuple(FileMark(path.name, part.digest) for path, part in zip(paths, parts, strict=True)),
    )


def carried(arrival: I8, last: int) -> I8:
    """Give each record without a time the arrival of the one before it."""
    told = np.flatnonzero(arrival != UNREAD)
    if len(told) == len(arrival):
        return arrival
    first = last if last != UNREAD else int(arrival[told[0]]) if len(told) else UNSPOKEN_US
    place = np.maximum.accumulate(np.where(arrival == UNREAD, -1, np.arange(len(arrival))))
    return np.where(place < 0, first, arrival[np.maximum(place, 0)])


def file_rows(settings: SourceSettings, raw: RawFile) -> FileRows:
    """Judge the records of a file, or of a piece of one; those without a time still have `UNREAD` for it."""
    decoded = decode(raw.table, _with_time(settings), texts=raw.texts, wrong=raw.wrong)
    usable = decoded.reason == 0
    event_time = _times(decoded.columns[settings.time])
    arrival = _arrival(settings, decoded, event_time, usable)
    ids = decoded.columns[settings.id] if settings.id is not None else pa.nulls(len(usable), pa.string())
    ids = ids if ids.type == pa.string() else pc.cast(ids, pa.string())
    schema = settings.schema.arrow
    payload = pa.RecordBatch.from_arrays([decoded.columns[name] for name in settings.schema.names], schema=schema)
    if not usable.all():
        payload = payload.filter(pa.array(usable))
    rejected = _rejected(settings.name, raw, decoded)
    if not raw.broken:
        return FileRows(arrival, event_time, usable, ids, payload, rejected, raw.digest)
    place = np.full(raw.records, -1, np.int64)
    place[raw.row] = np.arange(len(raw.row))
    is_row = place >= 0
    return FileRows(
        _spread(arrival, place),
        _spread(event_time, place),
        is_row & (_spread(usable.astype(np.int64), place) == 1),
        ids.take(pa.array(place, mask=~is_row)),
        payload,
        rejected,
        raw.digest,
    )


def _with_time(settings: SourceSettings) -> EventSchema:
    """Return the schema with an event time that may not be null: without one a record has no place in time."""
    fields = tuple(
        replace(field, nullable=False) if field.name == settings.time else field for field in settings.schema.fields
    )
    return replace(settings.schema, fields=fields)


def _times(column: pa.Array) -> I8:
    times: I8 = column.cast(pa.int64()).fill_null(UNREAD).to_numpy(zero_copy_only=False)
    return times


def _arrival(settings: SourceSettings, decoded: Decoded, event_time: I8, usable: NDArray[np.bool_]) -> I8:
    declared = np.where(event_time == UNREAD, UNREAD, event_time + settings.delay_us)
    if settings.arrived is None:
        return declared
    arrived = _times(decoded.columns[settings.arrived])
    return np.where((arrived == UNREAD) & usable, declared, arrived)


def _spread(values: I8, place: I8) -> I8:
    """Give each record of a file the value of its row, and the unreadable ones none."""
    spread = np.full(len(place), UNREAD, np.int64)
    spread[place >= 0] = values[place[place >= 0]]
    return spread


def _held(reason: str, raw: bytes) -> bytes:
    """Return what [events] keeps of a record: all of it, or its beginning if it is too large for that.

    A row of Parquet as JSON can be much longer than what it holds.
    """
    return raw if reason != TOO_LARGE and len(raw) <= RECORD_BYTES_MAX else raw[:FILE_BYTES_KEPT]


def _rejected(source: str, raw: RawFile, decoded: Decoded) -> pa.RecordBatch:
    """Return the records that are not usable, in the order of the file."""
    rows = np.flatnonzero(decoded.reason)
    if len(rows) == 0 and not raw.broken:
        return no_rows(REJECTED.schema)
    found = [
        (int(raw.row[row]), REASONS[decoded.reason[row]], decoded.errors[row], original)
        for row, original in zip(rows.tolist(), raw.originals(rows), strict=True)
    ]
    found += [(broken.row, broken.reason, broken.error, broken.raw) for broken in raw.broken]
    found.sort(key=lambda one: one[0])
    return pa.RecordBatch.from_arrays(
        [
            strings([source] * len(found)),
            strings([reason for _, reason, _, _ in found]),
            strings([error for _, _, error, _ in found]),
            pa.array([_held(why, kept) for _, why, _, kept in found], pa.binary()),
        ],
        schema=REJECTED.schema,
    )
