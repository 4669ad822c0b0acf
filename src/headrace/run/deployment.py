"""A deployment: the topics of a pipeline, and the tasks that read and write them. One line a task; see DESIGN 1.

sources -> ingest -> [events] -> featurize -> [features] -> predict -> [predictions] -> join -> [examples] -> learn
                                                  ^ control              |-> act                              |
[features] [predictions] [examples] -> watch -> [sketches] -> judge -> [control] <- learn, respond, command <-+
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from headrace.core.errors import ConfigError, nearest
from headrace.core.records import StreamSchema
from headrace.core.time import DAY_US
from headrace.drift import ADWIN, PSI
from headrace.features.engine import Engine
from headrace.models.contract import Columns
from headrace.run.clock import Clock
from headrace.run.task import IngestTask, StageTask, Task
from headrace.run.worker import Placed
from headrace.stages.act import Act, Outlet
from headrace.stages.command import Command
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
from headrace.store.control import ControlView
from headrace.store.snapshots import Snapshots
from headrace.topics.contract import Log, Topic
from headrace.topics.manifest import Manifest
from headrace.topics.reader import Reader
from headrace.topics.schemas import (
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

__all__ = ["EVENTS", "STAGES", "TOPICS", "Deployment", "event_streams"]

STAGES: Final = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond", "act", "command")
WATCHED: Final = ("features", "predictions", "examples")
JUDGE_PACE_US: Final = DAY_US
EVENTS: Final = "events"
TOPICS: Final = (EVENTS, "features", "predictions", "examples", "sketches", "control", "inbox")
_INBOX: Final = "inbox"


def event_streams(pipeline: "Pipeline[Any]") -> tuple[StreamSchema, ...]:
    """Return the streams of [events]: ticks, rejected records, and one stream a source."""
    sources = pipeline.source_settings()
    return (TICK, REJECTED, *(StreamSchema(source.name, source.kind, source.schema.arrow) for source in sources))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where and how a pipeline runs: the log, the places for blobs (none: no snapshots), the clock, and whether it is history or live.

    In history nothing reads a clock, and `predict` waits for the promises of `learn` and `judge`.
    """

    pipeline: "Pipeline[Any]"
    log: Log
    blobs: Callable[[str], Blobs] | None
    clock: Clock
    live: bool = False

    @property
    def generation(self) -> str:
        """Return the generation: 16 hex digits of the pipeline's fingerprint and the engine number."""
        return self.pipeline.fingerprint

    def topic_name(self, name: str) -> str:
        """Return the full name of a topic: [events] belongs to no generation, all others do."""
        return name if name == EVENTS else f"{self.pipeline.name}.{self.generation[:8]}.{name}"

    def topic(self, name: str) -> Topic:
        """Open or make one topic of the picture."""
        return self.log.create(self._manifests()[name])

    def columns(self) -> Columns:
        """Return what the model is told of the vector."""
        blocks = self.pipeline.features.blocks()
        return Columns(dense=blocks.dense, categories=blocks.categories, sizes=blocks.sizes)

    def place(
        self, stages: Sequence[str], *, ingest: Ingest | None = None, outlets: Callable[[], Sequence[Outlet]] = tuple
    ) -> list[Placed]:
        """Return the tasks of some stages, down the pipeline, each with the tasks that read what it writes."""
        for stage in stages:
            if stage not in STAGES:
                raise ConfigError("stages", wanted=f"some of {', '.join(STAGES)}", got=stage + nearest(stage, STAGES))
        makers: Mapping[str, Callable[[], list[Placed]]] = {
            "ingest": lambda: [self._ingest(ingest)] if ingest is not None else [],
            "featurize": lambda: [self._placed("featurize", self.featurize(), EVENTS, ("predict",))],
            "predict": lambda: [self._placed("predict", self._predict(), "features", answers=self.live)],
            "join": lambda: [self._placed("join", self._join(), "predictions")],
            "learn": lambda: [self._placed("learn", self._learn(), "examples")],
            "watch": lambda: [
                self._placed(f"watch.{topic}", self._watch(topic), topic, patience=1) for topic in WATCHED
            ],
            "judge": lambda: [self._placed("judge", self._judge(), "sketches", patience=1)],
            "respond": lambda: [self._placed("respond", self._respond(), "control", patience=2)],
            "act": lambda: [self._placed("act", self._act(outlets()), "predictions", patience=2)],
            "command": lambda: [self._placed("command", self._command(), _INBOX, patience=1)],
        }
        return [placed for name in STAGES if name in stages for placed in makers[name]()]

    def control(self, *, promises: tuple[str, ...] = ()) -> ControlView:
        """Return a view of [control] from its beginning."""
        return ControlView(self.topic("control"), promises=promises)

    def engine(self) -> Engine:
        """Return a fresh feature engine over the streams of [events]."""
        return Engine(
            self.pipeline.features, self.pipeline.label, event_streams(self.pipeline), self.pipeline.source_settings()
        )

    def _ingest(self, ingest: Ingest) -> Placed:
        writer = Writer(self.topic(EVENTS), "ingest")
        return Placed(task=IngestTask("ingest", ingest, writer, self._snapshots("ingest")), readers=("featurize",))

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
        outputs = {topic: self.topic(topic) for topic in _OUTPUTS[name.split(".", maxsplit=1)[0]]}
        writers = {topic: Writer(opened, name) for topic, opened in outputs.items()}
        task: Task = StageTask(name, stage, Reader(self.topic(source)), writers, self._snapshots(name))
        return Placed(task=task, patience=patience, readers=readers, answers=answers)

    def _snapshots(self, name: str) -> Snapshots | None:
        if self.blobs is None:
            return None
        generation = "" if name == "ingest" else f".{self.generation[:8]}"
        return Snapshots(self.blobs(f"snapshots/{name}{generation}"))

    def featurize(self) -> Featurize:
        """Return a fresh `featurize`, as the task and `verify` run it."""
        columns = self.columns()
        return Featurize(
            self.engine(),
            events=event_streams(self.pipeline),
            paces_us=(self.pipeline.learn.every_us, JUDGE_PACE_US),
            output="features",
            dense=len(columns.dense),
            ids=len(columns.categories),
        )

    def _predict(self) -> Predict:
        return Predict(
            columns=self.columns(),
            recipe=self.pipeline.model,
            seed=self.pipeline.seed,
            serve=self.pipeline.serve,
            control=self.control(promises=("learn", "judge")),
            output="predictions",
            now_us=self.clock.now_us if self.live else None,
        )

    def _join(self) -> Join:
        columns = self.columns()
        return Join(
            predictions=self.topic("predictions"),
            output="examples",
            dense=len(columns.dense),
            ids=len(columns.categories),
        )

    def _learn(self) -> Learn:
        return Learn(
            columns=self.columns(),
            recipe=self.pipeline.model,
            seed=self.pipeline.seed,
            every_us=self.pipeline.learn.every_us,
            output="control",
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
        return Act(outlets, safe=self.log.sync)

    def _command(self) -> Command:
        return Command(output="control")

    def _manifests(self) -> dict[str, Manifest]:
        columns = self.columns()
        dense, ids = len(columns.dense), len(columns.categories)
        watches = tuple(f"watch.{topic}" for topic in WATCHED)

        def derived(name: str, streams: tuple[StreamSchema, ...], *producers: str, digested: bool) -> Manifest:
            return Manifest(
                topic=self.topic_name(name),
                streams=streams,
                producers=producers,
                generation=self.generation,
                digested=digested,
            )

        return {
            EVENTS: Manifest(topic=EVENTS, streams=event_streams(self.pipeline), producers=("ingest",)),
            "features": derived("features", feature_streams(dense, ids), "featurize", digested=True),
            "predictions": derived("predictions", prediction_streams(dense, ids), "predict", digested=False),
            "examples": derived("examples", example_streams(dense, ids), "join", digested=True),
            "sketches": derived("sketches", SKETCHES, *watches, digested=False),
            "control": derived("control", CONTROL, "learn", "judge", "respond", "command", digested=False),
            _INBOX: derived(_INBOX, INBOX, "door", digested=False),
        }


_OUTPUTS: Final[dict[str, tuple[str, ...]]] = {
    "featurize": ("features",),
    "predict": ("predictions",),
    "join": ("examples",),
    "learn": ("control",),
    "watch": ("sketches",),
    "judge": ("control",),
    "respond": ("control",),
    "act": (),
    "command": ("control",),
}
