"""An archive: the rows of [events] as Parquet files in the order of the log, for whoever reads a history in parts.

    ARCHIVE/archive.json  partition=0000/part-00000.parquet  part-00001.parquet ...

A file has the columns of the spine (`_arrival_time`, `_sub`, `_stream`, `_event_time`, `_verdict`, `_id`) and one
column a stream, a struct of its payload that is null in the rows of the others. Groups of rows are read one by one.

`archive.json` is written last: a folder without it is no archive. It holds, for each group, what a reader must know of
the rows before it in order to begin there: how far the event time of each source had come, and which had ended.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.records import I8, Batch, Kind, StreamSchema, Verdict
from headrace.core.time import UNSPOKEN_US

__all__ = ["GROUP_ROWS", "PARTITION", "Archive", "ArchiveWriter", "Group", "replace_whole"]

GROUP_ROWS: Final = 65_536
"""Rows of a group, which is what is held in memory at once."""
PARTITION: Final = "partition=0000"
"""The one partition of [events]."""
_FORMAT: Final = 1
_NAME: Final = "archive.json"
_GROUPS_A_FILE: Final = 64
_GROUP_BYTES: Final = 16 << 20
_TIME: Final = pa.timestamp("us", tz="UTC")
_SPINE: Final = (
    pa.field("_arrival_time", _TIME),
    pa.field("_sub", pa.int64()),
    pa.field("_stream", pa.uint8()),
    pa.field("_event_time", _TIME),
    pa.field("_verdict", pa.uint8()),
    pa.field("_id", pa.string()),
)


@final
@dataclass(frozen=True, slots=True)
class Group:
    """One group of rows, and what stood before it.

    file, place: where it lies. first, rows: the number of its first row in the archive, and how many there are.
    newest_us: the highest event time among its rows that count, UNSPOKEN_US for none. reached: for each source that had
    spoken before, the highest event time. ended: the sources that had ended.
    """

    file: str
    place: int
    first: int
    rows: int
    newest_us: int
    reached: Mapping[str, int]
    ended: tuple[str, ...]

    @property
    def stop(self) -> int:
        """Return the number behind its last row."""
        return self.first + self.rows


@final
class ArchiveWriter:
    """Writes rows in the order in which they are given, in groups of `GROUP_ROWS`, into a folder without an archive.

    `streams` are those of the batches. Raises SurroundingsError if there is an archive already.
    """

    def __init__(self, folder: Path, streams: Sequence[StreamSchema], *, group_rows: int = GROUP_ROWS) -> None:
        if (folder / _NAME).exists():
            raise SurroundingsError(f"archive {folder}", wanted="a folder without an archive", got="one that is whole")
        self._folder = folder
        self._streams = tuple(streams)
        self._group_rows = group_rows
        self._schema = pa.schema([*_SPINE, *(pa.field(stream.name, _struct(stream)) for stream in streams)])
        self._held: list[Batch] = []
        self._size = 0
        self._rows = 0
        self._groups: list[Group] = []
        self._writer: pq.ParquetWriter | None = None
        self._file = ""
        self._reached: dict[str, int] = {}
        self._ended: list[str] = []
        partition = folder / PARTITION
        partition.mkdir(parents=True, exist_ok=True)
        for old in sorted(partition.glob("*.parquet")):  # Of an attempt that did not come to its end.
            old.unlink()

    @property
    def rows(self) -> int:
        """Return how many rows were given."""
        return self._rows + sum(map(len, self._held))

    def write(self, batch: Batch) -> None:
        """Take rows; whole groups go to the disk."""
        self._held.append(batch)
        self._size += sum(payload.nbytes for payload in batch.payloads)
        if sum(map(len, self._held)) < self._group_rows and self._size < _GROUP_BYTES:
            return
        whole = Batch.concat(self._held)
        start = 0
        while len(whole) - start >= self._group_rows:
            self._write_group(whole.slice(start, start + self._group_rows))
            start += self._group_rows
        if self._size >= _GROUP_BYTES and start < len(whole):  # Where rows are long, a group has fewer of them.
            self._write_group(whole.slice(start, len(whole)))
            start = len(whole)
        self._size = 0
        rest = whole.slice(start, len(whole))
        # What is left is copied, so that it does not hold the whole batch.
        self._held = [rest.take(np.arange(len(rest)))] if len(rest) else []

    def close(self, told: Mapping[str, Any]) -> None:
        """Write what is left, and then `archive.json` with what is told of the whole."""
        if self.rows > self._rows:
            self._write_group(Batch.concat(self._held))
            self._held = []
        if self._writer is not None:
            self._writer.close()
        whole = {
            "format": _FORMAT,
            "rows": self._rows,
            "streams": [
                {"name": stream.name, "kind": int(stream.kind), "schema": stream.schema.serialize().to_pybytes().hex()}
                for stream in self._streams
            ],
            "groups": [
                {
                    "file": group.file,
                    "place": group.place,
                    "first": group.first,
                    "rows": group.rows,
                    "newest_us": group.newest_us,
                    "reached": dict(group.reached),
                    "ended": list(group.ended),
                }
                for group in self._groups
            ],
            **told,
        }
        replace_whole(self._folder / _NAME, json.dumps(whole, sort_keys=True).encode())

    def _write_group(self, batch: Batch) -> None:
        if len(self._groups) % _GROUPS_A_FILE == 0:
            if self._writer is not None:
                self._writer.close()
            self._file = f"part-{len(self._groups) // _GROUPS_A_FILE:05d}.parquet"
            path = self._folder / PARTITION / self._file
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        if self._writer is None:
            raise StateError("archive", wanted="an open file", got="none")
        columns = [
            pa.array(batch.arrival_time).cast(_TIME),
            pa.array(batch.sub),
            pa.array(batch.stream),
            pa.array(batch.event_time).cast(_TIME),
            pa.array(batch.verdict),
            batch.id,
            *(_scattered(batch, number, stream) for number, stream in enumerate(self._streams)),
        ]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=self._group_rows)
        counts = _counting(batch, self._streams)
        newest = int(batch.event_time[counts].max()) if counts.any() else UNSPOKEN_US
        place = len(self._groups) % _GROUPS_A_FILE
        before = (dict(self._reached), tuple(self._ended))
        self._groups.append(Group(self._file, place, self._rows, len(batch), newest, *before))
        self._see(batch, counts)
        self._rows += len(batch)

    def _see(self, batch: Batch, counts: "np.ndarray[Any, np.dtype[np.bool_]]") -> None:
        """Note how far each source has come, and which have ended."""
        for number, stream in enumerate(self._streams):
            if stream.kind == Kind.TICK:
                self._ended += batch.payloads[number]["source"].to_pylist()
                continue
            rows = np.flatnonzero((batch.stream == number) & counts)
            if len(rows):
                newest = int(batch.event_time[rows].max())
                self._reached[stream.name] = max(newest, self._reached.get(stream.name, newest))


@final
class Archive:
    """An archive that is whole, to be read group by group.

    Raises StateError if there is none in the folder, or one that this version cannot read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            text = (folder / _NAME).read_bytes()
        except OSError as error:
            wanted = f"an archive, with {_NAME} in it (headrace import FILE --into {folder})"
            raise StateError(f"archive {folder}", wanted=wanted, got=f"{error}") from error
        self.folder: Final = folder
        self.digest: Final = blake2b(text, digest_size=16).hexdigest()
        """What tells this archive from every other one."""
        self.told: Final[dict[str, Any]] = json.loads(text)
        if self.told.get("format") != _FORMAT:
            raise StateError(f"archive {folder}", wanted=f"format {_FORMAT} (import it again)", got=self.told["format"])
        self.rows: Final = int(self.told["rows"])
        self.groups: Final = tuple(
            Group(
                entry["file"],
                entry["place"],
                entry["first"],
                entry["rows"],
                entry["newest_us"],
                entry["reached"],
                tuple(entry["ended"]),
            )
            for entry in self.told["groups"]
        )
        self.streams: Final = tuple(
            StreamSchema(
                entry["name"],
                Kind(entry["kind"]),
                pa.ipc.read_schema(pa.BufferReader(bytes.fromhex(entry["schema"]))),
            )
            for entry in self.told["streams"]
        )
        """The streams of its rows, in order."""
        self._open: tuple[str, pq.ParquetFile] | None = None

    @property
    def files(self) -> list[Path]:
        """Return the files, in order."""
        return [self.folder / PARTITION / name for name in dict.fromkeys(group.file for group in self.groups)]

    def batches(self, first: int = 0, stop: int | None = None) -> Iterator[tuple[Group, Batch]]:
        """Yield the groups number `first` to `stop` with their rows."""
        for group in self.groups[first:stop]:
            yield group, self.batch(group)

    def batch(self, group: Group) -> Batch:
        """Read one group."""
        if self._open is None or self._open[0] != group.file:
            if self._open is not None:
                self._open[1].close()
            self._open = group.file, pq.ParquetFile(self.folder / PARTITION / group.file)
        return batch_of(self._open[1].read_row_group(group.place, use_threads=False), self.streams)


def batch_of(table: pa.Table, streams: Sequence[StreamSchema]) -> Batch:
    """Return rows as they were before they were written."""
    whole = table.combine_chunks()
    stream = _numbers(whole["_stream"]).astype(np.uint8)
    arrival = _numbers(whole["_arrival_time"].cast(pa.int64()))
    ids = _one(whole["_id"])
    payloads = []
    for number, entry in enumerate(streams):
        rows = np.flatnonzero(stream == number)
        column = _one(whole[entry.name])
        own = column if len(rows) == len(column) else column.take(pa.array(rows))
        payloads.append(pa.RecordBatch.from_arrays(own.flatten(), schema=entry.schema))
    return Batch(
        arrival,
        _numbers(whole["_sub"]),
        stream,
        _numbers(whole["_event_time"].cast(pa.int64())),
        arrival,
        _numbers(whole["_verdict"]).astype(np.uint8),
        ids,
        tuple(payloads),
    )


def replace_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)


def _struct(stream: StreamSchema) -> pa.StructType:
    return pa.struct([pa.field(field.name, field.type) for field in stream.schema])


def _scattered(batch: Batch, number: int, stream: StreamSchema) -> pa.StructArray:
    """Return a stream's payload with one entry a row of the spine, null in the rows of the others."""
    payload = batch.payloads[number]
    kind = _struct(stream)
    if payload.num_rows == 0:
        return pa.nulls(len(batch), kind)
    own = pa.StructArray.from_arrays(
        [column.cast(kind[place].type) for place, column in enumerate(payload)], fields=list(kind)
    )
    if len(own) == len(batch):
        return own
    place = np.zeros(len(batch), np.int64)
    rows = batch.rows_of(number)
    place[rows] = np.arange(len(rows))
    others = np.ones(len(batch), np.bool_)
    others[rows] = False
    return own.take(pa.array(place, mask=others))


def _counting(batch: Batch, streams: Sequence[StreamSchema]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return the rows that move event time: records that are in time or late."""
    records = np.array([stream.kind in (Kind.REQUEST, Kind.EVENT) and stream.name != "rejected" for stream in streams])
    counts: np.ndarray[Any, np.dtype[np.bool_]] = records[batch.stream] & (
        (batch.verdict == Verdict.OK) | (batch.verdict == Verdict.LATE)
    )
    return counts


def _one(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else pa.array([], column.type)
    )


def _numbers(column: pa.ChunkedArray) -> I8:
    numbers: I8 = _one(column).to_numpy(zero_copy_only=False)
    return numbers
