"""run: one worker with some or all of the tasks of a project, until its history has ended or it is told to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError
from headrace.core.events import Prediction, event_schema
from headrace.core.expressions import Expression
from headrace.core.source_settings import SourceSettings
from headrace.edge.file_sink import FileSink
from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.edge.paced import PacedHistory
from headrace.edge.webhook_sink import Webhook, WebhookSink
from headrace.features.evaluator import Evaluator
from headrace.run.clock import Clock, SystemClock
from headrace.run.deployment import STAGES, Deployment
from headrace.run.project import Project
from headrace.run.together import Upkeeps, added_by, place_together
from headrace.run.trimming import Trimming
from headrace.run.worker import Placed, Worker
from headrace.stages.act import Outlet
from headrace.stages.ingest import Ingest
from headrace.topics.contract import Log

if TYPE_CHECKING:
    from headrace.edge.sink import Sink

__all__ = ["Running", "condition_of", "open_ingest", "open_outlets", "run", "source_files"]

_SNAPSHOT_US: Final = 10_000_000


@final
@dataclass(frozen=True, slots=True)
class Running:
    """A worker that is about to run, with what may be watched meanwhile."""

    worker: Worker
    deployment: Deployment
    placed: Sequence[Placed]
    ingest: Ingest | None
    beside: Sequence[Deployment] = ()

    @property
    def log(self) -> Log:
        """Return the log, which whoever opened the run closes."""
        return self.deployment.log


def source_files(
    project: Project, of: Sequence[SourceSettings] | None = None
) -> list[tuple[SourceSettings, SourceFiles]]:
    """Return some sources of a project, all if not said, each with its files.

    Raises ConfigError if headrace.toml does not name them, or names files of several formats for one source.
    """
    sources = []
    for settings in project.pipeline.source_settings() if of is None else of:
        files = project.config.files(settings.name)
        formats = {kind for _, kind in files}
        if len(formats) != 1:
            raise ConfigError(f"[sources.{settings.name}]", wanted="files of one format", got=sorted(formats))
        sources.append((settings, SourceFiles(paths=tuple(path for path, _ in files), format=formats.pop())))
    return sources


def open_ingest(
    project: Project,
    *,
    rate: float | None = None,
    clock: Clock | None = None,
    of: Sequence[SourceSettings] | None = None,
) -> Ingest:
    """Return the ingest over the files of some sources, all if not said; with `rate`, at that many events a second."""
    history = MergedHistory(source_files(project, of))
    if rate is None:
        return Ingest(history)
    return Ingest(PacedHistory(history, rate=rate, now_us=(clock or SystemClock()).now_us))


def open_outlets(project: Project, clock: Clock) -> list[Outlet]:
    """Return the sinks of a pipeline, opened where headrace.toml says.

    Each generation counts by itself how far it has sent: its positions mean nothing to another.
    """
    generation = project.pipeline.fingerprint[:8]
    outlets = []
    for entry in project.pipeline.act:
        config = project.config.sink(entry.name)
        sink: Sink
        if config.kind == "file":
            sink = FileSink(Path(project.config.base) / str(config.path), writer=generation)
        else:
            webhook = Webhook(url=project.config.address(entry.name), pipeline=project.pipeline.name, action=entry.name)
            memory = project.folder / "sinks" / f"{entry.name}.{generation}.json"
            sink = WebhookSink(webhook, memory=memory, sleep=lambda seconds: clock.sleep_us(int(seconds * 1e6)))
        outlets.append(Outlet(entry.name, condition_of(entry.when), sink))
    return outlets


def condition_of(when: Expression | None) -> Callable[[pa.Table], np.ndarray]:
    """Return a sink's condition as a function of the predictions' columns."""
    if when is None:
        return lambda predictions: np.ones(len(predictions), bool)
    names = event_schema(Prediction).names

    def meets(predictions: pa.Table) -> np.ndarray:
        table = predictions.select(list(names)).combine_chunks()
        batches = table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]
        return np.concatenate([Evaluator(batch).mask(when) for batch in batches])

    return meets


def run(
    project: Project,
    *,
    beside: Sequence[Project] = (),
    stages: Sequence[str] = STAGES,
    rate: float | None = None,
    clock: Clock | None = None,
    snapshot_every_us: int = _SNAPSHOT_US,
    after_commit: Callable[[], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Running:
    """Open a project's log, start the tasks of `stages`, and return the worker that runs them.

    Without `rate`, history: as fast as it can, on its own clock. With `rate`, live: events are given that many a
    second against the real clock, and predictions wait for nothing.

    `beside` are further pipelines over the same log, in the same worker; tasks that they share are run once.
    """
    clock = clock or SystemClock()
    live = rate is not None
    deployment = project.deployment(clock=clock, live=live)
    others = [other.deployment(clock=clock, live=live, log=deployment.log) for other in beside]
    owners = {one.pipeline.name: one for one in (project, *beside)}
    ingest, added = None, {}
    if "ingest" in stages:
        apart = added_by((deployment, *others))
        ingest = open_ingest(project, rate=rate, clock=clock, of=deployment.merged_sources())
        added = {name: open_ingest(project, rate=rate, clock=clock, of=(source,)) for name, source in apart.items()}
    retention = project.config.retention_us
    placed = place_together(
        (deployment, *others),
        stages,
        ingest=ingest,
        added=added,
        outlets=lambda one: open_outlets(owners[one.pipeline.name], clock),
    )
    trimming = [Trimming(one, retention, clock) for one in (deployment, *others)] if retention else []
    worker = Worker(
        deployment.log,
        placed,
        clock=clock,
        snapshot_every_us=snapshot_every_us,
        after_commit=after_commit,
        stop=stop,
        upkeep=Upkeeps(trimming) if trimming else None,
    )
    worker.start()
    return Running(worker, deployment, placed, ingest, others)
