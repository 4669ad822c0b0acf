"""Two runs compared by their records as taken: values, never frames, resends or positions."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, final

from headrace.core.records import Batch
from headrace.core.time import instant_text
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.taken import taken
from headrace.topics.digest import row_digests

__all__ = ["CHOICES", "first_difference", "without_columns"]

_COMPARED: Final = ((EVENTS, "ingest"), ("features", "featurize"), ("predictions", "predict"), ("examples", "join"))
CHOICES: Final = frozenset({"score", "version", "fallback", "control", "drift", "drift_of"})
"""What an answer was depends on the version that stood ready just then: a recorded choice, as is its score."""


@final
class _Row(NamedTuple):
    digest: int
    batch: Batch
    row: int


def first_difference(one: Deployment, other: Deployment) -> str | None:
    """Return the first row by which two runs differ, as text; None if there is none.

    Recorded choices may differ, and so may what is told of them (sketches, drift, alarms); versions may not.
    """
    for topic, producer in (*_COMPARED, ("control", "learn")):
        rows = [_rows(deployment, topic, producer) for deployment in (one, other)]
        number = 0
        while True:
            first, second = (next(each, None) for each in rows)
            if first is None and second is None:
                break
            if first is None or second is None or first.digest != second.digest:
                return f"[{topic}], row {number}: {_text(first)}, but there {_text(second)}"
            number += 1
    return None


def _rows(deployment: Deployment, name: str, producer: str) -> Iterator[_Row]:
    topic = deployment.topic(name)
    number = topic.manifest.producers.index(producer)
    for piece in taken(topic):
        if piece.producer != number:
            continue
        batch = piece.batch if name == EVENTS else without_columns(piece.batch, CHOICES)
        for row, digest in enumerate(row_digests(batch).tolist()):
            yield _Row(digest, batch, row)


def without_columns(batch: Batch, left_out: Collection[str]) -> Batch:
    """Return the same rows without some columns of their payloads, so that digests do not see those."""
    payloads = tuple(
        payload.select([name for name in payload.schema.names if name not in left_out]) for payload in batch.payloads
    )
    return replace(batch, payloads=payloads)


def _text(found: _Row | None) -> str:
    if found is None:
        return "nothing"
    batch, row = found.batch, found.row
    stream = int(batch.stream[row])
    values = batch.slice(row, row + 1).payloads[stream].to_pylist()[0]
    values.pop("bundle", None)
    return f"{batch.id[row].as_py()!r} of {instant_text(int(batch.event_time[row]))}, {values}"
