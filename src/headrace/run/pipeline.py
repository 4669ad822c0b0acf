"""A pipeline: which vector answers which label, with which model, watched and acted on how."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, final

from headrace.core.checks import check_name, is_whole
from headrace.core.errors import ConfigError
from headrace.core.events import Event
from headrace.core.expressions import Category, Cross, Expression, Fill
from headrace.core.records import Kind
from headrace.core.settings import Learn, Serve, Sink
from headrace.core.source_settings import SourceSettings
from headrace.features.aggregates import ZERO_WHEN_EMPTY, AggregateRead
from headrace.features.labels import Label
from headrace.features.streams import Stream
from headrace.features.vector import Blocks, Vector
from headrace.topics.manifest import ENGINE

if TYPE_CHECKING:
    from headrace.evaluate.report import Report
    from headrace.features.tables import Truth
    from headrace.run.examples import Examples

if TYPE_CHECKING:
    from headrace.models.contract import Recipe

__all__ = ["Detector", "Pipeline"]

E = TypeVar("E", bound=Event)
WATCHED: Final = ("features", "score", "error")


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

    Raises ConfigError, at the user's line, for whatever cannot work together: a label of another stream, requests
    without an id, a model that is no recipe, two sources or two sinks of one name.
    """

    def __init__(
        self,
        name: str,
        *,
        features: Vector[E],
        label: Label[E],
        model: "Recipe",
        serve: Serve | None = None,
        learn: Learn | None = None,
        watch: Sequence[Detector] = (),
        act: Sequence[Sink] = (),
        seed: int = 0,
    ) -> None:
        where = f"pipeline {name!r}"
        self.name = check_name("pipeline", name)
        self.features = _checked(f"{where} features", features, Vector, "a vector: source.vector(...)")
        self.label = _checked(f"{where} label", label, Label, "a label: source.label(...)")
        self.serve = _checked(f"{where} serve", serve or Serve(), Serve, "hr.Serve(deadline=..., fallback=[...])")
        self.learn = _checked(f"{where} learn", learn or Learn(), Learn, "hr.Learn(every=...)")
        self.act = tuple(_checked(f"{where} act", entry, Sink, "sinks: hr.sink(name, when=...)") for entry in act)
        self.watch = tuple(watch)
        self.model = model
        if not is_whole(seed):
            raise ConfigError(f"{where} seed", wanted="a whole number", got=seed)
        self.seed = seed
        self._check(where)

    def __repr__(self) -> str:
        """Return the code that makes the pipeline, with its vector and label by name."""
        return (
            f"hr.Pipeline({self.name!r}, features=<vector {self.features.name!r}>, "
            f"label=<label of {self.label.of!r}>, model={_text_of(self.model)}, serve={self.serve!r}, "
            f"learn={self.learn!r}, watch={list(self.watch)!r}, act={list(self.act)!r}, seed={self.seed})"
        )

    def sources(self) -> tuple[Stream[Any], ...]:
        """Return every source that is read: the one that asks, the one that answers, then in the order of use."""
        return tuple(dict.fromkeys([self.features.of, self.label.events.source, *self.features.streams()]))

    def source_settings(self) -> tuple[SourceSettings, ...]:
        """Return what ingest must know of each source, in the order of `sources()`."""
        return tuple(
            replace(stream.settings, kind=Kind.REQUEST if stream is self.features.of else Kind.EVENT)
            for stream in self.sources()
        )

    @cached_property
    def vectors_fingerprint(self) -> str:
        """Return 16 hex digits that change with everything that may change a row of [features].

        That is the version of the vector, the sources, the label, and the pace at which progress is announced to those
        who learn. Pipelines that have it in common share [features] and the task that writes it.
        """
        parts = [
            f"engine {ENGINE}",
            f"vector {self.features.fingerprint}",
            *(f"source {settings!r}" for settings in self.source_settings()),
            f"label {self.label.canonical}",
            f"learn {self.learn.every_us} us",
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with everything that may change a result.

        Where predictions are sent is not among it: a sink may come and go without a new generation of topics.
        """
        parts = [
            f"pipeline {self.name}",
            f"vectors {self.vectors_fingerprint}",
            f"model {_text_of(self.model)}",
            f"serve {self.serve.deadline_us} us, {self.serve.fallback!r}",
            *(f"watch {detector!r}" for detector in self.watch),
            f"seed {self.seed}",
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def examples(self, *, truth: "Truth" = "served", **tables: object) -> "Examples":
        """Return what a model may learn from: the vectors of requests whose label is known, in the order of the log.

        `tables` are the sources by name: pandas, polars, DuckDB or Arrow. "served" is what production would have known
        at each request, "complete" everything with an earlier event time, however late it came.

        Raises ConfigError for a table that is missing, for a record that ingest would reject, and, under "complete",
        for features of a label whose answers arrive later than they happen.
        """
        from headrace.run.notebook import examples  # noqa: PLC0415 - a definition alone must stay light

        return examples(self, tables, truth)

    def evaluate(self, **tables: object) -> "Report":
        """Return how good the answers would have been over tables in memory, one a source, by name.

        The real stages over a log in memory: prequential, with the declared delays and pace.
        Raises ConfigError for a table that is missing, and for a record that ingest would reject.
        """
        from headrace.run.notebook import evaluate  # noqa: PLC0415 - a definition alone must stay light

        return evaluate(self, tables)

    def describe(self) -> list[dict[str, str]]:
        """Return one row a feature: its name, kind, what it is, and what stands for it where there is no value."""
        return [
            {"feature": name, "kind": feature.kind, "is": feature.canonical, "default": _default_of(feature)}
            for name, feature in self.features.features.items()
        ]

    def _repr_html_(self) -> str:
        """Return the table that `headrace check` prints, for notebooks."""
        rows = self.describe()
        head = "".join(f"<th>{escape(title)}</th>" for title in rows[0])
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.values())}</tr>" for row in rows)
        return f"<table><caption>{escape(self.name)}</caption><tr>{head}</tr>{body}</table>"

    def _check(self, where: str) -> None:
        asking = self.features.of
        if self.label.of is not asking:
            wanted = f"a label of {asking.name!r}, the stream that asks"
            raise ConfigError(f"{where} label", wanted=wanted, got=f"a label of {self.label.of.name!r}")
        identity = asking.settings.id
        if identity is None or asking.settings.schema.field(identity).nullable:
            got = "none" if identity is None else f"{identity}, which may be None"
            wanted = "hr.source(..., id=) of a field that every request has: an answer finds its request by it"
            raise ConfigError(f"{where}, source {asking.name!r} id", wanted=wanted, got=got)
        for read in self.features.aggregates():
            if read.label is not None and read.label is not self.label:
                raise ConfigError(f"{where} features", wanted="features of the pipeline's own label", got=repr(read))
        _check_recipe(where, self.model)
        _check_accepts(where, self.model, self.features.blocks())
        for detector in self.watch:
            if isinstance(detector, type) or getattr(detector, "of", None) not in WATCHED:
                raise ConfigError(f"{where} watch", wanted="detectors, such as hr.PSI('features')", got=repr(detector))
        _check_once(f"{where} source", (stream.name for stream in self.sources()))
        _check_once(f"{where} act", (entry.name for entry in self.act))
        _check_once(f"{where} watch", map(repr, self.watch))


def _checked(where: str, value: Any, kind: type[Any], wanted: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigError(where, wanted=wanted, got=repr(value))
    return value


def _check_once(where: str, names: Iterable[str]) -> None:
    known: list[str] = []
    for name in names:
        if name in known:
            raise ConfigError(where, wanted="each name once", got=f"{name} twice")
        known.append(name)


def _check_recipe(where: str, model: object) -> None:
    wanted = "a recipe (columns, seed) -> learner, such as hr.models.Logistic()"
    if not callable(model) or (isinstance(model, type) and not hasattr(model, "learn")):
        raise ConfigError(f"{where} model", wanted=wanted, got=repr(model))
    if " at 0x" in _text_of(model):
        wanted = "a model that prints as the code that makes it, the same in every process (a frozen dataclass does)"
        raise ConfigError(f"{where} model", wanted=wanted, got=repr(model))


def _check_accepts(where: str, model: object, blocks: Blocks) -> None:
    """Refuse what a model says that it does not take; one that says nothing is asked when its learner is made."""
    accepts = getattr(model, "accepts", "dense" if isinstance(model, type) else "tokens")
    for names, what, wide in (
        (blocks.categories, "categories (accepts = 'block')", ("block", "tokens")),
        (blocks.tokens, "words (accepts = 'tokens')", ("tokens",)),
    ):
        if names and accepts not in wide:
            got = f"{_text_of(model)} for {', '.join(names)}"
            raise ConfigError(f"{where} model", wanted=f"a model that accepts {what}", got=got)


def _text_of(model: Any) -> str:
    """Return the text by which a recipe is known: a class or a function by its name, a setting as it prints."""
    return str(getattr(model, "__qualname__", repr(model)))


def _default_of(feature: Expression) -> str:
    """Return what stands where a feature has no value, with its origin."""
    if isinstance(feature, Category | Cross):
        return "id 0 (missing)"
    if isinstance(feature, Fill):
        return f"{feature.value!r} (hr.fill)"
    found = [
        f"{read.default!r} ({'empty window' if read.operation in ZERO_WHEN_EMPTY else 'default='})"
        for read in feature.walk()
        if isinstance(read, AggregateRead)
    ]
    return ", ".join(found)
