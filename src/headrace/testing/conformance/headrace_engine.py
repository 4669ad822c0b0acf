"""headrace under the kit: public definitions, records judged as the lines of a file are, the engine of `featurize`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.core.events import Event as Record
from headrace.core.records import Batch, Kind, StreamSchema, Verdict
from headrace.edge.verdicts import Verdicts
from headrace.features import windows
from headrace.features.engine import Engine as FeatureEngine
from headrace.features.engine import Vectors
from headrace.features.grouped import Grouped
from headrace.features.keys import hash_columns
from headrace.features.streams import source
from headrace.testing.conformance.definitions import (
    Decay,
    Definition,
    Feature,
    Forever,
    Hopping,
    LastN,
    Session,
    Sliding,
    Tumbling,
)
from headrace.testing.conformance.definitions import Window as Wanted
from headrace.testing.conformance.engines import Engine, Run
from headrace.testing.conformance.events import Answer, Event
from headrace.testing.sent import Sent, read_records
from headrace.topics.schemas import REJECTED, TICK

__all__ = ["Headrace"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PATIENCE_US: Final = 300_000_000
_REJECTED: Final = 1
_SAMPLES: Final = 2
_OF_ROWS: Final = ("count", "rate", "seconds_since")
_WITHOUT_DEFAULT: Final = ("count", "rate", "sum", "distinct", "entropy", "top", "counts")
_BITS: Final = 20
"""Of a hashed category: enough to tell the kit's few texts apart."""


@final
class Sample(Record):
    """The kit's event as a record of headrace."""

    id: str
    key: str
    at: datetime
    value: float | None
    other: float | None
    category: str | None
    counts: bool


@final
class Headrace(Engine):
    """headrace's feature engine, through public definitions.

    >>> from headrace.testing.conformance.definitions import Definition, Feature, Sliding
    >>> run = Headrace().start(Definition(features=(Feature(aggregate="sum", window=Sliding(10)),)))
    >>> rows = run.feed([Event(id=str(at), key="a", at_us=at, arrived_us=at, value=0.1) for at in (1, 2, 3, 12)])
    >>> [row.values[0] for row in rows if row is not None]
    [0.0, 0.1, 0.2, 0.2]
    """

    name = "headrace"
    patience_us = _PATIENCE_US

    def can(self, feature: Feature) -> bool:
        """Return whether a vector can have it: `seconds_since` has no offset, and what is refused is not had."""
        if feature.aggregate == "seconds_since" and (feature.offset_us or feature.include_current):
            return False
        try:
            self.start(Definition(features=(feature,)))
        except ConfigError:
            return False
        return True

    def start(self, definition: Definition) -> Run:
        """Return a fresh run."""
        return _HeadraceRun(definition)


@final
class _HeadraceRun(Run):
    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        samples = source(
            "samples",
            Sample,
            time=Sample.at,
            id=Sample.id,
            disorder=timedelta(microseconds=definition.disorder_us),
            late=definition.late,
            max_future_skew=timedelta(microseconds=definition.future_skew_us),
        )
        grouped = samples.where(Sample.counts).by(Sample.key)
        features = {f"f{number}": _expression(grouped, feature) for number, feature in enumerate(definition.features)}
        self._vector = samples.vector("conformance", **features)
        blocks = self._vector.blocks()
        names = (*blocks.dense, *blocks.categories)
        suffixes = [_suffix(feature) for feature in definition.features]
        self._places = [names.index(f"f{number}{suffix}") for number, suffix in enumerate(suffixes)]
        self._texts: dict[int, str | None] = {0: None}
        self._settings = replace(samples.settings, duplicate_horizon_us=definition.duplicate_horizon_us)
        self._engine, self._verdicts, self._fed = self._fresh(), Verdicts([self._settings]), 0

    def feed(self, events: Sequence[Event]) -> list[Answer | None]:
        """Judge the events as ingest does, and compute the vectors of those that ask."""
        if not events:
            return []
        batch = self._batch(events)
        batch.verdict[batch.stream == _REJECTED] = Verdict.REJECTED
        rows, ids = batch.rows_of(_SAMPLES), batch.payloads[_SAMPLES].column("id")
        batch.verdict[rows] = self._verdicts.give(0, batch.event_time[rows], batch.arrival_time[rows], ids)
        complete = self._definition.truth == "complete"
        found = self._engine.run_complete(batch) if complete else self._engine.run(batch)
        self._hash([event.category for event in events])
        return self._answers(found, len(events))

    def crash(self) -> None:
        """Go on in a new engine from a snapshot of the old one, with copies of its arrays."""
        arrays, meta = self._engine.snapshot()
        seen = {name: array.copy() for name, array in self._verdicts.snapshot().items()}
        self._engine, self._verdicts = self._fresh(), Verdicts([self._settings])
        self._engine.restore({name: array.copy() for name, array in arrays.items()}, meta)
        self._verdicts.restore(seen)

    def _fresh(self) -> FeatureEngine:
        streams = (TICK, REJECTED, StreamSchema("samples", Kind.REQUEST, self._settings.schema.arrow))
        return FeatureEngine(self._vector, None, streams, [self._settings])

    def _hash(self, categories: Sequence[str | None]) -> None:
        """Remember which text each id of a category stands for."""
        texts = sorted({category for category in categories if category is not None})
        hashed, _ = hash_columns([pa.array(texts, pa.string())])
        ids = (hashed[:, 0] % np.uint64((1 << _BITS) - 1) + np.uint64(1)).tolist()
        self._texts |= dict(zip(ids, texts, strict=True))

    def _answers(self, found: Vectors, count: int) -> list[Answer | None]:
        answers: list[Answer | None] = [None] * count
        dense = len(found.dense[0]) if len(found.dense) else 0
        rows = zip(found.row.tolist(), found.dense.tolist(), found.ids.tolist(), found.reasons.tolist(), strict=True)
        for row, numbers, ids, why in rows:
            known = [None if number != number else number for number in numbers]  # noqa: PLR0124 - NaN is not itself
            texts = [self._texts[id] for id in ids]
            values = tuple(known[place] if place < dense else texts[place - dense] for place in self._places)
            answers[row] = Answer(values, tuple(reasons.NAMES[why[place]] for place in self._places))
        return answers

    def _batch(self, events: Sequence[Event]) -> Batch:
        """Return the events as rows of [events]: decoded from lines of JSON, so that what is unusable is refused."""
        sent = Sent([self._settings])
        sent.put(0, 0, read_records(self._settings, [_sample(event) for event in events]))
        batch = sent.batch(sent.shipments[0], 0, len(events))
        arrived = np.array([event.arrived_us for event in events], np.int64)
        self._fed += len(events)
        return replace(batch, offset=batch.offset + self._fed - len(events), arrival_time=arrived)


def _sample(event: Event) -> Sample:
    return Sample(
        id=event.id,
        key=event.key,
        at=_EPOCH + timedelta(microseconds=event.at_us),
        value=event.value,
        other=event.other,
        category=event.category,
        counts=event.counts,
    )


def _window(window: Wanted) -> windows.Window:
    match window:
        case Sliding(size_us):
            return windows.Sliding(_text(size_us))
        case Forever():
            return windows.FOREVER
        case LastN(n, within_us):
            return windows.LastN(n, within=None if within_us is None else _text(within_us))
        case Session(gap_us, longest_us):
            return windows.Session(_text(gap_us), longest=_text(longest_us))
        case Hopping(size_us, every_us):
            return windows.Hopping(_text(size_us), every=_text(every_us))
        case Tumbling(size_us, zone):
            return windows.Tumbling(_text(size_us), tz=zone)
        case Decay(half_life_us):
            return windows.Decay(_text(half_life_us))


def _expression(grouped: Grouped, feature: Feature) -> Any:
    window = _window(feature.window)
    given: dict[str, Any] = dict(feature.parameters)
    if feature.aggregate not in _WITHOUT_DEFAULT:
        given.setdefault("default", None)
    if feature.offset_us:
        given["offset"] = _text(feature.offset_us)
    if feature.include_current:
        given["include_current"] = True
    aggregate = getattr(grouped, feature.aggregate)
    if feature.aggregate in _OF_ROWS:
        return aggregate(window, **given)
    column = getattr(Sample, feature.field)
    if feature.aggregate in ("argmax", "argmin"):
        return aggregate(Sample.other, column, window, **given)
    if feature.aggregate == "quantile":
        return aggregate(column, given.pop("q"), window, **given)
    if feature.aggregate == "last_k":
        return aggregate(column, given.pop("rank"), window, **given)
    if feature.aggregate == "counts":
        return aggregate(column, window, (given.pop("of"),), **given)
    if feature.aggregate == "top":
        return aggregate(column, window, k=given.pop("rank"), bits=_BITS, **given)
    return aggregate(column, window, **given)


def _suffix(feature: Feature) -> str:
    """Return what stands behind the name of a feature that is one of several columns."""
    told = feature.parameters.get("rank", feature.parameters.get("of"))
    return "" if told is None else f"_{told}"


def _text(size_us: int) -> str:
    return f"{size_us}us"
