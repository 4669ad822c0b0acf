"""An embedding is as many finite numbers as its field declares, whatever the file it comes in."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.schema import EventSchema, FieldSchema
from headrace.edge.decode import Decoded, decode
from headrace.edge.files import Format, read_file
from headrace.edge.reasons import REASONS

LENGTH = 3


def schema(**more: Any) -> EventSchema:
    view = FieldSchema(name="view", kind="text")
    return EventSchema(name="View", fields=(view, FieldSchema(name="e", kind="numbers", length=LENGTH, **more)))


def decoded(path: Path, kind: Format, wanted: EventSchema) -> Decoded:
    raw = read_file(path, kind, wanted)
    assert not raw.broken
    return decode(raw.table, wanted, texts=raw.texts, wrong=raw.wrong)


def reasons_of(found: Decoded) -> list[str]:
    return [REASONS[code] for code in found.reason]


def as_lines(values: list[Any]) -> str:
    return "".join(json.dumps({"view": "v", "e": value}) + "\n" for value in values)


def as_csv(values: list[Any]) -> str:
    return "view,e\n" + "".join(f'v,"{json.dumps(value)}"\n' if value is not None else "v,\n" for value in values)


VALUES = [[1.0, -2.5, 3.0], [1, 2, 3], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0], [], [1.0, None, 3.0], None, [1e300, 0.0, -0.0]]
REASONS_OF = ["", "", "mistyped", "mistyped", "mistyped", "not_finite", "missing", ""]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_list_that_does_not_fit_is_refused_with_its_reason_in_every_format(kind: Format, tmp_path: Path) -> None:
    path = tmp_path / f"views.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"view": ["v"] * len(VALUES), "e": pa.array(VALUES, pa.list_(pa.float64()))}), path)
    else:
        path.write_text(as_lines(VALUES) if kind == "jsonl" else as_csv(VALUES), encoding="utf-8")
    found = decoded(path, kind, schema())
    assert reasons_of(found) == REASONS_OF
    usable = found.columns["e"].filter(pa.array(found.reason == 0))
    assert usable.type == pa.list_(pa.float64(), LENGTH)
    assert usable.to_pylist() == [[1.0, -2.5, 3.0], [1.0, 2.0, 3.0], [1e300, 0.0, -0.0]]
    assert found.errors[2] == "e: wanted a list of 3 finite numbers, got [1.0, 2.0]" or kind == "csv"
    assert "wanted a list of 3 finite numbers" in found.errors[5]


@pytest.mark.parametrize(
    "value", [5, "[1, 2, 3]", {"a": 1}, [[1.0], [2.0], [3.0]], ["1", "2", "3"], [True, False, True], True]
)
def test_what_is_no_list_of_numbers_is_mistyped_and_its_neighbours_are_not(value: object, tmp_path: Path) -> None:
    path = tmp_path / "views.jsonl"
    path.write_text(as_lines([[1, 2, 3], value, [4, 5, 6]]), encoding="utf-8")
    found = decoded(path, "jsonl", schema())
    assert reasons_of(found) == ["", "mistyped", ""]
    assert found.columns["e"].to_pylist() == [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_spoils_the_record(text: str, tmp_path: Path) -> None:
    path = tmp_path / "views.jsonl"
    path.write_text(f'{{"view": "v", "e": [1, 2, 3]}}\n{{"view": "v", "e": [1, {text}, 3]}}\n', encoding="utf-8")
    assert reasons_of(decoded(path, "jsonl", schema())) == ["", "not_finite"]


@pytest.mark.parametrize("text", ["1,2", "[1,2,3", "[1,2,x]", "nothing", '{"a":1}'])
def test_a_text_of_csv_that_is_no_list_is_mistyped(text: str, tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    quoted = text.replace('"', '""')
    path.write_text(f'view,e\nv,"{quoted}"\nv,"[1,2,3]"\n', encoding="utf-8")
    assert reasons_of(decoded(path, "csv", schema())) == ["mistyped", ""]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.int32()), pa.list_(pa.int64(), 3)])
def test_every_list_of_numbers_that_a_parquet_file_may_have_is_read(kind: pa.DataType, tmp_path: Path) -> None:
    path = tmp_path / "views.parquet"
    pq.write_table(pa.table({"view": ["a", "b", "c"], "e": pa.array([[1, 2, 3], None, [4, 5, 6]], kind)}), path)
    found = decoded(path, "parquet", schema(nullable=True))
    assert reasons_of(found) == ["", "", ""]
    assert found.columns["e"].to_pylist() == [[1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]]


def test_the_range_is_that_of_each_number() -> None:
    table = pa.table({"view": ["a", "b", "c"], "e": [[0.0, 0.5, 1.0], [0.0, -0.1, 1.0], [0.0, 0.0, 1.5]]})
    found = decode(table, schema(ge=0, le=1))
    assert reasons_of(found) == ["", "out_of_range", "out_of_range"]
    assert found.errors[1] == "e: wanted at least 0, got [0.0, -0.1, 1.0]"


def test_a_default_stands_where_there_is_none() -> None:
    table = pa.table({"view": ["a", "b"], "e": pa.array([None, [1.0, 2.0, 3.0]], pa.list_(pa.float64()))})
    found = decode(table, schema(default=(0.0, 0.0, 1.0)))
    assert found.columns["e"].to_pylist() == [[0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]
    assert (
        decode(table.select(["view"]), schema(default=(0.0, 0.0, 1.0))).columns["e"].to_pylist()
        == [[0.0, 0.0, 1.0]] * 2
    )


numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5).map(float))


@given(st.lists(st.one_of(st.none(), st.lists(numbers, max_size=5)), min_size=1, max_size=9), st.integers(0, 9))
def test_a_record_is_judged_as_if_it_stood_alone(values: list[list[float | None] | None], cut: int) -> None:
    def judged(some: list[list[float | None] | None]) -> list[str]:
        table = pa.table(
            {"view": pa.array(["v"] * len(some), pa.string()), "e": pa.array(some, pa.list_(pa.float64()))}
        )
        found = decode(table, schema())
        good = [value for value, code in zip(some, found.reason.tolist(), strict=True) if code == 0]
        assert found.columns["e"].filter(pa.array(found.reason == 0)).to_pylist() == good
        return reasons_of(found)

    def by_definition(value: list[float | None] | None) -> str:
        if value is None:
            return "missing"
        if len(value) != LENGTH:
            return "mistyped"
        return "" if all(one is not None and np.isfinite(one) for one in value) else "not_finite"

    assert judged(values) == [by_definition(value) for value in values]
    assert judged(values[:cut]) + judged(values[cut:]) == judged(values)
