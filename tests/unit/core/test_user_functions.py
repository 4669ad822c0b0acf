"""A function of the user's is named by its source, tried at definition, and missing where an argument is."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.core import reasons
from headrace.core.events import event_schema
from headrace.core.user_functions import UserFunction
from headrace.features.evaluator import Evaluator

RADIUS = 111.2
NAMED = {"a": 1.0}


class Txn(hr.Event):
    lat: float
    lon: float
    before: float | None
    memo: str
    at: datetime


txns = hr.source("txns", Txn, time=Txn.at)
lat: Any = Txn.lat
lon: Any = Txn.lon
before: Any = Txn.before


@hr.function
def km(lat0: hr.F8, lon0: hr.F8, lat1: hr.F8, lon1: hr.F8) -> hr.F8:
    # The earth is round.
    return RADIUS * np.hypot(lat1 - lat0, (lon1 - lon0) * np.cos(np.radians(lat0)))


@hr.function
def ratio(part: hr.F8, whole: hr.F8, scale: float = 1.0) -> hr.F8:
    return scale * part / whole


def doubled(x: hr.F8) -> hr.F8:
    return 2.0 * x


@hr.function
def halved(x: hr.F8) -> hr.F8:
    return doubled(x) / 4.0


def evaluated(expression: Any, rows: list[tuple[float, float, float | None]]) -> tuple[list[float], list[int]]:
    records = [{"lat": a, "lon": b, "before": c, "memo": "", "at": 0} for a, b, c in rows]
    found = Evaluator(pa.RecordBatch.from_pylist(records, schema=event_schema(Txn).arrow)).column(expression)
    return found.as_numbers().tolist(), found.reason.tolist()


def test_called_with_columns_it_is_a_column_that_may_be_missing() -> None:
    made = km(Txn.lat, Txn.lon, 52.5, before)
    assert isinstance(made, UserFunction)
    assert (made.kind, made.missing) == ("number", True)
    assert made.canonical.startswith("km@")
    assert made.canonical.endswith("(Txn.lat, Txn.lon, 52.5, Txn.before)")
    with pytest.raises(hr.ConfigError, match="a default"):
        txns.vector("v", jump=made)
    assert list(txns.vector("v", jump=hr.fill(made, 0.0)).features) == ["jump"]


def test_called_with_arrays_it_is_what_it_was() -> None:
    assert ratio(np.array([1.0, 2.0]), 4.0).tolist() == [0.25, 0.5]


values = st.floats(-90, 90)


@given(st.lists(st.tuples(values, values, st.one_of(st.none(), values)), min_size=1, max_size=9))
def test_it_is_the_function_row_by_row_and_missing_where_an_argument_is(
    rows: list[tuple[float, float, float | None]],
) -> None:
    found, why = evaluated(km(lat, lon, before, 1), rows)
    for (a, b, c), value, reason in zip(rows, found, why, strict=True):
        if c is None:
            assert math.isnan(value)
            assert reason == reasons.MISSING_INPUT
        else:
            wanted = 111.2 * math.hypot(c - a, (1.0 - b) * math.cos(math.radians(a)))
            assert value == pytest.approx(wanted, rel=1e-12, abs=1e-12)
            assert reason == reasons.OK


def test_a_result_that_is_not_finite_is_missing() -> None:
    found, why = evaluated(ratio(lat, lon), [(1.0, 0.0, None), (0.0, 0.0, None), (1.0, 4.0, None)])
    np.testing.assert_array_equal(found, [math.nan, math.nan, 0.25])
    assert why == [reasons.MISSING_INPUT, reasons.MISSING_INPUT, reasons.OK]


def test_a_function_cannot_make_good_a_missing_argument(tmp_path: Any) -> None:
    filled = defined("def f(x):\n    return np.nan_to_num(x)\n", tmp_path)(before)
    found, why = evaluated(filled, [(1.0, 1.0, None), (1.0, 1.0, 2.0)])
    np.testing.assert_array_equal(found, [math.nan, 2.0])
    assert why == [reasons.MISSING_INPUT, reasons.OK]


def test_defaults_and_names_of_arguments_are_those_of_the_function() -> None:
    assert ratio(whole=lon, part=lat).canonical == ratio(lat, lon, 1.0).canonical
    assert evaluated(ratio(lat, lon, scale=3), [(1.0, 2.0, None)])[0] == [1.5]
    assert evaluated(ratio(lat, lon > 5), [(1.0, 2.0, None), (1.0, 7.0, None)])[1] == [
        reasons.MISSING_INPUT,
        reasons.OK,
    ]


def defined(text: str, tmp_path: Any, **outside: Any) -> Callable[..., Any]:
    """Return the function f of a file."""
    path = tmp_path / f"made{len(list(tmp_path.iterdir()))}.py"
    path.write_text(text, encoding="utf-8")
    scope = {"np": np, "hr": hr, "__name__": "made", **outside}
    exec(compile(text, str(path), "exec"), scope)
    return hr.function(scope["f"])


def test_what_changes_a_result_changes_the_name_and_nothing_else_does(tmp_path: Any) -> None:
    def name(text: str, **outside: Any) -> str:
        found: str = defined(text, tmp_path, **outside)(lat).canonical
        return found

    plain = name("def f(x):\n    return x + A\n", A=1.0)
    assert name("# Why.\n\ndef f(x):\n\n    # So.\n    return x + A   \n", A=1.0) == plain
    assert name("def f(x):\n    return x + A\n", A=2.0) != plain
    assert name("def f(x):\n    return x - A\n", A=1.0) != plain
    helper = "def g(x):\n    return x {0} 1.0\ndef f(x):\n    return g(x)\n"
    assert name(helper.format("+")) != name(helper.format("-"))


def test_the_source_of_what_it_calls_is_in_the_name_too() -> None:
    assert "2.0 * x" in halved(lat).text
    assert "RADIUS = 111.2" in km(lat, lon, lat, lon).text


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("def f(x):\n    return x[:1]\n", r"float64\[4\], one number a row, got float64\[1\]"),
        ("def f(x):\n    return x > 1\n", r"float64\[4\], one number a row, got bool\[4\]"),
        ("def f(x):\n    return 1.0\n", "got float"),
        ("def f(x):\n    return x.mean() + 0 * x\n", "depends on other rows"),
        ("def f(x):\n    return np.cumsum(x)\n", "depends on other rows"),
        ("def f(x):\n    x[0] = 1.0\n    return x\n", "ValueError"),
        ("def f(x):\n    return x.nothing\n", "AttributeError"),
        ("def f(x):\n    return x * TABLE['a']\n", "TABLE, a dict"),
        ("def f(x):\n    return x * nothing\n", "names that are defined, got nothing"),
        ("f = lambda x: x\n", "defined with def"),
        ("f = np.abs\n", "defined with def"),
    ],
)
def test_what_is_no_pure_function_of_rows_is_refused_at_definition(text: str, remedy: str, tmp_path: Any) -> None:
    with pytest.raises(hr.ConfigError, match=remedy):
        defined(text, tmp_path, TABLE={"a": 1.0})(lat)


def test_a_function_without_a_source_is_refused_where_it_is_marked() -> None:
    scope: dict[str, Any] = {}
    exec("def f(x):\n    return x\n", scope)
    with pytest.raises(hr.ConfigError, match="source text can be read"):
        hr.function(scope["f"])


@pytest.mark.parametrize(
    ("mistaken", "remedy"),
    [
        (lambda: ratio(lat), "arguments"),
        (lambda: ratio(lat, lon, 1, 2), "arguments"),
        (lambda: ratio(lat, Txn.memo), "which is a text"),
        (lambda: ratio(lat, Txn.at), "which is a time"),
        (lambda: ratio(lat, None), "a number"),
        (lambda: ratio(lat, "x"), "a number"),
        (lambda: ratio(lat, hr.cyclical(lon, 5)), "several"),
    ],
)
def test_arguments_are_numbers(mistaken: Callable[[], object], remedy: str) -> None:
    with pytest.raises(hr.ConfigError, match=remedy):
        mistaken()


def test_a_result_that_is_wrong_only_at_run_is_told_with_its_shape(tmp_path: Any) -> None:
    short = defined("def f(x):\n    return x if len(x) != 2 else x[:1]\n", tmp_path)(lat)
    with pytest.raises(hr.ConfigError, match=r"function 'f': wanted float64\[2\], one number a row, got float64\[1\]"):
        evaluated(short, [(1.0, 1.0, None), (2.0, 2.0, None)])
