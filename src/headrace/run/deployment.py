"""A deployment: the topics of a pipeline, and the tasks that read and write them. One line a task; see DESIGN 1.

sources -> ingest -> [events] -> featurize -> [features] -> predict -> [predictions] -> join -> [examples] -> learn
                                                  ^ control              |-> act                              |
[features] [predictions] [examples] -> watch -> [sketches] -> judge -> [control] <- learn, respond, command <-+
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, final

import pyarrow as pa

from headrace.core.errors import ConfigError, nearest
from headrace.core.position import Position, sub_of
from headrace.core.records import StreamSchema
from headrace.core.schema import NO_DEFAULT
from headrace.core.source_settings import SourceSettings
from headrace.core.time import DAY_US, instant_us
from headrace.drift import ADWIN, PSI
from headrace.features.engine import Engine
from headrace.models.contract import Columns
from headrace.run.clock import Clock
from headrace.run.passing import passed
from headrace.run.sampling import Sampling
from headrace.run.task import IngestTask, StageTask, Task
from headrace.run.worker import Placed
from headrace.stages.act import Act, Outlet
from headrace.stages.command import Command, for_control
from headrace.stages.contract import Stage
from headrace.stages.featurize import Featurize
from headrace.stages.ingest import Ingest
from headrace.stages.join import Join
from headrace.stages.judge import Judge
from headrace.stages.learn import Learn
from headrace.stages.predict import Predict
from headrace.stages.respond import Respond
from headrace.stages.watch import Watch
from headrace.store.blobs import Blobs
from headrace.store.bundles import Bundles
from headrace.store.control import ControlView
from headrace.store.snapshots import Snapshots
from headrace.topics.contract import Log, Topic
from headrace.topics.manifest import DEFAULT, Manifest
from headrace.topics.reader import Reader
from headrace.topics.schemas import (
    COMMAND,
    CONTROL,
    INBOX,
    REJECTED,
    SKETCHES,
    TICK,
    example_streams,
    feature_streams,
    prediction_streams,
)
from headrace.topics.writer import Writer

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["EVENTS", "INPUTS", "OUTPUTS", "STAGES", "TOPICS", "VERIFY", "Deployment", "event_streams"]

STAGES: Final = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond", "act", "command")
WATCHED: Final = ("features", "predictions", "examples")
JUDGE_PACE_US: Final = DAY_US
EVENTS: Final = "events"
COMMANDS: Final = "commands"
"""The inbox of [events]: commands to every generation."""
TOPICS: Final = (EVENTS, "features", "predictions", "examples", "sketches", "control", "inbox", COMMANDS)
SHARED: Final = (EVENTS, COMMANDS)
"""The topics that belong to no generation."""
VERIFY: Final = "verify"
OF_VECTORS: Final = ("features", "featurize", VERIFY)
"""The topic and the tasks that belong to a vector: every pipeline with the same `vectors_fingerprint` has them."""
_VECTORS: Final = "vectors"
_CONTROL: Final = "control"
_INBOX: Final = "inbox"
_EVENTS_COMMAND: Final = "events_command"
_INGEST_APART: Final = "ingest."
_OWN_STREAMS: Final = (TICK.name, REJECTED.name, COMMAND.name)


def event_streams(pipeline: "Pipeline[Any]") -> tuple[StreamSchema, ...]:
    """Return the streams of [events] that ingest fills: ticks, rejected records, and one stream a source."""
    return _streams_of(pipeline.source_settings())


def _streams_of(sources: Sequence[SourceSettings]) -> tuple[StreamSchema, ...]:
    return (TICK, REJECTED, *(StreamSchema(source.name, source.kind, _with_defaults(source)) for source in sources))


def _with_defaults(source: SourceSettings) -> pa.Schema:
    """Return the columns of a source; what stands in records that are older than a column is said in its metadata."""
    columns = []
    for field, column in zip(source.schema.fields, source.schema.arrow, strict=True):
        value = instant_us(field.default) if isinstance(field.default, datetime) else field.default
        given = field.default is not NO_DEFAULT and field.default is not None
        columns.append(column.with_metadata({DEFAULT: json.dumps(value)}) if given else column)
    return pa.schema(columns)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where and how a pipeline runs: log, places for blobs (none: no snapshots), clock, and history or live.

    In history nothing reads a clock, and `predict` waits for the promises of `learn` and `judge`. `verify_share` is the
    share of the vectors that a worker with `featurize` recomputes meanwhile (`run.sampling`).
    """

    pipeline: "Pipeline[Any]"
    log: Log
    blobs: Callable[[str], Blobs] | None
    clock: Clock
    live: bool = False
    verify_share: float = 0.0

    @property
    def generation(self) -> str:
        """Return the generation: 16 hex digits of the pipeline's fingerprint and the engine number."""
        return self.pipeline.fingerprint

    def generation_of(self, name: str) -> str:
        """Return the generation of a task or topic: [features] has that of its vectors, "" is that of [events]."""
        if name in SHARED or name in ("ingest", _EVENTS_COMMAND) or name.startswith(_INGEST_APART):
            return ""
        return self.pipeline.vectors_fingerprint if name in OF_VECTORS else self.generation

    def topic_name(self, name: str) -> str:
        """Return the full name of a topic: [events] belongs to no generation, all others do."""
        if name in SHARED:
            return name
        return f"{_VECTORS if name in OF_VECTORS else self.pipeline.name}.{self.generation_of(name)[:8]}.{name}"

    def topic(self, name: str) -> Topic:
        """Open or make one topic of the picture."""
        return self.log.create(self._manifests()[name])

    def columns(self) -> Columns:
        """Return what the model is told of the vector."""
        blocks = self.pipeline.features.blocks()
        return Columns(
            dense=blocks.dense,
            categories=blocks.categories,
            sizes=blocks.sizes,
            tokens=blocks.tokens,
            token_sizes=blocks.token_sizes,
        )

    def merged_sources(self) -> tuple[SourceSettings, ...]:
        """Return the sources that one ingest task merges: those with which [events] was made, in its order.

        The order is a part of each record's position. Raises ConfigError if the pipeline does not read all of them.
        """
        settings = {source.name: source for source in self.pipeline.source_settings()}
        apart = (*_OWN_STREAMS, *self._apart())
        names = [stream.name for stream in self.topic(EVENTS).manifest.streams if stream.name not in apart]
        missing = [name for name in names if name not in settings]
        if missing:
            wanted = f"a definition that reads all of {', '.join(names)} (leave ingest to it: --stages)"
            raise ConfigError("ingest", wanted=wanted, got=f"one without {', '.join(missing)}")
        return tuple(settings[name] for name in names)

    def added_sources(self) -> tuple[SourceSettings, ...]:
        """Return the sources that came to [events] later: each has an ingest task of its own."""
        apart = self._apart()
        return tuple(source for source in self.pipeline.source_settings() if source.name in apart)

    def _apart(self) -> list[str]:
        producers = self.topic(EVENTS).manifest.producers
        return [name.removeprefix(_INGEST_APART) for name in producers if name.startswith(_INGEST_APART)]

    def place(
        self,
        stages: Sequence[str],
        *,
        ingest: Ingest | None = None,
        added: Mapping[str, Ingest] | None = None,
        outlets: Callable[[], Sequence[Outlet]] = tuple,
    ) -> list[Placed]:
        """Return the tasks of some stages, down the pipeline, each with the tasks that read what it writes.

        `ingest` pulls the records of `merged_sources()`, each of `added` those of one of `added_sources()`, by name.
        """
        for stage in stages:
            if stage not in STAGES:
                raise ConfigError("stages", wanted=f"some of {', '.join(STAGES)}", got=stage + nearest(stage, STAGES))
        makers: Mapping[str, Callable[[], list[Placed]]] = {
            "ingest": lambda: self._ingests(ingest, added or {}),
            "featurize": lambda: [self._placed("featurize", self.featurize(), EVENTS, ("predict",)), *self._verify()],
            "predict": lambda: [self._placed("predict", self._predict(), "features", answers=self.live)],
            "join": lambda: [self._placed("join", self._join(), "predictions")],
            "learn": lambda: [self._placed("learn", self._learn(), "examples")],
            "watch": lambda: [
                self._placed(f"watch.{topic}", self._watch(topic), topic, patience=1) for topic in WATCHED
            ],
            "judge": lambda: [self._placed("judge", self._judge(), "sketches", patience=1)],
            "respond": lambda: [self._placed("respond", self._respond(), "control", patience=2)],
            "act": lambda: [self._placed("act", self._act(outlets()), "predictions", patience=2)],
            "command": lambda: [
                self._placed("command", self._command(), _INBOX, patience=1),
                self._placed(_EVENTS_COMMAND, self._events_command(), COMMANDS, patience=1),
            ],
        }
        return [placed for name in STAGES if name in stages for placed in makers[name]()]

    def control(self, *, promises: tuple[str, ...] = ()) -> ControlView:
        """Return a view of [control] from where it may be read."""
        return ControlView(self.topic("control"), promises=promises, summaries=self.summaries(), bundles=self.bundles())

    def skipped(self, task: str) -> frozenset[Position]:
        """Return what a task leaves out of its input, as [control] says now.

        A task that several pipelines share leaves out what any of them was told to.
        """
        if task not in OF_VECTORS:
            return self._skips(self.control(), task)
        name = self.recorded(task)
        views = [self.control()]
        for topic in map(self.log.open, self.log.names()):
            manifest = topic.manifest
            if (
                manifest.generation
                and manifest.topic.endswith(f".{_CONTROL}")
                and manifest.generation != self.generation
            ):
                views.append(ControlView(topic, summaries=self.summaries(manifest.generation)))
        return frozenset().union(*(self._skips(view, name) for view in views))

    def recorded(self, task: str) -> str:
        """Return a task as commands in [control] name it: one that is shared with its generation."""
        return f"{task}.{self.generation_of(task)}" if task in OF_VECTORS else task

    @staticmethod
    def _skips(control: ControlView, task: str) -> frozenset[Position]:
        control.follow()
        return control.skipped(task)

    def bundles(self) -> Bundles:
        """Return the place of the large bundles of this generation."""
        return Bundles(self.blobs(f"bundles/{self.generation[:8]}") if self.blobs is not None else None)

    def summaries(self, generation: str | None = None) -> Blobs | None:
        """Return the place of what is kept of [control] below its cut, of this generation or another."""
        return self.blobs(f"control/{(generation or self.generation)[:8]}") if self.blobs is not None else None

    def snapshots(self, task: str, generation: str | None = None) -> Snapshots | None:
        """Return the snapshots of one task, of this generation or another; None if there is no place for any."""
        if self.blobs is None:
            return None
        own = self.generation_of(task)
        suffix = f".{(generation or own)[:8]}" if own else ""
        return Snapshots(self.blobs(f"snapshots/{task}{suffix}"))

    def engine(self) -> Engine:
        """Return a fresh feature engine over the streams of [events]."""
        return Engine(
            self.pipeline.features,
            self.pipeline.label,
            self.topic(EVENTS).manifest.streams,
            self.pipeline.source_settings(),
        )

    def _ingests(self, ingest: Ingest | None, added: Mapping[str, Ingest]) -> list[Placed]:
        """Return the task of the merged history, and one for each source that came later."""
        merged = [("ingest", ingest, self.merged_sources())] if ingest is not None else []
        apart = [(_INGEST_APART + source.name, source) for source in self.added_sources()] if added else []
        parts = [*merged, *((name, added[source.name], (source,)) for name, source in apart if source.name in added)]
        return [
            Placed(
                task=IngestTask(
                    name, pulled, Writer(self.topic(EVENTS), name), self.snapshots(name), streams=_streams_of(sources)
                ),
                readers=("featurize",),
                source=True,
            )
            for name, pulled, sources in parts
        ]

    def events_reader(self) -> Reader:
        """Return a reader of [events] for `featurize`, which waits for all ingest tasks of its sources."""
        apart = [_INGEST_APART + source.name for source in self.added_sources()]
        return Reader(self.topic(EVENTS), waited_for=("ingest", *apart) if apart else ())

    def _reader(self, source: str) -> Reader:
        return self.events_reader() if source == EVENTS else Reader(self.topic(source))

    def _placed(
        self,
        name: str,
        stage: Stage,
        source: str,
        readers: tuple[str, ...] = (),
        *,
        patience: int = 0,
        answers: bool = False,
    ) -> Placed:
        outputs = {topic: self.topic(topic) for topic in OUTPUTS[name.split(".", maxsplit=1)[0]]}
        writers = {topic: Writer(opened, name) for topic, opened in outputs.items()}
        task: Task = StageTask(
            name, stage, self._reader(source), writers, self.snapshots(name), skipped=lambda: self.skipped(name)
        )
        return Placed(task=task, patience=patience, readers=readers, answers=answers)

    def featurize(self) -> Featurize:
        """Return a fresh `featurize`, as the task and `verify` run it."""
        columns = self.columns()
        return Featurize(
            self.engine(),
            events=self.topic(EVENTS).manifest.streams,
            paces_us=(self.pipeline.learn.every_us, JUDGE_PACE_US),
            output="features",
            dense=len(columns.dense),
            ids=len(columns.categories),
            words=len(columns.tokens),
        )

    def _verify(self) -> list[Placed]:
        """Return the task that recomputes a share of the vectors, if there is to be one."""
        if not self.verify_share:
            return []
        task = Sampling(
            vector=self.pipeline.features,
            sources=self.pipeline.source_settings(),
            features=self.topic("features"),
            events=self.events_reader,
            share=self.verify_share,
            skipped=lambda: self.skipped("featurize"),
            snapshots=self.snapshots(VERIFY),
        )
        return [Placed(task=task, patience=2)]

    def _predict(self) -> Predict:
        return Predict(
            columns=self.columns(),
            recipe=self.pipeline.model,
            seed=self.pipeline.seed,
            serve=self.pipeline.serve,
            control=self.control(promises=("learn", "judge")),
            output="predictions",
            now_us=self.clock.now_us if self.live else None,
            wait_us=self.pipeline.features.wait_us or 0,
        )

    def _join(self) -> Join:
        columns = self.columns()
        return Join(
            predictions=self.topic("predictions"),
            output="examples",
            dense=len(columns.dense),
            ids=len(columns.categories),
            words=len(columns.tokens),
        )

    def _learn(self) -> Learn:
        return Learn(
            columns=self.columns(),
            recipe=self.pipeline.model,
            seed=self.pipeline.seed,
            every_us=self.pipeline.learn.every_us,
            output="control",
            bundles=self.bundles(),
        )

    def _watch(self, topic: str) -> Watch:
        return Watch(
            topic=topic,
            progress=self.topic(topic).manifest.number_of("progress"),
            columns=self.columns(),
            every_us=JUDGE_PACE_US,
            output="sketches",
        )

    def _judge(self) -> Judge:
        return Judge(
            detectors=[entry for entry in self.pipeline.watch if isinstance(entry, PSI | ADWIN)],
            columns=self.columns(),
            every_us=JUDGE_PACE_US,
            watchers=len(WATCHED),
            output="control",
        )

    def _respond(self) -> Respond:
        return Respond(output="control")

    def _act(self, outlets: Sequence[Outlet]) -> Act:
        acting = self.topic(EVENTS).manifest.acting
        return Act(outlets, safe=self.log.sync, generation=self.generation, acting=acting)

    def _command(self) -> Command:
        passed_on = for_control(self._too_late)
        return Command(inbox=INBOX, output="control", streams=lambda: CONTROL, passed_on=passed_on)

    def _too_late(self, command: Mapping[str, Any]) -> str:
        """Return why a skip comes too late, if it does."""
        told, place = command["task"], Position(command["offset"], sub_of(command["row"]))
        task = next((name for name in OF_VECTORS if told == self.recorded(name)), told)
        outputs = [self.topic(name) for name in OUTPUTS[task.partition(".")[0]]]
        return passed(task, place, outputs, self.snapshots(task))

    def _events_command(self) -> Command:
        events = self.topic(EVENTS)
        return Command(inbox=(COMMAND,), output=EVENTS, streams=lambda: events.manifest.streams)

    def _newcomers(self) -> list[str]:
        """Return the ingest tasks of the sources that [events], made by another definition, does not have yet."""
        if EVENTS not in self.log.names():
            return []
        known = [stream.name for stream in self.log.open(EVENTS).manifest.streams]
        return [_INGEST_APART + source.name for source in self.pipeline.sources() if source.name not in known]

    def _manifests(self) -> dict[str, Manifest]:
        columns = self.columns()
        dense, ids, words = len(columns.dense), len(columns.categories), len(columns.tokens)
        watches = tuple(f"watch.{topic}" for topic in WATCHED)

        def derived(name: str, streams: tuple[StreamSchema, ...], *producers: str, digested: bool) -> Manifest:
            return Manifest(
                topic=self.topic_name(name),
                streams=streams,
                producers=producers,
                generation=self.generation_of(name),
                digested=digested,
            )

        return {
            EVENTS: Manifest(
                topic=EVENTS,
                streams=(*event_streams(self.pipeline), COMMAND),
                producers=("ingest", _EVENTS_COMMAND, *self._newcomers()),
                timeless=(_EVENTS_COMMAND,),
                acting=self.generation,
            ),
            COMMANDS: Manifest(topic=COMMANDS, streams=(COMMAND,), producers=("door",)),
            "features": derived("features", feature_streams(dense, ids, words), "featurize", digested=True),
            "predictions": derived("predictions", prediction_streams(dense, ids, words), "predict", digested=False),
            "examples": derived("examples", example_streams(dense, ids, words), "join", digested=True),
            "sketches": derived("sketches", SKETCHES, *watches, digested=False),
            "control": derived("control", CONTROL, "learn", "judge", "respond", "command", digested=False),
            _INBOX: derived(_INBOX, INBOX, "door", digested=False),
        }


INPUTS: Final[dict[str, str]] = {
    "featurize": EVENTS,
    "predict": "features",
    "join": "predictions",
    "learn": "examples",
    **{f"watch.{topic}": topic for topic in WATCHED},
    "judge": "sketches",
    "respond": "control",
    "act": "predictions",
    "command": _INBOX,
    _EVENTS_COMMAND: COMMANDS,
}
"""The topic that each task reads."""

OUTPUTS: Final[dict[str, tuple[str, ...]]] = {
    "featurize": ("features",),
    "predict": ("predictions",),
    "join": ("examples",),
    "learn": ("control",),
    "watch": ("sketches",),
    "judge": ("control",),
    "respond": ("control",),
    "act": (),
    "command": ("control",),
    _EVENTS_COMMAND: (EVENTS,),
}
"""The topics that the tasks of each stage write to."""
