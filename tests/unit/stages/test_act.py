"""What meets a sink's condition leaves once, after it is safe; what the sink has is not sent again."""

from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import SurroundingsError
from headrace.core.position import START, Position, sub_of
from headrace.core.records import Batch
from headrace.core.time import ENDED_US
from headrace.edge.sink import Sink
from headrace.stages.act import Act, Outlet
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import prediction_streams

SCORES: Final = (0.9, 0.1, 0.8, 0.5, 0.7)
ABOVE: Final = ["r0", "r2", "r4"]


@final
class Outside(Sink):
    """Takes rows, remembers what was done in which order, and may be down."""

    def __init__(self, reached: Position | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.done: list[str] = []
        self.places: list[tuple[Position, Position]] = []
        self.down = False
        self._reached = reached

    def reached(self) -> Position | None:
        return self._reached

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        if self.down:
            raise SurroundingsError("outside", wanted="an answer", got="none")
        self.done.append("write")
        self.places.append((after, through))
        self.rows += rows.to_pylist()
        self._reached = through

    def safe(self) -> None:
        self.done.append("safe")

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]


def high(predictions: pa.Table) -> np.ndarray:
    return pc.greater(predictions["score"], 0.5).to_numpy()


def act(sink: Outside) -> Act:
    return Act([Outlet("holds", high, sink)], safe=sink.safe)


def predictions() -> Batch:
    """Return five answers with a label between them, and the end."""
    entries = []
    for place, score in enumerate(SCORES):
        served = {"score": score, "version": 3, "fallback": None, "control": 1, "drift": 0.5, "drift_of": "psi:x"}
        columns = {"dense": [0.0], "ids": [], **served}
        entries.append(Entry("request", place // 2, sub_of(place), 1_000 * place, columns, f"r{place}"))
    label = {"value": 1.0, "weight": 1.0, "request_time": 0, "correction": False}
    entries.insert(3, Entry("label", 1, sub_of(2, 1), 2_000, label, "r0"))
    entries.append(Entry("progress", 9, 0, ENDED_US, {"until": ENDED_US}))
    return batch_of(entries, prediction_streams(1, 0))


def test_only_rows_that_meet_the_condition_are_sent_after_the_log_is_safe() -> None:
    sink = Outside()
    stage = act(sink)
    assert stage.process(predictions()).consumed == 7
    assert sink.ids == ABOVE
    assert sink.done == ["safe", "write"]
    assert sink.rows[1] == {
        "id": "r2",
        "at": sink.rows[1]["at"],
        "score": 0.8,
        "version": 3,
        "fallback": None,
        "drift": 0.5,
        "drift_of": "psi:x",
    }
    assert sink.rows[1]["at"].timestamp() == 0.002
    assert stage.sent == {"holds": 3}
    assert stage.ended


def test_nothing_is_synced_or_written_when_no_row_meets_the_condition() -> None:
    sink = Outside()
    act(sink).process(predictions().slice(1, 2))
    assert sink.done == []


@given(cuts=st.sets(st.integers(1, 6)))
def test_cuts_change_neither_what_is_sent_nor_that_the_positions_join(cuts: set[int]) -> None:
    sink = Outside()
    stage = act(sink)
    batch = predictions()
    for start, stop in pairwise([0, *sorted(cuts), len(batch)]):
        stage.process(batch.slice(start, stop))
    assert sink.ids == ABOVE
    assert sink.places[0][0] == START
    assert all(one[1] == two[0] for one, two in pairwise(sink.places))


@pytest.mark.parametrize("taken", range(6))
def test_what_the_sink_says_it_has_reached_is_skipped(taken: int) -> None:
    batch = predictions()
    reached = Position(1, sub_of(2)).through_row() if taken == 5 else batch.position(taken).through_row()
    sink = Outside(reached)
    act(sink).process(batch)
    above = [row for row in (0, 2, 5) if batch.position(row) > reached]
    assert sink.ids == [batch.id[row].as_py() for row in above]


def test_a_batch_that_is_offered_again_is_sent_once() -> None:
    sink = Outside()
    stage = act(sink)
    for _ in range(2):
        stage.process(predictions())
    act(sink).process(predictions())  # A task that starts again asks the sink.
    assert sink.ids == ABOVE


def test_what_a_sink_did_not_take_is_sent_when_it_takes_again() -> None:
    sink = Outside()
    stage = act(sink)
    sink.down = True
    with pytest.raises(SurroundingsError):
        stage.process(predictions())
    assert stage.sent == {"holds": 0}
    sink.down = False
    stage.process(predictions())
    assert sink.ids == ABOVE


def test_sinks_are_counted_apart_and_without_any_the_rows_pass() -> None:
    one, two = Outside(), Outside()
    stage = Act(
        [Outlet("high", high, one), Outlet("all", lambda rows: np.ones(len(rows), bool), two)], safe=lambda: None
    )
    stage.process(predictions())
    assert stage.sent == {"high": 3, "all": 5}
    other = Act([Outlet("high", high, one), Outlet("all", high, two)], safe=lambda: None)
    other.restore(*stage.snapshot())
    assert (other.sent, other.ended) == ({"high": 3, "all": 5}, True)
    assert Act([], safe=lambda: None).process(predictions()).consumed == 7
