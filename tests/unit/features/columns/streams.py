"""Logs for the kernels of columns, and the laws that each of them keeps: the definition, bit for bit, however cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.core.time import ENDED_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from tests.oracle.spans import Window, inside

COMPILED: Final = not numba.config.DISABLE_JIT
FEW: Final = settings(max_examples=50 if COMPILED else 5, deadline=None)
WINDOWS: Final = (
    Span(size_us=30),
    Span(size_us=200, include_current=True),
    Span(size_us=60, offset_us=15),
    Span(kind="forever", size_us=ENDED_US),
    Span(kind="last_n", size_us=90, n=3),
    Span(kind="session", size_us=300, gap_us=6),
    Span(kind="given", size_us=40),
)
"""One of each kind; the given one is the last of 40 us that ends at a multiple of 20."""

plain = st.sampled_from([0.0, -0.0, 1.0, 1.0, -2.5, 3.1, 19.99, 123456.78, -(2.0**39), 2.0**-64])
strange = st.sampled_from([2.0**-65, 1e-30, -1e-300, 1e-300, 5e-324, -3e-310, 2.0**40, -1e150, 1e300, -1e300, 0.0001])
VALUES: Final = (plain, st.one_of(plain, plain, plain, strange), strange)


@dataclass(frozen=True)
class Row:
    """One operation: a row that is inserted, a read, or first the one and then the other."""

    key: int
    time: int
    insert: bool
    read: bool
    lowest: int
    values: tuple[float, ...]


Answer = Callable[[Read, Span, list[int], list[tuple[float, ...]], int], float]
"""The value of a read over a span, from the times and values of the rows that are in it, at a moment."""


@st.composite
def logs(draw: st.DrawFn, size: int = 90, steps: Sequence[int] = (0, 0, 1, 2, 5, 30)) -> list[Row]:
    """Draw inserts and reads in the order of a log: late, tied and repeated times, keys that are not there."""
    values = draw(st.sampled_from(VALUES))
    lateness = draw(st.sampled_from([[0], [0, 0, 0, 7], [0, 3, 25, 140]]))
    retention = draw(st.sampled_from([10**12, 160, 60]))
    keys = draw(st.sampled_from([[0], [-1, 0, 1, 2]]))
    now = watermark = draw(st.sampled_from([0, 10**15, -500]))
    rows = []
    for _ in range(draw(st.integers(1, size))):
        now += draw(st.sampled_from(steps))
        time = now - draw(st.sampled_from(lateness))
        watermark = max(watermark, time)
        insert, read = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
        pair = (draw(values), draw(plain))
        rows.append(Row(draw(st.sampled_from(keys)), time, insert, read, watermark - retention, pair))
    return rows


def edges_of(span: Span, time: int) -> tuple[int, int]:
    """Return since and until of a given window."""
    if span.half_life_us:
        end, epoch = time - span.offset_us, 32 * span.half_life_us
        return (end // epoch - 2) * epoch, end + int(span.include_current)
    until = time // 20 * 20
    return until - span.size_us, until


def run(plan: Plan, history: History, rows: list[Row]) -> NDArray[np.float64]:
    """Return the answers to the reads among the rows: f8[m, reads]."""
    asked = np.array([row.read for row in rows], bool)
    out = np.full((int(asked.sum()), len(plan.reads)), -777.0)
    given = [span for span in plan.windows if span.kind == "given"]
    edges = np.array([[edges_of(span, row.time) for span in given] for row in rows], np.int64)
    history.run(
        key=np.array([row.key for row in rows], np.int64),
        time=np.array([row.time for row in rows], np.int64),
        insert=np.array([row.insert for row in rows], bool),
        read=np.where(asked, np.cumsum(asked) - 1, -1),
        lowest=np.array([row.lowest for row in rows], np.int64),
        columns=[
            np.array([row.values[column] if row.insert else np.nan for row in rows]) for column in range(plan.columns)
        ],
        out=out,
        reason=np.zeros(out.shape, np.uint8),
        edges=edges.reshape(len(rows), len(given), 2),
    )
    return out


def by_definition(plan: Plan, rows: list[Row], answer: Answer) -> NDArray[np.float64]:
    """Return the answers by definition: over every row that was ever inserted, at each read anew."""
    found = []
    for number, row in enumerate(rows):
        if not row.read:
            continue
        mine = [
            other
            for other in rows[: number + 1]
            if other.insert and other.key == row.key >= 0 and other.time >= row.lowest
        ]
        mine.sort(key=lambda other: other.time)  # Stable: ties stay in log order.
        times = [other.time for other in mine]
        spans = []
        for span in plan.windows:
            kind = "sliding" if span.kind == "forever" else span.kind
            size = float("inf") if span.size_us >= ENDED_US else span.size_us
            window = Window(kind, size, span.offset_us, span.include_current, span.n, span.gap_us)
            spans.append(inside(window, times, row.time, edges_of(span, row.time)))
        found.append(
            [
                answer(
                    read,
                    plan.windows[read.window],
                    [times[place] for place in spans[read.window]],
                    [mine[place].values for place in spans[read.window]],
                    row.time,
                )
                for read in plan.reads
            ]
        )
    return np.array(found, np.float64).reshape(-1, len(plan.reads))


def same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether the answers have the same bits; there is one NaN."""
    return np.where(np.isnan(one), np.nan, one).tobytes() == np.where(np.isnan(other), np.nan, other).tobytes()


def check_definition(plan: Plan, rows: list[Row], answer: Answer) -> None:
    """Compare with the definition, in batches of several sizes, down to the last bit and to the bytes of a snapshot."""
    expected = by_definition(plan, rows, answer)
    snapshots = []
    for size in (len(rows), 1, 7, 64) if COMPILED else (len(rows), 1, 7):
        history = History(plan)
        parts = [run(plan, history, rows[start : start + size]) for start in range(0, len(rows), size)]
        found = np.concatenate(parts)
        np.testing.assert_array_equal(found, expected, err_msg=f"in batches of {size}")
        assert same(found, expected), size
        snapshots.append({name: array.tobytes() for name, array in history.snapshot().items()})
    assert all(snapshot == snapshots[0] for snapshot in snapshots)


def check_restored(plan: Plan, rows: list[Row], place: int) -> None:
    """Compare a history that was written down and read back with one that simply goes on."""
    first, second = History(plan), History(plan)
    run(plan, first, rows[:place])
    second.restore(first.snapshot())
    assert same(run(plan, second, rows[place:]), run(plan, first, rows[place:]))


def arrays_of(thing: Any) -> dict[str, object]:
    """Return every array below a history, as bytes."""
    found: dict[str, object] = {}
    for name, value in vars(thing).items():
        if isinstance(value, np.ndarray):
            found[name] = value.tobytes()
        elif isinstance(value, list):
            states = [state for kept in value if isinstance(kept, tuple) for state in kept]
            found |= {f"{name}{number}": arrays_of(state) for number, state in enumerate(states)}
    return found


def check_read_only(plan: Plan, rows: list[Row]) -> None:
    """See that a read changes no byte of what is kept."""
    history = History(plan)
    run(plan, history, rows)
    before = arrays_of(history)
    lowest = max(row.lowest for row in rows)
    run(plan, history, [Row(row.key, row.time, False, True, lowest, row.values) for row in rows])
    assert arrays_of(history) == before
