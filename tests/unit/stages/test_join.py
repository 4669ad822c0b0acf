"""A label meets the prediction that it answers, once; what pairs with nothing is counted."""

from itertools import pairwise
from math import nan
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import StateError
from headrace.core.position import ALL, Position, sub_of
from headrace.core.records import Batch
from headrace.core.time import ENDED_US
from headrace.stages.join import Join
from headrace.store.snapshots import packed, unpacked
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of
from headrace.topics.manifest import Manifest
from headrace.topics.memory import MemoryLog
from headrace.topics.reader import Reader
from headrace.topics.schemas import prediction_streams
from headrace.topics.writer import Writer

STREAMS: Final = prediction_streams(2, 1, 1)
Row = tuple[Any, ...]
"""("ask", id, time), ("answer", id, time, value) or ("until", time)."""


def vector_of(at: int) -> dict[str, Any]:
    """Return a vector of two numbers, a category and as many words as the last digit of the time says."""
    return {"dense": [float(at), -float(at)], "ids": [at % 5], "tokens": [at + word for word in range(at % 10)]}


def entry(row: Row, offset: int, place: int) -> Entry:
    kind, *rest = row
    if kind == "until":
        return Entry("progress", offset, sub_of(place), rest[0], {"until": rest[0]})
    id, at = rest[:2]
    if kind == "ask":
        served = {"score": at / 1000, "version": at % 7, "fallback": None, "control": 3, "drift": 0.5, "drift_of": "a"}
        return Entry("request", offset, sub_of(place), at, {**vector_of(at), **served}, id)
    known = {"value": rest[2], "weight": 0.5, "request_time": 0, "correction": False}
    return Entry("label", offset, sub_of(place), at, known, id)


def topic_of(*frames: list[Row]) -> Topic:
    topic = MemoryLog().create(Manifest(topic="predictions", streams=STREAMS, producers=("predict",)))
    writer = Writer(topic, "predict")
    for offset, rows in enumerate(frames):
        batch = batch_of([entry(row, offset, place) for place, row in enumerate(rows)], STREAMS)
        writer.write(batch, Position(offset, ALL))
    return topic


def whole(topic: Topic) -> Batch:
    return Batch.concat([taken.batch for taken in Reader(topic).read(100)])


def join(topic: Topic) -> Join:
    return Join(predictions=topic, output="examples", dense=2, ids=1, words=1)


def run(*frames: list[Row]) -> tuple[Join, Batch | None]:
    topic = topic_of(*frames)
    stage = join(topic)
    batch = whole(topic)
    found = stage.process(batch)
    assert found.consumed == len(batch)
    return stage, found.batches.get("examples")


def counters(stage: Join) -> tuple[int, int, int, int]:
    return stage.paired, stage.unanswered, stage.unknown, stage.waiting


def test_an_example_is_the_vector_and_the_answer_that_were_served_with_the_label() -> None:
    stage, found = run([("ask", "a", 10), ("ask", "b", 22)], [("ask", "c", 30), ("answer", "b", 40, 1.0)])
    assert found is not None
    assert found.id.to_pylist() == ["b"]
    assert found.event_time.tolist() == [40]
    assert found.payloads[0].to_pylist() == [
        {
            "dense": [22.0, -22.0],
            "ids": [2],
            "tokens": [22, 23],
            "y": 1.0,
            "weight": 0.5,
            "score": 0.022,
            "version": 1,
            "request_time": 22,
            "correction": False,
        }
    ]
    assert counters(stage) == (1, 0, 0, 2)


def test_labels_pair_in_their_order_whatever_the_order_of_their_requests() -> None:
    asked = [[("ask", f"r{number}", number)] for number in range(5)]
    order = (3, 0, 4, 1, 2)
    _, found = run(*asked, [("answer", f"r{number}", 10 + number, float(number)) for number in order])
    assert found is not None
    assert found.payloads[0]["y"].to_pylist() == [float(number) for number in order]
    assert found.payloads[0]["request_time"].to_pylist() == list(order)
    for column in ("dense", "ids", "tokens"):
        assert found.payloads[0][column].to_pylist() == [vector_of(number)[column] for number in order]


def test_what_was_paired_is_forgotten_and_an_unknown_label_is_counted() -> None:
    stage, found = run([("ask", "a", 10), ("answer", "a", 20, 1.0)])
    assert found is not None
    assert counters(stage) == (1, 0, 0, 0)
    again, none = run([("answer", "nobody", 5, 1.0)])
    assert none is None
    assert counters(again) == (0, 0, 1, 0)
    topic = topic_of([("ask", "a", 10)], [("answer", "a", 20, 1.0)], [("answer", "a", 30, 0.0)])
    stage = join(topic)
    made = [stage.process(taken.batch).batches for taken in Reader(topic).read(9)]
    assert [len(batches) for batches in made] == [0, 1, 0]
    assert counters(stage) == (1, 0, 1, 0)


def test_a_label_without_a_value_closes_its_request_and_makes_no_example() -> None:
    stage, found = run([("ask", "a", 10), ("ask", "b", 11), ("answer", "a", 20, nan), ("answer", "b", 21, 0.0)])
    assert found is not None
    assert found.id.to_pylist() == ["b"]
    assert counters(stage) == (1, 1, 0, 0)


@given(st.lists(st.tuples(st.sampled_from(["ask", "answer"]), st.sampled_from("ab")), min_size=1, max_size=12))
def test_an_id_that_is_used_again_means_the_same_in_one_batch_as_row_by_row(drawn: list[tuple[str, str]]) -> None:
    rows: list[Row] = [
        (kind, id, 10 * place) if kind == "ask" else (kind, id, 10 * place, float(place % 2))
        for place, (kind, id) in enumerate(drawn)
    ]
    topic = topic_of(rows)
    batch = whole(topic)
    at_once, one_by_one = join(topic), join(topic)
    found = at_once.process(batch).batches.get("examples")
    parts = [one_by_one.process(batch.slice(row, row + 1)).batches.get("examples") for row in range(len(batch))]
    made = [part for part in parts if part is not None]
    assert (found is None) == (made == [])
    if found is not None:
        assert row_digests(found).tolist() == row_digests(Batch.concat(made)).tolist()
        assert found.sub.tolist() == Batch.concat(made).sub.tolist()
    assert counters(at_once) == counters(one_by_one)


def test_progress_passes_between_the_examples_and_its_end_ends_the_stage() -> None:
    stage, found = run(
        [("ask", "a", 1), ("ask", "b", 2), ("until", 3), ("answer", "b", 4, 1.0)],
        [("until", 5), ("answer", "a", 6, 0.0), ("until", ENDED_US)],
    )
    assert found is not None
    assert found.stream.tolist() == [1, 0, 1, 0, 1]
    assert found.payloads[1]["until"].to_pylist() == [3, 5, ENDED_US]
    assert stage.ended


def test_a_prediction_that_is_no_longer_kept_is_named() -> None:
    topic = topic_of([("ask", "a", 10)], [("answer", "a", 20, 1.0)])
    batch = whole(topic)
    topic.trim(0, Cut(1))
    with pytest.raises(StateError, match="offset 0 of predictions"):
        join(topic).process(batch)


STORY: Final = topic_of(
    [("ask", f"r{number}", number) for number in range(4)],
    [("answer", "r2", 10, 1.0), ("ask", "r4", 11), ("answer", "r9", 12, 1.0), ("until", 13)],
    [("answer", "r0", 14, nan), ("answer", "r4", 15, 0.0), ("ask", "r5", 16), ("answer", "r3", 17, 2.0)],
    [("answer", "r5", 20, 0.0), ("until", ENDED_US)],
)


@given(cuts=st.sets(st.integers(1, 13)), restarts=st.sets(st.integers(1, 13)))
def test_neither_cuts_nor_restarts_change_an_example(cuts: set[int], restarts: set[int]) -> None:
    batch = whole(STORY)
    one, two = join(STORY), join(STORY)
    expected = one.process(batch).batches["examples"]
    found = []
    edges = [0, *sorted(cuts | restarts), len(batch)]
    for start, stop in pairwise(edges):
        if start in restarts:
            state = packed(*two.snapshot())
            two = join(STORY)
            two.restore(*unpacked(state))
        found += two.process(batch.slice(start, stop)).batches.values()
    assert row_digests(Batch.concat(found)).tolist() == row_digests(expected).tolist()
    assert counters(two) == counters(one) == (4, 1, 1, 1)
    assert two.ended
