"""The records of one source on disk, in the order of their arrival: checked piece by piece, sorted by DuckDB.

Files whose records come in order are not sorted at all. DuckDB spills to disk, within the memory that it is given, and
is imported only where something must be sorted (extra `offline`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.core.errors import ConfigError, SurroundingsError
from headrace.core.records import I8
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.edge.archive_pieces import PIECE_BYTES, PIECE_ROWS, file_digest, read_pieces
from headrace.edge.files import RawFile, SourceFiles, read_file
from headrace.edge.source_rows import UNREAD, FileMark, FileRows, carried, check_fields, file_rows
from headrace.topics.schemas import REJECTED, no_rows

__all__ = ["SortedRows", "StagedSource", "sort_files"]

_ROW_GROUP: Final = 16_384
_MB: Final = 1_000_000
_SHARES: Final = 8
"""DuckDB takes a few times the size of what it sorts."""
_SAMPLES: Final = 64
_RANGES_MAX: Final = 500
"""Each has an open file."""
_RECORDS_MAX: Final = 2**32


@final
@dataclass(frozen=True, slots=True)
class SortedRows:
    """Some records of one source in the order of arrival, ties by number.

    number, arrival, event_time: i8[n], the number in the list of its files. usable: bool[n]. id: n texts, null where a
    record has none. payload: the usable records. rejected: the others.
    """

    number: I8
    arrival: I8
    event_time: I8
    usable: NDArray[np.bool_]
    id: pa.StringArray
    payload: pa.RecordBatch
    rejected: pa.RecordBatch

    def __len__(self) -> int:
        """Return n."""
        return len(self.number)

    def slice(self, start: int, stop: int) -> "SortedRows":
        """Return records start <= record < stop, without copying."""
        first = int(np.count_nonzero(self.usable[:start]))
        count = int(np.count_nonzero(self.usable[start:stop]))
        return SortedRows(
            self.number[start:stop],
            self.arrival[start:stop],
            self.event_time[start:stop],
            self.usable[start:stop],
            self.id.slice(start, stop - start),
            self.payload.slice(first, count),
            self.rejected.slice(start - first, stop - start - count),
        )


@final
class StagedSource:
    """All records of one source, judged, in files below `folder`.

    Raises SurroundingsError if a file cannot be opened or DuckDB is not installed where it is needed, ConfigError if
    the settings name a field that is not there.
    """

    def __init__(
        self,
        settings: SourceSettings,
        files: SourceFiles,
        folder: Path,
        *,
        memory_mb: int,
        piece_bytes: int = PIECE_BYTES,
        piece_rows: int = PIECE_ROWS,
    ) -> None:
        check_fields(settings)
        folder.mkdir(parents=True)
        self._settings = settings
        self._folder = folder
        self._piece_bytes, self._piece_rows = piece_bytes, piece_rows
        self._files: list[Path] = []
        self._last = UNREAD
        self._newest = UNREAD
        self._ordered = True
        self.records = 0
        """How many there are."""
        marks = []
        for path in files.paths:
            marks.append(FileMark(path.name, file_digest(path)))
            self._stage(path, files)
        if self.records >= _RECORDS_MAX:
            raise ConfigError(f"source {settings.name!r}", wanted="fewer than 2**32 records", got=self.records)
        self.files: Final = tuple(marks)
        """One mark a file, as `source_rows` has them."""
        if not self._ordered:
            self._files = sort_files(
                self._files, folder / "sorted", by="arrival", order="arrival, number", memory_mb=memory_mb
            )

    def rows(self) -> Iterator[SortedRows]:
        """Yield all records, in the order of arrival, ties by number."""
        for path in self._files:
            with pq.ParquetFile(path) as file:
                for place in range(file.metadata.num_row_groups):
                    yield _rows_of(file.read_row_group(place, use_threads=False), self._settings)

    def _stage(self, path: Path, files: SourceFiles) -> None:
        kind, schema = files.format, self._settings.schema
        staged = self._folder / f"{len(self._files):05d}.parquet"
        before = self.records, self._last, self._newest, self._ordered
        try:
            pieces = read_pieces(path, kind, schema, piece_bytes=self._piece_bytes, piece_rows=self._piece_rows)
            self._write(staged, pieces)
        except (pa.ArrowException, OSError, ValueError):
            if kind != "parquet":
                raise
            # It breaks off somewhere: then the whole file is one record that is unreadable.
            self.records, self._last, self._newest, self._ordered = before
            self._write(staged, iter([read_file(path, kind, schema)]))
        self._files.append(staged)

    def _write(self, staged: Path, pieces: Iterator[RawFile]) -> None:
        """Write the records of one file; those in front of its first time wait for it with `UNREAD`."""
        first = UNREAD
        waiting = 0
        schema = _staged_schema(self._settings)
        with pq.ParquetWriter(staged, schema, compression="lz4") as writer:
            for piece in pieces:
                rows = file_rows(self._settings, piece)
                if len(rows.arrival) == 0:
                    continue
                if self._last == UNREAD and (rows.arrival == UNREAD).all():
                    arrival = rows.arrival
                    waiting += len(arrival)
                else:
                    arrival = carried(rows.arrival, self._last)
                    first = int(arrival[0]) if first == UNREAD else first
                    self._last = int(arrival[-1])
                    steps = np.concatenate([[self._newest], arrival])
                    self._ordered &= bool((steps[1:] >= steps[:-1]).all())
                    self._newest = max(self._newest, int(arrival.max()))
                event_time = np.where(rows.event_time == UNREAD, arrival, rows.event_time)
                table = _staged(self._settings, rows, arrival, event_time, self.records)
                writer.write_table(table, row_group_size=_ROW_GROUP)
                self.records += len(arrival)
        if waiting:
            self._settle(staged, UNSPOKEN_US if first == UNREAD else first)

    def _settle(self, staged: Path, first: int) -> None:
        """Give the records in front of the first time of their file that time."""
        settled = staged.with_suffix(".settled")
        with pq.ParquetFile(staged) as file, pq.ParquetWriter(settled, file.schema_arrow, compression="lz4") as writer:
            for place in range(file.metadata.num_row_groups):
                table = file.read_row_group(place, use_threads=False)
                for name in ("arrival", "event_time"):
                    times = table[name].to_numpy()
                    column = pa.array(np.where(times == UNREAD, first, times))
                    table = table.set_column(table.column_names.index(name), name, column)
                writer.write_table(table)
        settled.replace(staged)


def sort_files(
    files: Sequence[Path], folder: Path, *, by: str, order: str, memory_mb: int, keep: bool = False
) -> list[Path]:
    """Sort the rows of Parquet files of one schema; return the files that hold them, one after the other.

    by: a column of whole numbers or times. order: what SQL says behind ORDER BY, with `by` first, and among equal ones
    in the order of the rows as they are. The files are removed, unless `keep`.

    Rows are dealt out to ranges of `by` that fit into memory, and DuckDB sorts one range after the other: given all
    at once, it holds them all where rows are long.

    Raises SurroundingsError if DuckDB is not installed, or finds no room.
    """
    duckdb = _duckdb()
    folder.mkdir(parents=True)
    most = memory_mb * _MB // _SHARES
    ranges = [_Range(path) for path in files]
    if sum(one.size for one in ranges) > most:
        ranges = _dealt(ranges, folder, by, most)
        if not keep:
            for path in files:
                path.unlink()
    else:
        ranges = [_Range(*files)]
    connection = duckdb.connect(":memory:", config={"memory_limit": f"{memory_mb}MB", "threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    found: list[Path] = []
    try:
        connection.execute(f"SET temp_directory = {_quoted(folder / 'spilled')}")
        for number, one in enumerate(ranges):
            if one.size > 2 * most and one.lowest < one.highest:  # The guess at its size was wrong.
                deeper = folder / f"{number:05d}"
                found += sort_files(one.paths, deeper, by=by, order=order, memory_mb=memory_mb)
                continue
            if len(one.paths) == 1 and one.lowest == one.highest and one.dealt:
                found.append(one.paths[0])  # In the order of the rows, which is theirs.
                continue
            found.append(folder / f"{number:05d}.sorted.parquet")
            names = ", ".join(_quoted(path) for path in one.paths)
            fitting = min(_rows_of_bytes(path) for path in one.paths)
            connection.execute(
                f"COPY (SELECT * FROM read_parquet([{names}]) ORDER BY {order}) "  # noqa: S608 - the names are our own
                f"TO {_quoted(found[-1])} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {max(2_048, fitting)})"
            )
            for path in one.paths if one.dealt or not keep else ():
                path.unlink()
    except duckdb.Error as error:
        raise SurroundingsError("sorting", wanted="room to sort in (--memory-mb, or disk)", got=str(error)) from error
    finally:
        connection.close()
    return found


@final
class _Range:
    """Rows that are sorted together, their size in memory, and the least and greatest of what they are sorted by."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.dealt = False
        self.lowest, self.highest = 0, 1
        self.size = sum(pq.read_metadata(path).row_group(n).total_byte_size for path in paths for n in _groups(path))


def _groups(path: Path) -> range:
    return range(pq.read_metadata(path).num_row_groups)


def _dealt(files: Sequence[_Range], folder: Path, by: str, most: int) -> list[_Range]:
    """Deal rows out to files by ranges, each of about `most` bytes; rows of a range keep their order."""
    paths = [path for one in files for path in one.paths]
    size = sum(one.size for one in files)
    edges = _edges(paths, by, min(-(-size // most), _RANGES_MAX))
    writers: dict[int, pq.ParquetWriter] = {}
    bounds: dict[int, tuple[int, int]] = {}
    try:
        for table in _tables(paths):
            values = _by(table, by)
            number = np.searchsorted(edges, values, side="right")
            for place in np.unique(number).tolist():
                rows = np.flatnonzero(number == place)
                if place not in writers:
                    path = folder / f"{place:05d}.dealt.parquet"
                    writers[place] = pq.ParquetWriter(path, table.schema, compression="lz4")
                writers[place].write_table(table.take(pa.array(rows)), row_group_size=_ROW_GROUP)
                mine = int(values[rows].min()), int(values[rows].max())
                known = bounds.get(place, mine)
                bounds[place] = min(known[0], mine[0]), max(known[1], mine[1])
    finally:
        for writer in writers.values():
            writer.close()
    ranges = []
    for place in sorted(writers):
        one = _Range(folder / f"{place:05d}.dealt.parquet")
        one.dealt = True
        one.lowest, one.highest = bounds[place]
        ranges.append(one)
    return ranges


def _edges(paths: Sequence[Path], by: str, count: int) -> I8:
    """Return where ranges begin, so that about equally many rows lie in each; a value of many rows has its own."""
    told = []
    for table in _tables(paths, [by]):
        values = np.sort(_by(table, by), kind="stable")
        # Some of each piece, evenly spaced: as many as its share of the rows.
        told.append(values[:: max(1, len(values) // _SAMPLES)])
    samples = np.sort(np.concatenate(told), kind="stable")
    cuts = samples[len(samples) * np.arange(1, count) // count]
    again = cuts[1:][cuts[1:] == cuts[:-1]]
    edges: I8 = np.unique(np.concatenate([cuts, again + 1]))
    return edges


def _tables(paths: Sequence[Path], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the groups of rows, kept small by whoever wrote them; `iter_batches` would hold a whole file."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for place in range(file.metadata.num_row_groups):
                yield file.read_row_group(place, columns=columns, use_threads=False)


def _rows_of_bytes(path: Path) -> int:
    """Return how many rows of a file to hold at once: fewer where they are long."""
    data = pq.read_metadata(path)
    size = sum(int(data.row_group(place).total_byte_size) for place in range(data.num_row_groups))
    return max(1, min(_ROW_GROUP, PIECE_BYTES * int(data.num_rows) // max(size, 1)))


def _by(table: pa.Table, by: str) -> I8:
    values: I8 = table[by].cast(pa.int64()).to_numpy()
    return values


def _duckdb() -> ModuleType:
    try:
        import duckdb  # noqa: PLC0415 - only those who sort need it
    except ImportError as error:
        raise SurroundingsError("duckdb", wanted="pip install 'headrace[offline]'", got="none") from error
    return duckdb


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _staged_schema(settings: SourceSettings) -> pa.Schema:
    """Return the columns on disk: fields of the payload by their place, times as numbers, which every reader keeps."""
    spine = [("number", pa.int64()), ("arrival", pa.int64()), ("event_time", pa.int64()), ("usable", pa.bool_())]
    fields = [(f"f{place}", _kept(field.type)) for place, field in enumerate(settings.schema.arrow)]
    rejected = [(f"r{place}", field.type) for place, field in enumerate(REJECTED.schema)]
    return pa.schema([*spine, ("id", pa.string()), *fields, *rejected])


def _kept(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _staged(settings: SourceSettings, rows: FileRows, arrival: I8, event_time: I8, number: int) -> pa.Table:
    count = len(arrival)
    schema = _staged_schema(settings)
    usable = _places(rows.usable)
    rejected = _places(~rows.usable)
    columns = [pa.array(np.arange(number, number + count)), pa.array(arrival), pa.array(event_time)]
    columns += [pa.array(rows.usable), rows.id]
    columns += [column.cast(_kept(column.type)).take(usable) for column in rows.payload]
    columns += [column.take(rejected) for column in rows.rejected]
    return pa.Table.from_arrays(columns, schema=schema)


def _places(mine: NDArray[np.bool_]) -> pa.Array:
    """Return for each record its place among those of its own sort, null for the others."""
    return pa.array(np.cumsum(mine) - 1, mask=~mine)


def _rows_of(table: pa.Table, settings: SourceSettings) -> SortedRows:
    usable = table["usable"].to_numpy()
    schema = settings.schema.arrow
    return SortedRows(
        table["number"].to_numpy(),
        table["arrival"].to_numpy(),
        table["event_time"].to_numpy(),
        usable,
        _whole(table["id"], pa.string()),
        _payload(table, "f", schema, usable),
        _payload(table, "r", REJECTED.schema, ~usable),
    )


def _payload(table: pa.Table, prefix: str, schema: pa.Schema, mine: NDArray[np.bool_]) -> pa.RecordBatch:
    if not mine.any():
        return no_rows(schema)
    rows = None if mine.all() else pa.array(np.flatnonzero(mine))
    columns = []
    for place, field in enumerate(schema):
        column = _whole(table[f"{prefix}{place}"], _kept(field.type))
        columns.append((column if rows is None else column.take(rows)).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    one = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    return one if one.type == kind else one.cast(kind)
