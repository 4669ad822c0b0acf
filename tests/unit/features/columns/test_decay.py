"""Decaying sums and means are those of the rows of their epochs, however the rows came."""

import math
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.kernels import decay as kernel
from tests.oracle import decay as oracle
from tests.unit.features.columns.streams import (
    COMPILED,
    FEW,
    Row,
    check_definition,
    check_read_only,
    check_restored,
    logs,
    run,
)

WINDOWS = (
    Span(kind="given", half_life_us=3),
    Span(kind="given", half_life_us=1, offset_us=4),
    Span(kind="given", half_life_us=3, include_current=True),
    Span(kind="given", half_life_us=40, offset_us=11, include_current=True),
)
READS = (
    *(Read(operation="sum", window=window, column=0) for window in range(4)),
    *(Read(operation="mean", window=window, column=0) for window in range(4)),
    Read(operation="sum", window=1, column=1),
    Read(operation="sum", window=0, column=1),
    Read(operation="mean", window=2, column=0, parameters={"prior": 1.5}, default=4.0),
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)
streams = logs(steps=(0, 0, 1, 1, 2, 30, 90))


def answer(read: Read, span: Span, times: list[int], rows: list[tuple[float, ...]], now: int) -> float:
    moment = now - span.offset_us
    total = oracle.decayed(times, [row[read.column] + 0.0 for row in rows], moment, span.half_life_us)
    if read.operation == "sum":
        return total
    count = oracle.decayed(times, [1.0] * len(times), moment, span.half_life_us)
    prior = read.parameters.get("prior", 0.0)
    if prior:
        total, count = total + prior * read.default, count + prior
    return total / count if count else math.nan


@FEW
@given(streams)
def test_it_is_the_sum_of_the_folds_of_three_epochs(rows: list[Row]) -> None:
    check_definition(PLAN, rows, answer)


@FEW
@given(streams, st.integers(0, 90))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    check_restored(PLAN, rows, min(place, len(rows)))


@FEW
@given(logs(40))
def test_a_read_changes_no_byte(rows: list[Row]) -> None:
    check_read_only(PLAN, rows)


def test_what_was_freed_is_not_in_the_fold_of_what_is_left() -> None:
    # A busy key whose oldest rows are freed in the middle of an epoch: read as if they had never been there.
    half_life, count = 1000, 600 if COMPILED else 150
    plan = Plan(
        windows=(Span(kind="given", half_life_us=half_life),),
        columns=1,
        reads=(Read(operation="sum", window=0, column=0),),
    )
    rows = [Row(0, 10 * number, True, True, 10 * number - 500, (1.0 + number % 7,)) for number in range(count)]
    check_definition(plan, rows, answer)


def test_a_row_that_comes_too_late_for_any_read_leaves_nothing_of_what_was_freed() -> None:
    #  epochs  [32      64                96)
    #  rows         50     70 71     90        70 and 71 are freed, then 50 comes; at 95 only 90 may still be read
    plan = Plan(
        windows=(Span(kind="given", half_life_us=1),),
        columns=1,
        reads=(Read(operation="sum", window=0, column=0),),
    )
    rows = [Row(0, time, True, False, -100, (3e9,)) for time in (70, 71, 90)]
    rows += [Row(0, 50, True, False, 75, (1.0,)), Row(0, 95, False, True, 75, (0.0,))]
    check_definition(plan, rows, answer)


def test_a_weight_is_within_its_bound_of_the_power_and_whole_half_lives_are_exact() -> None:
    worst = Decimal(0)
    draw = np.random.default_rng(3)
    for half_life in (1, 7, 3_600_000_000, 86_400_000_000 * 365):
        ages = [*draw.integers(0, 96 * half_life, 1500 if COMPILED else 200).tolist(), half_life // 2]
        for age in ages:
            exact = oracle.exact_weight(age, half_life)
            worst = max(worst, abs(Decimal(kernel.weight(age, half_life)) / exact - 1))
        assert [kernel.weight(k * half_life, half_life) for k in range(97)] == [2.0**-k for k in range(97)]
    assert worst < Decimal("4e-16")


def test_a_sum_is_near_the_sum_of_the_weights_that_were_meant() -> None:
    draw = np.random.default_rng(11)
    half_life, count = 10_000_000, 400
    time = np.sort(draw.integers(0, 80 * half_life, count)).tolist()
    value = np.round(draw.gamma(2.0, 30.0, count), 2).tolist()
    plan = Plan(
        windows=(Span(kind="given", half_life_us=half_life),),
        columns=1,
        reads=(Read(operation="sum", window=0, column=0),),
    )
    rows = [Row(0, t, True, False, -(10**15), (v,)) for t, v in zip(time, value, strict=True)]
    now = 80 * half_life + 5
    found = float(run(plan, History(plan), [*rows, Row(0, now, False, True, -(10**15), (0.0,))])[0, 0])
    exact = oracle.exact_sum(time, value, now, half_life)
    assert abs(Decimal(found) / exact - 1) < Decimal("2e-15")
