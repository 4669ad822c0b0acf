"""A quantile is the middle of the bucket of the record of its rank, however long the window."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.kernels import quantiles as kernel
from tests.oracle import quantiles as oracle
from tests.unit.features.columns.streams import (
    COMPILED,
    FEW,
    VALUES,
    WINDOWS,
    Row,
    check_definition,
    check_read_only,
    check_restored,
    logs,
    run,
)

SHARES = ("0", "0.1", "0.5", "0.55", "0.99", "1")
READS = (
    *(Read(operation="quantile", window=3, column=0, parameters={"q": float(share)}) for share in SHARES),
    *(Read(operation="quantile", window=window, column=0, parameters={"q": 0.5}) for window in range(len(WINDOWS))),
    Read(operation="quantile", window=1, column=1, parameters={"q": 0.25}),
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)


def answer(read: Read, span: Span, times: list[int], rows: list[tuple[float, ...]], now: int) -> float:
    del span, times, now
    return oracle.quantile([row[read.column] for row in rows], repr(read.parameters["q"]))


@FEW
@given(logs())
def test_it_is_the_bucket_of_the_record_of_that_rank(rows: list[Row]) -> None:
    check_definition(PLAN, rows, answer)


@FEW
@given(logs(), st.integers(0, 90))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    check_restored(PLAN, rows, min(place, len(rows)))


@FEW
@given(logs(40))
def test_a_read_changes_no_byte(rows: list[Row]) -> None:
    check_read_only(PLAN, rows)


@FEW
@given(st.one_of(VALUES[1], st.floats(allow_nan=False, allow_infinity=False)))
def test_the_middle_of_a_bucket_is_within_its_bound(value: float) -> None:
    found = kernel.middle(kernel.bucket(np.float64(value).view(np.uint64)))
    assert found == oracle.middle(value)
    assert abs(found - value) <= (abs(value) / 128 if abs(value) >= 2.0**-1022 else 2.0**-1029)


@FEW
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_buckets_rise_with_the_value(values: list[float]) -> None:
    buckets = [kernel.bucket(np.float64(value).view(np.uint64)) for value in sorted(values)]
    assert buckets == sorted(buckets)


def test_of_ten_records_a_tenth_is_the_first_and_more_is_the_second() -> None:
    rows = [Row(0, number, True, False, -100, (float(2**number),)) for number in range(10)]
    for share, rank in ((0.0, 1), (0.1, 1), (0.1000001, 2), (0.3, 3), (0.7, 7), (0.9, 9), (1.0, 10)):
        plan = Plan(
            windows=(Span(size_us=50),),
            columns=1,
            reads=(Read(operation="quantile", window=0, column=0, parameters={"q": share}),),
        )
        found = run(plan, History(plan), [*rows, Row(0, 20, False, True, -100, (0.0,))])
        assert found.tolist() == [[oracle.middle(2.0 ** (rank - 1))]]


@pytest.mark.parametrize("late", [0.0, 0.1, 0.6])
def test_a_deep_block_answers_as_the_definition_does(late: float) -> None:
    # Enough rows of one key for nodes of both sizes, among rows of others that lie in the same slab.
    count, asked = (12000, 40) if COMPILED else (700, 5)
    draw = np.random.default_rng(7)
    time = np.arange(count) // 3 - np.where(draw.random(count) < late, draw.integers(0, 2500, count), 0)
    value = np.round(draw.normal(size=count) * np.exp(3 * draw.normal(size=count)), 3)
    key = np.where(draw.random(count) < 0.9, 0, draw.integers(1, 40, count))
    reading = np.zeros(count, bool)
    reading[draw.choice(count, asked, replace=False)] = True
    windows = (Span(size_us=200), Span(size_us=1900), Span(size_us=ENDED_US))
    plan = Plan(
        windows=windows,
        columns=1,
        reads=tuple(
            Read(operation="quantile", window=window, column=0, parameters={"q": float(share)})
            for window in range(3)
            for share in ("0.05", "0.5", "0.9")
        ),
    )
    rows = [Row(int(key[i]), int(time[i]), True, bool(reading[i]), -(10**15), (float(value[i]),)) for i in range(count)]
    history = History(plan)
    out = np.concatenate([run(plan, history, rows[start : start + 1000]) for start in range(0, count, 1000)])
    restored = History(plan)
    restored.restore(history.snapshot())
    for found, at in zip(out, np.flatnonzero(reading).tolist(), strict=True):
        mine = np.flatnonzero((key[: at + 1] == key[at]) & (time[: at + 1] < time[at]))
        for place, read in enumerate(plan.reads):
            inside = value[mine[time[mine] >= time[at] - windows[read.window].size_us]].tolist()
            np.testing.assert_equal(found[place], oracle.quantile(inside, repr(read.parameters["q"])))
    last = [Row(0, count, False, True, -(10**15), (0.0,))]
    again = run(plan, restored, last)
    assert again.tobytes() == run(plan, history, last).tobytes()
    assert not math.isnan(again[0, 8])
