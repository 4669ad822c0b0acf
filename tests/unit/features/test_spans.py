"""Each kind of window holds the rows that its definition says, however late they came and however the log is cut."""

import math
from dataclasses import dataclass

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from tests.oracle.spans import Window, inside

FEW = settings(max_examples=80 if not numba.config.DISABLE_JIT else 12)
SPANS = (
    Span(kind="last_n", size_us=100, n=3),
    Span(kind="last_n", size_us=ENDED_US, n=2, include_current=True),
    Span(kind="last_n", size_us=30, n=4, offset_us=9),
    Span(kind="session", size_us=60, gap_us=5),
    Span(kind="session", size_us=400, gap_us=12, include_current=True),
    Span(kind="session", size_us=400, gap_us=5, offset_us=7),
    Span(kind="given"),
    Span(kind="sliding", size_us=40),
    Span(kind="given"),
)
KINDS = {"last_n": "last_n", "session": "session", "given": "given", "sliding": "sliding"}
WINDOWS = tuple(
    Window(
        kind=KINDS[span.kind],  # type: ignore[arg-type]
        size=math.inf if span.size_us >= ENDED_US else span.size_us,
        offset=span.offset_us,
        current=span.include_current,
        n=span.n,
        gap=span.gap_us,
    )
    for span in SPANS
)
OF_A_COLUMN = ("sum", "range", "first")
READS = tuple(
    [Read(operation="count", window=window) for window in range(len(SPANS))]
    + [Read(operation="rate", window=7)]
    + [Read(operation=name, window=window, column=0) for name in OF_A_COLUMN for window in range(len(SPANS))]
    + [
        Read(operation="last", window=window, column=0, parameters={"rank": rank})
        for rank in (1, 2, 4)
        for window in range(len(SPANS))
    ]
)
PLAN = Plan(windows=SPANS, columns=1, reads=READS)
LONG_AGO = -(10**15)


@dataclass
class Step:
    key: int
    time: int
    insert: bool
    read: bool
    value: float
    edges: tuple[tuple[int, int], tuple[int, int]]


@st.composite
def logs(draw: st.DrawFn, size: int = 80) -> list[Step]:
    lateness = draw(st.sampled_from([[0], [0, 0, 0, 7], [0, 3, 25, 140]]))
    now = draw(st.sampled_from([0, 10**15, -500]))
    steps = []
    for _ in range(draw(st.integers(1, size))):
        now += draw(st.sampled_from([0, 0, 1, 2, 4, 5, 6, 13, 60]))
        time = now - draw(st.sampled_from(lateness))
        insert, read = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
        edges = tuple((time // 20 * 20 - size_, time // 20 * 20) for size_ in (20, 70))
        value = draw(st.sampled_from([1.0, -2.5, 4.0, 0.25]))
        steps.append(Step(draw(st.sampled_from([0, 0, 0, 1])), time, insert, read, value, edges))  # type: ignore[arg-type]
    return steps


def run(history: History, steps: list[Step]) -> NDArray[np.float64]:
    asked = np.array([step.read for step in steps], bool)
    out = np.full((int(asked.sum()), len(READS)), -777.0)
    history.run(
        key=np.array([step.key for step in steps], np.int64),
        time=np.array([step.time for step in steps], np.int64),
        insert=np.array([step.insert for step in steps], bool),
        read=np.where(asked, np.cumsum(asked) - 1, -1),
        lowest=np.full(len(steps), LONG_AGO),
        columns=[np.array([step.value for step in steps])],
        out=out,
        reason=np.empty(out.shape, np.uint8),
        edges=np.array([step.edges for step in steps], np.int64),
    )
    return out


def by_definition(steps: list[Step]) -> NDArray[np.float64]:
    seen: list[tuple[int, Step]] = []
    answers = []
    for number, step in enumerate(steps):
        if step.insert:
            seen.append((number, step))
        if not step.read:
            continue
        mine = sorted(
            (entry for entry in seen if entry[1].key == step.key), key=lambda entry: (entry[1].time, entry[0])
        )
        times = [entry[1].time for entry in mine]
        found = []
        for read in READS:
            given_edges = step.edges[0] if read.window == 6 else step.edges[1]
            held = [mine[place][1].value for place in inside(WINDOWS[read.window], times, step.time, given_edges)]
            found.append(answer(read, held))
        answers.append(found)
    return np.array(answers, np.float64).reshape(-1, len(READS))


def answer(read: Read, held: list[float]) -> float:
    if read.operation == "count":
        return float(len(held))
    if read.operation == "rate":
        return len(held) / 40e-6
    if read.operation == "sum":
        return sum(held)
    if read.operation == "last":
        rank = read.parameters["rank"]
        return held[-rank] if len(held) >= rank else math.nan
    if not held:
        return math.nan
    return held[0] if read.operation == "first" else max(held) - min(held)


@FEW
@given(logs())
def test_every_window_holds_what_its_definition_says(steps: list[Step]) -> None:
    np.testing.assert_array_equal(run(History(PLAN), steps), by_definition(steps))


@FEW
@given(logs(), st.sampled_from([1, 7, 30]))
def test_cuts_and_restarts_change_nothing(steps: list[Step], size: int) -> None:
    whole = run(History(PLAN), steps)
    history = History(PLAN)
    parts = []
    for start in range(0, len(steps), size):
        parts.append(run(history, steps[start : start + size]))
        again = History(PLAN)
        again.restore(history.snapshot())
        history = again
    np.testing.assert_array_equal(np.concatenate(parts), whole)
