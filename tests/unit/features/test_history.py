"""A window's aggregates are those of its content alone, however the operations come and are cut."""

import math
from dataclasses import replace
from typing import Any

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.kernels import spans
from tests.oracle.windows import Row, Windows

COMPILED = not numba.config.DISABLE_JIT
FEW = settings(max_examples=60 if COMPILED else 12)
WINDOWS = (
    Span(size_us=20),
    Span(size_us=100),
    Span(size_us=20, include_current=True),
    Span(size_us=30, offset_us=15),
    Span(size_us=ENDED_US),
    Span(size_us=ENDED_US, offset_us=10, include_current=True),
)
OF_A_COLUMN = ("sum", "mean", "min", "max", "last")
READS = tuple(
    [Read(operation="count", window=window) for window in range(len(WINDOWS))]
    + [Read(operation="seconds_since", window=window) for window in range(len(WINDOWS))]
    + [Read(operation=name, window=window, column=0) for name in OF_A_COLUMN for window in range(len(WINDOWS))]
    + [Read(operation="mean", window=window, column=1, parameters={"prior": 2.5}, default=0.25) for window in (1, 4)]
    + [Read(operation=name, window=3, column=1) for name in OF_A_COLUMN]
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)
LONG_AGO = -(10**15)

plain = st.sampled_from([0.0, -0.0, 1.0, -2.5, 3.1, 19.99, 123456.78, -(2.0**39), 2.0**-64])
strange = st.sampled_from([2.0**-65, 1e-30, -1e-300, 5e-324, 2.0**40, -1e150, 1e300, 0.0001])
Answers = tuple[NDArray[np.float64], NDArray[np.uint8]]


@st.composite
def logs(draw: st.DrawFn, size: int = 90) -> list[Row]:
    """Draw inserts and reads in the order of a log: late, tied and repeated times, keys that are not there."""
    values = draw(st.sampled_from([plain, st.one_of(plain, plain, plain, strange), strange]))
    lateness = draw(st.sampled_from([[0], [0, 0, 0, 7], [0, 3, 25, 140]]))
    retention = draw(st.sampled_from([10**12, 160, 60]))
    keys = draw(st.sampled_from([[0], [-1, 0, 1, 2], list(range(12))]))
    now = watermark = draw(st.sampled_from([0, 10**15, -500]))
    rows = []
    for _ in range(draw(st.integers(1, size))):
        now += draw(st.sampled_from([0, 0, 1, 2, 5, 30]))
        time = now - draw(st.sampled_from(lateness))
        watermark = max(watermark, time)
        insert, read = draw(st.sampled_from([(True, True), (True, False), (False, True), (False, False)]))
        pair = (draw(values), draw(plain))
        rows.append(Row(draw(st.sampled_from(keys)), time, insert, read, watermark - retention, pair))
    return rows


def run(history: History, rows: list[Row]) -> Answers:
    asked = np.array([row.read for row in rows], bool)
    out = np.full((int(asked.sum()), len(READS)), -777.0)
    reason = np.full(out.shape, 99, np.uint8)
    history.run(
        key=np.array([row.key for row in rows], np.int64),
        time=np.array([row.time for row in rows], np.int64),
        insert=np.array([row.insert for row in rows], bool),
        read=np.where(asked, np.cumsum(asked) - 1, -1),
        lowest=np.array([row.lowest for row in rows], np.int64),
        columns=[np.array([row.values[column] if row.insert else np.nan for row in rows]) for column in (0, 1)],
        out=out,
        reason=reason,
    )
    return out, reason


def run_in_cuts(rows: list[Row], size: int) -> tuple[History, Answers]:
    history = History(PLAN)
    parts = [run(history, rows[start : start + size]) for start in range(0, len(rows), size)]
    check_ledgers(history)
    return history, (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def by_definition(rows: list[Row]) -> Answers:
    sizes = [math.inf if window.size_us >= ENDED_US else window.size_us for window in WINDOWS]
    oracle = Windows(
        [(size, window.offset_us, window.include_current) for size, window in zip(sizes, WINDOWS, strict=True)],
        [(read.operation, read.window, read.column, read.parameters.get("prior", 0.0), read.default) for read in READS],
    )
    answers = [answer for row in rows if (answer := oracle.step(row)) is not None]
    table = np.array(answers, np.float64).reshape(-1, len(READS), 2)
    return table[:, :, 0], table[:, :, 1].astype(np.uint8)


def check_ledgers(history: History) -> None:
    """Every place of the slab that was ever used is in one block or free, and every key's rows are sorted in theirs."""
    state, ts = history._state, history._ts  # noqa: SLF001 - the law is about what is kept
    places: list[tuple[int, int]] = []
    for row in state[state[:, spans.BLOCK] != spans.NONE]:
        end = int(row[spans.BLOCK]) + (1 << int(row[spans.CLASS]))
        assert row[spans.BLOCK] <= row[spans.BEGIN] <= row[spans.END] < end
        assert np.all(np.diff(ts[row[spans.BEGIN] : row[spans.END]]) >= 0)
        places.append((int(row[spans.BLOCK]), end))
    for size_class, first in enumerate(history._free.tolist()):  # noqa: SLF001
        place = first
        while place != spans.NONE:
            places.append((place, place + (1 << size_class)))
            place = int(ts[place])
    places.sort()
    top = int(history._top[0])  # noqa: SLF001
    assert [start for start, _ in places] + [top] == [0] + [end for _, end in places]
    assert not state[:, spans.COUNT].any()


def same(one: Answers, other: Answers) -> bool:
    return one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


def state_bytes(thing: Any) -> dict[str, object]:
    """Return every array below a history, as bytes."""
    found: dict[str, object] = {}
    for name, value in vars(thing).items():
        if isinstance(value, np.ndarray):
            found[name] = value.tobytes()
        elif isinstance(value, int):
            found[name] = value
        elif isinstance(value, list):
            states = [state for kept in value for state in kept]
            found |= {f"{name}{number}": state_bytes(state) for number, state in enumerate(states)}
    return found


@FEW
@given(logs())
def test_values_and_reasons_follow_the_definition(rows: list[Row]) -> None:
    _, (out, reason) = run_in_cuts(rows, len(rows))
    expected, why = by_definition(rows)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(reason, why)


@FEW
@given(logs())
def test_cutting_the_log_changes_no_bit_of_the_answers_or_of_the_snapshot(rows: list[Row]) -> None:
    whole, answers = run_in_cuts(rows, len(rows))
    for size in (1, 7, 64):
        history, cut = run_in_cuts(rows, size)
        assert same(cut, answers)
        ours, theirs = history.snapshot(), whole.snapshot()
        assert {name: array.tobytes() for name, array in ours.items()} == {
            name: array.tobytes() for name, array in theirs.items()
        }


@FEW
@given(logs(), st.integers(0, 90))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    place = min(place, len(rows))
    first = History(PLAN)
    run(first, rows[:place])
    second = History(PLAN)
    second.restore(first.snapshot())
    check_ledgers(second)
    assert same(run(second, rows[place:]), run(first, rows[place:]))


@FEW
@given(logs(40), logs(20))
def test_a_read_changes_no_byte(rows: list[Row], others: list[Row]) -> None:
    history = History(PLAN)
    run(history, rows)
    before = state_bytes(history)
    lowest = max(row.lowest for row in [*rows, *others])
    reads = [replace(row, insert=False, read=True, lowest=lowest, key=row.key + 3 * (row.key > 1)) for row in others]
    run(history, reads)
    assert state_bytes(history) == before


def test_an_event_never_counts_in_its_own_feature_unless_asked_for() -> None:
    #  us       0   10   20   20
    #  key 0    1    3    5    7     at 20, 1 and 3 are known; with the moment itself 5, and then 7, too
    times, values = [0, 10, 20, 20], [1.0, 3.0, 5.0, 7.0]
    rows = [Row(0, time, True, True, LONG_AGO, (value, 0.0)) for time, value in zip(times, values, strict=True)]
    _, (out, _) = run_in_cuts(rows, 4)
    sums = [number for number, read in enumerate(READS) if read.operation == "sum" and read.column == 0]
    assert out[:, sums[0]].tolist() == [0.0, 1.0, 4.0, 4.0]
    assert out[:, sums[2]].tolist() == [1.0, 4.0, 9.0, 16.0]


def test_a_late_row_counts_for_the_reads_that_come_after_it_and_ties_stay_in_log_order() -> None:
    #  log      insert 10, 20   read 15   insert 5 (late)   read 15   insert 10 (late, tied)   read 15
    rows = [
        Row(0, 10, True, False, LONG_AGO, (1.0, 0.0)),
        Row(0, 20, True, False, LONG_AGO, (9.0, 0.0)),
        Row(0, 15, False, True, LONG_AGO, (0.0, 0.0)),
        Row(0, 5, True, False, LONG_AGO, (2.0, 0.0)),
        Row(0, 15, False, True, LONG_AGO, (0.0, 0.0)),
        Row(0, 10, True, False, LONG_AGO, (4.0, 0.0)),
        Row(0, 15, False, True, LONG_AGO, (0.0, 0.0)),
    ]
    _, (out, _) = run_in_cuts(rows, 7)
    by_name = {(read.operation, read.window): number for number, read in enumerate(READS) if read.column <= 0}
    assert out[:, by_name["sum", 1]].tolist() == [1.0, 3.0, 7.0]
    assert out[:, by_name["last", 1]].tolist() == [1.0, 1.0, 4.0]
    assert out[:, by_name["seconds_since", 1]].tolist() == [5e-6, 5e-6, 5e-6]


def test_there_is_one_zero() -> None:
    # Which of two zeros a maximum finds depends on where the rows lie, so a history has only one.
    for values in ([-0.0], [0.0, -0.0], [-0.0, 0.0]):
        rows = [Row(0, time, True, False, LONG_AGO, (value, value)) for time, value in enumerate(values)]
        _, (out, _) = run_in_cuts([*rows, Row(0, 5, False, True, LONG_AGO, (0.0, 0.0))], 1)
        assert not np.signbit(out[~np.isnan(out)]).any()


def test_a_window_that_ends_before_the_first_row_of_its_key_is_not_truncated() -> None:
    #  key 0 has a row at 50; at log position 2 nothing before 100 may be read, and the request is for 30
    rows = [Row(0, 50, True, False, LONG_AGO, (1.0, 1.0)), Row(0, 30, False, True, 100, (0.0, 0.0))]
    _, (_, reason) = run_in_cuts(rows, 1)
    assert reason[0].tolist() == [reasons.EXPIRED] * len(READS)


def test_a_slab_that_grows_keeps_what_stands_in_it() -> None:
    names = ("sum", "min", "max")
    reads = tuple(Read(operation=name, window=0, column=0) for name in names)
    history = History(Plan(windows=(Span(size_us=ENDED_US),), columns=1, reads=reads))
    out, reason = np.empty((1, 3)), np.empty((1, 3), np.uint8)

    def come(key: int, values: NDArray[np.float64], *, ask: bool) -> None:
        count = len(values)
        history.run(
            key=np.full(count, key),
            time=np.arange(count) + 1000 * ask,
            insert=np.full(count, not ask),
            read=np.full(count, -1 + ask),
            lowest=np.full(count, LONG_AGO),
            columns=[values],
            out=out,
            reason=reason,
        )

    values = np.full(600, -2.0)
    values[300], values[330] = -600.0, -1.0  # Far from the ends, so that only a node knows them.
    come(0, values, ask=False)
    for key in range(1, 8):
        come(key, np.full(500, 7.0), ask=False)
    come(0, np.zeros(1), ask=True)
    assert out.tolist() == [[values.sum(), -600.0, -1.0]]


def test_each_empty_window_says_why() -> None:
    #  key 0 has rows at 0 and 500; nothing before 400 may be read at 520
    rows = [
        Row(1, 0, False, True, LONG_AGO, (0.0, 0.0)),
        Row(-1, 0, True, True, LONG_AGO, (9.0, 9.0)),
        Row(0, 0, True, False, LONG_AGO, (1.0, 1.0)),
        Row(0, 300, False, True, LONG_AGO, (0.0, 0.0)),
        Row(0, 500, True, False, 380, (1.0, 1.0)),
        Row(0, 520, False, True, 400, (0.0, 0.0)),
    ]
    _, (_, reason) = run_in_cuts(rows, 2)
    assert reason[0].tolist() == reason[1].tolist() == [reasons.NO_KEY] * len(READS)
    assert reason[2, :2].tolist() == [reasons.EXPIRED, reasons.EXPIRED]
    assert reason[2, 4] == reasons.OK
    assert reason[3, 1] == reasons.OK
    assert reason[3, 4] == reasons.TRUNCATED


def test_a_deep_block_answers_as_the_definition_does() -> None:
    # Enough rows of one key for several levels of the trees, among rows of others that lie in the same slab.
    count, asked = (9000, 60) if COMPILED else (700, 5)
    draw = np.random.default_rng(7)
    time = np.arange(count) // 3 - np.where(draw.random(count) < 0.1, draw.integers(0, 400, count), 0)
    value = np.round(draw.normal(size=count) * 100, 2)
    key = np.where(draw.random(count) < 0.9, 0, draw.integers(1, 40, count))
    windows = (Span(size_us=200), Span(size_us=1900), Span(size_us=ENDED_US))
    names = ("count", "sum", "min", "max")
    reads = tuple(
        Read(operation=name, window=window, column=-1 if name == "count" else 0)
        for name in names
        for window in range(3)
    )
    history = History(Plan(windows=windows, columns=1, reads=reads))
    rows = np.sort(draw.choice(count, asked, replace=False))
    read = np.full(count, -1)
    read[rows] = np.arange(asked)
    out, reason = np.empty((asked, len(reads))), np.empty((asked, len(reads)), np.uint8)
    for start in range(0, count, 1000):
        part = slice(start, start + 1000)
        history.run(
            key=key[part],
            time=time[part],
            insert=np.ones(len(key[part]), bool),
            read=read[part],
            lowest=np.full(len(key[part]), LONG_AGO),
            columns=[value[part]],
            out=out,
            reason=reason,
        )
    for number, row in enumerate(rows.tolist()):
        mine = np.flatnonzero((key[: row + 1] == key[row]) & (time[: row + 1] < time[row]))
        for place, entry in enumerate(reads):
            inside = value[mine[time[mine] >= time[row] - windows[entry.window].size_us]]
            found = {"count": len(inside), "sum": math.fsum(inside)} | (
                {"min": inside.min(), "max": inside.max()} if len(inside) else {"min": math.nan, "max": math.nan}
            )
            np.testing.assert_equal(out[number, place], float(found[entry.operation]))
    check_ledgers(history)


def test_what_has_expired_is_freed_and_its_places_are_used_again() -> None:
    history = History(Plan(windows=(Span(size_us=50),), columns=1, reads=(Read(operation="sum", window=0, column=0),)))
    rounds, size = (400, 100) if COMPILED else (60, 20)
    out, reason = np.empty((0, 1)), np.empty((0, 1), np.uint8)
    for number in range(rounds):
        # Each key comes for one round only, and is never touched again.
        history.run(
            key=np.arange(size) % 10 + 10 * number,
            time=np.full(size, 100 * number),
            insert=np.ones(size, bool),
            read=np.full(size, -1),
            lowest=np.full(size, 100 * number - 50),
            columns=[np.ones(size)],
            out=out,
            reason=reason,
        )
        check_ledgers(history)
    assert history.rows < rounds * size / 2
    assert len(history.snapshot()["time"]) == size


def test_a_busy_key_that_falls_silent_gets_a_smaller_block() -> None:
    history = History(Plan(windows=(Span(size_us=50),), columns=0, reads=(Read(operation="count", window=0),)))
    out, reason = np.empty((1, 1)), np.empty((1, 1), np.uint8)

    def come(time: int, rows: int) -> None:
        history.run(
            key=np.zeros(rows, np.int64),
            time=np.full(rows, time),
            insert=np.ones(rows, bool),
            read=np.full(rows, -1),
            lowest=np.full(rows, time - 60),
            columns=[],
            out=out,
            reason=reason,
        )

    come(0, 500)
    large = int(history._state[0, spans.CLASS])  # noqa: SLF001
    come(1000, 2)
    assert int(history._state[0, spans.CLASS]) < large  # noqa: SLF001
    check_ledgers(history)


def test_an_empty_batch_changes_nothing() -> None:
    history = History(PLAN)
    out, _ = run(history, [])
    assert out.shape == (0, len(READS))
    assert history.rows == 0
