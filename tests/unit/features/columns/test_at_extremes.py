"""argmax and argmin give the value at the extreme of another column; of several, the newest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from tests.oracle.at_extremes import at_extreme
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

READS = tuple(
    Read(operation=operation, window=window, column=column, other=other)
    for operation, column, other in (("argmax", 0, 1), ("argmin", 0, 1), ("argmax", 0, 0), ("argmin", 1, 0))
    for window in range(len(WINDOWS))
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)


def answer(read: Read, span: Span, times: list[int], rows: list[tuple[float, ...]], now: int) -> float:
    del span, times, now
    values, others = [row[read.column] + 0.0 for row in rows], [row[read.other] for row in rows]
    return at_extreme(values, others, greatest=read.operation == "argmax")


@FEW
@given(logs())
def test_it_is_the_value_at_the_extreme_of_the_other_column(rows: list[Row]) -> None:
    check_definition(PLAN, rows, answer)


@FEW
@given(logs(), st.integers(0, 90))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    check_restored(PLAN, rows, min(place, len(rows)))


@FEW
@given(logs(40))
def test_a_read_changes_no_byte(rows: list[Row]) -> None:
    check_read_only(PLAN, rows)


def test_of_equal_extremes_the_newest_counts_and_a_late_row_is_as_old_as_its_time() -> None:
    #  us     0        10       20 (late: 5)
    #  other  3        3        3                at 30 the row of 10 is the newest of the greatest
    rows = [
        Row(0, 0, True, False, -100, (1.0, 3.0)),
        Row(0, 10, True, False, -100, (2.0, 3.0)),
        Row(0, 5, True, False, -100, (4.0, 3.0)),
        Row(0, 30, False, True, -100, (0.0, 0.0)),
    ]
    plan = Plan(windows=(Span(size_us=50),), columns=2, reads=(Read(operation="argmax", window=0, column=0, other=1),))
    assert run(plan, History(plan), rows).tolist() == [[2.0]]


def test_a_deep_block_answers_as_the_definition_does() -> None:
    # Enough rows of one key for several levels of the tree, with ties, among rows of others that lie in the same slab.
    count, asked = (9000, 60) if COMPILED else (700, 5)
    draw = np.random.default_rng(7)
    time = np.arange(count) // 3 - np.where(draw.random(count) < 0.1, draw.integers(0, 400, count), 0)
    other = np.floor(draw.normal(size=count))
    key = np.where(draw.random(count) < 0.9, 0, draw.integers(1, 40, count))
    reading = np.zeros(count, bool)
    reading[draw.choice(count, asked, replace=False)] = True
    windows = (Span(size_us=200), Span(size_us=1900), Span(size_us=ENDED_US))
    plan = Plan(
        windows=windows,
        columns=2,
        reads=tuple(
            Read(operation=operation, window=window, column=0, other=1)
            for operation in ("argmax", "argmin")
            for window in range(3)
        ),
    )
    rows = [
        Row(int(key[i]), int(time[i]), True, bool(reading[i]), -(10**15), (float(i), float(other[i])))
        for i in range(count)
    ]
    history = History(plan)
    out = np.concatenate([run(plan, history, rows[start : start + 1000]) for start in range(0, count, 1000)])
    for found, at in zip(out, np.flatnonzero(reading).tolist(), strict=True):
        mine = np.flatnonzero((key[: at + 1] == key[at]) & (time[: at + 1] < time[at]))
        mine = mine[np.argsort(time[mine], kind="stable")]
        for place, read in enumerate(plan.reads):
            rows_in = mine[time[mine] >= time[at] - windows[read.window].size_us]
            expected = at_extreme(rows_in.tolist(), other[rows_in].tolist(), greatest=read.operation == "argmax")
            np.testing.assert_equal(found[place], expected)
