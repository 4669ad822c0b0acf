from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.schema import EventSchema, FieldSchema
from headrace.edge.decode import RECORD_BYTES_MAX, decode
from headrace.edge.reasons import REASONS

UTC_US = pa.timestamp("us", tz="UTC")


def one(kind: Any, **more: Any) -> EventSchema:
    return EventSchema(name="One", fields=(FieldSchema(name="x", kind=kind, **more),))


def told(column: pa.Array, schema: EventSchema, **how: Any) -> list[Any]:
    """Return, for each row, its value if it is usable, else its reason."""
    decoded = decode(pa.table({"x": column}), schema, **how)
    values = decoded.columns["x"]
    values = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    return [
        value if code == 0 else REASONS[code]
        for value, code in zip(values.to_pylist(), decoded.reason.tolist(), strict=True)
    ]


def test_a_number_is_missing_not_finite_or_out_of_range() -> None:
    column = pa.array([0.0, 5.0, -0.5, 5.5, None, np.nan, np.inf, -np.inf])
    expected = [0.0, 5.0, "out_of_range", "out_of_range", "missing", "missing", "not_finite", "not_finite"]
    assert told(column, one("number", ge=0, le=5)) == expected


def test_not_a_number_is_null_where_a_field_may_be_null() -> None:
    assert told(pa.array([1.0, np.nan, None]), one("number", nullable=True)) == [1.0, None, None]
    assert told(pa.array([1.0, np.nan, None]), one("integer", nullable=True)) == [1, None, None]


@pytest.mark.parametrize("nullable", [False, True])
def test_null_and_absent_give_the_default(nullable: bool) -> None:
    schema = one("number", nullable=nullable, default=7.0)
    assert told(pa.array([1.0, None, np.nan]), schema) == [1.0, 7.0, 7.0]
    absent = decode(pa.table({"other": [1, 2]}), schema)
    assert absent.columns["x"].to_pylist() == [7.0, 7.0]
    assert not absent.reason.any()


def test_a_mistyped_value_never_becomes_the_default() -> None:
    assert told(pa.array(["1", "one", None]), one("number", default=7.0), texts=True) == [1.0, "mistyped", 7.0]


def test_a_default_of_none_is_null() -> None:
    assert told(pa.array([None, "a"]), one("text", nullable=True, default=None)) == [None, "a"]


def test_an_absent_column_without_default_makes_every_row_missing() -> None:
    decoded = decode(pa.table({"other": [1, 2]}), one("text"))
    assert [REASONS[code] for code in decoded.reason] == ["missing", "missing"]
    assert decoded.errors[0] == "x: wanted text, got nothing"


def test_columns_that_the_schema_does_not_name_are_ignored() -> None:
    decoded = decode(pa.table({"x": ["a"], "new": [object.__name__]}), one("text"))
    assert list(decoded.columns) == ["x"]


def test_a_category_is_one_of_its_choices() -> None:
    column = pa.array(["red", "rad", None]).dictionary_encode()
    assert told(column, one("category", choices=("red", "blue"))) == ["red", "not_a_choice", "missing"]
    assert told(column, one("category", nullable=True, choices=("red", "blue"))) == ["red", "not_a_choice", None]


def test_text_is_read_as_numbers_only_where_everything_is_text() -> None:
    assert told(pa.array(["1.5", "x", ""]), one("number"), texts=True) == [1.5, "mistyped", "mistyped"]
    assert told(pa.array(["1.5"]), one("number")) == ["mistyped"]
    assert told(pa.array(["7", "7.0", "9223372036854775808"]), one("integer"), texts=True) == [
        7,
        "mistyped",
        "mistyped",
    ]
    assert told(pa.array(["true", "0", "yes"]), one("bool"), texts=True) == [True, False, "mistyped"]


def test_a_column_of_another_type_is_mistyped_row_by_row() -> None:
    assert told(pa.array([1, None]), one("text")) == ["mistyped", "missing"]
    assert told(pa.array([True]), one("number")) == ["mistyped"]
    assert told(pa.array([1356998400]), one("time")) == ["mistyped"]
    assert told(pa.array([1.0, 1.5]), one("integer")) == [1, "mistyped"]
    assert told(pa.array([2**63], pa.uint64()), one("integer")) == ["mistyped"]
    assert told(pa.array([2**63], pa.uint64()), one("number")) == [2.0**63]
    assert told(pa.array([b"ok", b"\xff"]), one("text")) == ["ok", "mistyped"]


def test_a_text_of_a_time_needs_a_zone() -> None:
    column = pa.array(["1970-01-01T00:00:01Z", "1970-01-01T01:00:01+01:00", "1970-01-01T00:00:01", "soon"])
    assert told(column, one("time")) == [1_000_000, 1_000_000, "mistyped", "mistyped"]


def test_a_column_of_times_without_a_zone_is_utc_and_finer_times_are_rounded_down() -> None:
    assert told(pa.array([1, -1], pa.timestamp("us")), one("time")) == [1, -1]
    assert told(pa.array([1999, -1], pa.timestamp("ns")), one("time")) == [1, -1]
    assert told(pa.array([2], pa.timestamp("ms")), one("time")) == [2_000]
    assert told(pa.array([2, None], pa.timestamp("s", tz="America/New_York")), one("time")) == [2_000_000, "missing"]


def test_a_time_too_far_to_be_computed_with_is_out_of_range() -> None:
    assert told(pa.array([2**62, 2**62 - 1, -(2**62)], UTC_US), one("time")) == [
        "out_of_range",
        2**62 - 1,
        "out_of_range",
    ]
    assert told(pa.array([2**62, -(2**62)], pa.timestamp("s")), one("time")) == ["out_of_range", "out_of_range"]


def test_the_first_field_at_fault_names_the_reason_and_the_error_says_field_wanted_got() -> None:
    fields = (FieldSchema(name="a", kind="number", le=2, unit="mph"), FieldSchema(name="b", kind="text"))
    decoded = decode(
        pa.table({"a": [3.0, 1.0], "b": pa.array([None, None], pa.string())}), EventSchema(name="E", fields=fields)
    )
    assert [REASONS[code] for code in decoded.reason] == ["out_of_range", "missing"]
    assert decoded.errors == {0: "a: wanted at most 2 mph, got 3.0", 1: "b: wanted text, got nothing"}


def test_a_record_above_the_largest_size_is_refused_and_the_largest_is_not() -> None:
    fields = tuple(FieldSchema(name=name, kind="text") for name in "ab")
    half = RECORD_BYTES_MAX // 2
    table = pa.table({"a": ["a" * half, "a" * half, "c"], "b": ["b" * half, "b" * (half + 1), "d"]})
    decoded = decode(table, EventSchema(name="E", fields=fields))
    assert [REASONS[code] for code in decoded.reason] == ["", "too_large", ""]
    assert "record" in decoded.errors[1]


def test_an_unusable_row_is_null_where_it_could_not_be_read_and_keeps_the_rest() -> None:
    fields = (FieldSchema(name="a", kind="number", le=2), FieldSchema(name="at", kind="time"))
    at = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], UTC_US)
    decoded = decode(pa.table({"a": [3.0], "at": at}), EventSchema(name="E", fields=fields))
    assert decoded.columns["a"].to_pylist() == [None]
    assert decoded.columns["at"].equals(at)


VALUES = st.one_of(
    st.none(), st.sampled_from(["1", "-1", "x", "inf", "nan", "1e3", "2013-01-01T00:00:00Z", "true", ""])
)


@given(st.lists(VALUES, max_size=12), st.sampled_from(["number", "integer", "bool", "time", "text"]))
@settings(max_examples=60, deadline=None)
def test_a_row_is_judged_alone(values: list[str | None], kind: str) -> None:
    column = pa.array(values, pa.string())
    schema = one(kind, ge=0) if kind == "number" else one(kind)
    alone = [told(column.slice(row, 1), schema, texts=True)[0] for row in range(len(values))]
    assert told(column, schema, texts=True) == alone
