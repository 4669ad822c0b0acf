"""Raw columns become typed columns, and each row that cannot be used gets a reason.

Whole columns are judged at once; only rows that fail are looked at one by one, for the text of their error.
What a row gets depends on that row alone, never on its neighbours.

Null, absent and NaN are one thing. Where a field has a default they give the default; else they are null where the
field may be null, and `missing` where it may not. Columns that the schema does not name are ignored, so that a
producer may add fields.

A time names an instant. Text needs a zone (`Z` or an offset), since only its writer knows which one was meant. A
Parquet column of timestamps without a zone has no place to put one, and is taken as UTC. Finer than a microsecond is
rounded down. A second called 60 is no instant.

An embedding is a list of as many finite numbers as its field declares: fewer, more, or a null or NaN among them and the
record cannot be used, since a place left empty is no embedding. CSV has it as JSON: "[0.5, -1.25]".

A column that stands twice says nothing: nobody can tell which one was meant, and every row is `malformed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core.errors import RecordError
from headrace.core.records import U1
from headrace.core.schema import NO_DEFAULT, EventSchema, FieldSchema
from headrace.core.time import ENDED_US
from headrace.edge.plain import plain_column, plain_values
from headrace.edge.reasons import (
    MALFORMED,
    MISSING,
    MISTYPED,
    NOT_A_CHOICE,
    NOT_FINITE,
    OUT_OF_RANGE,
    REASONS,
    TOO_LARGE,
)

__all__ = ["NOTHING_WRONG", "RECORD_BYTES_MAX", "Decoded", "Wrong", "decode"]

Rows: TypeAlias = NDArray[np.bool_]
Wrong: TypeAlias = Mapping[str, Mapping[int, object]]
"""For a field, the rows whose value fits no column of its type, and what was found there."""
NOTHING_WRONG: Final[Wrong] = MappingProxyType({})
RECORD_BYTES_MAX: Final = 256 * 1024
"""The size above which one record is refused: half of a frame."""
_SHOWN_MAX: Final = 200
_FACTORS: Final = {"s": 1_000_000, "ms": 1_000}
_WANTED: Final = {
    "text": "text",
    "category": "text",
    "number": "a number",
    "integer": "a whole number of at most 64 bits",
    "bool": "true or false",
    "time": "a time with its zone, such as 2013-01-01T05:00:00Z",
}
_NUMBER_LISTS: Final = msgspec.json.Decoder(list[float | None])


@final
@dataclass(frozen=True, slots=True)
class Decoded:
    """n rows: typed columns, and why a row cannot be used.

    columns: one array of n a field, of the field's Arrow type, null where it could not be read. reason: u1[n], a place
    in `REASONS`, 0 for usable rows. errors: for each row that is not usable, which field, what was wanted, what it got.
    """

    columns: Mapping[str, pa.Array]
    reason: U1
    errors: Mapping[int, str]


@final
@dataclass(frozen=True, slots=True)
class _Fault:
    """The rows of one field that are at fault, and what was wanted there."""

    field: str
    reason: str
    wanted: str
    rows: Rows


def decode(table: pa.Table, schema: EventSchema, *, texts: bool = False, wrong: Wrong = NOTHING_WRONG) -> Decoded:
    """Judge n rows of raw columns by a schema.

    `texts` says that the table holds every value as text that is still to be read (CSV). `wrong` names rows whose
    value could not even be put into a column (JSON lines); they are null in `table`. A row with several faults gets
    the first one, in the order of the schema's fields.

    >>> ping = EventSchema(name="Ping", fields=(FieldSchema(name="ms", kind="number", ge=0, unit="ms"),))
    >>> decoded = decode(pa.table({"ms": [1.5, -2.0, None]}), ping)
    >>> [REASONS[code] for code in decoded.reason]
    ['', 'out_of_range', 'missing']
    >>> decoded.errors[1]
    'ms: wanted at least 0 ms, got -2.0'
    """
    reason = np.zeros(table.num_rows, np.uint8)
    raw: dict[str, pa.Array] = {}
    columns: dict[str, pa.Array] = {}
    first: dict[int, _Fault] = {}
    faults: list[_Fault] = []
    for field in schema.fields:
        if table.column_names.count(field.name) > 1:
            everywhere = np.ones(table.num_rows, np.bool_)
            faults.append(_Fault(field.name, MALFORMED, "one column of this name", everywhere))
            columns[field.name] = pa.nulls(table.num_rows, field.arrow)
            continue
        raw[field.name] = _whole(table, field.name)
        values, found = _judged(field, raw[field.name], texts=texts, wrong=wrong.get(field.name, {}))
        columns[field.name] = values
        faults += found
    faults += _too_large(raw)
    for fault in faults:
        fresh = fault.rows & (reason == 0)
        reason[fresh] = REASONS.index(fault.reason)
        first.update(dict.fromkeys(np.flatnonzero(fresh).tolist(), fault))
    errors = {row: _error(first[row], raw, row, wrong) for row in sorted(first)}
    return Decoded(columns, reason, errors)


def _whole(table: pa.Table, name: str) -> pa.Array:
    """Return a column in one piece; nulls if the table has no such column."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows)
    column = plain_column(table.column(name))
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def _judged(
    field: FieldSchema, raw: pa.Array, *, texts: bool, wrong: Mapping[int, object]
) -> tuple[pa.Array, list[_Fault]]:
    """Return a field's typed column and its faults."""
    values, mistyped = _typed(field, raw, texts=texts)
    for row in wrong:
        mistyped[row] = True
    faults = [_Fault(field.name, MISTYPED, _wanted(field), mistyped)]
    values = _without_nan(field, values)
    if values.null_count:
        absent = _mask(values.is_null()) & ~mistyped
        if field.default is not NO_DEFAULT and field.default is not None:
            values = pc.if_else(pa.array(absent), pa.scalar(field.default, field.arrow), values)
        elif not field.nullable:
            faults.append(_Fault(field.name, MISSING, _wanted(field), absent))
    faults += _outside(field, values)
    bad = np.logical_or.reduce([fault.rows for fault in faults]) & (_mask(values.is_valid()))
    if bad.any():
        values = pc.if_else(pa.array(bad), pa.scalar(None, values.type), values)
    return values, [fault for fault in faults if fault.rows.any()]


def _wanted(field: FieldSchema) -> str:
    return f"a list of {field.length} finite numbers" if field.kind == "numbers" else _WANTED[field.kind]


def _without_nan(field: FieldSchema, values: pa.Array) -> pa.Array:
    if field.kind != "number":
        return values
    missing = np.isnan(values.to_numpy(zero_copy_only=False)) & _mask(values.is_valid())
    return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values) if missing.any() else values


def _outside(field: FieldSchema, values: pa.Array) -> list[_Fault]:
    """Return the faults of values that have the right type and are not wanted."""
    if field.choices:
        allowed = pc.is_in(values, value_set=pa.array(field.choices, values.type))
        wanted = f"one of {', '.join(map(repr, field.choices))}"
        return [_Fault(field.name, NOT_A_CHOICE, wanted, ~_mask(allowed) & _mask(values.is_valid()))]
    if field.kind == "time":
        times = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        outside = (times >= ENDED_US) | (times <= -ENDED_US)
        return [_Fault(field.name, OUT_OF_RANGE, "a time within 146,000 years of 1970", outside)]
    if field.kind not in ("number", "integer", "numbers"):
        return []
    valid = _mask(values.is_valid())
    numbers = _numbers(field, values, valid)
    faults = []
    finite = np.isfinite(numbers)
    if not finite.all():
        wanted = _wanted(field) if field.kind == "numbers" else "a finite number"
        faults.append(_Fault(field.name, NOT_FINITE, wanted, _any(~finite)))
    unit = f" {field.unit}" if field.unit else ""
    if field.ge is not None:
        below = _any(finite & (numbers < field.ge))
        faults.append(_Fault(field.name, OUT_OF_RANGE, f"at least {field.ge:.12g}{unit}", valid & below))
    if field.le is not None:
        above = _any(finite & (numbers > field.le))
        faults.append(_Fault(field.name, OUT_OF_RANGE, f"at most {field.le:.12g}{unit}", valid & above))
    return faults


def _numbers(field: FieldSchema, values: pa.Array, valid: Rows) -> NDArray[Any]:
    """Return the numbers of a column, [n] or, of an embedding, [n, length]; 0 where there is none."""
    if field.kind == "numbers":
        numbers = np.zeros((len(values), field.length))
        # What is flattened leaves the null rows out; a null among the numbers of a row becomes NaN.
        numbers[valid] = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, field.length)
        return numbers
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False) if values.null_count else values.to_numpy()
    return np.asarray(numbers)


def _any(found: NDArray[np.bool_]) -> Rows:
    """Return the rows in which anything was found."""
    return found if found.ndim == 1 else np.logical_or.reduce(found, axis=1)


def _typed(field: FieldSchema, raw: pa.Array, *, texts: bool) -> tuple[pa.Array, Rows]:
    """Return a column as the field's type, null where it cannot be, and the rows that cannot."""
    kind, source = field.kind, raw.type
    none = np.zeros(len(raw), np.bool_)
    if source == field.arrow:
        return raw, none
    if pa.types.is_null(source):
        return pa.nulls(len(raw), field.arrow), none
    if kind == "numbers":
        return _embeddings(field, _lists_of_text(raw) if texts and pa.types.is_string(source) else raw)
    is_number = _is_number(source)
    if pa.types.is_string(source) and kind == "time":
        return _instants_of_text(raw)
    if pa.types.is_string(source) and kind == "integer" and texts:
        return _whole_numbers_of_text(raw)
    if pa.types.is_string(source) and (kind in ("text", "category") or texts):
        return _cast(raw, field.arrow)
    if pa.types.is_binary(source) and kind in ("text", "category"):
        return _cast(raw, field.arrow)  # Bytes that are no UTF-8 are no text.
    if is_number and kind == "number":
        return pc.cast(raw, field.arrow, safe=False), none
    if is_number and kind == "integer":
        if pa.types.is_floating(source):
            missing = np.isnan(raw.to_numpy(zero_copy_only=False)) & _mask(raw.is_valid())
            raw = pc.if_else(pa.array(missing), pa.scalar(None, source), raw)
        return _cast(raw, field.arrow)
    if pa.types.is_timestamp(source) and kind == "time":
        return _instants(raw)
    return pa.nulls(len(raw), field.arrow), _mask(raw.is_valid())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _lists_of_text(raw: pa.Array) -> pa.Array:
    """Return texts as lists of numbers; one that is no list of numbers becomes a list without any."""
    lists: list[list[float | None] | None] = []
    for text in raw.to_pylist():
        try:
            lists.append(None if text is None else _NUMBER_LISTS.decode(text))
        except msgspec.MsgspecError:
            lists.append([])
    return pa.array(lists, pa.list_(pa.float64()))


def _embeddings(field: FieldSchema, raw: pa.Array) -> tuple[pa.Array, Rows]:
    """Return lists as a column of fixed length, null where a list has another length; and the rows that have."""
    kind = raw.type
    valid = _mask(raw.is_valid())
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (_is_number(kind.value_type) or pa.types.is_null(kind.value_type)):
        return pa.nulls(len(raw), field.arrow), valid
    fits = valid & (pc.list_value_length(raw).fill_null(-1).to_numpy(zero_copy_only=False) == field.length)
    flat = pc.cast(raw.filter(pa.array(fits)).flatten(), pa.float64(), safe=False)
    whole = pa.FixedSizeListArray.from_arrays(flat, field.length)
    place = np.where(fits, np.cumsum(fits) - 1, 0)
    return whole.take(pa.array(place, mask=~fits)), valid & ~fits


def _instants(raw: pa.Array) -> tuple[pa.Array, Rows]:
    """Return timestamps of any unit as microseconds UTC."""
    target = pa.timestamp("us", tz="UTC")
    unit = raw.type.unit
    if unit == "us":
        return raw.cast(pa.int64()).cast(target), np.zeros(len(raw), np.bool_)
    valid = _mask(raw.is_valid())
    ticks = raw.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if unit == "ns":
        return pa.array(ticks // 1_000, mask=~valid).cast(target), np.zeros(len(raw), np.bool_)
    factor = _FACTORS[unit]
    far = (ticks >= ENDED_US // factor) | (ticks <= -ENDED_US // factor)
    # A time too far to be told in microseconds becomes the nearest one that `_outside` refuses.
    told = np.where(far, np.where(ticks > 0, ENDED_US, -ENDED_US), np.where(far, 0, ticks) * factor)
    return pa.array(told, mask=~valid).cast(target), np.zeros(len(raw), np.bool_)


def _instants_of_text(raw: pa.Array) -> tuple[pa.Array, Rows]:
    """Return texts as microseconds UTC. Arrow reads no text that is finer, so its further digits are taken away."""
    target = pa.timestamp("us", tz="UTC")
    values, failed = _cast(raw, target)
    if not failed.any():
        return values, failed
    rows = np.flatnonzero(failed)
    coarse = pc.replace_substring_regex(raw.take(pa.array(rows)), r"^(.{19}\.\d{6})\d+", r"\1")
    again, failed[rows] = _cast(coarse, target)
    return pc.replace_with_mask(values, pa.array(_at(rows, len(raw))), again), failed


def _whole_numbers_of_text(raw: pa.Array) -> tuple[pa.Array, Rows]:
    """Return texts as whole numbers. A column that may be null often says NaN, as one of floats does."""
    values, failed = _cast(raw, pa.int64())
    if failed.any():
        rows = np.flatnonzero(failed)
        said = pc.ascii_lower(raw.take(pa.array(rows)))
        failed[rows] = ~_mask(pc.is_in(said, pa.array(["nan", "-nan", "+nan"])))
    return values, failed


def _at(rows: NDArray[np.int64], count: int) -> Rows:
    mask = np.zeros(count, np.bool_)
    mask[rows] = True
    return mask


def _cast(raw: pa.Array, target: pa.DataType) -> tuple[pa.Array, Rows]:
    """Cast what can be cast, halving around the rest: so a value is judged as Arrow judges it alone."""
    try:
        return pc.cast(raw, target), np.zeros(len(raw), np.bool_)
    except pa.ArrowInvalid:
        if len(raw) == 1:
            return pa.nulls(1, target), np.ones(1, np.bool_)
    middle = len(raw) // 2
    left, left_failed = _cast(raw.slice(0, middle), target)
    right, right_failed = _cast(raw.slice(middle), target)
    return pa.concat_arrays([left, right]), np.concatenate([left_failed, right_failed])


def _too_large(raw: Mapping[str, pa.Array]) -> list[_Fault]:
    """Return the rows whose texts together are larger than a record may be."""
    texts = [column for column in raw.values() if pa.types.is_string(column.type) or pa.types.is_binary(column.type)]
    lengths = [pc.binary_length(column) for column in texts]
    if sum(pc.max(length).as_py() or 0 for length in lengths) <= RECORD_BYTES_MAX:
        return []
    sizes: NDArray[np.int64] = np.sum([length.fill_null(0).to_numpy().astype(np.int64) for length in lengths], axis=0)
    return [_Fault("record", TOO_LARGE, f"at most {RECORD_BYTES_MAX} bytes", sizes > RECORD_BYTES_MAX)]


def _error(fault: _Fault, raw: Mapping[str, pa.Array], row: int, wrong: Wrong) -> str:
    if fault.reason == MISSING:
        got: object = "nothing"
    elif fault.reason == MALFORMED:
        got = "several"
    elif row in wrong.get(fault.field, {}):
        got = _shown(wrong[fault.field][row])
    elif fault.field in raw:
        got = _shown(plain_values(raw[fault.field].slice(row, 1))[0])
    else:
        got = "more"
    return str(RecordError(fault.field, wanted=fault.wanted, got=got))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _mask(column: pa.Array) -> Rows:
    """Return an Arrow column of booleans, none null, as bool[n]."""
    rows: Rows = np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
    return rows
