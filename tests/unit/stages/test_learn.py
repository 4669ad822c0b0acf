"""Versions come at multiples of the pace in recorded arrival time, each with the promise of the next."""

import json
from itertools import pairwise
from math import log
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.records import Batch
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.core.tokens import Tokens
from headrace.models.contract import Block, Columns
from headrace.models.logistic import Logistic
from headrace.stages.learn import Learn
from headrace.store.snapshots import packed, unpacked
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL, example_streams

PACE: Final = 100
COLUMNS: Final = Columns(dense=("x",), tokens=("w",), token_sizes=(8,))


def words_of(number: int) -> list[int]:
    """Return as many words as the last digit of a number says."""
    return [(number + word) % 8 for word in range(number % 10)]


def block_of(dense: list[list[float]], words: list[list[int]]) -> Block:
    """Return vectors of a number and of words."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in words])]).astype(np.int64)
    tokens = Tokens(offsets, np.array([word for row in words for word in row], np.int32))
    return Block(np.array(dense), np.zeros((len(dense), 0), np.int32), tokens)


def example(number: int) -> dict[str, Any]:
    x = (number * 37 % 100) / 50 - 1
    served = {"score": 0.5, "version": 0, "request_time": number, "correction": False}
    return {"dense": [x], "ids": [], "tokens": words_of(number), "y": float(x > 0.1), "weight": 1.0, **served}


def examples(*rows: str | int) -> Batch:
    """Return [examples]: "x" is an example, a number the time until which progress has come."""
    entries = [
        Entry("example", 0, place, 0, example(place))
        if isinstance(row, str)
        else Entry("progress", 0, place, int(row), {"until": int(row)})
        for place, row in enumerate(rows)
    ]
    return batch_of(entries, example_streams(1, 0, 1))


def learn() -> Learn:
    return Learn(columns=COLUMNS, recipe=Logistic(), seed=0, every_us=PACE, output="control")


def said(stage: Learn, batch: Batch) -> list[Entry]:
    found = stage.process(batch)
    assert found.consumed == len(batch)
    return entries_of(found.batches["control"], CONTROL) if found.batches else []


def told(entries: list[Entry]) -> list[tuple[Any, ...]]:
    """Return ("version", number, in force from, examples) or ("promise", until) for each row."""
    return [
        ("promise", entry.columns["until"])
        if entry.stream == "progress"
        else ("version", entry.columns["number"], entry.columns["in_force"], entry.columns["examples"])
        for entry in entries
    ]


def test_versions_stand_at_multiples_of_the_pace_and_each_promises_the_next() -> None:
    stage = learn()
    found = said(stage, examples("x", "x", 150, "x", 190, "x", 200, 250, "x", 420))
    assert told(found) == [
        ("version", 0, 100, 2),
        ("promise", 200),
        ("version", 1, 200, 4),
        ("promise", 300),
        ("version", 2, 400, 5),
        ("promise", 500),
    ]
    assert not stage.ended


def test_without_a_new_example_there_is_a_promise_and_no_version() -> None:
    assert told(said(learn(), examples(100, 200, "x", 300, 400))) == [
        ("version", 0, 100, 0),
        ("promise", 200),
        ("promise", 300),
        ("version", 1, 300, 1),
        ("promise", 400),
        ("promise", 500),
    ]


def test_the_end_of_a_history_publishes_at_the_next_multiple_and_promises_that_nothing_follows() -> None:
    stage = learn()
    assert told(said(stage, examples("x", 100, "x", ENDED_US))) == [
        ("version", 0, 100, 1),
        ("promise", 200),
        ("version", 1, 200, 2),
        ("promise", ENDED_US),
    ]
    assert stage.ended
    assert said(learn(), examples("x", 100, ENDED_US))[-1].columns == {"until": ENDED_US}


def test_a_version_is_the_model_after_the_examples_above_it_and_names_its_parent() -> None:
    rows: list[str | int] = ["x", "x", "x", 100, "x", "x", 200]
    versions = [entry.columns for entry in said(learn(), examples(*rows)) if entry.stream == "version"]
    model = Logistic()(COLUMNS, 0)
    asked = block_of([[0.3], [-2.0]], [[1, 2], []])
    parent = ""
    losses: list[float] = []
    for place, row in enumerate(rows):
        if isinstance(row, str):
            made = example(place)
            (score,) = model.learn(block_of([made["dense"]], [made["tokens"]]), np.array([made["y"]]), np.ones(1))
            losses.append(-log(score if made["y"] else 1 - score))
            continue
        version = versions.pop(0)
        restored = Logistic()(COLUMNS, 1)
        restored.restore(*unpacked(version["bundle"]))
        assert restored.predict(asked).tolist() == model.predict(asked).tolist()
        assert (version["parent"], version["name"][:3]) == (parent, f"v{version['number']}-")
        metrics = json.loads(version["metrics"])
        assert metrics["rows"] == len(losses)
        assert metrics["prequential_log_loss"] == pytest.approx(sum(losses) / len(losses))
        parent, losses = version["name"], []
    assert versions == []


def test_nothing_is_said_before_progress() -> None:
    stage = learn()
    assert said(stage, examples("x", "x")) == []
    assert stage.examples == 2
    assert stage.snapshot()[1]["next_us"] == UNSPOKEN_US


STORY: Final = examples("x", "x", 150, "x", 190, "x", 200, 250, 320, "x", 420, "x", "x", "x", 510, "x", ENDED_US)


@given(cuts=st.sets(st.integers(1, 16)), restarts=st.sets(st.integers(1, 16)))
def test_neither_cuts_nor_restarts_change_a_version(cuts: set[int], restarts: set[int]) -> None:
    one, two = learn(), learn()
    expected = one.process(STORY).batches["control"]
    found = []
    edges = [0, *sorted(cuts | restarts), len(STORY)]
    for start, stop in pairwise(edges):
        if start in restarts:
            state = packed(*two.snapshot())
            two = learn()
            two.restore(*unpacked(state))
        found += two.process(STORY.slice(start, stop)).batches.values()
    assert row_digests(Batch.concat(found)).tolist() == row_digests(expected).tolist()
    assert packed(*two.snapshot()) == packed(*one.snapshot())
    assert two.ended
