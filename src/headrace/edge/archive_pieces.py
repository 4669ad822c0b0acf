"""A file read piece by piece: the rows that `files.read_file` gives at once, in memory that does not grow with it.

Lines are judged by themselves and a batch of Parquet by its rows, so the pieces together give what the whole gives. A
Parquet file that cannot be decoded to its end is one record that is unreadable: whoever reads pieces must then drop
what it has, and read the file whole (`read_pieces` raises what Arrow raises).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, final

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import SurroundingsError
from headrace.core.records import I8
from headrace.core.schema import EventSchema
from headrace.edge.files import Format, RawFile, json_of, plain_table, raw_lines, raw_table, read_file, readable_table
from headrace.edge.lines import Lines

__all__ = ["PIECE_BYTES", "PIECE_ROWS", "file_digest", "read_pieces"]

PIECE_BYTES: Final = 8 << 20
PIECE_ROWS: Final = 65_536


def file_digest(path: Path) -> str:
    """Return what `files.digest_of` returns of the whole file.

    Raises SurroundingsError if it cannot be read.
    """
    digest = blake2b(digest_size=16)
    with _opened(path) as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def read_pieces(
    path: Path, kind: Format, schema: EventSchema, *, piece_bytes: int = PIECE_BYTES, piece_rows: int = PIECE_ROWS
) -> Iterator[RawFile]:
    """Yield the records of a file, some at a time; their numbers begin at 0 in each piece.

    One line, or one row of Parquet, must fit into memory. Raises SurroundingsError if the file cannot be opened, and
    for a Parquet file that cannot be decoded what Arrow raises.
    """
    return _parquet(path, schema, piece_rows) if kind == "parquet" else _lines(path, kind, schema, piece_bytes)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SurroundingsError(f"file {path.name}", wanted="a file that can be read", got=str(error)) from error


def _lines(path: Path, kind: Format, schema: EventSchema, piece_bytes: int) -> Iterator[RawFile]:
    header: bytes | None = None
    found, first = False, True
    with _opened(path) as file:
        for text in _whole_lines(file, piece_bytes):
            lines = Lines.of(text)
            if len(lines) == 0:
                continue
            found = True
            if kind == "jsonl":
                # A byte order mark belongs to the beginning of the file; behind an end of line it is a bad line.
                yield raw_lines(lines if first else Lines.of(b"\n" + text), kind, schema)
                first = False
            elif header is None:
                header = lines.text(0) + b"\n"
                yield raw_lines(lines, kind, schema)
            else:
                yield _without_header(raw_lines(Lines.of(header + text), kind, schema), len(lines))
    if not found:
        yield read_file(path, kind, schema)


def _without_header(piece: RawFile, records: int) -> RawFile:
    """Return a piece as if no header stood before it: one that cannot be read is a record, and was counted before."""
    if piece.records == records:
        return piece
    broken = tuple(replace(one, row=one.row - 1) for one in piece.broken[1:])
    return replace(piece, records=records, broken=broken)


def _whole_lines(file: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    """Cut a file behind ends of lines."""
    rest = b""
    while piece := file.read(piece_bytes):
        text = rest + piece
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        rest = text[end:]
    if rest:
        yield rest


def _parquet(path: Path, schema: EventSchema, piece_rows: int) -> Iterator[RawFile]:
    with _opened(path):
        pass  # Whether it may be read is asked before Arrow says that it is no Parquet file.
    with pq.ParquetFile(path) as file:
        names = [name for name in schema.names if name in file.schema_arrow.names]
        for group in range(file.metadata.num_row_groups):
            rows, size = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).total_byte_size
            # Where rows are long, fewer of them.
            piece = max(1, min(piece_rows, PIECE_BYTES * rows // max(size, 1)))
            whole = _Whole(file, group, piece)
            start = 0
            for batch in file.iter_batches(piece, row_groups=[group], columns=names or None, use_threads=False):
                # Without any of the columns each row is still a record.
                table = pa.table({"": pa.nulls(len(batch))}) if not names else plain_table(pa.table(batch))
                table = readable_table(table)
                yield raw_table(table, "", whole.rows_of(start // piece, table))
                start += len(batch)
            if start != rows:
                raise pa.ArrowInvalid(f"row group {group} of {rows} rows gave {start}")


@final
class _Whole:
    """The batches of one group with all columns, read only where a record is rejected; the numbers rise."""

    def __init__(self, file: pq.ParquetFile, group: int, piece_rows: int) -> None:
        self._batches = file.iter_batches(piece_rows, row_groups=[group], use_threads=False)
        self._next = 0

    def rows_of(self, number: int, wanted: pa.Table) -> Callable[[I8], list[bytes]]:
        """Return what gives the original of some rows of batch `number`, as JSON."""

        def originals(rows: I8) -> list[bytes]:
            return json_of(self._read(number, wanted), rows)

        return originals

    def _read(self, number: int, wanted: pa.Table) -> pa.Table:
        try:
            while self._next < number:
                next(self._batches)
                self._next += 1
            table = plain_table(pa.table(next(self._batches)))
            self._next += 1
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError, StopIteration):
            return wanted  # What can be read of it was read already.
        return table
