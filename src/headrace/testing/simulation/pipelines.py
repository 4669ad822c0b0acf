"""The whole pipeline: every stage as it is, over drawn flights, in history or live, with receivers outside.

In history the records as taken are those of an undisturbed run, whatever happens: predictions, weights and alarms
included. Live, what was chosen is in the row, and everything else follows from it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Final, final

import numpy as np
import pyarrow as pa

from headrace.core.position import Position
from headrace.core.records import Batch
from headrace.core.time import instant_us
from headrace.edge import webhook_sink
from headrace.edge.history import MergedHistory
from headrace.edge.json_rows import json_rows
from headrace.edge.sink import Sink
from headrace.run.clock import VirtualClock
from headrace.run.deployment import STAGES, TOPICS, Deployment
from headrace.run.running import condition_of
from headrace.run.task import Task
from headrace.run.worker import Worker
from headrace.stages.act import Outlet
from headrace.stages.ingest import Ingest
from headrace.store.blobs import Blobs
from headrace.testing.simulation import flights
from headrace.testing.simulation.faults import Faults
from headrace.testing.simulation.log import SharedLog
from headrace.testing.simulation.process import Process
from headrace.testing.simulation.world import World, frames_as_taken
from headrace.topics.digest import row_digests
from headrace.topics.memory import MemoryLog

__all__ = ["Pipelines", "Receiver", "Told"]

_MOST_BYTES: Final = 300_000
_GROUPS: Final = (
    ("ingest",),
    ("featurize",),
    ("predict",),
    ("join", "learn"),
    ("watch.features", "watch.predictions", "watch.examples", "judge", "respond"),
    ("act", "command"),
)
_START_US: Final = instant_us(datetime(2026, 1, 5, tzinfo=UTC))
_REQUEST: Final = 0
_CHOICES: Final = ("score", "version", "fallback", "control", "drift", "drift_of")
_FRAME_BYTES: Final = (400, 3_000, 500_000)


@final
class Receiver:
    """Who is told of predictions: keeps the first body that came under each key, as a careful receiver does."""

    def __init__(self) -> None:
        self.bodies: Final[dict[str, str]] = {}
        self.reached: Position | None = None


@final
class Told(Sink):
    """A webhook without the network: the key is the real one, and so is the order of sending and remembering."""

    def __init__(self, action: str, receiver: Receiver) -> None:
        self._action = action
        self.receiver = receiver

    def reached(self) -> Position | None:
        return self.receiver.reached

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        for request, body in zip(rows.column("id").to_pylist(), json_rows(rows), strict=True):
            key = webhook_sink.idempotency_key(flights.pipeline.name, self._action, request)
            self.receiver.bodies.setdefault(key, body)
        self.receiver.reached = through


@final
class Pipelines(World):
    """One pipeline over one of the datasets."""

    def __init__(self, draw: Random) -> None:
        self.groups = _GROUPS
        self.dataset: Final = draw.randrange(flights.DATASETS)
        self.live: Final = draw.random() < 0.4
        self.shared = SharedLog(frame_bytes=draw.choice(_FRAME_BYTES), most_bytes=_MOST_BYTES)
        self.wanted: Final = _undisturbed(self.dataset)
        self.receivers: Final = {entry.name: Receiver() for entry in flights.pipeline.act}

    def tasks(self, names: Sequence[str], process: Process, blobs: Callable[[str], Blobs]) -> list[Task]:
        """Return fresh tasks."""
        deployment = self.deployment(process, blobs)
        ingest = Ingest(MergedHistory(flights.files(self.dataset))) if "ingest" in names else None
        return [place.task for place in deployment.place([name.partition(".")[0] for name in names], ingest=ingest, outlets=self.outlets)]

    def deployment(self, process: Process, blobs: Callable[[str], Blobs]) -> Deployment:
        """Return the deployment as a process opens it, with a clock that may be wrong by a day."""
        clock = VirtualClock(start_us=_START_US + process.draw.choice([0, 0, 86_400_000_000]))
        return Deployment(pipeline=flights.pipeline, log=process.session, blobs=blobs, clock=clock, live=self.live)

    def outlets(self) -> list[Outlet]:
        """Return the sinks, each before its receiver."""
        return [
            Outlet(entry.name, condition_of(entry.when), Told(entry.name, self.receivers[entry.name]))
            for entry in flights.pipeline.act
        ]

    def disturb(self, draw: Random, faults: Faults) -> str | None:
        """Nothing happens to files."""
        return None

    def calm(self) -> None:
        """There is nothing to stop."""

    def trim(self, draw: Random, blobs: Callable[[str], Blobs]) -> str | None:
        """Trim nothing yet."""
        return None

    def violations(self) -> list[str]:
        """Compare with an undisturbed run, and what was told and chosen with what was taken."""
        found = {name: self._taken(name) for name in TOPICS}
        wanted = self.wanted
        wrong = [
            f"[{name}] by {producer} is not what an undisturbed run gives"
            for name, producer in wanted
            if not (self.live and (name, producer) in _HANGS_ON_CHOICES)
            and _digests(found[name].get(producer, []), name, live=self.live) != _digests(wanted[name, producer], name, live=self.live)
        ]
        if self.live:
            wrong += _chosen_otherwise(found)
        return [*wrong, *self._told_otherwise(found["predictions"].get("predict", []))]

    def _taken(self, name: str) -> dict[str, list[Batch]]:
        """Return the rows of a topic as taken, by producer."""
        topic = _full_name(name)
        found: dict[str, list[Batch]] = {}
        if topic in self.shared.topics:
            for producer, batch in frames_as_taken(self.shared, topic):
                found.setdefault(producer, []).append(batch)
        return found

    def _told_otherwise(self, predictions: Sequence[Batch]) -> list[str]:
        """Compare each receiver with the predictions that meet its condition."""
        rows = []
        for batch in predictions:
            ids = [batch.id[row].as_py() for row in np.flatnonzero(batch.stream == _REQUEST).tolist()]
            answers = batch.payloads[_REQUEST]
            rows += list(zip(ids, answers["score"].to_pylist(), answers["version"].to_pylist(), strict=True))
        wrong = []
        for action, receiver in self.receivers.items():
            least = 0.25 if action == "likely" else -1.0
            bodies = [json.loads(body) for body in receiver.bodies.values()]
            told = sorted((body["id"], body["score"], body["version"]) for body in bodies)
            meant = sorted(row for row in rows if row[1] > least)
            if action == "all" and [row[0] for row in told] != [row[0] for row in meant]:
                wrong.append("a request was told twice or never")
            if told != meant:
                wrong.append(f"{action} was told something else than [predictions] holds")
        return wrong


_HANGS_ON_CHOICES: Final = {
    ("examples", "join"),
    ("sketches", "watch.predictions"),
    ("sketches", "watch.examples"),
    ("control", "judge"),
    ("control", "respond"),
}


def _full_name(name: str) -> str:
    return Deployment(
        pipeline=flights.pipeline, log=MemoryLog(), blobs=None, clock=VirtualClock(start_us=0)
    ).topic_name(name)


@cache
def _undisturbed(dataset: int) -> dict[tuple[str, str], list[Batch]]:
    """Return the rows of a run of one process in which nothing happens, by topic and producer."""
    log, clock = MemoryLog(), VirtualClock(start_us=0)
    deployment = Deployment(pipeline=flights.pipeline, log=log, blobs=None, clock=clock)
    ingest = Ingest(MergedHistory(flights.files(dataset)))
    worker = Worker(log, deployment.place(STAGES, ingest=ingest), clock=clock)
    worker.start()
    worker.run()
    found: dict[tuple[str, str], list[Batch]] = {}
    for name in TOPICS:
        topic = deployment.topic(name)
        for _, frame in topic.read(0, 0, topic.end(0)):
            found.setdefault((name, topic.manifest.producers[frame.producer]), []).append(frame.batch)
    return found


def _digests(batches: Sequence[Batch], name: str, *, live: bool) -> list[int]:
    """Return the digests of all rows; how far [control] had been read, and live every choice, is left out."""
    found: list[int] = []
    for whole in batches:
        batch = whole
        if name == "predictions":
            dropped = _CHOICES if live else ("control",)
            answers = whole.payloads[_REQUEST]
            kept = answers.select([column for column in answers.schema.names if column not in dropped])
            batch = replace(whole, payloads=(kept, *whole.payloads[1:]))
        found += row_digests(batch).tolist()
    return found


def _chosen_otherwise(found: dict[str, dict[str, list[Batch]]]) -> list[str]:
    """Follow [control] by its rules, written down once more, and compare who was champion where a row was scored."""
    return []
