"""Features by key: what a request would be told now, or would have been at a past time. Nothing is written.

Now: the engine of `featurize` from its newest snapshot, with what [events] took since; it can follow the log and
answer again. At a past time: [events] replayed by a fresh engine. Either says through which position it read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError, StateError, nearest
from headrace.core.position import ALL, START, Position, place_text
from headrace.core.records import I8, Batch, Kind
from headrace.core.source_settings import SourceSettings
from headrace.core.time import instant_text, instant_us
from headrace.features.tables import Truth, feature_table
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.skipped import without
from headrace.run.taken import taken_from
from headrace.stages.featurize import Featurize
from headrace.topics.reader import Reader

__all__ = ["Found", "OnlineFeatures", "features_at"]

_EXACTLY: Final = 1
"""Microseconds behind the newest event at which "now" lies, so that this event is seen."""
_RECORDS: Final = (Kind.REQUEST, Kind.EVENT)
_PIECE: Final = 65_536


@final
@dataclass(frozen=True, slots=True)
class Found:
    """Features of n requests: one row each, with `_event_time` and `_reason_<feature>`; see `Vector.compute`.

    vector, fingerprint: what was computed, and its version. position: [events] was read through here, START for not
    at all. truth: "served" or "complete".
    """

    vector: str
    fingerprint: str
    table: pa.Table
    position: Position
    truth: Truth

    @property
    def place(self) -> str:
        """Return the position as `headrace topics` shows it; a frame that was read whole has no row."""
        whole = self.position.sub == ALL
        return "start" if self.position == START else str(self.position.offset) if whole else place_text(self.position)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as one JSON object."""
        rows = self.table.to_pylist()
        names = [name for name in self.table.column_names if not name.startswith("_")]
        return {
            "vector": self.vector,
            "fingerprint": self.fingerprint,
            "position": self.place,
            "truth": self.truth,
            "rows": [
                {
                    "at": instant_text(instant_us(row["_event_time"])),
                    "features": {name: row[name] for name in names},
                    "reasons": {name: row[f"_reason_{name}"] for name in names},
                }
                for row in rows
            ],
        }


@final
class OnlineFeatures:
    """The features of a pipeline by key, as the log stands; any number of keys and all features in one call.

    A look-up changes no byte of what it looks at. `follow` takes what [events] has taken since.

    Raises StateError if [events] was trimmed and no snapshot of `featurize` is left to begin with.
    """

    def __init__(self, deployment: Deployment) -> None:
        """Stand where the newest snapshot of `featurize` stood, and follow the log to its end."""
        self._deployment = deployment
        self._vector = deployment.pipeline.features
        self._moves = not deployment.added_sources()
        self._skipped = deployment.skipped("featurize")
        self._stage, self._reader, self._done = _newest(deployment)
        self.follow()

    @property
    def position(self) -> Position:
        """Return the position of [events] through which it has read."""
        return self._done

    def follow(self) -> None:
        """Take what [events] has taken since."""
        kept = _Batches()
        for piece in taken_from(self._reader):
            kept.add(without(piece.batch.above(self._done), self._skipped))
            self._done = max(self._done, piece.batch.position(len(piece.batch) - 1))
            if kept.rows >= _PIECE:
                kept.give(self._stage.process)
        kept.give(self._stage.process)

    def get(self, requests: object, *, at: datetime | None = None) -> Found:
        """Return the features of n requests that would come next.

        requests: a mapping from fields to lists of n values, or anything with `__arrow_c_stream__`. A field that is
        not given, or null, makes its features `missing_input`. A request happens at the time that it gives, else at
        `at`, else just behind the newest event that was read.

        Raises ConfigError for a field that the requests do not have, or a value of another type.
        """
        newest_us = self._stage.engine.newest_us
        otherwise_us = instant_us(at) if at is not None else max(newest_us, 0) + _EXACTLY
        fields, time = _requests(self._vector.of.settings, requests, otherwise_us)
        return _found(self._deployment, self._stage, fields, time, self._done, "served", moves=self._moves)


def features_at(deployment: Deployment, requests: object, at: datetime, *, truth: Truth = "served") -> Found:
    """Return the features of n requests as of a past time, by replay of [events]; `requests` as for `get`.

    "served": only what had arrived by then, in the order of the log. "complete": everything that happened before
    then, however late it came.

    Raises ConfigError if that time lies below what is kept of [events], or for requests that `get` would refuse.
    """
    if truth not in ("served", "complete"):
        raise ConfigError("truth", wanted="'served' or 'complete'", got=truth)
    topic = deployment.topic(EVENTS)
    if topic.begin(0) > 0:
        wanted = f"none: [events] begins at offset {topic.begin(0)}, what stood below was trimmed (look up what is now)"
        raise ConfigError("features at", wanted=wanted, got=at.isoformat())
    at_us = instant_us(at)
    settings = deployment.pipeline.features.of.settings
    fields, _ = _requests(settings, requests, at_us)
    time = np.full(fields.num_rows, at_us, np.int64)
    fields = _timed(settings, fields, time)
    skipped = deployment.skipped("featurize")
    kinds = np.array([stream.kind for stream in topic.manifest.streams])
    stage, kept, done = deployment.featurize(), _Batches(), START
    for piece in taken_from(deployment.events_reader()):
        batch, ended = piece.batch, False
        if truth == "served":
            later = np.flatnonzero(np.isin(kinds, _RECORDS)[batch.stream] & (batch.arrival_time > at_us))
            ended = len(later) > 0
            batch = batch.slice(0, int(later[0])) if ended else batch
        if len(batch):
            done = batch.position(len(batch) - 1)
            kept.add(without(batch, skipped))
        if truth == "served" and (ended or kept.rows >= _PIECE):
            kept.give(stage.process)
        if ended:
            break
    if truth == "served":
        kept.give(stage.process)
    else:
        kept.give(lambda whole: _process_complete(stage, replace(whole, reached=None), kinds, at_us))
    moves = truth == "complete" or not deployment.added_sources()
    return _found(deployment, stage, fields, time, done, truth, moves=moves)


@final
class _Batches:
    """_Batches that are given on together: a call for each frame would cost more than its rows."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self.rows = 0

    def add(self, batch: Batch) -> None:
        """Keep one more."""
        if len(batch):
            self._batches.append(batch)
            self.rows += len(batch)

    def give(self, take: Callable[[Batch], object]) -> None:
        """Let somebody take all that was kept as one batch."""
        if self._batches:
            take(Batch.concat(self._batches))
        self._batches, self.rows = [], 0


def _process_complete(stage: Featurize, whole: Batch, kinds: Any, at_us: int) -> None:
    """Process what happened before `at_us`, sorted by time; a command stays behind what it stood behind in the log."""
    commands = np.flatnonzero(kinds[whole.stream] == Kind.COMMAND)
    edges = [0, *(edge for row in commands.tolist() for edge in (row, row + 1)), len(whole)]
    for start, stop in pairwise(edges):
        part = whole.slice(start, stop) if start < stop else None
        if part is not None and kinds[part.stream[0]] != Kind.COMMAND:
            order = np.argsort(part.event_time, kind="stable")
            part = part.take(order[part.event_time[order] < at_us])
        if part is not None and len(part):
            stage.process(part)


def _newest(deployment: Deployment) -> tuple[Featurize, Reader, Position]:
    """Return `featurize` as its newest snapshot has it, a reader that goes on there, and what it had done."""
    snapshots = deployment.snapshots("featurize")
    for arrays, meta in snapshots.newest_first() if snapshots is not None else ():
        stage, reader = deployment.featurize(), deployment.events_reader()
        try:
            reader.restore(meta["cut"])
        except StateError:
            continue  # It belongs to another topic of the name, or stands below the cut.
        stage.restore(arrays, meta["stage"])
        return stage, reader, Position(*meta["done"])
    begin = deployment.topic(EVENTS).begin(0)
    if begin > 0:
        wanted = f"a snapshot of featurize, since [events] begins at offset {begin}"
        raise StateError("features", wanted=wanted, got="none")
    return deployment.featurize(), deployment.events_reader(), START


def _found(
    deployment: Deployment,
    stage: Featurize,
    fields: pa.RecordBatch,
    time: I8,
    done: Position,
    truth: Truth,
    *,
    moves: bool,
) -> Found:
    vector = deployment.pipeline.features
    vectors = stage.engine.look_up(fields, time, moves=moves)
    table = feature_table(vector, time, vectors.dense, vectors.ids, vectors.reasons, vectors.tokens)
    return Found(vector.name, vector.fingerprint, table, done, truth)


def _requests(source: SourceSettings, requests: object, otherwise_us: int) -> tuple[pa.RecordBatch, I8]:
    """Return n requests with every field of the source, null where none is given, and the time of each."""
    where = f"requests of {source.name!r}"
    if isinstance(requests, Mapping):
        given = {str(name): values for name, values in requests.items()}
    elif hasattr(requests, "__arrow_c_stream__"):
        table = pa.table(requests)
        given = {name: table[name].combine_chunks() for name in table.column_names}
    else:
        raise ConfigError(where, wanted="fields with their values, or a table", got=type(requests).__name__)
    for name in given:
        if name not in source.schema.names:
            wanted = f"fields of {source.schema.name} ({', '.join(source.schema.names)})"
            raise ConfigError(where, wanted=wanted, got=name + nearest(name, source.schema.names))
    sizes = {len(values) for values in given.values()}
    if len(sizes) != 1:
        raise ConfigError(where, wanted="as many values of every field, of at least one", got=sorted(sizes))
    count = sizes.pop()
    columns = [
        _column(f"{where}, {field.name}", given[field.name], field.type)
        if field.name in given
        else pa.nulls(count, field.type)
        for field in source.schema.arrow
    ]
    fields = pa.RecordBatch.from_arrays(columns, names=list(source.schema.names))
    time = fields[source.time].cast(pa.int64()).fill_null(otherwise_us).to_numpy(zero_copy_only=False)
    return _timed(source, fields, time), np.ascontiguousarray(time, np.int64)


def _column(where: str, values: "Sequence[object] | pa.Array[Any]", kind: pa.DataType) -> "pa.Array[Any]":
    try:
        column = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), kind)
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ConfigError(where, wanted=f"values of type {kind}", got=str(error)) from error


def _timed(source: SourceSettings, fields: pa.RecordBatch, time: I8) -> pa.RecordBatch:
    """Return the requests with these times: features of a request's own time then have one, too."""
    place = fields.schema.get_field_index(source.time)
    column = pa.array(time).cast(fields.schema.field(place).type)
    return fields.set_column(place, fields.schema.field(place), column)
