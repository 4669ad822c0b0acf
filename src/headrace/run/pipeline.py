"""A pipeline: which vector answers which label, with which model, watched and acted on how."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any, Generic, Protocol, TypeVar, final

from headrace.core.errors import ConfigError
from headrace.core.events import Event, Prediction
from headrace.core.expressions import Category, Cross, Expression, FieldColumn
from headrace.core.records import Kind
from headrace.core.settings import Learn, Serve, Sink
from headrace.core.source_settings import SourceSettings
from headrace.features.aggregates import AggregateRead
from headrace.features.streams import Label, Stream
from headrace.features.vector import Vector
from headrace.topics.manifest import ENGINE

__all__ = ["Detector", "Pipeline"]

E = TypeVar("E", bound=Event)


class Detector(Protocol):
    """What a pipeline may watch with: a frozen setting that says what it watches."""

    @property
    def of(self) -> str:
        """Return "features", "score" or "error"."""


@final
class Pipeline(Generic[E]):
    """One question, from the events to the answer and back.

    features: what is known of a request. label: the answer that comes back. model: a recipe
    `(columns, seed) -> learner`. serve, learn, watch, act: how answers are given, versions made, drift seen and
    predictions sent on. seed: of everything drawn.

    Raises ConfigError, at the user's line, for whatever cannot work together.
    """

    def __init__(
        self,
        name: str,
        *,
        features: Vector[E],
        label: Label[E],
        model: Any,
        serve: Serve | None = None,
        learn: Learn | None = None,
        watch: Sequence[Detector] = (),
        act: Sequence[Sink] = (),
        seed: int = 0,
    ) -> None:
        where = f"pipeline {name!r}"
        if not name.isidentifier():
            raise ConfigError("pipeline name", wanted="letters, digits and _ (it becomes part of topics)", got=name)
        if not isinstance(features, Vector):
            raise ConfigError(f"{where} features", wanted="a vector: source.vector(...)", got=features)
        if not isinstance(label, Label):
            raise ConfigError(f"{where} label", wanted="a label: source.label(...)", got=label)
        if label.of is not features.of:
            raise ConfigError(f"{where} label", wanted=f"a label of {features.of.name!r}, the stream that asks", got=label.name)
        if isinstance(model, type) and not hasattr(model, "learn") or not callable(model):
            raise ConfigError(f"{where} model", wanted="a recipe (columns, seed) -> learner, such as hr.models.Logistic()", got=model)
        for detector in watch:
            if getattr(detector, "of", None) not in ("features", "score", "error"):
                raise ConfigError(f"{where} watch", wanted="detectors, such as hr.PSI('features')", got=detector)
        for entry in act:
            _check_sink(where, entry)
        self.name = name
        self.features = features
        self.label = label
        self.model = model
        self.serve = serve or Serve()
        self.learn = learn or Learn()
        self.watch = tuple(watch)
        self.act = tuple(act)
        self.seed = seed
        for read in features.aggregates():
            if read.of_label and read.stream != label.history_name:
                raise ConfigError(f"{where} features", wanted="features of the pipeline's own label", got=repr(read))

    def __repr__(self) -> str:
        """Return the code that makes the pipeline, shortened to its parts' names."""
        return f"hr.Pipeline({self.name!r}, features={self.features.name!r}, label of {self.label.of.name!r}, model={self.model!r})"

    def sources(self) -> tuple[Stream[Any], ...]:
        """Return every source that is read, the one that asks first, then in the order of use."""
        known: dict[str, Stream[Any]] = {self.features.of.name: self.features.of, self.label.events.name: self.label.events}
        for stream in self.features.streams():
            known.setdefault(stream.name, stream)
        return tuple(known.values())

    def source_settings(self) -> tuple[SourceSettings, ...]:
        """Return what ingest must know of each source."""
        asking = self.features.of.name
        return tuple(
            replace(stream.settings, kind=Kind.REQUEST if stream.name == asking else Kind.EVENT) for stream in self.sources()
        )

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with anything that may change a result."""
        parts = [
            f"engine {ENGINE}",
            self.name,
            *(repr(settings) for settings in self.source_settings()),
            *(f"{name} = {feature.canonical}" for name, feature in self.features.features.items()),
            self.label.canonical,
            repr(self.model),
            repr(self.serve),
            repr(self.learn),
            *(repr(detector) for detector in self.watch),
            f"seed {self.seed}",
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def describe(self) -> list[dict[str, str]]:
        """Return one row a feature: its name, kind, what it is, and the default with its origin."""
        rows = []
        for name, feature in self.features.features.items():
            reads = [node for node in feature.walk() if isinstance(node, AggregateRead)]
            rows.append({"feature": name, "kind": feature.kind, "is": feature.canonical, "default": _default(feature, reads)})
        return rows

    def _repr_html_(self) -> str:
        """Return the table that `headrace check` prints, for notebooks."""
        rows = self.describe()
        head = "".join(f"<th>{escape(title)}</th>" for title in rows[0])
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.values())}</tr>" for row in rows)
        return f"<table><caption>{escape(self.name)}</caption><tr>{head}</tr>{body}</table>"


def _default(feature: Expression, reads: list[AggregateRead]) -> str:
    if isinstance(feature, Category | Cross):
        return "id 0"
    return ", ".join("0 (empty window)" if read.operation in ("count", "sum") else f"{read.default!r}" for read in reads)


def _check_sink(where: str, entry: Sink) -> None:
    if not isinstance(entry, Sink):
        raise ConfigError(f"{where} act", wanted="sinks: hr.sink(name, when=...)", got=entry)
    for node in entry.when.walk() if entry.when is not None else ():
        if isinstance(node, FieldColumn) and node.owner != Prediction.__name__:
            raise ConfigError(f"{where} sink {entry.name!r}", wanted="columns of hr.Prediction", got=repr(node))
