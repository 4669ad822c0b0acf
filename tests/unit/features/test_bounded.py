"""Bounded state: what is dropped is a function of the log, and whatever is not marked is as if nothing were bounded."""

from dataclasses import dataclass, field, replace

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.time import ENDED_US
from headrace.features.bounded_keys import BoundedKeys
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.groups import below
from headrace.features.history import History
from tests.oracle.bounded import Bounded, Kept, lru_by_definition
from tests.oracle.windows import Row
from tests.unit.features.test_history import check_ledgers

COMPILED = not numba.config.DISABLE_JIT
FEW = settings(max_examples=80 if COMPILED else 12)
LONG_AGO = -(10**15)
WINDOWS = (
    Span(size_us=30),
    Span(size_us=20, offset_us=15),
    Span(size_us=30, include_current=True),
    Span(kind="forever", size_us=ENDED_US),
    Span(kind="last_n", size_us=ENDED_US, n=2),
    Span(kind="last_n", size_us=60, n=3),
    Span(kind="session", size_us=80, gap_us=9),
)
WITH_A_BEGINNING = tuple(window for window in WINDOWS if window.size_us < ENDED_US)
OPERATIONS = ("count", "sum", "last", "min")
WORDS = np.random.default_rng(5).integers(1, 2**63, (20, 2)).astype(np.uint64)
CLASHING = WORDS.copy()
CLASHING[:, 0] = CLASHING[:, 0] & np.uint64(2**64 - 4096) | np.uint64(5)
"""Keys that all want one place of the table."""
Answers = tuple[NDArray[np.float64], NDArray[np.uint8]]


@dataclass
class Rig:
    """Keys and rows together, as `Group` drives them."""

    kept: Kept
    windows: tuple[Span, ...] = WINDOWS
    keys: BoundedKeys = field(init=False)
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.keys = BoundedKeys(self.kept.keys)
        plan = Plan(windows=self.windows, columns=1, reads=reads_of(self.windows))
        self.history = History(replace(plan, most=self.kept.most, age_us=self.kept.age, keep=self.kept.keep))

    def run(self, rows: list[Row]) -> Answers:
        asked = np.array([row.read for row in rows], bool)
        out = np.full((int(asked.sum()), len(self.windows) * len(OPERATIONS)), -777.0)
        reason = np.full(out.shape, 99, np.uint8)
        time = np.array([row.time for row in rows], np.int64)
        lowest = np.array([row.lowest for row in rows], np.int64)
        insert = np.array([row.insert for row in rows], bool)
        key = np.array([row.key for row in rows], np.int64)
        reachable = (
            np.full(len(rows), np.iinfo(np.int64).min) if self.windows == WINDOWS else np.minimum(lowest, time - 80)
        )
        told = self.keys.assign(WORDS[key], np.ones(len(rows), bool), insert, time, reachable)
        self.history.enter(told.ids[told.entered], told.gone[told.entered])
        self.history.run(
            key=told.ids,
            time=time,
            insert=insert,
            read=np.where(asked, np.cumsum(asked) - 1, -1),
            lowest=lowest,
            columns=[np.array([row.values[0] for row in rows])],
            out=out,
            reason=reason,
            gone=told.gone,
        )
        self.history.forget(told.evicted)
        self.keys.release(told.evicted)
        check_ledgers(self.history)
        return out, reason

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        order = self.keys.order()
        arrays = {f"keys.{name}": array for name, array in self.keys.snapshot(order).items()}
        return arrays | {f"history.{name}": array for name, array in self.history.snapshot(order).items()}

    def restored(self) -> "Rig":
        other = Rig(self.kept, self.windows)
        other.keys.restore(below(self.snapshot(), "keys."))
        other.history.restore(below(self.snapshot(), "history."))
        return other


def reads_of(windows: tuple[Span, ...]) -> tuple[Read, ...]:
    return tuple(
        Read(operation=name, window=window, column=-1 if name == "count" else 0)
        for window in range(len(windows))
        for name in OPERATIONS
    )


Case = tuple[Kept, tuple[Span, ...], list[Row]]


@st.composite
def cases(draw: st.DrawFn, size: int = 90) -> Case:
    retention, windows = draw(st.sampled_from([(10**12, WINDOWS), (120, WINDOWS), (120, WITH_A_BEGINNING)]))
    keep = 2 if retention < 10**6 and windows == WINDOWS else 0
    kept = Kept(
        keys=draw(st.sampled_from([1, 2, 3, 9])),
        most=draw(st.sampled_from([0, 0, 1, 2, 5])),
        age=draw(st.sampled_from([0, 0, 25, 70])),
        keep=keep,
    )
    if kept.age:
        kept = replace(kept, keep=0)
    lateness = draw(st.sampled_from([[0], [0, 0, 0, 7], [0, 3, 25, 140]]))
    keys = draw(st.sampled_from([[0], [0, 1, 2], list(range(8))]))
    now = watermark = draw(st.sampled_from([0, 10**15, -500]))
    rows = []
    for number in range(draw(st.integers(1, size))):
        now += draw(st.sampled_from([0, 0, 1, 2, 5, 30]))
        time = now - draw(st.sampled_from(lateness))
        watermark = max(watermark, time)
        insert, read = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
        rows.append(Row(draw(st.sampled_from(keys)), time, insert, read, watermark - retention, (float(number),)))
    return kept, windows, rows


def in_cuts(kept: Kept, rows: list[Row], size: int, windows: tuple[Span, ...] = WINDOWS) -> tuple[Rig, Answers]:
    rig = Rig(kept, windows)
    parts = [rig.run(rows[start : start + size]) for start in range(0, len(rows), size)]
    return rig, (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def same(one: Answers, other: Answers) -> bool:
    return one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


def content(window: Span, rows: list[tuple[int, float]], at: int) -> list[tuple[int, float]]:
    """Return the rows, oldest first, that a window holds by its definition."""
    end = at - window.offset_us
    size = window.size_us if window.size_us < ENDED_US else 10**18
    found = [row for row in rows if end - size <= row[0] < end + window.include_current]
    if window.kind == "last_n":
        return found[max(len(found) - window.n, 0) :]
    if window.kind == "session":
        session: list[tuple[int, float]] = []
        edge = end
        for row in reversed(found):
            if edge - row[0] > window.gap_us:
                break
            session.insert(0, row)
            edge = row[0]
        return session
    return found


def values(rows: list[tuple[int, float]]) -> list[float]:
    inside = [value for _, value in rows]
    return [float(len(inside)), sum(inside), inside[-1], min(inside)] if inside else [0.0, 0.0, np.nan, np.nan]


@FEW
@given(cases())
def test_a_window_holds_the_rows_that_are_kept(case: Case) -> None:
    kept, windows, rows = case
    _, (out, _) = in_cuts(kept, rows, len(rows), windows)
    oracle = Bounded(kept)
    answers = iter(out)
    for row in rows:
        if row.insert:
            oracle.write(row)
        if not row.read:
            continue
        found = next(answers).reshape(len(windows), len(OPERATIONS))
        for number, window in enumerate(windows):
            newest = window.kind == "last_n" and window.size_us >= ENDED_US
            np.testing.assert_array_equal(
                found[number], values(content(window, oracle.rows(row, newest=newest), row.time))
            )


@FEW
@given(cases())
def test_what_is_not_marked_is_as_if_nothing_were_bounded_and_what_is_marked_lacks_something(
    case: Case,
) -> None:
    kept, windows, rows = case
    _, (out, reason) = in_cuts(kept, rows, len(rows), windows)
    oracle = Bounded(kept)
    answers = iter(zip(out, reason, strict=True))
    for place, row in enumerate(rows):
        if row.insert:
            oracle.write(row)
        if not row.read:
            continue
        found, why = next(answers)
        everything, gone = oracle.everything(row), oracle.gone(row)
        had = [other for other in rows[:place] if other.insert and other.key == row.key]
        clip = max(row.lowest, row.time - kept.age) if kept.age else row.lowest
        for number, window in enumerate(windows):
            (code,) = set(why[number * len(OPERATIONS) : (number + 1) * len(OPERATIONS)].tolist())
            ideal = content(window, everything, row.time)
            end = row.time - window.offset_us
            size = window.size_us if window.size_us < ENDED_US else 10**18
            if code != reasons.TRUNCATED:
                at = slice(number * len(OPERATIONS), (number + 1) * len(OPERATIONS))
                np.testing.assert_array_equal(found[at], values(ideal))
                known = bool(had) or (bool(everything) and window.include_current)
                expected = reasons.OK if ideal else reasons.EXPIRED if known else reasons.NO_KEY
                forgotten = [time for time in gone if time < clip]  # Nobody can reach what was lost.
                assert code == expected or (code == reasons.NO_KEY and forgotten)
                continue
            cut = end - size < clip and (gone or any(time < clip for time, _ in everything))
            lost = any(time >= end - size for time in gone)
            here = oracle.live[row.key].rows if row.key in oracle.live else []
            returned = gone and len(here) <= int(row.insert)  # A key with no row yet, that had some before.
            full = len(here) >= min(kept.most or 10**9, kept.keep or 10**9)  # Whether there were more is not known.
            newest = window.kind == "last_n" and kept.keep and full and len(content(window, here, row.time)) < window.n
            assert cut or lost or returned or newest, (window, row)


@FEW
@given(cases())
def test_cutting_the_log_changes_no_bit_of_the_answers_or_of_the_snapshot(case: Case) -> None:
    kept, windows, rows = case
    whole, answers = in_cuts(kept, rows, len(rows), windows)
    for size in (1, 7, 40):
        rig, cut = in_cuts(kept, rows, size, windows)
        assert same(cut, answers)
        assert {name: array.tobytes() for name, array in rig.snapshot().items()} == {
            name: array.tobytes() for name, array in whole.snapshot().items()
        }
        assert rig.keys.evicted == whole.keys.evicted


@FEW
@given(cases(), st.integers(0, 90))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(case: Case, place: int) -> None:
    kept, windows, rows = case
    first = Rig(kept, windows)
    first.run(rows[:place])
    second = first.restored()
    assert same(second.run(rows[place:]), first.run(rows[place:]))


@FEW
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=80),
    st.sampled_from([1, 5, 80]),
    st.sampled_from([WORDS, CLASHING]),
)
def test_the_key_that_was_written_longest_ago_makes_room(
    most: int, operations: list[tuple[int, bool]], size: int, words: NDArray[np.uint64]
) -> None:
    known, evicted = lru_by_definition(most, operations)
    keys = BoundedKeys(most)
    found: list[bool] = []
    went: list[int] = []
    for start in range(0, len(operations), size):
        part = operations[start : start + size]
        key = np.array([entry[0] for entry in part])
        zeros = np.zeros(len(part), np.int64)
        before = {int(id_): number for number, id_ in enumerate(keys.find(words, np.ones(20, bool), np.zeros(20)).ids)}
        told = keys.assign(words[key], np.ones(len(part), bool), np.array([entry[1] for entry in part]), zeros, zeros)
        found += (told.ids >= 0).tolist()
        owner = before | {int(told.ids[row]): int(key[row]) for row in told.entered}
        went += [owner[int(id_)] for id_ in told.evicted]
        keys.release(told.evicted)
    assert found == known
    assert went == evicted
    assert len(keys) <= most
    assert keys.evicted == len(evicted)


def assigned(keys: BoundedKeys, words: NDArray[np.uint64], key: list[int], *, write: bool) -> NDArray[np.int64]:
    zeros = np.zeros(len(key), np.int64)
    told = keys.assign(words[key], np.ones(len(key), bool), np.full(len(key), write), zeros, zeros)
    keys.release(told.evicted)
    return told.ids


def test_keys_that_want_one_place_are_found_after_one_of_them_was_evicted() -> None:
    keys = BoundedKeys(2)
    assigned(keys, CLASHING, [0, 1, 2], write=True)
    assert (assigned(keys, CLASHING, [0, 1, 2, 3], write=False) >= 0).tolist() == [False, True, True, False]


def test_any_number_of_writes_leaves_the_order_of_the_last_ones() -> None:
    #  1 and 0 are written first, 1 once more, then 2 and 3 in turns, until the queue has been compacted several times
    keys = BoundedKeys(4)
    written = [1, 0, 1, *[2, 3] * 6_000]
    for start in range(0, len(written), 700):
        assigned(keys, WORDS, written[start : start + 700], write=True)
    for new, evicted in ((9, 0), (10, 1), (11, 2)):
        assigned(keys, WORDS, [new], write=True)
        assert assigned(keys, WORDS, [evicted], write=False).tolist() == [-1]
    assert (assigned(keys, WORDS, [3, 9, 10, 11], write=False) >= 0).all()
    assert keys.evicted == 3


def test_an_evicted_key_is_told_apart_from_one_that_never_came() -> None:
    #  two keys may live: 0 and 1 come, 2 takes the place of 0; at 40 and 41 0 is asked for, and 9, which never came
    rows = [Row(key, 10 * key, True, False, LONG_AGO, (1.0,)) for key in range(3)]
    rows += [Row(0, 40, False, True, LONG_AGO, (0.0,)), Row(9, 41, False, True, LONG_AGO, (0.0,))]
    for size in (1, 5):
        rig, (out, reason) = in_cuts(Kept(keys=2), rows, size)
        assert set(reason[0].tolist()) == {reasons.TRUNCATED}
        assert set(reason[1].tolist()) == {reasons.NO_KEY}
        assert out[0, 0] == 0.0
        assert rig.keys.evicted == 1


def test_a_key_that_came_back_is_marked_only_where_a_window_reaches_what_it_lost() -> None:
    #  one key may live: 0 at 0, then 1 at 5, then 0 again at 50 and 55; at 56 (26, 56) holds all there is, FOREVER not
    rows = [Row(key, time, True, False, LONG_AGO, (1.0,)) for key, time in ((0, 0), (1, 5), (0, 50), (0, 55))]
    rows.append(Row(0, 56, False, True, LONG_AGO, (0.0,)))
    _, (out, reason) = in_cuts(Kept(keys=1), rows, 2)
    told = dict(zip([(read.operation, read.window) for read in reads_of(WINDOWS)], reason[0].tolist(), strict=True))
    assert told["count", 0] == reasons.OK
    assert told["count", 3] == reasons.TRUNCATED
    assert told["count", 4] == reasons.OK  # The newest two are both there.
    assert told["count", 6] == reasons.OK  # A silence that is kept ends the session.
    assert out[0, 0] == 2.0


def test_a_window_that_begins_with_the_last_row_that_was_lost_lacks_it() -> None:
    #  one key may live: 0 at 0, 1 at 5, then 0 again at 30: [0, 30) lacks the row at 0; at 31 [1, 31) lacks nothing
    rows = [Row(key, time, True, False, LONG_AGO, (1.0,)) for key, time in ((0, 0), (1, 5), (0, 30))]
    rows += [Row(0, time, False, True, LONG_AGO, (0.0,)) for time in (30, 31)]
    _, (_, reason) = in_cuts(Kept(keys=1), rows, 5)
    assert reason[:, 0].tolist() == [reasons.TRUNCATED, reasons.OK]


def test_a_late_row_is_among_the_newest_or_not_however_the_log_is_cut() -> None:
    #  one row counts beside a request's own; the fourth comes late, behind rows that are dropped already, or not yet
    rows = [Row(0, time, True, True, LONG_AGO, (1.0,)) for time in (0, 0, 0, -3, 1)]
    _, whole = in_cuts(Kept(keys=1, most=1), rows, 5)
    for size in (1, 2, 3):
        assert same(in_cuts(Kept(keys=1, most=1), rows, size)[1], whole)


def bytes_held(thing: object) -> int:
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, list | tuple):
        return sum(map(bytes_held, thing))
    return sum(map(bytes_held, vars(thing).values())) if hasattr(thing, "__dict__") else 0


def test_new_keys_without_end_take_no_more_memory_once_the_bound_is_reached() -> None:
    words = np.random.default_rng(9).integers(1, 2**63, (12_000 if COMPILED else 6_000, 2)).astype(np.uint64)
    keys, history = BoundedKeys(300), History(Plan(windows=WINDOWS, columns=1, reads=reads_of(WINDOWS)))
    out, reason = np.empty((0, 28)), np.empty((0, 28), np.uint8)
    held = []
    for start in range(0, len(words), 200):
        time, yes = np.arange(start, start + 200), np.ones(200, bool)
        told = keys.assign(words[start : start + 200], yes, yes, time, time - 10**9)
        history.enter(told.ids[told.entered], told.gone[told.entered])
        history.run(
            key=told.ids,
            time=time,
            insert=yes,
            read=np.full(200, -1),
            lowest=time - 10**9,
            columns=[np.ones(200)],
            out=out,
            reason=reason,
        )
        history.forget(told.evicted)
        keys.release(told.evicted)
        held.append(bytes_held(keys) + bytes_held(history))
    assert keys.evicted == len(words) - 300
    assert history.rows == 300
    assert held[-1] == held[4]


def test_the_newest_rows_stay_however_long_the_log_grows() -> None:
    kept = Kept(keys=4, keep=2)
    rig = Rig(kept)
    rounds, size = (300, 64) if COMPILED else (40, 16)
    for number in range(rounds):
        start = number * size
        rig.run([Row(0, start + at, True, False, start + at - 100, (float(start + at),)) for at in range(size)])
    assert rig.history.rows < 1000
    last = rounds * size
    out, reason = rig.run([Row(0, last + 10**6, False, True, last + 10**6 - 100, (0.0,))])
    told = dict(zip([(read.operation, read.window) for read in reads_of(WINDOWS)], out[0].tolist(), strict=True))
    assert told["sum", 4] == 2 * last - 3
    assert reason[0, 4 * len(OPERATIONS)] == reasons.OK
