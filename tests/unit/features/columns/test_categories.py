"""Distinct, entropy and the most frequent values are those of the window's rows, however the cursors came there."""

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.time import ENDED_US
from headrace.features.columns.categories import OF_TEXT, Categories
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.kernels import categories as kernel
from tests.oracle import categories as oracle
from tests.unit.features.columns.streams import (
    COMPILED,
    FEW,
    WINDOWS,
    Row,
    by_definition,
    check_definition,
    check_restored,
    run,
    same,
)

EVERY = range(len(WINDOWS))
READS = (
    *(Read(operation="distinct", window=window, column=0, parameters={"cap": 10_000}) for window in EVERY),
    *(Read(operation="distinct", window=window, column=0, parameters={"cap": 3}) for window in EVERY),
    *(Read(operation="top", window=window, column=0, parameters={"rank": rank}) for window in EVERY for rank in (1, 3)),
    *(Read(operation="top_share", window=window, column=0, parameters={"k": 2}) for window in EVERY),
    Read(operation="distinct", window=3, column=1, parameters={"cap": 2}),
)
PLAN = Plan(windows=WINDOWS, columns=2, reads=READS)
NARROW = Plan(
    windows=(Span(size_us=30), Span(size_us=40, offset_us=20)),
    columns=2,
    reads=tuple(
        Read(operation="distinct", window=window, column=0, parameters={"cap": cap})
        for window, cap in ((0, 100), (1, 100), (1, 5))
    ),
)
ENTROPIES = Plan(
    windows=WINDOWS,
    columns=1,
    reads=tuple(Read(operation="entropy", window=window, column=0) for window in EVERY),
)


@st.composite
def busy(draw: st.DrawFn, size: int = 110) -> list[Row]:
    """Draw a log whose windows are long, and whose values come again: late, tied, of few keys; rows are dropped."""
    choices = draw(st.sampled_from([[0.0, -0.0, 1.0], [float(value) for value in range(12)], [0.1, 1e300, -7.5, 2.0]]))
    lateness = draw(st.sampled_from([[0], [0, 0, 0, 7], [0, 3, 25, 60], [0, 0, 140]]))
    retention = draw(st.sampled_from([10**12, 260, 120]))
    keys = draw(st.sampled_from([[0], [0, 0, 0, 1], [-1, 0, 1, 2]]))
    steps = draw(st.sampled_from([[0, 1, 1, 2], [0, 0, 1], [1, 5, 30, 0, 0, 0]]))
    seed = draw(st.integers(0, 2**32))
    rows = draw(st.integers(1, size))
    asks = draw(st.sampled_from([1, 4, 20]))
    turn = random.Random(seed)  # The shape is drawn, the rest follows from a seed: long logs shrink well enough.
    now = watermark = 0
    found = []
    for _ in range(rows):
        now += turn.choice(steps)
        time = now - turn.choice(lateness)
        watermark = max(watermark, time)
        read = turn.randrange(asks) == 0
        pair = (turn.choice(choices), float(turn.randrange(40)))
        found.append(Row(turn.choice(keys), time, not read or turn.random() < 0.5, read, watermark - retention, pair))
    return found


def answer(read: Read, span: Span, times: list[int], rows: list[tuple[float, ...]], now: int) -> float:
    del span, times, now
    values = [row[read.column] + 0.0 for row in rows]
    if read.operation == "distinct":
        return oracle.distinct(values, read.parameters["cap"])
    if read.operation == "top":
        return oracle.top(values, read.parameters["rank"])
    return oracle.entropy(values) if read.operation == "entropy" else oracle.top_share(values, read.parameters["k"])


def categories_of(history: History) -> list[Categories]:
    return [state for states in history._columns for state in states if isinstance(state, Categories)]  # noqa: SLF001


def check_ledgers(history: History) -> None:
    """Slots have as many rows as point to them, cursors count what they stand at, and nothing else is kept."""
    for state in categories_of(history):
        slots, pointers, plan = state._slots, state._pointers, state._plan  # noqa: SLF001
        counts, owner, values = state._counts, state._owner, state._values  # noqa: SLF001
        table, cursors, records = state._table, state._cursors, state._records  # noqa: SLF001
        bits = values.view(np.int64)
        owned = set(owner[owner > 0].tolist())
        pointing = Counter(pointers[pointers > 0].tolist())
        live = {slot for slot in range(1, int(counts[kernel.USED_SLOTS])) if slots[slot, kernel.PLACES] > 0}
        assert {slot: int(slots[slot, kernel.PLACES]) for slot in live} == dict(pointing)
        assert len(live) == counts[kernel.LIVE_SLOTS]
        assert sorted(table[table > 0].tolist()) == sorted(live)
        assert len({(slots[slot, kernel.RECORD], slots[slot, kernel.BITS]) for slot in live}) == len(live)
        free = []
        slot = int(counts[kernel.FREE_SLOT])
        while slot:
            free.append(slot)
            slot = int(slots[slot, kernel.RECORD])
        assert sorted([*free, *live]) == list(range(1, int(counts[kernel.USED_SLOTS])))
        vacant = []
        record = int(counts[kernel.FREE_RECORD])
        while record:
            vacant.append(record)
            record = int(records[record, kernel.FIRST_SLOT])
        assert sorted([*vacant, *owned]) == list(range(1, int(counts[kernel.USED_RECORDS])))
        for record in owned:
            begin, end = int(records[record, kernel.BEGIN]), int(records[record, kernel.END])
            granules = set(range(begin >> 2, ((end - 1) >> 2) + 1))
            assert granules == set(np.flatnonzero(owner == record).tolist())
            for c in range(len(plan)):
                low, high = int(cursors[record, c, kernel.LOW]), int(cursors[record, c, kernel.HIGH])
                assert begin <= low <= high <= end
                counted: Counter[int] = Counter()
                for place in range(low, high):
                    with np.errstate(over="ignore"):
                        level = kernel.level_of(bits[place], state._told)  # noqa: SLF001
                    if level >= cursors[record, c, kernel.SAMPLING] - 1:
                        assert slots[pointers[place], kernel.BITS] == bits[place]
                        counted[int(pointers[place])] += 1
                mine = {slot for slot in live if slots[slot, kernel.RECORD] == record}
                assert {slot: int(slots[slot, kernel.COUNTS + c]) for slot in mine} == {
                    slot: counted[slot] for slot in mine
                }
                different = cursors[record, c, kernel.DIFFERENT : kernel.DIFFERENT + kernel.DIFFERENT_COLUMNS]
                assert different.sum() == len(counted)
        for place in np.flatnonzero(pointers).tolist():
            record = int(owner[place >> 2])
            assert records[record, kernel.BEGIN] <= place < records[record, kernel.END]
            assert slots[pointers[place], kernel.RECORD] == record


@FEW
@given(busy())
def test_they_follow_the_definition(rows: list[Row]) -> None:
    check_definition(PLAN, rows, answer)


@FEW
@given(busy())
def test_an_entropy_is_within_a_part_in_2_to_the_31st_of_the_definition_and_the_same_however_it_is_cut(
    rows: list[Row],
) -> None:
    expected = by_definition(ENTROPIES, rows, answer)
    whole = run(ENTROPIES, History(ENTROPIES), rows)
    np.testing.assert_allclose(whole, expected, rtol=0, atol=2.0**-31)
    for size in (1, 7, 64):
        history = History(ENTROPIES)
        parts = [run(ENTROPIES, history, rows[start : start + size]) for start in range(0, len(rows), size)]
        assert same(np.concatenate(parts), whole)


@FEW
@given(busy(), st.sampled_from([1, 7, 64]))
def test_every_slot_has_as_many_rows_as_point_to_it(rows: list[Row], size: int) -> None:
    history = History(PLAN)
    for start in range(0, len(rows), size):
        run(PLAN, history, rows[start : start + size])
        check_ledgers(history)


def long_log(seed: int, count: int) -> list[Row]:
    """Draw a log in which rows are dropped, blocks move and are used again, and late rows come before and behind."""
    turn = random.Random(seed)
    spread, retention, asks = turn.choice([3, 30, 400]), turn.choice([130, 300]), turn.choice([1, 3, 12])
    lateness = turn.choice([[0], [0, 0, 0, 5], [0, 40, 110]])
    keys = turn.choice([[0], [0, 0, 0, 1, 2]])
    rows, now = [], 0
    for number in range(count):
        now += turn.choice([0, 1, 1, 2])
        key = turn.choice(keys) + 3 * (number // (count // 3))  # Keys fall silent, others get their places.
        value = float(turn.randrange(spread))
        rows.append(
            Row(key, now - turn.choice(lateness), True, turn.randrange(asks) == 0, now - retention, (value, value % 7))
        )
    return rows


@pytest.mark.parametrize("seed", range(8 if COMPILED else 5))
@pytest.mark.parametrize("plan", [PLAN, NARROW], ids=["all", "narrow"])
def test_what_is_kept_stays_true_while_rows_are_dropped_and_blocks_move(plan: Plan, seed: int) -> None:
    rows = long_log(seed, 900 if COMPILED else 350)
    expected = by_definition(plan, rows, answer)
    for size in (60, 7):
        history = History(plan)
        parts = []
        for start in range(0, len(rows), size):
            parts.append(run(plan, history, rows[start : start + size]))
            if size > 7 or start % 70 == 0:
                check_ledgers(history)
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_values_whose_hashes_meet_in_the_table_are_told_apart_while_others_leave_it() -> None:
    plan = replace(NARROW, columns=1, reads=NARROW.reads[:1])
    turn = random.Random(2)
    rows = [
        Row(0, number, True, number % 3 == 0, number - 33, (float(turn.randrange(25)),))
        for number in range(3000 if COMPILED else 900)
    ]
    expected = by_definition(plan, rows[-700:], answer)
    history = History(plan)
    parts = []
    for start in range(0, len(rows), 20):
        parts.append(run(plan, history, rows[start : start + 20]))
        check_ledgers(history)
    np.testing.assert_array_equal(np.concatenate(parts)[-200:], expected[-200:])


@FEW
@given(busy(), st.integers(0, 110))
def test_a_restored_history_goes_on_as_if_nothing_had_happened(rows: list[Row], place: int) -> None:
    check_restored(PLAN, rows, min(place, len(rows)))


@FEW
@given(busy(), busy(40))
def test_looks_at_other_moments_change_no_answer(rows: list[Row], looks: list[Row]) -> None:
    middle = len(rows) // 2
    plain, disturbed = History(PLAN), History(PLAN)
    lowest = max([row.lowest for row in rows[:middle]], default=-(10**15))
    run(PLAN, plain, rows[:middle])
    run(PLAN, disturbed, rows[:middle])
    run(PLAN, disturbed, [replace(look, insert=False, read=True, lowest=lowest) for look in looks])
    assert same(run(PLAN, plain, rows[middle:]), run(PLAN, disturbed, rows[middle:]))
    check_ledgers(disturbed)


def stream(values: list[float], *, every: int, key: int = 0, start: int = 0) -> list[Row]:
    return [
        Row(key, start + place, True, place % every == every - 1, -(10**15), (value, 0.0))
        for place, value in enumerate(values)
    ]


@pytest.mark.parametrize("cap", [1, 5, 50])
def test_beyond_its_cap_a_distinct_count_is_the_samplers_however_the_window_came_to_it(cap: int) -> None:
    # Values come in hundreds, stay for a while, and thin out to a few again: the level rises and falls.
    turn = random.Random(cap)
    width = [400, 2, 30, 1000] if COMPILED else [90, 2, 10]
    values = [float(turn.randrange(spread)) for spread in width for _ in range(600 if COMPILED else 100)]
    plan = Plan(
        windows=(Span(size_us=300 if COMPILED else 40), Span(size_us=ENDED_US)),
        columns=1,
        reads=tuple(Read(operation="distinct", window=w, column=0, parameters={"cap": cap}) for w in (0, 1)),
    )
    rows = [replace(row, time=row.time - turn.choice([0, 0, 9])) for row in stream(values, every=7)]
    check_definition(plan, rows, answer)
    history = History(plan)
    for start in range(0, len(rows), 50):
        run(plan, history, rows[start : start + 50])
        check_ledgers(history)


def test_a_sampled_count_has_the_error_that_is_stated_and_keeps_few_slots() -> None:
    keys, count, cap = (60, 1500, 32) if COMPILED else (12, 400, 16)
    plan = Plan(
        windows=(Span(size_us=ENDED_US),),
        columns=1,
        reads=(Read(operation="distinct", window=0, column=0, parameters={"cap": cap}),),
    )
    history = History(plan)
    turn = random.Random(6)
    errors = []
    for key in range(keys):
        rows = stream([turn.random() for _ in range(count)], every=count // 4, key=key)
        seen = np.array([place * (count // 4) - 1 for place in (1, 2, 3, 4)])  # A row does not count itself.
        errors.append(run(plan, history, rows)[:, 0] / seen - 1)
    check_ledgers(history)
    assert np.sqrt(np.mean(np.square(errors))) < 1.3 * 1.2 / math.sqrt(cap)
    assert abs(np.mean(errors)) < 0.5 / math.sqrt(cap)
    (state,) = categories_of(history)
    assert state._counts[kernel.LIVE_SLOTS] < 6 * cap * keys  # noqa: SLF001


@pytest.mark.skipif(not COMPILED, reason="too long without the compiler")
def test_of_very_many_values_the_most_frequent_are_those_of_the_newest_rows() -> None:
    turn = random.Random(3)
    values = [float(turn.choice([1, 2, 3, turn.randrange(50_000)])) for _ in range(2000)]
    values += [float(place) for place in range(5000)] + [7.0, 8.0, 7.0, 9.0, 9.0, 6.0]
    values += [float(turn.choice([4, 5, turn.randrange(50_000)])) for _ in range(9000)]
    plan = Plan(
        windows=(Span(size_us=ENDED_US), Span(size_us=8000)),
        columns=1,
        reads=(
            *(Read(operation="top", window=w, column=0, parameters={"rank": r}) for w in (0, 1) for r in (1, 2, 9)),
            *(Read(operation="top_share", window=w, column=0, parameters={"k": 3}) for w in (0, 1)),
            Read(operation="entropy", window=0, column=0),
        ),
    )
    rows = stream(values, every=700)
    expected = by_definition(plan, rows, answer)
    for size in (len(rows), 1000):
        history = History(plan)
        parts = [run(plan, history, rows[start : start + size]) for start in range(0, len(rows), size)]
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=0, atol=2.0**-31)
        check_ledgers(history)


def test_of_equally_frequent_values_the_one_that_came_last_is_first() -> None:
    plan = Plan(
        windows=(Span(size_us=ENDED_US),),
        columns=1,
        reads=tuple(Read(operation="top", window=0, column=0, parameters={"rank": rank}) for rank in (1, 2, 3, 4)),
    )
    few = [5.0, 6.0, 7.0, 6.0, 5.0]
    many = [1.0, 2.0] * 10 + [3.0] * 9 + [1.0]
    for values, expected in ((few, [5.0, 6.0, 7.0]), (many, [1.0, 2.0, 3.0])):
        rows = [*stream(values, every=99), Row(0, 999, False, True, -(10**15), (0.0, 0.0))]
        found = run(plan, History(plan), rows)[0].tolist()
        assert found[:3] == expected
        assert math.isnan(found[3])


def test_there_is_one_zero_and_a_window_without_rows_has_no_value_but_no_entropy_either() -> None:
    plan = Plan(
        windows=(Span(size_us=50),),
        columns=1,
        reads=(
            Read(operation="distinct", window=0, column=0, parameters={"cap": 9}),
            Read(operation="entropy", window=0, column=0),
            Read(operation="top", window=0, column=0, parameters={"rank": 1}),
            Read(operation="top_share", window=0, column=0, parameters={"k": 1}),
        ),
    )
    empty = run(plan, History(plan), [Row(0, 0, False, True, -100, (0.0,))])[0].tolist()
    assert empty[:2] == [0.0, 0.0]
    assert np.isnan(empty[2:]).all()
    for count in (2, 40):
        rows = [Row(0, place % 30, True, False, -100, (-0.0 if place % 2 else 0.0,)) for place in range(count)]
        found = run(plan, History(plan), [*rows, Row(0, 40, False, True, -100, (0.0,))])[0]
        assert found.tolist() == [1.0, 0.0, 0.0, 1.0]
        assert not np.signbit(found).any()


def test_what_is_known_of_texts_decides_how_they_are_sampled() -> None:
    plan = Plan(
        windows=(Span(size_us=ENDED_US),),
        columns=1,
        reads=(Read(operation="distinct", window=0, column=0, parameters={"cap": 4, OF_TEXT: 1}),),
    )
    turn = random.Random(1)
    levels = [next(level for level in range(64) if turn.random() < 0.5) for _ in range(70)]
    values = [float(64 * (10 if turn.random() < 0.2 else number) + level) for number, level in enumerate(levels)]
    rows = stream(values, every=3)
    expected = by_definition(
        plan,
        rows,
        lambda _read, _span, _times, held, _now: oracle.distinct([row[0] for row in held], 4, told=True),
    )
    np.testing.assert_array_equal(run(plan, History(plan), rows), expected)


def test_what_is_kept_of_keys_that_are_gone_is_bounded_by_the_places_that_are_used_again() -> None:
    plan = Plan(
        windows=(Span(size_us=50),),
        columns=1,
        reads=(Read(operation="distinct", window=0, column=0, parameters={"cap": 100}),),
    )
    history = History(plan)
    keys, size = (400, 40) if COMPILED else (40, 25)
    for key in range(keys):
        values = [float(place // (1 + key % 3)) for place in range(size)]  # Others than those in its places before.
        rows = [
            Row(key, 100 * key + place // 2, True, place == size - 1, 100 * key - 60, (value,))
            for place, value in enumerate(values)
        ]
        earlier = {row.values for row in rows if row.time < rows[-1].time}
        assert run(plan, history, rows).tolist() == [[float(len(earlier))]]
        check_ledgers(history)
    (state,) = categories_of(history)
    assert state._counts[kernel.USED_SLOTS] < keys * size / 4  # noqa: SLF001
    history.forget(np.arange(keys))
    assert run(plan, history, [Row(keys - 1, 100 * keys, False, True, 0, (0.0,))]).tolist() == [[0.0]]
