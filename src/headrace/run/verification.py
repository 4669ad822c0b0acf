"""verify: recompute every logged vector and prediction from the log, and say where they differ.

A vector is recomputed by a fresh engine over [events]; a score by the version that the row names, from the vector
that the row holds. What was a recorded choice (which version, which fallback) is taken from the row.

Where [events] was trimmed, the engine starts from the oldest snapshot of `featurize` that is kept, and vectors that
were caused before it cannot be recomputed any more; `Verification.beyond` says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import StateError
from headrace.core.position import START, Position
from headrace.core.records import Batch, flat_block, strings
from headrace.core.time import instant_text
from headrace.features.vector import Blocks
from headrace.models.contract import Block, Learner, rows_for
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.skipped import without
from headrace.run.taken import taken, taken_from
from headrace.stages.featurize import Featurize
from headrace.store.snapshots import unpacked
from headrace.topics.digest import row_digests
from headrace.topics.reader import Reader
from headrace.topics.schemas import tokens_of

__all__ = ["Difference", "Verification", "verify"]

_REQUEST: Final = 0
_SHOWN: Final = 10


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """One row that does not come out as it was logged."""

    topic: str
    id: str
    time: str
    column: str
    logged: str
    recomputed: str


@final
@dataclass(slots=True)
class Verification:
    """How many rows were compared and how many differ, with the first differences.

    `beyond` says, in sentences, what could not be compared because what it takes was trimmed.
    """

    vectors: int = 0
    predictions: int = 0
    differ: int = 0
    first: list[Difference] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Return how many rows were compared in all."""
        return self.vectors + self.predictions

    def add(self, difference: Difference) -> None:
        """Count one difference, and keep it if it is among the first."""
        self.differ += 1
        if len(self.first) < _SHOWN:
            self.first.append(difference)


def verify(deployment: Deployment) -> Verification:
    """Recompute [features] and [predictions] of a deployment from its log."""
    found = Verification()
    _verify_vectors(deployment, found)
    _verify_predictions(deployment, found)
    return found


def _verify_vectors(deployment: Deployment, found: Verification) -> None:
    """Compare value digests row by row; only rows that differ are looked at column by column."""
    features = deployment.topic("features")
    started = _started(deployment)
    if started is None:
        found.beyond.append("no vector: [events] was trimmed, and there is no snapshot of featurize to start from")
        return
    stage, reader, done = started
    # Below either place there is nothing to compare with: there the log is trimmed, here the events are.
    floor = max(done, features.cut(0).through.get(features.manifest.producers.index("featurize"), START))
    logged = _Rows(above for piece in taken(features) if len(above := piece.causes.above(floor)))
    blocks = deployment.pipeline.features.blocks()
    for again in _recomputed(stage, reader, done, floor, deployment.skipped("featurize")):
        other = logged.next(len(again))
        fresh = again.slice(0, len(other))
        if len(fresh) == 0:
            break
        found.vectors += int(np.count_nonzero(fresh.stream == _REQUEST))
        for row in np.flatnonzero(row_digests(fresh) != row_digests(other)).tolist():
            column, one, two = _first_column(other, fresh, row, blocks)
            found.add(Difference("features", _id(other, row), _time(other, row), column, one, two))
    for surplus in logged.rest():
        found.vectors += int(np.count_nonzero(surplus.stream == _REQUEST))
        for row in range(len(surplus)):
            found.add(
                Difference("features", _id(surplus, row), _time(surplus, row), "row", "taken", "no event caused it")
            )
    if done > START:
        kept = sum(int(np.count_nonzero(piece.batch.stream == _REQUEST)) for piece in taken(features))
        if kept > found.vectors:
            unseen = f"{kept - found.vectors:,} vectors of events that were trimmed"
            found.beyond.append(f"{unseen}, or that the oldest snapshot counts")


def _started(deployment: Deployment) -> tuple[Featurize, Reader, Position] | None:
    """Return `featurize` as it stood where [events] can still be read from, a reader there, and what it had done.

    None if [events] was trimmed and no snapshot is left to start from.
    """
    events = deployment.topic(EVENTS)
    if events.begin(0) == 0:
        return deployment.featurize(), deployment.events_reader(), START
    snapshots = deployment.snapshots("featurize")
    for arrays, meta in reversed(list(snapshots.newest_first()) if snapshots is not None else []):
        stage, reader = deployment.featurize(), deployment.events_reader()
        try:
            reader.restore(meta["cut"])
        except StateError:
            continue  # It stands below the cut, or belongs to another topic of the name.
        stage.restore(arrays, meta["stage"])
        return stage, reader, Position(*meta["done"])
    return None


def _recomputed(
    stage: Featurize, reader: Reader, done: Position, floor: Position, skipped: frozenset[Position]
) -> Iterator[Batch]:
    """Yield what the events above `done` cause that are not skipped, as far as it lies above `floor`."""
    for piece in taken_from(reader):
        fresh = without(piece.batch.above(done), skipped)
        if len(fresh):
            for batch in stage.process(fresh).batches.values():
                above = batch.above(floor)
                if len(above):
                    yield above


def _first_column(logged: Batch, fresh: Batch, row: int, blocks: Blocks) -> tuple[str, str, str]:
    """Return the first value of a row that differs, as (column, logged, recomputed)."""
    spine = ("stream", "event_time", "arrival_time", "id")
    one, two = (_values(batch, row, blocks) for batch in (logged, fresh))
    for name in (*spine, *(name for name in one if name not in spine)):
        if one.get(name) != two.get(name) and not (one.get(name) != one.get(name) and two.get(name) != two.get(name)):
            return name, str(one.get(name)), str(two.get(name))
    return "row", str(one), str(two)


def _values(batch: Batch, row: int, blocks: Blocks) -> dict[str, Any]:
    stream = int(batch.stream[row])
    place = int(np.count_nonzero(batch.stream[:row] == stream))
    entry: dict[str, Any] = batch.payloads[stream].slice(place, 1).to_pylist()[0]
    values: dict[str, Any] = {
        "stream": stream,
        "event_time": int(batch.event_time[row]),
        "arrival_time": int(batch.arrival_time[row]),
        "id": _id(batch, row),
    }
    if stream == _REQUEST:
        values |= blocks.values(entry)
        return values | {f"reason of {name}": code for name, code in zip(blocks.names, entry["reasons"], strict=True)}
    return values | entry


@final
class _Rows:
    """A stream of batches, taken some rows at a time."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._rest: Batch | None = None

    def next(self, count: int) -> Batch:
        """Return the next `count` rows, fewer only at the end."""
        parts: list[Batch] = []
        have = 0
        while have < count:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            self._rest = None
            if batch is None:
                break
            part = batch.slice(0, count - have)
            if len(part) < len(batch):
                self._rest = batch.slice(len(part), len(batch))
            parts.append(part)
            have += len(part)
        return Batch.concat(parts) if parts else self._nothing()

    def rest(self) -> Iterator[Batch]:
        """Yield whatever has not been taken."""
        if self._rest is not None:
            yield self._rest
        yield from self._batches

    def _nothing(self) -> Batch:
        empty = np.zeros(0, np.int64)
        return Batch(empty, empty, np.zeros(0, np.uint8), empty, empty, np.zeros(0, np.uint8), strings([]), ())


def _verify_predictions(deployment: Deployment, found: Verification) -> None:
    control = deployment.control()
    control.follow()
    versions = {version.number: version for version in control.versions}
    without = 0
    learners: dict[int, Learner] = {}
    constant = deployment.pipeline.serve.constant
    for piece in taken(deployment.topic("predictions")):
        batch, payload = piece.batch, piece.batch.payloads[_REQUEST]
        rows = batch.rows_of(_REQUEST)
        dense, ids = flat_block(payload["dense"], np.float64), flat_block(payload["ids"], np.int32)
        vectors = Block(dense, ids, tokens_of(payload))
        version, score = payload["version"].to_numpy(), payload["score"].to_numpy()
        fallback = payload["fallback"].is_valid().to_numpy(zero_copy_only=False)
        again = np.full(len(rows), constant)
        for number in np.unique(version[~fallback]).tolist():
            mine = (version == number) & ~fallback
            if number not in versions:  # Its row was trimmed, and nobody can be answered by it any more.
                without += int(np.count_nonzero(mine))
                again[mine] = score[mine]
                continue
            if number not in learners:
                learner = deployment.pipeline.model(deployment.columns(), deployment.pipeline.seed)
                learner.restore(*unpacked(control.bundle(versions[number])))
                learners = {number: learner}
            rows_of = vectors.take(np.flatnonzero(mine))
            again[mine] = learners[number].predict(rows_for(learners[number], rows_of))
        found.predictions += len(rows)
        for place in np.flatnonzero(again.view(np.uint64) != score.view(np.uint64)).tolist():
            row = int(rows[place])
            one, two = repr(float(score[place])), repr(float(again[place]))
            found.add(Difference("predictions", _id(batch, row), _time(batch, row), "score", one, two))
    if without:
        found.predictions -= without
        found.beyond.append(f"{without:,} predictions of versions that were trimmed from [control]")


def _id(batch: Batch, row: int) -> str:
    return str(batch.id[row].as_py())


def _time(batch: Batch, row: int) -> str:
    return instant_text(int(batch.event_time[row]))
