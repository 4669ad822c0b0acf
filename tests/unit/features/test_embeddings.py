"""An embedding is a feature for each of its places, live and in a notebook alike."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.events import event_schema
from headrace.features.evaluator import Evaluator
from headrace.testing import drive

Three = Annotated[tuple[float, ...], hr.Length(3)]
START = datetime(2026, 1, 1, tzinfo=UTC)


class View(hr.Event):
    view_id: str
    user: str
    embedding: Three
    old: Three | None = None
    at: datetime


class Click(hr.Event):
    view_id: str
    at: datetime


views = hr.source("views", View, time=View.at, id=View.view_id)
clicks = hr.source("clicks", Click, time=Click.at)
embedding: Any = View.embedding
old: Any = View.old


def test_a_field_of_several_numbers_has_its_length_in_the_schema() -> None:
    field = event_schema(View).field("embedding")
    assert (field.kind, field.length, field.nullable) == ("numbers", 3, False)
    assert field.arrow == pa.list_(pa.float64(), 3)
    assert event_schema(View).field("old").nullable


def test_the_unit_and_the_range_are_those_of_each_number() -> None:
    class Ping(hr.Event):
        shares: Annotated[tuple[Annotated[float, hr.Unit("share", ge=0, le=1)], ...], hr.Length(2)]

    field = event_schema(Ping).field("shares")
    assert (field.unit, field.ge, field.le) == ("share", 0, 1)
    shares: Any = Ping.shares
    assert shares[1].unit == "share"


def test_an_embedding_spreads_to_a_feature_a_place() -> None:
    made = views.vector("v", View.embedding, hr.fill(View.old, 0.0), gone=hr.is_missing(View.old), first=embedding[0])
    assert list(made.features) == [
        *("embedding_0", "embedding_1", "embedding_2"),
        *("old_0", "old_1", "old_2"),
        *("gone", "first"),
    ]
    assert made.features["embedding_2"].canonical == "View.embedding[2]"


def test_the_places_are_read_where_the_field_is_there_and_missing_where_it_is_not() -> None:
    fields = pa.RecordBatch.from_pylist(
        [
            {"view_id": "a", "user": "u", "embedding": [1.0, 2.0, 3.0], "old": None, "at": START},
            {"view_id": "b", "user": "u", "embedding": [4.0, 5.0, 6.0], "old": [7.0, 8.0, 9.0], "at": START},
            {"view_id": "c", "user": "u", "embedding": [0.0, -0.0, 1.0], "old": None, "at": START},
        ],
        schema=event_schema(View).arrow,
    )
    for start in range(3):
        evaluator = Evaluator(fields.slice(start))
        two = evaluator.column(embedding[2])
        assert two.as_numbers().tolist() == [3.0, 6.0, 1.0][start:]
        was = evaluator.column(old[1])
        np.testing.assert_array_equal(was.as_numbers(), [np.nan, 8.0, np.nan][start:])
        assert was.reason.tolist() == [reasons.MISSING_INPUT, reasons.OK, reasons.MISSING_INPUT][start:]
        assert evaluator.column(hr.is_missing(View.old)).as_numbers().tolist() == [1.0, 0.0, 1.0][start:]
        assert evaluator.column(embedding[0] * 2 + embedding[1]).as_numbers().tolist() == [4.0, 13.0, 0.0][start:]


def test_a_notebook_and_a_running_pipeline_give_the_same_numbers() -> None:
    clicked = views.label(clicks, on="view_id", within="30min", otherwise=False)
    vector = views.vector("v", View.embedding, hr.fill(View.old, -1.0))
    pipeline = hr.Pipeline("ctr", features=vector, label=clicked, model=hr.models.Logistic())
    records = [
        View(
            view_id=f"v{number}",
            user="u",
            embedding=(number, number / 2, -number),
            old=old,
            at=START + timedelta(seconds=number),
        )
        for number, old in enumerate([None, (1.0, 2.0, 3.0), None])
    ]
    table = pa.Table.from_pylist(
        [{name: getattr(record, name) for name in View.__struct_fields__} for record in records],
        event_schema(View).arrow,
    )
    computed = vector.compute(views=table)
    driven = drive(pipeline, start="2026-01-01T00:00Z")
    for number, record in enumerate(records):
        driven.send(views, record)
        driven.advance("1s")
        found = driven.features()
        assert {name: computed[name][number].as_py() for name in found} == pytest.approx(found)
    assert computed["old_1"].to_pylist() == [-1.0, 2.0, -1.0]
    assert computed["_reason_old_1"].to_pylist() == ["missing_input", "ok", "missing_input"]
    driven.verify()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], "3 numbers"),
        ([1.0, None, 2.0], "3 finite numbers"),
        ([1.0, float("nan"), 2.0], "3 finite numbers"),
        ("[1, 2, 3]", "3 numbers"),
        (None, "a value in every row"),
    ],
)
def test_a_table_whose_embedding_does_not_fit_is_refused(value: object, message: str) -> None:
    vector = views.vector("v", View.embedding)
    table = pa.table({"view_id": ["a"], "user": ["u"], "embedding": [value], "at": pa.array([START])})
    with pytest.raises(hr.ConfigError, match=f"column 'embedding'.*{message}"):
        vector.compute(views=table)


def declared(hint: Any) -> Any:
    return event_schema(type("Bad", (hr.Event,), {"__annotations__": {"x": hint}}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (tuple[float, ...], r"hr.Length\(n\)"),
        (list[float], r"hr.Length\(n\)"),
        (Annotated[tuple[int, ...], hr.Length(3)], "tuple"),
        (Annotated[tuple[float, float], hr.Length(2)], "tuple"),
        (Annotated[tuple[float | None, ...], hr.Length(2)], "never None"),
        (Annotated[float, hr.Length(2)], "nothing else has a length"),
        (Annotated[tuple[float, ...], hr.Unit("m"), hr.Length(2)], "the unit of each number"),
    ],
)
def test_a_field_that_says_it_otherwise_is_refused(hint: Any, message: str) -> None:
    with pytest.raises(hr.ConfigError, match=message):
        declared(hint)


@pytest.mark.parametrize("n", [0, -1, 4097, 2.0, True])
def test_a_length_is_a_whole_number_from_1_on(n: Any) -> None:
    with pytest.raises(hr.ConfigError, match="from 1 to 4096"):
        hr.Length(n)


@pytest.mark.parametrize(
    "mistaken",
    [
        lambda: embedding + 1,
        lambda: embedding > 1,
        lambda: hr.fill(embedding, "x"),
        lambda: embedding[3],
        lambda: embedding[-1],
        lambda: embedding["0"],
        lambda: View.user[0],
        lambda: views.vector("v", views.by(View.embedding).count("1h")),
        lambda: views.by(View.user).mean(embedding, "1h"),
        lambda: hr.cross(View.user, embedding, bits=4),
        lambda: views.vector("v", View.old),
    ],
)
def test_an_embedding_is_no_single_column(mistaken: Any) -> None:
    with pytest.raises(hr.ConfigError):
        mistaken()
