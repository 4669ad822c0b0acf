"""Variance, skewness and trend are exact but for the roundings that are named, wherever the values lie."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.columns.kinds import states_of
from headrace.features.columns.power_sums import PowerSums
from headrace.features.history import History
from tests.oracle import power_sums as oracle
from tests.unit.features.columns.streams import (
    COMPILED,
    FEW,
    WINDOWS,
    Row,
    check_definition,
    check_read_only,
    check_restored,
    logs,
    run,
)

SIZE = 60 if COMPILED else 8  # Exact sums take a thousand steps each.
OPERATIONS = ("var", "std", "skew", "trend")
READS = (
    *(Read(operation=name, window=window, column=0) for name in OPERATIONS for window in range(len(WINDOWS))),
    Read(operation="var", window=3, column=1),
    Read(operation="std", window=0, column=1),
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)


def by_definition(operation: str, times: list[int], values: list[float]) -> float:
    if operation == "trend":
        return oracle.trend(times, values)
    if operation == "skew":
        return oracle.skewness(values)
    variance = oracle.variance(values)
    return variance if operation == "var" else math.sqrt(variance)


def answer(read: Read, span: Span, times: list[int], rows: list[tuple[float, ...]], now: int) -> float:
    del span, now
    return by_definition(read.operation, times, [row[read.column] for row in rows])


@FEW
@given(logs(SIZE))
def test_they_follow_the_definition_to_the_last_bit(rows: list[Row]) -> None:
    check_definition(PLAN, rows, answer)


@FEW
@given(logs(SIZE), st.integers(0, SIZE))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    check_restored(PLAN, rows, min(place, len(rows)))


@FEW
@given(logs(SIZE))
def test_a_read_changes_no_byte(rows: list[Row]) -> None:
    check_read_only(PLAN, rows)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("scale", [0, 12, 300])
def test_any_floats_will_do(operation: str, scale: int) -> None:
    # Cancellation, and exponents that are far apart: here a sum of squares in floats has no digit that is right.
    draw = random.Random(f"{operation} {scale}")
    plan = Plan(windows=(Span(size_us=ENDED_US),), columns=1, reads=(Read(operation=operation, window=0, column=0),))
    for turn in range(60 if COMPILED else 2):
        count = draw.choice([1, 2, 3, 9])
        values = [
            draw.gauss(draw.choice([0, 1e6]), 1.0) * 10.0 ** draw.uniform(-scale, scale / 2) for _ in range(count)
        ]
        if turn % 4 == 0:
            values += [-value for value in values]
        if turn % 5 == 0:
            values += [5e-324, -1e-310]
        moments = [draw.choice([0, 17, 10**15, -(10**16), draw.randrange(10**12)]) for _ in values]
        moments.sort()
        rows = [Row(0, moment, True, False, -(2**62), (value,)) for moment, value in zip(moments, values, strict=True)]
        rows.append(Row(0, 2 * 10**15, False, True, -(2**62), (0.0,)))
        expected = by_definition(operation, moments, values)
        np.testing.assert_array_equal(run(plan, History(plan), rows), [[expected]])


def test_a_small_variance_far_from_zero_keeps_its_digits() -> None:
    values = [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]
    plan = Plan(windows=(Span(size_us=50),), columns=1, reads=(Read(operation="var", window=0, column=0),))
    rows = [Row(0, number, True, False, -100, (value,)) for number, value in enumerate(values)]
    found = run(plan, History(plan), [*rows, Row(0, 9, False, True, -100, (0.0,))])
    assert found.tolist() == [[5.0 / 3.0]]


@pytest.mark.parametrize("scale", [1.0, 2.0**9, 2.0**-40, 2.0**60])
def test_what_lies_below_a_tie_decides_it(scale: float) -> None:
    # Of two values p and q the spread is (p - q)**2, here 2**42 + 2**-11 + 2**-66: just above the middle of two floats.
    values = [2.0**21 * scale, -(2.0**-33) * scale]
    plan = Plan(windows=(Span(size_us=50),), columns=1, reads=(Read(operation="var", window=0, column=0),))
    rows = [Row(0, number, True, False, -100, (value,)) for number, value in enumerate(values)]
    found = run(plan, History(plan), [*rows, Row(0, 9, False, True, -100, (0.0,))])
    assert found.tolist() == [[oracle.variance(values)]] == [[(2.0**41 + 2.0**-11) * scale * scale]]


def test_a_trend_is_a_second_and_does_not_know_where_time_begins() -> None:
    plan = Plan(windows=(Span(size_us=10**7),), columns=1, reads=(Read(operation="trend", window=0, column=0),))
    for start in (0, 10**15, -(10**17), 10**17):
        rows = [Row(0, start + 500_000 * number, True, False, -(2**62), (2.0 + 1.5 * number,)) for number in range(5)]
        rows.append(Row(0, start + 9 * 10**6, False, True, -(2**62), (0.0,)))
        assert run(plan, History(plan), rows).tolist() == [[3.0]]


def test_what_is_not_defined_is_missing() -> None:
    windows = (Span(size_us=50),)
    plan = Plan(
        windows=windows,
        columns=1,
        reads=tuple(Read(operation=name, window=0, column=0) for name in OPERATIONS),
    )
    one = [Row(0, 5, True, False, -100, (3.5,)), Row(0, 9, False, True, -100, (0.0,))]
    assert np.isnan(run(plan, History(plan), one)).all()
    tied = [Row(0, 5, True, False, -100, (value,)) for value in (2.0, 4.0)]
    found = run(plan, History(plan), [*tied, one[1]])[0].tolist()
    assert found[:3] == [2.0, math.sqrt(2.0), 0.0]
    assert math.isnan(found[3])


def test_only_what_is_asked_is_kept() -> None:
    words = {}
    for operation in OPERATIONS:
        plan = Plan(windows=(Span(size_us=50),), columns=1, reads=(Read(operation=operation, window=0, column=0),))
        (state,) = states_of(plan, 0)
        assert isinstance(state, PowerSums)
        state.grow(16)
        words[operation] = sum(array.nbytes for array in vars(state).values() if isinstance(array, np.ndarray)) // 128
    assert words["var"] == words["std"] < words["skew"]
    assert words["var"] < words["trend"]


def test_a_long_history_of_large_values_does_not_wrap_where_it_is_read() -> None:
    # The sums before a row may wrap; those of a window do not.
    count = 3000 if COMPILED else 100
    draw = random.Random(5)
    plan = Plan(
        windows=(Span(size_us=40),),
        columns=1,
        reads=tuple(Read(operation=name, window=0, column=0) for name in OPERATIONS),
    )
    rows = [
        Row(0, number, True, number % 97 == 96, number - 60, (draw.choice([2.0**39, -(2.0**39), 7.25, 2.0**-60]),))
        for number in range(count)
    ]
    check_definition(plan, rows, answer)
