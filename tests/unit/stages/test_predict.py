"""What an answer is: the score of the version in force, or the constant with its reason, and all of it in the row."""

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.position import ALL, Position
from headrace.core.records import Batch
from headrace.core.settings import Constant, Serve
from headrace.core.time import ENDED_US, SECOND_US, UNSPOKEN_US
from headrace.core.tokens import Tokens
from headrace.models.contract import Block, Columns
from headrace.models.logistic import Logistic, LogisticLearner
from headrace.stages.predict import Predict
from headrace.store.control import ControlView
from headrace.store.snapshots import packed
from headrace.topics.contract import Topic
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.manifest import Manifest
from headrace.topics.memory import MemoryLog
from headrace.topics.schemas import CONTROL, feature_streams, prediction_streams
from headrace.topics.writer import Writer

COLUMNS: Final = Columns(dense=("x",), tokens=("w",), token_sizes=(8,))
CONSTANT: Final = 0.125
Row = tuple[str, int]


def learner(seed: int) -> LogisticLearner:
    made = Logistic()(COLUMNS, 0)
    x = np.random.default_rng(seed).normal(size=(50, 1))
    tokens = Tokens(np.arange(51), np.arange(50, dtype=np.int32) % 8)
    made.learn(Block(x, np.zeros((50, 0), np.int32), tokens), (x[:, 0] > 0.1 * seed).astype(np.float64), np.ones(50))
    return made


def words_of(at: int) -> list[int]:
    """Return as many words as the last digit of a time says."""
    return [(at + word) % 8 for word in range(abs(at) % 10)]


def control() -> Topic:
    return MemoryLog().create(Manifest(topic="control", streams=CONTROL, producers=("learn", "judge")))


def say(topic: Topic, producer: str, stream: str, **columns: Any) -> None:
    offset = topic.end(0)
    writer = Writer(topic, producer)
    writer.start()
    writer.write(batch_of([Entry(stream, offset, 0, 0, columns)], CONTROL), Position(offset, ALL))


def publish(topic: Topic, number: int, in_force: int, *, examples: int = 50) -> None:
    bundle = packed(*learner(number).snapshot())
    named = {"number": number, "name": f"v{number}", "parent": "", "metrics": "{}", "bundle": bundle}
    say(topic, "learn", "version", in_force=in_force, examples=examples, **named)


def promise(topic: Topic, learn: int, judge: int) -> None:
    say(topic, "learn", "progress", until=learn)
    say(topic, "judge", "progress", until=judge)


def features(*rows: Row) -> Batch:
    """Return [features]: the kind and the arrival time of each row; a request's only number is its time."""
    columns: dict[str, Any] = {
        "request": lambda at: {"dense": [at / 100], "ids": [], "tokens": words_of(at), "reasons": [0, 0]},
        "label": lambda at: {"value": 1.0, "weight": 1.0, "request_time": at, "correction": False},
        "progress": lambda at: {"until": at},
    }
    entries = [Entry(kind, 0, place, at, columns[kind](at), f"{kind}{place}") for place, (kind, at) in enumerate(rows)]
    return batch_of(entries, feature_streams(1, 0, 1))


def requests(*times: int) -> Batch:
    return features(*(("request", at) for at in times))


def predict(topic: Topic, *, now_us: int | None = None) -> Predict:
    return Predict(
        columns=COLUMNS,
        recipe=Logistic(),
        seed=0,
        serve=Serve(deadline="1s", fallback=[Constant(CONSTANT)]),
        control=ControlView(topic, promises=("learn", "judge")),
        output="predictions",
        now_us=None if now_us is None else lambda: now_us,
    )


def answers(stage: Predict, batch: Batch) -> list[dict[str, Any]]:
    found = stage.process(batch)
    assert found.consumed == len(batch)
    rows: list[dict[str, Any]] = found.batches["predictions"].payloads[0].to_pylist()
    return rows


def test_a_request_waits_for_the_promise_of_every_writer_and_holds_back_what_stands_behind_it() -> None:
    topic = control()
    publish(topic, 0, UNSPOKEN_US)
    stage = predict(topic)
    batch = features(("request", 10), ("label", 20), ("progress", 30), ("request", 50), ("label", 60), ("request", 55))
    assert stage.process(batch).consumed == 0
    promise(topic, 100, 50)
    found = stage.process(batch)
    assert found.consumed == 3
    passed = found.batches["predictions"]
    assert passed.id.to_pylist() == ["request0", "label1", "progress2"]
    assert stage.process(batch.slice(3, 6)).consumed == 0
    promise(topic, 100, 56)
    rest = stage.process(batch.slice(3, 6))
    assert rest.consumed == 3
    assert rest.batches["predictions"].id.to_pylist() == ["request3", "label4", "request5"]


def test_labels_and_progress_wait_for_nothing_and_pass_as_they_are() -> None:
    batch = features(("label", 20), ("progress", 30), ("label", 25))
    found = predict(control()).process(batch)
    assert found.consumed == 3
    passed = found.batches["predictions"]
    assert row_digests(passed).tolist() == row_digests(batch).tolist()
    assert [passed.position(row) for row in range(3)] == [batch.position(row) for row in range(3)]


@pytest.mark.parametrize("published", [False, True])
def test_without_a_trained_version_the_constant_answers_and_says_why(published: bool) -> None:
    topic = control()
    if published:
        publish(topic, 0, UNSPOKEN_US, examples=0)
    promise(topic, ENDED_US, ENDED_US)
    stage = predict(topic)
    (row,) = answers(stage, requests(10))
    expected = (CONSTANT, 0, "untrained") if published else (CONSTANT, -1, "no_version")
    assert (row["score"], row["version"], row["fallback"]) == expected
    assert stage.fallbacks == 1


def test_a_row_names_the_version_in_force_at_its_arrival_and_how_far_control_was_read() -> None:
    topic = control()
    for number, in_force in enumerate((UNSPOKEN_US, 50, 90)):
        publish(topic, number, in_force)
    promise(topic, ENDED_US, ENDED_US)
    times = (10, 49, 50, 70, 89, 90, 95)
    rows = answers(predict(topic), requests(*times))
    assert [row["version"] for row in rows] == [0, 0, 1, 1, 1, 2, 2]
    assert [row["control"] for row in rows] == [topic.end(0)] * len(times)
    assert [row["fallback"] for row in rows] == [None] * len(times)
    for at, row in zip(times, rows, strict=True):
        words = np.array(words_of(at), np.int32)
        block = Block(np.array([[at / 100]]), np.zeros((1, 0), np.int32), Tokens(np.array([0, len(words)]), words))
        assert row["score"] == learner(row["version"]).predict(block)[0]
    assert rows[1]["score"] != rows[2]["score"]


def test_a_version_answers_the_same_however_many_others_answered_since() -> None:
    topic = control()
    for number in range(8):
        publish(topic, number, number * 10)
    promise(topic, ENDED_US, ENDED_US)
    stage = predict(topic)
    twice = [answers(stage, requests(*range(0, 80, 5))) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0] == answers(predict(topic), requests(*range(0, 80, 5)))


def test_the_drift_in_force_stands_in_the_row_in_units_of_its_threshold() -> None:
    topic = control()
    publish(topic, 0, UNSPOKEN_US)
    for column, value in (("x", 0.1), ("y", 0.6), ("z", 0.2)):
        say(topic, "judge", "score", in_force=50, detector="psi", column=column, value=value, threshold=0.2)
    promise(topic, ENDED_US, ENDED_US)
    before, after = answers(predict(topic), requests(49, 50))
    assert (before["drift"], before["drift_of"]) == (0.0, None)
    assert (after["drift"], after["drift_of"]) == (0.6 / 0.2, "psi:y")


def test_live_a_request_past_the_deadline_gets_the_constant_and_nobody_waits() -> None:
    topic = control()
    publish(topic, 0, UNSPOKEN_US)
    publish(topic, 1, 100 * SECOND_US)
    stage = predict(topic, now_us=10 * SECOND_US)
    old, due, new = answers(stage, requests(9 * SECOND_US - 1, 9 * SECOND_US, 10 * SECOND_US))
    assert (old["score"], old["fallback"]) == (CONSTANT, "deadline")
    assert (due["fallback"], new["fallback"]) == (None, None)
    assert [row["version"] for row in (old, due, new)] == [1, 1, 1]  # The newest answers at once.
    assert due["score"] != CONSTANT
    assert stage.fallbacks == 1


@given(cuts=st.sets(st.integers(1, 11)))
def test_cutting_the_batches_changes_no_value(cuts: set[int]) -> None:
    topic = control()
    for number in range(3):
        publish(topic, number, number * 30, examples=50 * number)
    promise(topic, ENDED_US, ENDED_US)
    times = [-5, 5, 6, 29, 30, 31, 40, 59, 60, 61, 62]
    batch = features(*((("request", "label")[at % 4 == 1], at) for at in times), ("progress", ENDED_US))
    whole, parts = predict(topic), predict(topic)
    expected = whole.process(batch).batches["predictions"]
    edges = [0, *sorted(cuts), len(batch)]
    found = [
        parts.process(batch.slice(start, stop)).batches["predictions"]
        for start, stop in pairwise(edges)
        if start < stop
    ]
    assert row_digests(Batch.concat(found)).tolist() == row_digests(expected).tolist()
    assert parts.snapshot() == whole.snapshot()
    assert parts.ended


def test_the_counters_are_all_that_is_kept() -> None:
    topic = control()
    promise(topic, ENDED_US, ENDED_US)
    stage, other = predict(topic), predict(topic)
    stage.process(features(("request", 1), ("progress", ENDED_US)))
    other.restore(*stage.snapshot())
    assert (other.ended, other.fallbacks) == (True, 1)


def test_the_rows_of_the_output_are_those_of_predictions() -> None:
    topic = control()
    promise(topic, ENDED_US, ENDED_US)
    found = predict(topic).process(features(("request", 1), ("label", 2))).batches["predictions"]
    assert [entry.stream for entry in entries_of(found, prediction_streams(1, 0, 1))] == ["request", "label"]


@given(st.permutations(list(range(0, 90, 6))), st.integers(1, 15))
def test_requests_out_of_order_are_answered_by_the_version_of_their_arrival_and_as_if_each_came_alone(
    times: list[int], size: int
) -> None:
    topic = control()
    for number, in_force in enumerate((UNSPOKEN_US, 20, 40, 60)):
        publish(topic, number, in_force)
    promise(topic, 100, 100)
    batch = requests(*times)
    found = [
        row
        for start in range(0, len(batch), size)
        for row in answers(predict(topic), batch.slice(start, min(start + size, len(batch))))
    ]
    assert [row["version"] for row in found] == [min(max(at // 20, 0), 3) for at in times]
    assert found == [answers(predict(topic), requests(at))[0] for at in times]


def test_the_wait_of_a_vector_does_not_count_towards_the_deadline() -> None:
    topic = control()
    publish(topic, 0, UNSPOKEN_US)
    stage = Predict(
        columns=COLUMNS,
        recipe=Logistic(),
        seed=0,
        serve=Serve(deadline="1s", fallback=[Constant(CONSTANT)]),
        control=ControlView(topic, promises=("learn", "judge")),
        output="predictions",
        now_us=lambda: 10 * SECOND_US,
        wait_us=4 * SECOND_US,
    )
    found = answers(stage, requests(5 * SECOND_US - 1, 5 * SECOND_US))
    assert [row["fallback"] for row in found] == ["deadline", None]
