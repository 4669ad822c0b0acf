"""Aggregates of the user's: compiled, exact where they say so, and refused at definition where they are wrong."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.core.time import ENDED_US
from headrace.features.aggregates import AggregateRead
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.features.user_aggregate import code_of
from tests.oracle.folds import folded
from tests.oracle.windows import Row
from tests.unit.features.test_bounded import content
from tests.unit.features.test_engine import Payment, card, payments
from tests.unit.features.test_history import check_ledgers, logs, same

COMPILED = not numba.config.DISABLE_JIT
FEW = settings(max_examples=60 if COMPILED else 10)
LIMIT = 2.5


class Spread(hr.Aggregate):
    state = {"low": np.inf, "high": -np.inf}  # noqa: RUF012 - as a user writes it
    any_order = True

    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["low"], s["high"] = min(s["low"], x), max(s["high"], x)

    @staticmethod
    def merge(s: hr.State, o: hr.State) -> None:
        s["low"], s["high"] = min(s["low"], o["low"]), max(s["high"], o["high"])

    @staticmethod
    def finalize(s: hr.State) -> float:
        return s["high"] - s["low"]


class Climbs(hr.Aggregate):
    """How often a value is above LIMIT and above the one before: exact, but not in any order."""

    state = {"rows": 0, "first": 0.0, "last": 0.0, "climbs": 0}  # noqa: RUF012 - as a user writes it

    @staticmethod
    def update(s: hr.State, x: float) -> None:
        if s["rows"] == 0:
            s["first"] = x
        elif x > s["last"] and x > LIMIT:
            s["climbs"] += 1
        s["last"] = x
        s["rows"] += 1

    @staticmethod
    def merge(s: hr.State, o: hr.State) -> None:
        if o["rows"] > 0:
            if s["rows"] == 0:
                s["first"] = o["first"]
            elif o["first"] > s["last"] and o["first"] > LIMIT:
                s["climbs"] += 1
            s["climbs"] += o["climbs"]
            s["last"] = o["last"]
            s["rows"] += o["rows"]

    @staticmethod
    def finalize(s: hr.State) -> float:
        return s["climbs"]


class Total(hr.Aggregate):
    """A running float sum: its merge rounds otherwise than its update."""

    state = {"sum": 0.0}  # noqa: RUF012 - as a user writes it

    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["sum"] += x

    @staticmethod
    def merge(s: hr.State, o: hr.State) -> None:
        s["sum"] += o["sum"]

    @staticmethod
    def finalize(s: hr.State) -> float:
        return s["sum"]


class Ratio(hr.Aggregate):
    """A quotient that has no answer where its divisor is 0."""

    state = {"above": 0, "below": 0}  # noqa: RUF012 - as a user writes it

    @staticmethod
    def update(s: hr.State, x: float) -> None:
        if x > 0.0:
            s["above"] += 1
        else:
            s["below"] += 1

    @staticmethod
    def merge(s: hr.State, o: hr.State) -> None:
        s["above"] += o["above"]
        s["below"] += o["below"]

    @staticmethod
    def finalize(s: hr.State) -> float:
        return s["above"] / s["below"]


KINDS: tuple[type[hr.Aggregate], ...] = (Spread, Climbs, Total)
CODES = [code_of("test", kind()) for kind in KINDS]
WINDOWS = (Span(size_us=20), Span(size_us=100), Span(size_us=30, include_current=True), Span(size_us=ENDED_US))
READS = (
    *(
        Read(operation="agg", window=window, column=0, parameters={"code": code.text, "exact": int(code.exact)})
        for code in CODES
        for window in range(len(WINDOWS))
    ),
    *(Read(operation="range", window=window, column=0) for window in range(len(WINDOWS))),
)
PLAN = Plan(windows=WINDOWS, columns=1, reads=READS)
Answers = tuple[NDArray[np.float64], NDArray[np.uint8]]


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
        columns=[np.array([row.values[0] for row in rows])],
        out=out,
        reason=reason,
    )
    return out, reason


def in_cuts(rows: list[Row], size: int) -> tuple[History, Answers]:
    history = History(PLAN)
    parts = [run(history, rows[start : start + size]) for start in range(0, len(rows), size)]
    check_ledgers(history)
    return history, (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def by_definition(kind: type[hr.Aggregate], values: list[float]) -> float:
    answer = folded(dict(kind.state), kind.update, kind.finalize, values)  # type: ignore[arg-type]
    return answer if math.isfinite(answer) else math.nan


@FEW
@given(logs())
def test_an_aggregate_is_the_fold_of_its_window(rows: list[Row]) -> None:
    _, (out, _) = in_cuts(rows, len(rows))
    seen: list[Row] = []
    answers = iter(out)
    for row in rows:
        if row.insert and row.key >= 0:
            seen.append(row)
        if not row.read:
            continue
        found = next(answers).reshape(len(KINDS) + 1, len(WINDOWS))
        mine = sorted(((other.time, other.values[0] + 0.0) for other in seen if other.key == row.key), key=first_of)
        for number, window in enumerate(WINDOWS):
            inside = [value for time, value in content(window, mine, row.time) if time >= row.lowest]
            expected = [by_definition(kind, inside) for kind in KINDS]
            np.testing.assert_array_equal(found[: len(KINDS), number], expected)


def first_of(pair: tuple[int, float]) -> int:
    return pair[0]


@FEW
@given(logs())
def test_the_spread_is_the_range_bit_for_bit(rows: list[Row]) -> None:
    _, (out, _) = in_cuts(rows, 16)
    table = out.reshape(len(out), len(KINDS) + 1, len(WINDOWS))
    finite = np.isfinite(table[:, -1])
    assert table[:, 0][finite].tobytes() == table[:, -1][finite].tobytes()
    assert np.isnan(table[:, 0][~finite]).all()


@FEW
@given(logs(), st.integers(0, 90))
def test_cuts_and_restores_change_no_bit(rows: list[Row], place: int) -> None:
    _, answers = in_cuts(rows, len(rows))
    for size in (1, 7):
        assert same(in_cuts(rows, size)[1], answers)
    first = History(PLAN)
    run(first, rows[:place])
    second = History(PLAN)
    second.restore(first.snapshot())
    assert same(run(second, rows[place:]), run(first, rows[place:]))


def test_a_deep_block_answers_as_the_fold_does() -> None:
    count, asked = (6000, 25) if COMPILED else (600, 4)
    draw = np.random.default_rng(3)
    time = np.arange(count) // 2 - np.where(draw.random(count) < 0.1, draw.integers(0, 300, count), 0)
    value = np.round(draw.normal(size=count) * 100, 2)
    key = np.where(draw.random(count) < 0.9, 0, draw.integers(1, 30, count))
    read = draw.random(count) < asked / count
    rows = [Row(int(key[i]), int(time[i]), True, bool(read[i]), -(10**15), (float(value[i]),)) for i in range(count)]
    _, (out, _) = in_cuts(rows, 700)
    answers = iter(out)
    for number, row in enumerate(rows):
        if row.read:
            found = next(answers).reshape(-1, len(WINDOWS))
            mine = sorted(((o.time, o.values[0]) for o in rows[: number + 1] if o.key == row.key), key=first_of)
            for window, span in enumerate(WINDOWS):
                inside = [value for _, value in content(span, mine, row.time)]
                assert found[: len(KINDS), window].tolist() == pytest.approx(
                    [by_definition(kind, inside) for kind in KINDS], rel=0, abs=0, nan_ok=True
                )


def test_a_slab_that_grows_keeps_the_nodes_that_stand_in_it() -> None:
    history = History(PLAN)
    values = np.full(600, -2.0)
    values[300] = -600.0  # Far from the ends, so that only a node knows it.
    run(history, [Row(0, time, True, False, -(10**15), (float(value),)) for time, value in enumerate(values)])
    for key in range(1, 8):
        run(history, [Row(key, time, True, False, -(10**15), (7.0,)) for time in range(600)])
    out, _ = run(history, [Row(0, 10_000, False, True, -(10**15), (0.0,))])
    assert out[0, len(WINDOWS) - 1] == 598.0


def test_which_merges_are_exact_is_found_out_at_definition() -> None:
    assert [code.exact for code in CODES] == [True, True, False]
    assert [code.name for code in CODES] == ["spread", "climbs", "total"]


def test_the_text_of_the_functions_is_in_the_fingerprint() -> None:
    def read(aggregate: hr.Aggregate) -> AggregateRead:
        found = card.agg(aggregate, Payment.amount, "1h", default=0.0)
        assert isinstance(found, AggregateRead)
        return found

    class Wider(Spread):
        @staticmethod
        def finalize(s: hr.State) -> float:
            return s["high"] - s["low"] + 1.0

    assert read(Spread()).fingerprint == read(Spread()).fingerprint
    assert read(Spread()).fingerprint != read(Wider()).fingerprint
    assert "low" in read(Spread()).canonical
    vector = payments.vector("v", read(Spread()))
    assert list(vector.features) == ["card_agg_spread_amount_1h"]


def test_an_answer_that_is_not_finite_is_a_missing_one() -> None:
    code = code_of("test", Ratio())
    reads = (Read(operation="agg", window=0, column=0, parameters={"code": code.text, "exact": int(code.exact)}),)
    history = History(Plan(windows=(Span(size_us=50),), columns=1, reads=reads))
    out, reason = np.empty((3, 1)), np.empty((3, 1), np.uint8)
    history.run(
        key=np.zeros(3, np.int64),
        time=np.array([0, 1, 2]),
        insert=np.ones(3, bool),
        read=np.arange(3),
        lowest=np.full(3, -100),
        columns=[np.array([1.0, -1.0, 0.0])],
        out=out,
        reason=reason,
    )
    np.testing.assert_array_equal(out[:, 0], [np.nan, np.nan, 1.0])


def changed(name: str, function: Any, **parts: Any) -> type[hr.Aggregate]:
    return type("Changed", (Spread,), {name: staticmethod(function), **parts})


class Wrong:
    """Functions that are refused, each for one reason."""

    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["hihg"] = max(s["high"], x)


class Raises:
    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["high"] = [x][int(x) + 9]


class Imports:
    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["high"] = max(s["high"], np.exp(x))


class Power:
    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["high"] = x**2


class Calls:
    @staticmethod
    def update(s: hr.State, x: float) -> None:
        s["high"] = by_definition(Spread, [x])


class Contradicts:
    @staticmethod
    def merge(s: hr.State, o: hr.State) -> None:
        s["low"], s["high"] = min(s["low"], o["low"]), o["high"]


class Never:
    @staticmethod
    def finalize(s: hr.State) -> float:
        return s["high"] * np.nan


class Text:
    @staticmethod
    def finalize(s: hr.State) -> float:
        return "high" if s["high"] else "low"  # type: ignore[return-value]


class Three:
    @staticmethod
    def finalize(s: hr.State, other: float, more: float) -> float:
        return s["high"] + other + more


class Uncompiled:
    @staticmethod
    def finalize(s: hr.State) -> float:
        return float(f"{s['high'] - s['low']}")


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: changed("update", Wrong.update), r"Changed\.update: wanted one of low, high, got 'hihg'"),
        (lambda: changed("update", Raises.update), r"update: wanted a function that runs, got IndexError"),
        (lambda: changed("update", Imports.update), r"update: wanted of numpy and math: .* got np.exp"),
        (lambda: changed("update", Power.update), r"update: wanted x \* x"),
        (
            lambda: changed("update", Calls.update),
            r"update: wanted numpy, math or a number, got (by_definition|Spread)",
        ),
        (lambda: changed("merge", Contradicts.merge), r"merge: wanted the state that update gives"),
        (lambda: changed("finalize", Never.finalize), r"finalize: wanted a finite number, got nan"),
        (lambda: changed("finalize", Text.finalize), r"finalize: wanted a number, got '"),
        (lambda: changed("finalize", Three.finalize), r"finalize: wanted 1 arguments"),
        (lambda: type("Changed", (Spread,), {"update": 3}), r"update: wanted a static method of 2 arguments"),
        (lambda: type("Changed", (Spread,), {"state": {}}), r"state: wanted a number for each name"),
        (
            lambda: type("Changed", (Spread,), {"state": {"low": np.nan}}),
            r"state\['low'\]: wanted a number that is not",
        ),
        (lambda: type("Changed", (Climbs,), {"any_order": True}), r"any_order: wanted any_order: the same"),
    ],
)
def test_what_is_no_aggregate_is_refused_where_it_is_written(make: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        card.agg(make()(), Payment.amount, "1h", default=0.0)


def test_anything_else_than_an_aggregate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"extends hr\.Aggregate"):
        card.agg(3, Payment.amount, "1h", default=0.0)  # type: ignore[arg-type]


@pytest.mark.skipif(not COMPILED, reason="there is nothing to compile")
def test_what_cannot_be_compiled_is_refused_at_definition() -> None:
    with pytest.raises(ConfigError, match="Changed: wanted functions that Numba can compile, got "):
        card.agg(changed("finalize", Uncompiled.finalize)(), Payment.amount, "1h", default=0.0)


@pytest.mark.skipif(not COMPILED, reason="there is nothing to compile")
def test_a_second_start_finds_the_compiled_aggregate_on_disk(tmp_path: Path) -> None:
    words = (
        "from tests.unit.features.test_user_aggregate import CODES\n"
        "from headrace.features.generated import module_of\n"
        "print([sum(module_of(code.text).run.stats.cache_misses.values()) for code in CODES])"
    )
    places = os.pathsep.join(place for place in sys.path if place)
    surroundings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": places}
    found = [
        subprocess.run(
            [sys.executable, "-c", words], check=True, capture_output=True, text=True, timeout=120, env=surroundings
        ).stdout.strip()
        for _ in range(2)
    ]
    assert found == ["[1, 1, 1]", "[0, 0, 0]"]
