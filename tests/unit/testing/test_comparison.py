"""Two runs are the same if their records are; a recorded choice may differ, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pytest

from headrace.core.records import Batch
from headrace.run.deployment import Deployment
from headrace.testing.comparison import first_difference
from tests.unit.run.test_verification import copy
from tests.unit.testing.payments import outcome, outcomes, started, txn, txns

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def original() -> Deployment:
    d = started()
    d.send(txns, txn(d, "1"), txn(d, "2", "b"), txn(d, "3", amount=-1.0))
    d.advance("1h")
    d.send(outcomes, outcome(d, "1"))
    d.advance("1h")
    d.send(txns, txn(d, "4"))
    d.end()
    return d.deployment


def changed(deployment: Deployment, topic: str, stream: int, change: Change) -> Deployment:
    """Return a copy in which every row of one stream of a topic is changed."""

    def alter(name: str, batch: Batch) -> Batch:
        payload = batch.payloads[stream] if name == topic else None
        if payload is None or not payload.num_rows:
            return batch
        rows = [change(row) for row in payload.to_pylist()]
        payloads = list(batch.payloads)
        payloads[stream] = pa.RecordBatch.from_pylist(rows, schema=payload.schema)
        return replace(batch, payloads=tuple(payloads))

    return copy(deployment, alter)


def less(row: dict[str, Any], column: str, by: float) -> dict[str, Any]:
    return {**row, column: row[column] - by}


FOUND: Final[list[tuple[str, int, Change]]] = [
    ("events", 1, lambda row: {**row, "reason": "missing"}),
    ("events", 2, lambda row: less(row, "amount", 1.0)),
    ("events", 3, lambda row: {**row, "kind": "ok"}),
    ("features", 0, lambda row: {**row, "dense": [x + 1 for x in row["dense"]]}),
    ("features", 0, lambda row: {**row, "reasons": [0] * len(row["reasons"])}),
    ("features", 1, lambda row: less(row, "value", 0.5)),
    ("features", 2, lambda row: less(row, "until", 1)),
    ("predictions", 0, lambda row: {**row, "ids": [x ^ 1 for x in row["ids"]]}),
    ("predictions", 1, lambda row: less(row, "request_time", 1)),
    ("examples", 0, lambda row: less(row, "y", 0.5)),
    ("examples", 0, lambda row: less(row, "weight", 0.5)),
    ("control", 0, lambda row: {**row, "bundle": row["bundle"][:-1] + b"x"}),
]
CHOSEN: Final[list[tuple[str, int, Change]]] = [
    ("predictions", 0, lambda row: less(row, "score", 0.1)),
    ("predictions", 0, lambda row: less(row, "version", 1)),
    ("predictions", 0, lambda row: {**row, "fallback": "deadline"}),
    ("predictions", 0, lambda row: less(row, "control", 1)),
    ("predictions", 0, lambda row: {**row, "drift": 2.0, "drift_of": "PSI:amount"}),
    ("examples", 0, lambda row: {**row, "score": 0.125, "version": 5}),
    ("sketches", 0, lambda row: {**row, "until": 5}),
]


def test_a_run_is_its_own_copy(original: Deployment) -> None:
    assert first_difference(original, original) is None
    assert first_difference(copy(original), original) is None


@pytest.mark.parametrize("number", range(len(FOUND)))
def test_whatever_else_differs_is_found(original: Deployment, number: int) -> None:
    topic, stream, change = FOUND[number]
    told = first_difference(changed(original, topic, stream, change), original)
    assert told is not None
    assert told.startswith(f"[{topic}], row ")


@pytest.mark.parametrize("number", range(len(CHOSEN)))
def test_a_recorded_choice_may_differ(original: Deployment, number: int) -> None:
    assert first_difference(changed(original, *CHOSEN[number]), original) is None


def test_a_row_too_many_is_found_on_either_side(original: Deployment) -> None:
    d = started()
    d.send(txns, txn(d, "1"), txn(d, "2", "b"), txn(d, "3", amount=-1.0))
    shorter = d.deployment
    told = first_difference(original, shorter)
    assert told is not None
    assert told.startswith("[events], row 3: '' of 2026-01-01T01:00:00Z, {'txn_id': '1', 'kind': 'fraud', ")
    assert told.endswith("but there nothing")
    other = first_difference(shorter, original)
    assert other is not None
    assert other.startswith("[events], row 3: nothing, but there ")
