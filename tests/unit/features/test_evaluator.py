"""Expressions over records, against plain Python on one record at a time."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.core import reasons
from headrace.core.events import event_schema
from headrace.core.expressions import Expression
from headrace.features.evaluator import Evaluator


class Sample(hr.Event):
    name: str | None
    amount: float | None
    other: float
    count: int
    flag: bool | None
    at: datetime
    seen: datetime | None


def column(expression: object) -> Expression:
    assert isinstance(expression, Expression)
    return expression


AMOUNT, OTHER, NAME, FLAG = (column(field) for field in (Sample.amount, Sample.other, Sample.name, Sample.flag))
START = datetime(2026, 1, 1, tzinfo=UTC)
record = st.fixed_dictionaries(
    {
        "name": st.sampled_from([None, "", "a", "b"]),
        "amount": st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 2.5, 7.0])),
        "other": st.sampled_from([0.0, 1.0, 2.5]),
        "count": st.sampled_from([0, 3, 2**53, 2**53 + 1]),
        "flag": st.sampled_from([None, True, False]),
        "at": st.integers(0, 10**6).map(lambda seconds: START + timedelta(seconds=seconds)),
        "seen": st.one_of(st.none(), st.just(START)),
    }
)
records = st.lists(record, min_size=1, max_size=12)


def evaluate(expression: Expression, drawn: list[dict[str, object]]) -> tuple[list[float | None], list[int]]:
    fields = pa.RecordBatch.from_pylist(drawn, schema=event_schema(Sample).arrow)
    found = Evaluator(fields).column(expression)
    numbers = found.as_numbers().tolist()
    return [None if math.isnan(number) else number for number in numbers], found.reason.tolist()


def ratio(row: dict[str, object]) -> float | None:
    amount, other = row["amount"], row["other"]
    assert isinstance(other, float)
    return None if amount is None or other == 0 else amount / other  # type: ignore[operator, no-any-return]


@given(records)
def test_arithmetic_is_missing_where_an_operand_is_or_nothing_is_defined(drawn: list[dict[str, object]]) -> None:
    values, codes = evaluate(AMOUNT / OTHER, drawn)
    assert values == [ratio(row) for row in drawn]
    assert [code == reasons.OK for code in codes] == [value is not None for value in values]


@given(records)
def test_fill_gives_the_value_and_keeps_the_reason(drawn: list[dict[str, object]]) -> None:
    values, codes = evaluate(hr.fill(AMOUNT, -9.0), drawn)
    assert values == [-9.0 if row["amount"] is None else row["amount"] for row in drawn]
    assert [code == reasons.MISSING_INPUT for code in codes] == [row["amount"] is None for row in drawn]


@given(records)
def test_conditions_have_three_values(drawn: list[dict[str, object]]) -> None:
    def kleene(row: dict[str, object]) -> float | None:
        above = None if row["amount"] is None else row["amount"] > 1  # type: ignore[operator]
        if above is False or row["flag"] is False:
            return 0.0
        return None if above is None or row["flag"] is None else 1.0

    assert evaluate((AMOUNT > 1) & FLAG, drawn)[0] == [kleene(row) for row in drawn]
    either = evaluate(~((AMOUNT > 1) & FLAG), drawn)[0]
    assert either == [None if value is None else 1.0 - value for value in evaluate((AMOUNT > 1) & FLAG, drawn)[0]]


@given(records)
def test_texts_are_compared_and_looked_up(drawn: list[dict[str, object]]) -> None:
    assert evaluate(NAME == "a", drawn)[0] == [
        None if row["name"] is None else float(row["name"] == "a") for row in drawn
    ]
    assert evaluate(hr.isin(NAME, ["", "b"]), drawn)[0] == [
        None if row["name"] is None else float(row["name"] in ("", "b")) for row in drawn
    ]


@given(records)
def test_a_missing_time_is_missing_everywhere(drawn: list[dict[str, object]]) -> None:
    gone = [row["seen"] is None for row in drawn]
    assert evaluate(hr.is_missing(Sample.seen), drawn)[0] == [float(missing) for missing in gone]
    assert evaluate(hr.fill(hr.hour(Sample.seen, tz="UTC"), -1), drawn)[0] == [
        -1.0 if missing else 0.0 for missing in gone
    ]
    ids = evaluate(hr.category(Sample.seen, bits=8), drawn)[0]
    assert [number == 0 for number in ids] == gone


@given(records)
def test_a_category_is_one_id_a_value_and_0_for_none(drawn: list[dict[str, object]]) -> None:
    ids = evaluate(hr.category(Sample.name, bits=10), drawn)[0]
    pairs = {(row["name"], number) for row, number in zip(drawn, ids, strict=True)}
    assert len(pairs) == len({name for name, _ in pairs})
    assert all((name is None) == (number == 0) and 0 <= (number or 0) < 1024 for name, number in pairs)


def test_whole_numbers_beyond_the_floats_stay_apart_as_categories() -> None:
    rows = [
        {"other": 0.0, "count": 2**53 + more, "at": START, "name": None, "amount": None, "flag": None, "seen": None}
        for more in (0, 1, 2)
    ]
    assert len(set(evaluate(hr.category(Sample.count, bits=20), rows)[0])) == 3


@given(records)
def test_when_takes_the_branch_of_its_condition(drawn: list[dict[str, object]]) -> None:
    values = evaluate(hr.fill(hr.when(FLAG, OTHER, 5.0), -1.0), drawn)[0]
    assert values == [-1.0 if row["flag"] is None else row["other"] if row["flag"] else 5.0 for row in drawn]


def test_the_same_expression_is_computed_once() -> None:
    fields = pa.RecordBatch.from_pylist([{"other": 1.0, "count": 1, "at": START}], schema=event_schema(Sample).arrow)
    evaluator = Evaluator(fields)
    assert evaluator.column(OTHER + 1.0) is evaluator.column(OTHER + 1.0)
    assert np.array_equal(evaluator.mask(OTHER > 0.0), [True])
