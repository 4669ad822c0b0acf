"""Orders with everything wrong that can be wrong with them, in three formats, and what must become of each.

Plain Python and Arrow's writers; nothing of the product is imported, and no reader of it is asked. A cell is written
down once for each format, with the outcome that the documentation promises for it. A cell of Parquet has a type, so a
row of another type begins another file; the other formats are cut into files at the same places.
"""

import csv
import decimal
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.oracle.verdicts import verdicts

Kind = Literal["parquet", "csv", "jsonl"]
KINDS: Final[tuple[Kind, ...]] = ("parquet", "csv", "jsonl")
FIELDS: Final = ("order", "key", "status", "amount", "size", "count", "gift", "shop", "at", "came")
MINUTE: Final = 60_000_000
DAY: Final = 1_440 * MINUTE
START: Final = 1_767_225_600_000_000
"""2026-01-01, microseconds."""
SKEW: Final = 5 * MINUTE
DISORDER: Final = 2 * MINUTE
HORIZON: Final = 2 * DAY
BEGINNING: Final = -(2**62)
"""When something came of which nobody knows when."""
LARGE: Final = 256 * 1024 + 1
SHOP: Final = "web"
UTC_US: Final = pa.timestamp("us", tz="UTC")
TYPES: Final[dict[str, pa.DataType]] = {
    "order": pa.string(),
    "key": pa.string(),
    "status": pa.string(),
    "amount": pa.float64(),
    "size": pa.float64(),
    "count": pa.int64(),
    "gift": pa.bool_(),
    "shop": pa.string(),
    "at": UTC_US,
    "came": UTC_US,
}
VERDICTS: Final = ("ok", "late_dropped", "future", "duplicate")


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One value as each format has it. csv: the text of the field. json: the token. arrow: the value, of a type.

    A format that has no such value holds None (`arrow` a type of None). `value` is what the field then is, unless
    `reason` says why the record cannot be used.
    """

    csv: str | None
    json: str | None
    arrow: object
    arrow_type: pa.DataType | None
    value: object = None
    reason: str = ""

    def has(self, kind: Kind) -> bool:
        """Return whether the format has such a value."""
        told = {"csv": self.csv, "jsonl": self.json, "parquet": self.arrow_type}
        return told[kind] is not None


def instant(time_us: int) -> str:
    """Return an instant of the years 1 to 9999 as text."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return moment.isoformat().replace("+00:00", "Z")


def plain(name: str, value: Any) -> Cell:
    """Return a good value of a field (None: null) as every format has it."""
    kind = TYPES[name]
    if value is None:
        return Cell("", "null", None, kind, SHOP if name == "shop" else None)
    if name in ("at", "came"):
        return Cell(instant(value), json.dumps(instant(value)), value, kind, value)
    if name == "gift":
        return Cell(str(value).lower(), json.dumps(value), value, kind, value)
    return Cell(str(value), json.dumps(value), value, kind, value)


def _text(csv_text: str, reason: str, value: object = None) -> Cell:
    """Return a value that stands in CSV alone."""
    return Cell(csv_text, None, None, None, value, reason)


def _time_text(text: str, reason: str, value: object = None) -> Cell:
    """Return the text of a time, which Parquet may hold too."""
    return Cell(text, json.dumps(text), text, pa.string(), value, reason)


def _arrow(value: object, kind: pa.DataType, reason: str, kept: object = None) -> Cell:
    return Cell(None, None, value, kind, kept, reason)


def _number(value: float, reason: str = "") -> Cell:
    """Return a float: JSON has no infinity, but every reader of Python's knows the words for it."""
    return Cell(repr(value), json.dumps(value), value, pa.float64(), value, reason)


ODD_KEYS: Final = {
    "empty": "",
    "one of 10 kB": "k" * 10_240,
    "10 kB of three bytes each": "\u20ac" * 3_413,
    "emoji of several parts": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "accent composed": "\u00e9",
    "accent combining": "e\u0301",
    "from right to left": "\u202eabc\u202c",
    "no character": "\ufffe",
    "replacement": "\ufffd",
    "mark of byte order": "\ufeffkey",
    "separator of lines": "a\u2028b",
    "form feed": "a\x0bb\x0cc\x1cd\x85e",
    "quotes": 'say "hi", he said',
    "white space": "  ",
    "like a number": "007",
    "like null": "null",
    "like nan": "nan",
    "zero byte": "a\x00b",
    "zero byte at the end": "a\x00",
}

CELLS: Final[dict[str, tuple[str, Cell]]] = {
    # Missing.
    "null id": ("order", Cell("", "null", None, TYPES["order"], None, "missing")),
    "null amount": ("amount", Cell("", "null", None, TYPES["amount"], None, "missing")),
    "amount is not a number": ("amount", _number(float("nan"), "missing")),
    "null choice": ("status", Cell("", "null", None, TYPES["status"], None, "missing")),
    "null bool": ("gift", Cell("", "null", None, TYPES["gift"], None, "missing")),
    "null time": ("at", Cell("", "null", None, TYPES["at"], None, "missing")),
    "null of no type": ("amount", _arrow(None, pa.null(), "missing")),
    "null where a field may be": ("key", plain("key", None)),
    "null where there is a default": ("shop", plain("shop", None)),
    "not a number where a field may be null": ("size", Cell("NaN", "NaN", float("nan"), pa.float64(), None)),
    "not a number in whole numbers": ("count", Cell("nan", "NaN", float("nan"), pa.float64(), None)),
    # Out of range, not finite, not a choice.
    "below": ("amount", _number(-0.01, "out_of_range")),
    "just below": ("amount", _number(-5e-324, "out_of_range")),
    "above": ("amount", _number(1000.0000000000001, "out_of_range")),
    "infinite": ("amount", _number(float("inf"), "not_finite")),
    "minus infinite": ("size", _number(float("-inf"), "not_finite")),
    "infinite by its digits": ("size", Cell("1e999", "1e999", float("inf"), pa.float64(), None, "not_finite")),
    "infinite by its length": ("size", Cell("9" * 5_000, "9" * 5_000, float("inf"), pa.float64(), None, "not_finite")),
    "decimal of 256 bits": ("size", _arrow(decimal.Decimal("1e60"), pa.decimal256(70, 2), "", 1e60)),
    "not a choice": ("status", Cell("lost", '"lost"', "lost", pa.string(), None, "not_a_choice")),
    "a choice but for its case": ("status", Cell("New", '"New"', "New", pa.string(), None, "not_a_choice")),
    "empty choice": ("status", Cell(None, '""', "", pa.string(), None, "not_a_choice")),
    # Numbers at the edges that are none of this.
    "at its least": ("amount", _number(0.0)),
    "minus zero": ("amount", Cell("-0.0", "-0.0", -0.0, pa.float64(), -0.0)),
    "whole minus zero": ("amount", Cell("-0", "-0", -0.0, pa.float64(), -0.0)),
    "at its most": ("amount", _number(1000.0)),
    "subnormal": ("amount", _number(5e-324)),
    "largest": ("size", _number(1.7976931348623157e308)),
    "1e300": ("size", _number(1e300)),
    "minus 1e300": ("size", _number(-1e300)),
    "1e-300": ("size", _number(1e-300)),
    "below every subnormal": ("size", Cell("1e-999", "1e-999", 0.0, pa.float64(), 0.0)),
    "between two floats": ("size", Cell("9007199254740993", "9007199254740993", 2.0**53, pa.float64(), 2.0**53)),
    "whole number as float": ("size", Cell("3", "3", 3, pa.int32(), 3.0)),
    "float of 32 bits": ("size", _arrow(1.5, pa.float32(), "", 1.5)),
    "float of 16 bits": ("size", _arrow(1.5, pa.float16(), "", 1.5)),
    "unsigned": ("size", _arrow(2**63, pa.uint64(), "", 2.0**63)),
    "decimal": ("size", _arrow(decimal.Decimal("1.25"), pa.decimal128(10, 2), "", 1.25)),
    "dictionary of numbers": ("size", _arrow(1.5, pa.dictionary(pa.int32(), pa.float64()), "", 1.5)),
    # Whole numbers.
    "largest of 64 bits": ("count", Cell(str(2**63 - 1), str(2**63 - 1), 2**63 - 1, pa.int64(), 2**63 - 1)),
    "least of 64 bits": ("count", Cell(str(-(2**63)), str(-(2**63)), -(2**63), pa.int64(), -(2**63))),
    "beyond 64 bits": ("count", Cell(str(2**63), str(2**63), 2**63, pa.uint64(), None, "mistyped")),
    "far beyond 64 bits": ("count", Cell("-" + "9" * 5_000, "-" + "9" * 5_000, -1e300, pa.float64(), None, "mistyped")),
    "broken number as whole": ("count", Cell("1.5", "1.5", 1.5, pa.float64(), None, "mistyped")),
    "whole number of 8 bits": ("count", _arrow(-7, pa.int8(), "", -7)),
    "whole number as a float": ("count", _arrow(7.0, pa.float64(), "", 7)),
    "whole decimal": ("count", _arrow(decimal.Decimal("3.00"), pa.decimal128(10, 2), "", 3)),
    "broken decimal": ("count", _arrow(decimal.Decimal("3.50"), pa.decimal128(10, 2), "mistyped")),
    "bool as whole number": ("count", Cell("true", "true", True, pa.bool_(), None, "mistyped")),
    # Mistyped.
    "word as number": ("amount", Cell("lots", '"lots"', "lots", pa.string(), None, "mistyped")),
    "number as word": ("amount", Cell(None, '"1.5"', "1.5", pa.string(), None, "mistyped")),
    "number with a comma": ("amount", Cell("1,5", '"1,5"', "1,5", pa.string(), None, "mistyped")),
    "number with a blank": ("amount", _text(" 1", "mistyped")),
    "number with a zero byte": ("amount", _text("1\x00", "mistyped")),
    "number with a sign": ("amount", _text("+1", "", 1.0)),
    "number in hexadecimal": ("amount", _text("0x10", "mistyped")),
    "word as bool": ("gift", Cell("perhaps", '"perhaps"', "perhaps", pa.string(), None, "mistyped")),
    "number as bool": ("gift", Cell("2", "2", 2, pa.int64(), None, "mistyped")),
    "number as text": ("key", Cell(None, "5", 5, pa.int64(), None, "mistyped")),
    "bool as text": ("key", Cell(None, "true", True, pa.bool_(), None, "mistyped")),
    "list as text": ("key", Cell(None, "[1, [2]]", [1, 2], pa.list_(pa.int64()), None, "mistyped")),
    "far times in a list": ("key", _arrow([2**61], pa.list_(pa.timestamp("us")), "mistyped")),
    "object as text": ("key", Cell(None, '{"a": 1}', {"a": 1}, pa.struct([("a", pa.int64())]), None, "mistyped")),
    "time as text": ("key", _arrow(START, UTC_US, "mistyped")),
    "time of an unknown zone as text": ("key", _arrow(START, pa.timestamp("ms", tz="Mars/Olympus"), "mistyped")),
    "duration as number": ("amount", _arrow(2**62, pa.duration("s"), "mistyped")),
    "date as time": ("at", _arrow(20_454, pa.date32(), "mistyped")),
    "number as time": ("at", Cell("1767225600", "1767225600", 1_767_225_600, pa.int64(), None, "mistyped")),
    "bytes that are no text": ("key", _arrow(b"\xff", pa.binary(), "mistyped")),
    "many bytes that are no text": ("key", _arrow(b"\xff", pa.large_binary(), "mistyped")),
    "text that is no UTF-8": ("key", _arrow(b"\xff", pa.string(), "mistyped")),
    "large text that is no UTF-8": ("key", _arrow(b"\xff", pa.large_string(), "mistyped")),
    "bytes that are text": ("key", _arrow(b"caf\xc3\xa9", pa.large_binary(), "", "caf\u00e9")),
    "text of dictionary": ("key", _arrow("red", pa.dictionary(pa.int8(), pa.string()), "", "red")),
    "text of large dictionary": ("key", _arrow("red", pa.dictionary(pa.int32(), pa.large_string()), "", "red")),
    "large text": ("key", _arrow("red", pa.large_string(), "", "red")),
    "text of views": ("key", _arrow("red", pa.string_view(), "", "red")),
    "too large text": ("key", _arrow("k" * LARGE, pa.string(), "too_large")),
    "too large text of dictionary": ("key", _arrow("k" * LARGE, pa.dictionary(pa.int8(), pa.string()), "too_large")),
    "too large text of views": ("key", _arrow("k" * LARGE, pa.string_view(), "too_large")),
    "too large list": ("key", _arrow(["k" * 1_024] * 1_024, pa.list_(pa.string()), "mistyped")),
    # Times. Those of `came` change nothing but the arrival, which is null or about now.
    "text of no time": ("at", Cell("soon", '"soon"', "soon", pa.string(), None, "mistyped")),
    "time without zone": ("at", _time_text("2026-01-01T00:00:00", "mistyped")),
    "second called 60": ("at", _time_text("2016-12-31T23:59:60Z", "mistyped")),
    "30 February": ("at", _time_text("2026-02-30T00:00:00Z", "mistyped")),
    "hour 24": ("at", _time_text("2026-01-01T24:00:00Z", "mistyped")),
    "year 10000": ("at", _time_text("10000-01-01T00:00:00Z", "mistyped")),
    "too far for any year": ("at", _arrow(2**62, UTC_US, "out_of_range")),
    "too far before any year": ("at", _arrow(-(2**62), UTC_US, "out_of_range")),
    "year 1": ("at", plain("at", -62_135_596_800_000_000)),
    "year 9999": ("at", plain("at", 253_402_300_799_999_999)),
    "before 1970": ("at", plain("at", -1)),
}


def _times() -> dict[str, tuple[str, Cell]]:
    """Return one instant as every writer has it, shifted a little so that nothing else is like it."""
    at = START + 61_000_000
    told = {
        "time with an offset": "2026-01-01T05:31:01+05:30",
        "time with an offset before": "2025-12-31T19:01:01-0500",
        "time with a blank": "2026-01-01 00:01:01Z",
        "time finer than a microsecond": "2026-01-01T00:01:01.000000999Z",
    }
    cells = {name: _time_text(text, "", at) for name, text in told.items()}
    cells["time of nanoseconds"] = _arrow(at * 1_000 + 999, pa.timestamp("ns", tz="UTC"), "", at)
    cells["time of milliseconds"] = _arrow(at // 1_000, pa.timestamp("ms", tz="America/New_York"), "", at)
    cells["time of an unknown zone"] = _arrow(at, pa.timestamp("us", tz="Mars/Olympus"), "", at)
    cells["time without zone in Parquet"] = _arrow(at, pa.timestamp("us"), "", at)
    cells["time as large text"] = _arrow("2026-01-01T00:01:01Z", pa.large_string(), "", at)
    cells["time as text of views"] = _arrow("2026-01-01T00:01:01Z", pa.string_view(), "", at)
    # What clocks on the wall left out on 8 March 2026 in New York is an instant all the same, by its offset.
    gap = START + 66 * DAY + 450 * MINUTE
    cells["time in a gap of the summer"] = _time_text("2026-03-08T02:30:00-05:00", "", gap)
    return {name: ("at", cell) for name, cell in cells.items()}


CELLS.update(_times())
CELLS.update({f"key {name}": ("key", plain("key", key)) for name, key in ODD_KEYS.items()})
# An empty field of CSV is null.
CELLS["key empty"] = ("key", Cell(None, '""', "", pa.string(), ""))

LINES: Final[dict[str, tuple[Kind, bytes]]] = {
    "quote that stays open": ("csv", b'"open,k,new,1,,,true,,2026-01-01T00:00:00Z,'),
    "too few fields": ("csv", b"few,k,new"),
    "too many fields": ("csv", b"many,k,new,1,,,true,,2026-01-01T00:00:00Z,,,"),
    "no UTF-8": ("csv", b"caf\xe9,k,new,1,,,true,,2026-01-01T00:00:00Z,"),
    "half of a pair": ("csv", b"\xed\xa0\x80,k,new,1,,,true,,2026-01-01T00:00:00Z,"),
    "return inside": ("csv", b"re\rturn,k,new,1,,,true,,2026-01-01T00:00:00Z,"),
    "zero bytes alone": ("csv", b"\x00\x00\x00"),
    "header again, cut": ("csv", b"order,key,status"),
    "too large line": ("csv", b"large," + b"k" * LARGE),
    "object that stays open": ("jsonl", b'{"order": "open"'),
    "two objects": ("jsonl", b'{"order": "a"} {"order": "b"}'),
    "array": ("jsonl", b'["order", "key"]'),
    "bare number": ("jsonl", b"7"),
    "bare null": ("jsonl", b"null"),
    "no JSON": ("jsonl", b"order,key"),
    "single quotes": ("jsonl", b"{'order': 'a'}"),
    "comma at the end": ("jsonl", b'{"order": "a",}'),
    "comment": ("jsonl", b'{"order": "a"} // note'),
    "name that stands twice": ("jsonl", b'{"order": "a", "order": "a"}'),
    "half of a surrogate pair": ("jsonl", b'{"order": "\\ud800"}'),
    "surrogate as bytes": ("jsonl", b'{"order": "\xed\xa0\x80"}'),
    "no UTF-8 in JSON": ("jsonl", b'{"order": "caf\xe9"}'),
    "bare zero byte": ("jsonl", b'{"order": "a\x00b"}'),
    "number with leading zero": ("jsonl", b'{"amount": 01}'),
    "white space alone": ("jsonl", b" \t "),
    "nested too deep": ("jsonl", b'{"q": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "too large object": ("jsonl", b'{"order": "' + b"k" * LARGE + b'"}'),
}


@final
@dataclass(slots=True)
class Record:
    """One order: its cells, or the bytes of a line that gives none; `defect` names what is wrong, for messages."""

    cells: dict[str, Cell] = field(default_factory=dict)
    line: bytes | None = None
    defect: str = ""

    @property
    def reason(self) -> str:
        """Return why the record is rejected: the first of its fields at fault, but size behind all others."""
        if self.line is not None:
            return "too_large" if len(self.line) >= LARGE else "malformed"
        reasons = [self.cells[name].reason for name in FIELDS if self.cells[name].reason]
        return next((reason for reason in reasons if reason != "too_large"), reasons[0] if reasons else "")

    def has(self, kind: Kind) -> bool:
        """Return whether the format has such a record."""
        if self.line is not None:
            return LINES[self.defect][0] == kind
        return all(cell.has(kind) for cell in self.cells.values())

    def values(self) -> dict[str, object]:
        """Return what a usable record holds."""
        return {name: cell.value for name, cell in self.cells.items()}

    def types(self) -> tuple[object, ...]:
        """Return what decides in which file of Parquet the record stands."""
        return tuple(self.cells[name].arrow_type for name in FIELDS if self.cells)


def order(name: str, at: int, came: int | None = None, **changes: Any) -> Record:
    """Return a good order; `at` and `came` are microseconds."""
    number = sum(name.encode())
    values: dict[str, Any] = {
        "order": name,
        "key": f"k{number % 3}",
        "status": ("new", "paid", "sent")[number % 3],
        "amount": float(number % 7),
        "size": number / 8,
        "count": number,
        "gift": number % 2 == 0,
        "shop": f"shop{number % 2}",
        "at": at,
        "came": came,
        **changes,
    }
    return Record({field_name: plain(field_name, values[field_name]) for field_name in FIELDS})


def spoilt(record: Record, defect: str) -> Record:
    """Return a record with one of `CELLS` in it, or in place of it one of `LINES`."""
    if defect in LINES:
        return Record(line=LINES[defect][1], defect=defect)
    name, cell = CELLS[defect]
    return Record({**record.cells, name: cell}, defect=defect)


def cut(records: Sequence[Record], cuts: Sequence[int]) -> list[list[Record]]:
    """Return records in files: a new one at each of `cuts`, and where a column of Parquet changes its type."""
    files: list[list[Record]] = []
    for number, record in enumerate(records):
        if not files or number in cuts or record.types() != files[-1][-1].types():
            files.append([])
        files[-1].append(record)
    return files


def coded(kind: Kind, records: Sequence[Record]) -> bytes:
    """Return one file."""
    if kind == "parquet":
        columns = {name: _column([record.cells[name] for record in records]) for name in FIELDS}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        return sink.getvalue()
    lines = [line_of(kind, record) for record in records]
    return b"".join(line + b"\n" for line in ([",".join(FIELDS).encode(), *lines] if kind == "csv" else lines))


def line_of(kind: Kind, record: Record) -> bytes:
    """Return the bytes of one record, without an end of line."""
    if record.line is not None:
        return record.line
    if kind == "jsonl":
        pairs = [f'"{name}": {record.cells[name].json}' for name in FIELDS]
        return f"{{{', '.join(pairs)}}}".encode()
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([record.cells[name].csv for name in FIELDS])
    return text.getvalue().encode()


def _column(cells: Sequence[Cell]) -> pa.Array:
    kind = cells[0].arrow_type
    if any(isinstance(cell.arrow, bytes) for cell in cells) and not pa.types.is_large_binary(kind):
        # No writer of texts takes such bytes, but some writers do not look.
        plain = [cell.arrow for cell in cells]
        told = [value if value is None or isinstance(value, bytes) else str(value).encode() for value in plain]
        return pa.array(told, pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()).view(kind)
    if kind is not None and pa.types.is_dictionary(kind):
        return pa.array([cell.arrow for cell in cells], kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_date(kind):
        whole = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        return pa.array([cell.arrow for cell in cells], whole).cast(kind)
    return pa.array([cell.arrow for cell in cells], kind)


def outcomes(records: Sequence[Record]) -> list[str]:
    """Return what must become of each record: its reason if it is rejected, else its verdict, in the order given."""
    usable = [number for number, record in enumerate(records) if not record.reason]

    def arrival(number: int) -> int:
        came, at = records[number].cells["came"].value, records[number].cells["at"].value
        told = at if came is None else came
        assert isinstance(told, int)
        return told

    usable.sort(key=arrival)
    judged = []
    for number in usable:
        at, name = records[number].cells["at"].value, records[number].cells["order"].value
        assert isinstance(at, int)
        judged.append((at, arrival(number), str(name) or None))
    found = [record.reason for record in records]
    given = verdicts(judged, disorder=DISORDER, skew=SKEW, horizon=HORIZON)
    for number, verdict in zip(usable, given, strict=True):
        found[number] = VERDICTS[verdict]
    return found


def arrivals(files: Sequence[Sequence[Record]]) -> list[int]:
    """Return when each record arrived, microseconds.

    A record that cannot be used comes when its `came` says so, if that can be read, else with the one before it; in
    front of all that have a time, with the first of its own file that has.
    """
    found: list[int] = []
    for file in files:
        told = [_told(record) for record in file]
        first = next((time for time in told if time is not None), BEGINNING)
        last = found[-1] if found and found[-1] != BEGINNING else first
        for time in told:
            last = last if time is None else time
            found.append(last)
    return found


def _told(record: Record) -> int | None:
    if not record.cells:
        return None
    came, at = record.cells["came"].value, record.cells["at"].value
    told = at if came is None and not record.reason else came
    return told if isinstance(told, int) else None
