"""Files become raw rows: Parquet, CSV and JSON lines. A bad row or a bad file gives a reason, never an error.

One line is one record: a quoted field of CSV may hold no end of line, so that a quote that nobody closed spoils one
line and not the rest of the file. Empty lines are no records. A CSV file must end with an end of line: without it
nobody can tell a last number from the beginning of a longer one, and its last line is `malformed`. An empty field of
CSV is null, quoted or not. An object of JSON may be nested `NESTED_MAX` deep: what lies deeper takes down parsers.

Lines are parsed in large pieces. From a piece that the parser refuses, the lines that are bad by themselves are set
aside, and the rest is cut until any other bad line stands alone. So a line is judged the same whatever stands
around it, and a good file is parsed once.
"""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from re import Pattern
from re import compile as compiled
from typing import Any, Final, Literal, TypeAlias, final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.core.errors import RecordError, SurroundingsError
from headrace.core.records import I8
from headrace.core.schema import EventSchema, FieldSchema
from headrace.edge.decode import NOTHING_WRONG, RECORD_BYTES_MAX, Wrong
from headrace.edge.lines import Lines
from headrace.edge.plain import plain_column, plain_values
from headrace.edge.reasons import EMPTY_FILE, MALFORMED, TOO_LARGE, UNREADABLE_FILE

__all__ = [
    "FILE_BYTES_KEPT",
    "NESTED_MAX",
    "Broken",
    "Format",
    "RawFile",
    "SourceFiles",
    "digest_of",
    "json_of",
    "plain_table",
    "raw_lines",
    "raw_table",
    "read_file",
    "readable_table",
]

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]
FILE_BYTES_KEPT: Final = 64 * 1024
"""How much is kept of a file, or of a record, that is too large to be kept whole in [events]."""
_PIECE_BYTES: Final = 32 << 20
_ALONE: Final = 32
_PARTS: Final = 16
"""Into how many parts a refused piece is cut: every level of cutting parses its bad parts once more."""
_SHOWN_MAX: Final = 200
_BARE_INF: Final[Pattern[bytes]] = compiled(rb"[\s:,\[-]Inf(?!inity)")
_FIELD: Final = rb'(?:"(?:[^"]|"")*+"(?:[^,"][^,]*+)?|[^",][^,]*+|)'
_QUOTES_CLOSED: Final[Pattern[bytes]] = compiled(_FIELD + b"(?:," + _FIELD + b")*+")
_MINUS_ZERO: Final = -0.0
NESTED_MAX: Final = 64
"""How deep an object of JSON may be nested."""
_TEXT: Final[Pattern[bytes]] = compiled(rb'"(?:[^"\\]|\\.)*+"?')
_DIGITS_MAX: Final = 400
"""A whole number of more digits is infinite as a float, and no integer of 64 bits; Python refuses the longest ones."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """The files of one source, in the order in which their rows are numbered. Later files may be appended."""

    paths: tuple[Path, ...]
    format: Format


@final
@dataclass(frozen=True, slots=True)
class Broken:
    """A record that gave no row: its number among the records of its file, and what is left of it."""

    row: int
    reason: str
    error: str
    raw: bytes


@final
@dataclass(frozen=True, slots=True)
class RawFile:
    """The records of one file. Each is either a row of `table` or in `broken`.

    row: i8[m], the number of each table row among the records of the file, rising. `texts` and `wrong` are what
    `decode` wants to know. `originals` gives the original bytes of some table rows; a Parquet row as JSON.
    """

    digest: str
    records: int
    row: I8
    table: pa.Table
    broken: tuple[Broken, ...]
    originals: Callable[[I8], list[bytes]]
    wrong: Wrong
    texts: bool = False


def digest_of(data: bytes) -> str:
    """Return the digest by which a file is known again: blake2b, 32 hex digits."""
    return blake2b(data, digest_size=16).hexdigest()


def read_file(path: Path, kind: Format, schema: EventSchema) -> RawFile:
    """Read one file into memory.

    Raises SurroundingsError if the file is not there or may not be read: that is nobody's bad record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SurroundingsError(f"file {path.name}", wanted="a file that can be read", got=str(error)) from error
    if not data:
        return _empty(path.name, data)
    if kind == "parquet":
        return _parquet(path.name, data, schema)
    lines = Lines.of(data)
    if len(lines) == 0:
        return _empty(path.name, data)
    return raw_lines(lines, kind, schema)


def raw_lines(lines: Lines, kind: Format, schema: EventSchema) -> RawFile:
    """Read the lines of a file of CSV (the first one is its header) or of JSON; there is at least one."""
    return _csv(lines, schema) if kind == "csv" else _jsonl(lines, schema)


def _empty(name: str, data: bytes) -> RawFile:
    error = str(RecordError(f"file {name}", wanted="records", got=f"{len(data)} bytes without any"))
    return _unread(data, Broken(0, EMPTY_FILE, error, data[:FILE_BYTES_KEPT]))


def _unread(data: bytes, broken: Broken) -> RawFile:
    return RawFile(digest_of(data), 1, np.zeros(0, np.int64), pa.table({}), (broken,), lambda _: [], NOTHING_WRONG)


def _parquet(name: str, data: bytes, schema: EventSchema) -> RawFile:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = [name for name in schema.names if name in file.schema_arrow.names]
        # A column that the file lacks is null for each of its rows, so their number must be kept without any column.
        table = file.read(columns=names) if names else pa.table({"": pa.nulls(file.metadata.num_rows)})
        table = plain_table(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        got = f"{len(data)} bytes, blake2b {digest_of(data)}: {_cut(str(error))}"
        error_text = str(RecordError(f"file {name}", wanted="a whole Parquet file", got=got))
        return _unread(data, Broken(0, UNREADABLE_FILE, error_text, data[:FILE_BYTES_KEPT]))
    readable = readable_table(table)
    return raw_table(readable, digest_of(data), lambda rows: _parquet_rows(file, readable, rows))


def raw_table(table: pa.Table, digest: str, originals: Callable[[I8], list[bytes]]) -> RawFile:
    """Return the rows of a table that is plain and readable, each of which is a record."""
    return RawFile(digest, table.num_rows, np.arange(table.num_rows), table, (), originals, NOTHING_WRONG)


def readable_table(table: pa.Table) -> pa.Table:
    """Return a table in which no text is other than UTF-8: where one is, all are bytes, for `decode` to judge."""
    try:
        table.validate(full=True)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _without_texts(table)
    return table


def plain_table(table: pa.Table) -> pa.Table:
    """Return every column as `plain_column` has it."""
    return pa.table([plain_column(column) for column in table.columns], names=table.column_names)


def _without_texts(table: pa.Table) -> pa.Table:
    """Return text as bytes: some of it is no UTF-8, and `decode` finds out which."""
    return pa.table(
        [pc.cast(column, pa.binary()) if pa.types.is_string(column.type) else column for column in table.columns],
        names=table.column_names,
    )


def _parquet_rows(file: pq.ParquetFile, wanted: pa.Table, rows: I8) -> list[bytes]:
    """Return some rows as JSON, with the columns that the schema does not name: one of them may be the renamed one."""
    counts = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    stops = np.cumsum([0, *counts])
    told: list[bytes] = []
    for group in np.unique(np.searchsorted(stops, rows, side="right") - 1).tolist():
        own = rows[(rows >= stops[group]) & (rows < stops[group + 1])] - stops[group]
        try:
            table = plain_table(file.read_row_group(group))
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError):
            table = wanted.slice(stops[group], counts[group])  # What can be read of it was read already.
        told += json_of(table, own)
    return told


def json_of(table: pa.Table, rows: I8) -> list[bytes]:
    """Return some rows as JSON; times as text, since Python cannot hold every time that Arrow can."""
    columns = [plain_values(_taken(column, rows)) for column in table.columns]
    pairs = [zip(table.column_names, row, strict=True) for row in zip(*columns, strict=True)]
    return [b"{%s}" % b", ".join(_pair(name, value) for name, value in row) for row in pairs]


def _taken(column: pa.ChunkedArray, rows: I8) -> pa.ChunkedArray:
    """Return some rows of a column, of whatever type: Arrow cannot take from all of them at once."""
    try:
        return column.take(pa.array(rows))
    except pa.ArrowNotImplementedError:
        return pa.chunked_array([chunk for row in rows.tolist() for chunk in column.slice(row, 1).chunks], column.type)


def _pair(name: str, value: object) -> bytes:
    """Return one member of an object; written singly, since a file may have two columns of one name."""
    return f"{json.dumps(name)}: {json.dumps(value, default=_text_of)}".encode()


def _text_of(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _pieces(lines: Lines, kept: I8) -> list[I8]:
    """Cut lines into runs of about `_PIECE_BYTES`."""
    if len(kept) == 0:
        return []
    number = (lines.start[kept] - lines.start[kept[0]]) // _PIECE_BYTES
    return np.split(kept, np.flatnonzero(np.diff(number)) + 1)


def _large(lines: Lines, first: int) -> tuple[I8, list[Broken]]:
    """Return the lines from `first` on that a record may be, and the others."""
    sizes = lines.stop - lines.start
    every = np.arange(first, len(lines))
    large = sizes[first:] > RECORD_BYTES_MAX
    broken = []
    for line in every[large].tolist():
        raw = lines.text(line)
        got = f"{len(raw)} bytes, blake2b {digest_of(raw)}"
        error = str(RecordError("record", wanted=f"at most {RECORD_BYTES_MAX} bytes", got=got))
        broken.append(Broken(line - first, TOO_LARGE, error, raw[:FILE_BYTES_KEPT]))
    return every[~large], broken


def _csv(lines: Lines, schema: EventSchema) -> RawFile:
    data, header = lines.data, lines.text(0)
    names = _header(header)
    if not names or (len(lines) <= 1 and not lines.closed):
        error = str(
            RecordError("header", wanted="the names of the fields, as a whole line of UTF-8", got=_shown(header))
        )
        broken = [Broken(0, MALFORMED, error, header[:FILE_BYTES_KEPT])]
        # Without names no later line can be read, but each of them is still a record that was received.
        broken += [
            Broken(
                line,
                MALFORMED,
                "header: wanted names to read this line by, got none",
                lines.text(line)[:FILE_BYTES_KEPT],
            )
            for line in range(1, len(lines))
        ]
        return RawFile(
            digest_of(data),
            len(broken),
            np.zeros(0, np.int64),
            pa.table({}),
            tuple(broken),
            lambda _: [],
            NOTHING_WRONG,
        )
    kept, broken = _large(lines, 1)
    if not lines.closed and len(kept) and kept[-1] == len(lines) - 1:
        error = str(
            RecordError("line", wanted="an end of line (without it the file may have been cut)", got="the file's end")
        )
        broken.append(Broken(len(lines) - 2, MALFORMED, error, lines.text(len(lines) - 1)))
        kept = kept[:-1]
    if data.count(b"\r") != data.count(b"\r\n"):
        returned = np.array([b"\r" in text for text in lines.texts(kept)], np.bool_)
        broken += [
            Broken(line - 1, MALFORMED, "line: wanted one line, got a carriage return inside of it", lines.text(line))
            for line in kept[returned].tolist()
        ]
        kept = kept[~returned]
    parser = _CsvParser(lines, names, [name for name in schema.names if name in names])
    for piece in _pieces(lines, kept):
        parser.parse(piece)
    broken += parser.broken
    row = np.concatenate([np.zeros(0, np.int64), *parser.rows]) - 1
    table = pa.concat_tables(parser.tables) if parser.tables else pa.table({})
    return RawFile(
        digest_of(data),
        len(lines) - 1,
        row,
        table,
        tuple(sorted(broken, key=lambda one: one.row)),
        lambda rows: lines.texts(row[rows] + 1),
        NOTHING_WRONG,
        texts=True,
    )


def _header(header: bytes) -> list[str] | None:
    try:
        return next(csv.reader([header.decode()], strict=True), None)
    except (UnicodeDecodeError, csv.Error):
        return None


@final
class _CsvParser:
    """Parses lines of CSV, collecting tables of texts, the lines they came from, and the lines that do not parse."""

    def __init__(self, lines: Lines, names: list[str], wanted: list[str]) -> None:
        self._lines = lines
        self._names = names
        # A file may have two columns of one name, so the parser knows them by their numbers. One that has none of the
        # fields still has rows; its first column counts them.
        self._wanted = [place for place, name in enumerate(names) if name in wanted] or [0]
        self._numbers = [str(place) for place in range(len(names))]
        # A guard behind the last line: a quote that is left open swallows it, and then the rows do not add up.
        self._guard = ("x" + "," * (len(names) - 1) + "\n").encode()
        self.tables: list[pa.Table] = []
        self.rows: list[I8] = []
        self.broken: list[Broken] = []

    def parse(self, piece: I8) -> None:
        """Parse some lines, cutting around those that the parser refuses."""
        text = self._lines.joined(piece) + self._guard
        failed: list[tuple[int, int]] = []

        def skip(row: Any) -> str:
            failed.append((row.number - 1, row.actual_columns))
            return "skip"

        try:
            if not text.isascii():
                text.decode()
            table = arrow_csv.read_csv(
                pa.BufferReader(text),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, column_names=self._numbers, block_size=len(text) + 1
                ),
                parse_options=arrow_csv.ParseOptions(invalid_row_handler=skip),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self._numbers, pa.string()),
                    include_columns=[self._numbers[place] for place in self._wanted],
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
        except (pa.ArrowInvalid, UnicodeDecodeError):
            table = None
        if table is not None and table.num_rows + len(failed) == len(piece) + 1:
            good = np.ones(len(piece), np.bool_)
            good[[line for line, _ in failed]] = False
            named = table.rename_columns([self._names[place] for place in self._wanted])
            self.tables.append(named.slice(0, table.num_rows - 1))
            self.rows.append(piece[good])
            for line, columns in failed:
                self._break(int(piece[line]), f"{len(self._names)} fields, as the header has", f"{columns}")
        elif len(readable := self.readable_table(piece)) < len(piece):
            if len(readable):
                self.parse(readable)
        elif len(piece) == 1:
            self._break_unreadable(int(piece[0]))
        else:
            for part in np.array_split(piece, min(_PARTS, len(piece))):
                self.parse(part)

    def readable_table(self, piece: I8) -> I8:
        """Set aside the lines with an open quote or no UTF-8; without this, each of them would cost many cuts."""
        texts = self._lines.texts(piece)
        good = np.array([_QUOTES_CLOSED.fullmatch(text) is not None and _is_utf8(text) for text in texts], np.bool_)
        for line in piece[~good].tolist():
            self._break_unreadable(line)
        return piece[good]

    def _break_unreadable(self, line: int) -> None:
        self._break(line, "UTF-8 with quotes that are closed", _shown(self._lines.text(line)))

    def _break(self, line: int, wanted: str, got: str) -> None:
        error = str(RecordError("line", wanted=wanted, got=got))
        self.broken.append(Broken(line - 1, MALFORMED, error, self._lines.text(line)))


def _jsonl(lines: Lines, schema: EventSchema) -> RawFile:
    kept, broken = _large(lines, 0)
    parser = _JsonParser(lines, schema)
    for piece in _pieces(lines, kept):
        parser.parse(piece)
    broken += parser.broken
    row = np.concatenate([np.zeros(0, np.int64), *parser.rows])
    table = pa.concat_tables(parser.tables) if parser.tables else pa.table({})
    if (np.diff(row) < 0).any():  # Lines that were looked at alone stand behind those that were parsed at once.
        order = np.argsort(row, kind="stable")
        row, table = row[order], table.take(pa.array(order))
    # The parser notes what is wrong by line; `decode` asks by row of the table.
    wrong = {
        name: {int(np.searchsorted(row, line)): value for line, value in found.items()}
        for name, found in parser.wrong.items()
    }
    return RawFile(
        digest_of(lines.data),
        len(lines),
        row,
        table,
        tuple(sorted(broken, key=lambda one: one.row)),
        lambda rows: lines.texts(row[rows]),
        wrong,
    )


_JSON_TYPES: Final = {
    "text": pa.string(),
    "category": pa.string(),
    "time": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "bool": pa.bool_(),
    "numbers": pa.list_(pa.float64()),
}


_PLAIN_TYPES: Final[dict[str, Any]] = {
    "text": str,
    "category": str,
    "time": str,
    "number": float,
    "integer": int,
    "bool": bool,
    "numbers": list[float | None],
}


@final
class _Pairs(list[tuple[str, object]]):
    """A JSON object as it was written, so that a name that stands twice can be seen."""

    def __repr__(self) -> str:
        return repr(dict(self))


@final
class _JsonParser:
    """Parses lines of JSON, collecting typed tables, values that fit no column, and lines that are no object."""

    def __init__(self, lines: Lines, schema: EventSchema) -> None:
        self._lines = lines
        self._fields = schema.fields
        self._schema = pa.schema([(field.name, _JSON_TYPES[field.kind]) for field in schema.fields])
        view = np.frombuffer(lines.data, np.uint8)
        # If every line begins with { and ends with }, no object can reach over two lines, so the count is a proof.
        braced = (view[lines.start] == ord("{")) & (view[lines.stop - 1] == ord("}"))
        self._braced = braced
        # Names of fields need not be Python's, so each stands under a number.
        kinds = [(f"f{place}", _PLAIN_TYPES[field.kind] | None, None) for place, field in enumerate(schema.fields)]
        names = {f"f{place}": field.name for place, field in enumerate(schema.fields)}
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Line", kinds, rename=names))
        self.tables: list[pa.Table] = []
        self.rows: list[I8] = []
        self.broken: list[Broken] = []
        self.wrong: dict[str, dict[int, object]] = {}

    def parse(self, piece: I8) -> None:
        """Parse some lines: those that may be nested too deep one by one, all others at once."""
        deep = self._perhaps_deep(piece)
        if deep.any():
            self._one_by_one(piece[deep])
            piece = piece[~deep]
        if len(piece):
            self._parse(piece)

    def _perhaps_deep(self, piece: I8) -> NDArray[np.bool_]:
        """Point out lines with so many openings that they may be nested too deep, even if some stand in texts."""
        if len(piece) == 0:
            return np.zeros(0, np.bool_)
        start, stop, data = self._lines.start[piece], self._lines.stop[piece], self._lines.data
        begin, end = int(start[0]), int(stop[-1])
        openings = data.count(b"{", begin, end) + data.count(b"[", begin, end)
        if openings <= len(piece) + NESTED_MAX - 1 and self._braced[piece].all():
            return np.zeros(len(piece), np.bool_)  # Each line has one, so none has more than `NESTED_MAX`.
        view = np.frombuffer(data, np.uint8)[begin:end]
        told = np.concatenate([[0], np.cumsum((view == ord("{")) | (view == ord("[")))])
        deep: NDArray[np.bool_] = told[stop - begin] - told[start - begin] > NESTED_MAX
        return deep

    def _parse(self, piece: I8) -> None:
        """Parse some lines, cutting around those that the parser refuses."""
        table = self._at_once(piece) if self._braced[piece].all() else None
        if table is not None:
            self._take(table, piece)
        elif len(piece) <= _ALONE:
            self._one_by_one(piece)
        elif (suspect := self._suspect(piece)).any():
            self._one_by_one(piece[suspect])
            if not suspect.all():
                self._parse(piece[~suspect])
        else:
            for part in np.array_split(piece, min(_PARTS, len(piece))):
                self._parse(part)

    def _suspect(self, piece: I8) -> NDArray[np.bool_]:
        """Point out lines that are probably bad. This judges nothing: what it misses is found by cutting."""
        suspect: NDArray[np.bool_] = ~self._braced[piece]
        for place in np.flatnonzero(~suspect).tolist():
            try:
                self._decoder.decode(self._lines.text(int(piece[place])))
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                suspect[place] = True
        return suspect

    def _take(self, table: pa.Table, piece: I8) -> None:
        self.tables.append(table)
        self.rows.append(piece)

    def _at_once(self, piece: I8) -> pa.Table | None:
        text = self._lines.joined(piece)
        # Arrow's parser takes `Inf` for a number; JSON knows no such thing.
        if b"Inf" in text and _BARE_INF.search(text):
            return None
        try:
            table = arrow_json.read_json(
                pa.BufferReader(text),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                parse_options=arrow_json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="ignore"),
            )
            if not text.isascii():
                table.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None
        return table if table.num_rows == len(piece) else None

    def _one_by_one(self, piece: I8) -> None:
        rows: list[dict[str, object]] = []
        read: list[int] = []
        for line in piece.tolist():
            text = self._lines.text(line)
            if not text.strip():
                self._break(line, "an object", "white space")
                continue
            if _depth(text) > NESTED_MAX:
                self._break(line, f"one JSON object, nested at most {NESTED_MAX} deep", "a deeper one")
                continue
            try:
                found = json.loads(text.decode(), object_pairs_hook=_Pairs, parse_int=_whole)
            except ValueError as error:
                self._break(line, "one JSON object", str(error))
                continue
            row = self._row(line, found)
            if row is not None:
                self._note_wrong(line, row)
                rows.append(row)
                read.append(line)
        if rows:
            self._take(pa.Table.from_pylist(rows, schema=self._schema), np.array(read, np.int64))

    def _row(self, line: int, found: object) -> dict[str, object] | None:
        """Return the fields of one object as found, or None if it is none."""
        if not isinstance(found, _Pairs):
            self._break(line, "one JSON object", _shown(found))
            return None
        names = [name for name, _ in found]
        for field in self._fields:
            if names.count(field.name) > 1:
                self._break(line, f"one {field.name!r}", f"{names.count(field.name)}")
                return None
        values = dict(found)
        if any(isinstance(value, str) and not _is_unicode(value) for value in values.values()):
            self._break(line, "text in Unicode", "half of a surrogate pair")
            return None
        return {field.name: values.get(field.name) for field in self._fields}

    def _note_wrong(self, line: int, row: dict[str, object]) -> None:
        """Turn each value of a row into its column's type; what fits none is noted and becomes null."""
        for field in self._fields:
            value = row[field.name]
            if value is None:
                continue
            if isinstance(value, float) and math.isnan(value) and field.kind == "integer":
                row[field.name] = None
                continue
            typed = _typed(field, value)
            if typed is None:
                self.wrong.setdefault(field.name, {})[line] = value
            row[field.name] = typed

    def _break(self, line: int, wanted: str, got: str) -> None:
        error = str(RecordError("line", wanted=wanted, got=_cut(got)))
        self.broken.append(Broken(line, MALFORMED, error, self._lines.text(line)))


def _depth(text: bytes) -> int:
    """Return how deep an object is nested; its texts may hold any bracket."""
    if text.count(b"{") + text.count(b"[") <= NESTED_MAX:
        return 0
    view = np.frombuffer(_TEXT.sub(b"", text), np.uint8)
    up = ((view == ord("{")) | (view == ord("["))).astype(np.int64)
    down = ((view == ord("}")) | (view == ord("]"))).astype(np.int64)
    return int(np.cumsum(up - down).max(initial=0))


def _typed(field: FieldSchema, value: object) -> object | None:
    """Return a JSON value as its column holds it, or None if it has another type."""
    kind = field.kind
    if kind in ("text", "category", "time"):
        return value if isinstance(value, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "numbers":
        return _several(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind == "integer":
        if value is _MINUS_ZERO:
            return 0
        return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None
    return _float(value)


def _several(value: object) -> list[float | None] | None:
    """Return a list of numbers; a null among them stays one, since it is the length that `decode` judges first."""
    if not isinstance(value, list) or isinstance(value, _Pairs):
        return None
    numbers: list[float | None] = []
    for one in value:
        if isinstance(one, bool) or not (one is None or isinstance(one, int | float)):
            return None
        numbers.append(None if one is None else _float(one))
    return numbers


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _whole(text: str) -> int | float:
    """Read a whole number; minus zero keeps its sign, as it does where Arrow reads it."""
    if len(text) > _DIGITS_MAX:
        return float(text)
    return _MINUS_ZERO if text == "-0" else int(text)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
