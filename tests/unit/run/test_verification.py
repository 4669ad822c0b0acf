"""verify finds any value that does not come out of the log again, and says which row and column it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.records import Batch
from headrace.core.time import instant_text
from headrace.run.clock import VirtualClock
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.starter import write_starter
from headrace.run.taken import taken
from headrace.run.verification import Difference, verify
from headrace.topics.memory import MemoryLog
from headrace.topics.writer import Writer

Change = Callable[[dict[str, Any]], dict[str, Any]]
REQUEST: Final = 0
LABEL: Final = 1
PLACE: Final = 7


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Return the starter's run, cut after some hundred payments, copied into memory."""
    folder = tmp_path_factory.mktemp("original")
    files = write_starter(folder)
    for file in files[2:]:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:400]))
    running = run(Project.load(files[0]), clock=VirtualClock(start_us=0))
    running.worker.run()
    copied = copy(running.deployment)
    running.log.close()
    return copied


def unchanged(_name: str, batch: Batch) -> Batch:
    return batch


def copy(deployment: Deployment, alter: Callable[[str, Batch], Batch] = unchanged) -> Deployment:
    """Write everything that was taken into a new log, under the same causes, with the values that `alter` gives."""
    new = replace(deployment, log=MemoryLog(), blobs=None)
    for name in TOPICS:
        old = deployment.topic(name)
        writers = [Writer(new.topic(name), producer) for producer in old.manifest.producers]
        for piece in taken(old):
            batch = alter(name, piece.causes)
            if len(batch):
                writers[piece.producer].write(batch, piece.causes.position(len(piece.causes) - 1))
    return new


def altered(deployment: Deployment, topic: str, stream: int, change: Change) -> tuple[Deployment, str, str]:
    """Change the row at `PLACE` of one stream in its first frame; return the new log, the row's id and its time."""
    found: list[tuple[str, str]] = []

    def alter(name: str, batch: Batch) -> Batch:
        payload = batch.payloads[stream] if name == topic else None
        if payload is None or payload.num_rows <= PLACE or found:
            return batch
        rows = payload.to_pylist()
        rows[PLACE] = change(rows[PLACE])
        row = int(batch.rows_of(stream)[PLACE])
        found.append((batch.id[row].as_py(), instant_text(int(batch.event_time[row]))))
        payloads = list(batch.payloads)
        payloads[stream] = pa.RecordBatch.from_pylist(rows, schema=payload.schema)
        return replace(batch, payloads=tuple(payloads))

    return copy(deployment, alter), *found[0]


def test_a_copy_with_the_same_values_has_no_difference(original: Deployment) -> None:
    found = verify(original)
    assert (found.vectors, found.predictions, found.compared) == (399, 399, 798)
    assert (found.differ, found.first) == (0, [])
    assert verify(copy(original)) == found


@pytest.mark.parametrize("column", range(3))
def test_a_changed_number_of_a_vector_is_found(original: Deployment, column: int) -> None:
    was: list[float] = []

    def change(row: dict[str, Any]) -> dict[str, Any]:
        was.append(row["dense"][column])
        dense = [np.nextafter(x, np.inf) if place == column else x for place, x in enumerate(row["dense"])]
        return {**row, "dense": dense}

    changed, id, time = altered(original, "features", REQUEST, change)
    found = verify(changed)
    name = original.columns().dense[column]
    logged = str(float(np.nextafter(was[0], np.inf)))
    assert found.differ == 1
    assert found.first == [Difference("features", id, time, name, logged, str(was[0]))]


def test_a_changed_category_reason_or_label_is_found(original: Deployment) -> None:
    (category,) = original.columns().categories
    changes: list[tuple[int, Change, str]] = [
        (REQUEST, lambda row: {**row, "ids": [row["ids"][0] ^ 1]}, category),
        (REQUEST, lambda row: {**row, "reasons": [4, *row["reasons"][1:]]}, "reason of amount"),
        (LABEL, lambda row: {**row, "value": 1 - row["value"]}, "value"),
        (LABEL, lambda row: {**row, "request_time": row["request_time"] + 1}, "request_time"),
    ]
    for stream, change, column in changes:
        changed, id, time = altered(original, "features", stream, change)
        found = verify(changed)
        assert found.differ == 1
        (first,) = found.first
        assert (first.topic, first.id, first.time) == ("features", id, time)
        assert first.column == column


def test_a_changed_score_is_found_to_the_last_bit(original: Deployment) -> None:
    changed, id, time = altered(
        original, "predictions", REQUEST, lambda row: {**row, "score": float(np.nextafter(row["score"], 1))}
    )
    found = verify(changed)
    assert found.differ == 1
    assert [(one.topic, one.id, one.time, one.column) for one in found.first] == [("predictions", id, time, "score")]


def test_a_fallback_that_did_not_answer_with_the_constant_is_found(original: Deployment) -> None:
    changed, id, _ = altered(
        original, "predictions", REQUEST, lambda row: {**row, "fallback": "deadline", "score": 0.625}
    )
    (first,) = verify(changed).first
    assert (first.id, first.logged, first.recomputed) == (id, "0.625", "0.1")


def test_all_differences_are_counted_and_the_first_ten_are_shown(original: Deployment) -> None:
    def alter(name: str, batch: Batch) -> Batch:
        if name != "predictions":
            return batch
        payload = batch.payloads[REQUEST]
        place = payload.schema.get_field_index("score")
        scores = pa.array(np.full(payload.num_rows, 0.375))
        return replace(
            batch, payloads=(payload.set_column(place, payload.schema.field(place), scores), *batch.payloads[1:])
        )

    found = verify(copy(original, alter))
    assert (found.differ, len(found.first)) == (399, 10)


def test_a_log_that_lacks_a_vector_differs(original: Deployment) -> None:
    dropped: list[str] = []

    def alter(name: str, batch: Batch) -> Batch:
        if name != "features" or dropped or len(batch) < 9:
            return batch
        dropped.append(batch.id[3].as_py())
        return batch.take(np.array([row for row in range(len(batch)) if row != 3]))

    assert verify(copy(original, alter)).differ > 0


def test_a_vector_behind_the_last_that_any_event_caused_differs(original: Deployment) -> None:
    changed = copy(original)
    writer = Writer(changed.topic("features"), "featurize")
    writer.start()
    pieces = [piece.causes for piece in taken(original.topic("features"))]
    for causes in pieces:
        writer.write(causes, causes.position(len(causes) - 1))
    row = int(pieces[-1].rows_of(LABEL)[-1])
    more = pieces[-1].slice(row, row + 1)
    more = more.placed(pieces[-1].offset[-1:] + 1, more.sub)
    writer.write(more, more.position(0))
    rows = [sum(len(piece.batch) for piece in taken(log.topic("features"))) for log in (original, changed)]
    if rows[1] != rows[0] + 1:
        pytest.fail("the row was not taken", pytrace=False)
    assert verify(changed).differ == 1
