"""Functions of a record's numbers and texts, against plain Python on one record at a time."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.core import reasons
from headrace.core.events import event_schema
from headrace.features.evaluator import Evaluator


class Sample(hr.Event):
    x: float | None
    y: float
    amount: Annotated[float, hr.Unit("usd", ge=0)]
    text: str | None
    change: Annotated[float, hr.Unit("share", ge=-1)]


x: Any = Sample.x
y: Any = Sample.y
numbers = st.one_of(st.sampled_from([-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 1e-9, 800.0]), st.floats(-1e3, 1e3))
record = st.fixed_dictionaries(
    {
        "x": st.one_of(st.none(), numbers),
        "y": numbers,
        "amount": st.floats(0, 1e6),
        "change": st.just(0.0),
        "text": st.one_of(st.none(), st.sampled_from(["", "Gift", "a GIFT", "Straße", "ÉTÉ", "日本語 gift"])),
    }
)
records = st.lists(record, min_size=1, max_size=12)


def column(expression: Any, drawn: list[dict[str, Any]]) -> Any:
    return Evaluator(pa.RecordBatch.from_pylist(drawn, schema=event_schema(Sample).arrow)).column(expression)


def evaluate(expression: Any, drawn: list[dict[str, Any]]) -> list[float | None]:
    found = column(expression, drawn)
    values = found.as_numbers().tolist()
    assert [math.isnan(value) for value in values] == [code == reasons.MISSING_INPUT for code in found.reason]
    return [None if math.isnan(value) else value for value in values]


def finite(function: Callable[[], float]) -> float | None:
    try:
        value = function()
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return value if not isinstance(value, complex) and math.isfinite(value) else None


EXACT: dict[str, tuple[Any, Callable[[float, float], float]]] = {
    "abs": (hr.abs(x), lambda x, _: abs(x)),
    "floor": (hr.floor(x), lambda x, _: math.floor(x)),
    "ceil": (hr.ceil(x), lambda x, _: math.ceil(x)),
    "round": (hr.round(x), lambda x, _: round(x)),
    "clip": (hr.clip(x, -1.5, 2), lambda x, _: min(max(x, -1.5), 2.0)),
    "minimum": (hr.minimum(x, y, 3), lambda x, y: min(x, y, 3.0)),
    "maximum": (hr.maximum(-3, x, y), lambda x, y: max(x, y, -3.0)),
    "sqrt": (hr.sqrt(x), lambda x, _: math.sqrt(x)),
    "power": (hr.power(x, 2), lambda x, _: x * x),
}
CLOSE: dict[str, tuple[Any, Callable[[float, float], float]]] = {
    "log": (hr.log(x), lambda x, _: math.log(x)),
    "log1p": (hr.log1p(x), lambda x, _: math.log1p(x)),
    "exp": (hr.exp(x), lambda x, _: math.exp(x)),
    "round to 2": (hr.round(x, 2), lambda x, _: round(x * 100) / 100),
    "power of a column": (hr.power(hr.abs(y) + 1, x), lambda x, y: (abs(y) + 1) ** x),
}


@pytest.mark.parametrize("name", EXACT)
@given(drawn=records)
def test_what_is_rounded_correctly_is_exact(name: str, drawn: list[dict[str, Any]]) -> None:
    expression, definition = EXACT[name]
    wanted = [None if row["x"] is None else finite(lambda row=row: definition(row["x"], row["y"])) for row in drawn]
    assert evaluate(expression, drawn) == wanted


@pytest.mark.parametrize("name", CLOSE)
@given(drawn=records)
def test_what_is_our_own_is_close_to_the_systems(name: str, drawn: list[dict[str, Any]]) -> None:
    expression, definition = CLOSE[name]
    wanted = [None if row["x"] is None else finite(lambda row=row: definition(row["x"], row["y"])) for row in drawn]
    found = evaluate(expression, drawn)
    assert [value is None for value in found] == [value is None for value in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one is None or one == pytest.approx(other, rel=2**-40, abs=1e-300)


@given(records, st.sampled_from([0.5, 7.0, 24.0]))
def test_a_number_in_a_period_is_a_point_on_a_circle(drawn: list[dict[str, Any]], period: float) -> None:
    sine, cosine = (evaluate(part, drawn) for part in hr.cyclical(x, period).children)
    for row, one, other in zip(drawn, sine, cosine, strict=True):
        if row["x"] is None:
            assert (one, other) == (None, None)
        else:
            angle = 2 * math.pi * math.fmod(row["x"], period) / period
            assert (one, other) == pytest.approx((math.sin(angle), math.cos(angle)), abs=1e-12)


@given(records)
def test_functions_of_texts_are_pythons(drawn: list[dict[str, Any]]) -> None:
    def wanted(function: Callable[[str], Any]) -> list[Any]:
        return [None if row["text"] is None else function(row["text"]) for row in drawn]

    assert evaluate(hr.length(Sample.text), drawn) == wanted(len)
    assert evaluate(hr.starts_with(Sample.text, "a G"), drawn) == wanted(lambda text: text.startswith("a G"))
    assert evaluate(hr.contains(Sample.text, "gift"), drawn) == wanted(lambda text: "gift" in text)
    assert evaluate(hr.contains(hr.lower(Sample.text), "gift"), drawn) == wanted(lambda text: "gift" in text.lower())
    assert column(hr.lower(Sample.text), drawn).texts.to_pylist() == wanted(lambda text: text.lower())


@given(records, st.integers(0, 12))
def test_cutting_the_batch_changes_no_bit(drawn: list[dict[str, Any]], cut: int) -> None:
    for expression, _ in [*EXACT.values(), *CLOSE.values()]:
        whole = column(expression, drawn).numbers
        parts = [column(expression, part).numbers for part in (drawn[:cut], drawn[cut:]) if part]
        np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        (hr.log1p(Sample.amount), False),
        (hr.log(Sample.amount), True),
        (hr.log(hr.maximum(Sample.amount, 1)), False),
        (hr.sqrt(Sample.amount), False),
        (hr.sqrt(y), True),
        (hr.sqrt(hr.abs(y)), False),
        (hr.log1p(Sample.change), True),
        (hr.log1p(x), True),
        (hr.exp(y), True),
        (hr.exp(hr.clip(y, -5, 5)), False),
        (hr.exp(hr.minimum(y, 5)), False),
        (hr.log1p(hr.fill(hr.clip(x, 0, 5), -2)), True),
        (hr.log1p(hr.fill(hr.clip(x, 0, 5), 0)), False),
        (hr.power(y, 2), False),
        (hr.power(y, 0.5), True),
        (hr.power(Sample.amount, 0.5), False),
        (hr.power(Sample.amount, -1), True),
        (hr.power(Sample.amount, y), True),
        (hr.abs(x), True),
        (hr.round(y, 2), False),
        (hr.is_missing(x), False),
        (hr.length(Sample.text), True),
        (hr.log1p(hr.length(hr.fill(Sample.text, ""))), False),
    ],
)
def test_what_a_declared_range_rules_out_is_not_missing(expression: Any, *, missing: bool) -> None:
    assert expression.missing is missing


def test_a_unit_is_kept_where_the_function_keeps_it() -> None:
    assert hr.round(Sample.amount, 2).unit == "usd"
    assert hr.log1p(Sample.amount).unit == ""


@pytest.mark.parametrize(
    ("mistaken", "remedy"),
    [
        (lambda: hr.log(Sample.text), "a number or a bool"),
        (lambda: hr.log(5), "the constant 5"),
        (lambda: hr.lower(y), "a text"),
        (lambda: hr.lower("A"), "the constant 'A'"),
        (lambda: hr.contains(Sample.text, ""), "a text that is not empty"),
        (lambda: hr.contains(Sample.text, y), "a text that is not empty"),
        (lambda: hr.clip(y, 2, 1), "in this order"),
        (lambda: hr.clip(y, 0, math.inf), "finite numbers"),
        (lambda: hr.round(y, -1), "from 0 to 15"),
        (lambda: hr.minimum(y), "two columns"),
        (lambda: hr.maximum(1, 2), "at least one column"),
        (lambda: hr.power(Sample.text, 2), "a number"),
        (lambda: hr.cyclical(y, 0), "above 0"),
        (lambda: hr.cyclical(y, "1d"), "a finite number above 0"),
        (lambda: hr.cyclical(y, 24, tz="UTC"), "x is no time"),
        (lambda: hr.cyclical(Sample.text, 24), "a number"),
        (lambda: hr.is_missing(hr.cyclical(y, 24)) + 1, "several"),
    ],
)
def test_a_mistake_is_refused_with_the_way_out(mistaken: Callable[[], object], remedy: str) -> None:
    with pytest.raises(hr.ConfigError, match=remedy):
        mistaken()
