"""The whole pipeline: every stage as it is, over drawn flights, in history or live, with receivers outside.

In history the records as taken are those of an undisturbed run, whatever happens: predictions, weights and alarms
included. Live, what was chosen is in the row, and everything else follows from it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.position import ALL, Position
from headrace.core.records import Batch
from headrace.core.time import instant_us
from headrace.edge import webhook_sink
from headrace.edge.history import MergedHistory
from headrace.edge.json_rows import json_rows
from headrace.edge.sink import Sink
from headrace.run.clock import VirtualClock
from headrace.run.deployment import EVENTS, STAGES, TOPICS, Deployment
from headrace.run.running import condition_of
from headrace.run.task import Task
from headrace.run.trimming import least_retention_us, trim
from headrace.run.worker import Worker
from headrace.stages.act import Outlet
from headrace.stages.ingest import Ingest
from headrace.store.blobs import Blobs
from headrace.testing.comparison import CHOICES, without_columns
from headrace.testing.simulation import flights
from headrace.testing.simulation.faults import Faults
from headrace.testing.simulation.log import SharedLog, SimulatedLog
from headrace.testing.simulation.process import Process
from headrace.testing.simulation.world import World, frames_as_taken
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.memory import MemoryLog
from headrace.topics.schemas import CONTROL, INBOX
from headrace.topics.writer import Writer

__all__ = ["Followed", "Pipelines", "Receiver", "Told", "undisturbed"]

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
        """Return what the receiver has."""
        return self.receiver.reached

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        """Tell the receiver, then remember how far it came."""
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
        self.sent: Final[list[Entry]] = []
        self.blobs: Callable[[str], Blobs] | None = None
        self.wanted: Final = undisturbed(self.dataset)
        self.receivers: Final = {entry.name: Receiver() for entry in flights.pipeline.act}

    def tasks(self, names: Sequence[str], process: Process, blobs: Callable[[str], Blobs]) -> list[Task]:
        """Return fresh tasks."""
        self.blobs = blobs
        deployment = self.deployment(process, blobs)
        ingest = Ingest(MergedHistory(flights.files(self.dataset))) if "ingest" in names else None
        return [
            place.task
            for place in deployment.place(
                [name.partition(".")[0] for name in names], ingest=ingest, outlets=self.outlets
            )
        ]

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
        """Live, let a person move the champion, or send such a command once more."""
        inbox = _full_name("inbox")
        if not self.live or inbox not in self.shared.topics:
            return None
        control = Followed.up_to(self.shared, _full_name("control"))
        if self.sent and draw.random() < 0.4:
            command = draw.choice(self.sent)
        elif control.champion is not None:
            columns = {
                "command": "promote",
                "champion": draw.choice(control.versions)[1],
                "expected": control.champion[1],
                "hold": draw.random() < 0.5,
            }
            command = Entry("command", 0, 0, 0, columns, f"command {len(self.sent)}")
            self.sent.append(command)
        else:
            return None
        session = SimulatedLog(self.shared)
        topic = session.open(inbox)
        door = Writer(topic, "door")
        door.start()
        place = topic.end(0)
        door.write(batch_of([replace(command, offset=place)], INBOX), Position(place, ALL))
        for flight in session.sent:
            self.shared.land(flight)
        return f"{command.id}: {command.columns['champion']} if {command.columns['expected']}"

    def calm(self) -> None:
        """There is nothing to stop."""

    def trim(self, draw: Random, blobs: Callable[[str], Blobs]) -> str | None:
        """Trim one topic as far as the real retention allows when it wants to keep nothing."""
        if _full_name("control") not in self.shared.topics:
            return None
        name = draw.choice(TOPICS)
        process = Process.begun(0, Random(0), 0, self.shared)
        self.shared.force()  # A log trims what is safe, or loses the trim with what it lost.
        keep_us = least_retention_us(flights.pipeline) if name == EVENTS else 0
        (done,) = trim(self.deployment(process, blobs), {name: keep_us})
        return f"[{name}] is trimmed up to {done.begin}" if done.frames else None

    def violations(self) -> list[str]:
        """Compare with an undisturbed run, and what was told and chosen with what was taken."""
        found = {name: self._taken(name) for name in TOPICS}
        wanted = self.wanted
        wrong = [
            f"[{name}] by {producer} is not what an undisturbed run gives"
            for name, producer in wanted
            if not (self.live and (name, producer) in _HANGS_ON_CHOICES)
            and _digests(found[name].get(producer, []), name, live=self.live)
            != _digests(wanted[name, producer], name, live=self.live)
        ]
        if self.live:
            wrong += _chosen_otherwise(self.shared, found["predictions"].get("predict", []))
        return [*wrong, *self._gone(), *self._told_otherwise(found["predictions"].get("predict", []))]

    def _taken(self, name: str) -> dict[str, list[Batch]]:
        """Return the rows of a topic as taken, by producer."""
        topic = _full_name(name)
        found: dict[str, list[Batch]] = {}
        if topic in self.shared.topics:
            for producer, _, batch in frames_as_taken(self.shared, topic):
                found.setdefault(producer, []).append(batch)
        return found

    def _gone(self) -> list[str]:
        """Load every version that [control] still names."""
        if self.blobs is None or _full_name("control") not in self.shared.topics:
            return []
        view = self.deployment(Process.begun(0, Random(0), 0, self.shared), self.blobs).control()
        view.follow()
        try:
            for version in view.versions:
                view.bundle(version)
        except StateError as error:
            return [f"the bundle of a version is gone: {error}"]
        return []

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


@cache
def _full_name(name: str) -> str:
    return Deployment(
        pipeline=flights.pipeline, log=MemoryLog(), blobs=None, clock=VirtualClock(start_us=0)
    ).topic_name(name)


@cache
def undisturbed(dataset: int) -> dict[tuple[str, str], list[Batch]]:
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
    left_out = CHOICES if live else {"control"}
    found: list[int] = []
    for batch in batches:
        same = without_columns(batch, left_out) if name == "predictions" else batch
        found += row_digests(same).tolist()
    return found


@final
@dataclass(slots=True)
class Followed:
    """[control] followed by its rules, written down once more: versions, and who is champion."""

    versions: list[tuple[int, str]] = field(default_factory=list)
    champion: tuple[int, str] | None = None
    held: bool = False
    commands: list[str] = field(default_factory=list)

    @classmethod
    def up_to(cls, shared: SharedLog, topic: str, below: int | None = None) -> "Followed":
        """Return what stands below an offset, else at the end."""
        followed = cls()
        if topic in shared.topics:
            for _, _, batch in frames_as_taken(shared, topic, below=below):
                for entry in entries_of(batch, CONTROL):
                    followed.take(entry)
        return followed

    def take(self, entry: Entry) -> None:
        """Let a version take over unless one is held, and a command move the champion if it knows who that is."""
        if entry.stream == "version":
            self.versions.append((entry.columns["number"], entry.columns["name"]))
            if not self.held:
                self.champion = self.versions[-1]
        elif entry.stream == "pointer":
            self.commands.append(entry.id)
            goal = [version for version in self.versions if version[1] == entry.columns["champion"]]
            if goal and self.champion is not None and self.champion[1] == entry.columns["expected"]:
                self.champion, self.held = goal[0], entry.columns["hold"]


def _chosen_otherwise(shared: SharedLog, predictions: Sequence[Batch]) -> list[str]:
    """Compare the version in each row with who was champion where that row says that [control] had been read to."""
    wrong, topic = [], _full_name("control")
    commands = Followed.up_to(shared, topic).commands
    if len(set(commands)) < len(commands):
        wrong.append("a command stands twice in [control]")
    champions: dict[int, int] = {}
    for batch in predictions:
        answers = batch.payloads[_REQUEST]
        for read, version in zip(answers["control"].to_pylist(), answers["version"].to_pylist(), strict=True):
            if read not in champions:
                champion = Followed.up_to(shared, topic, read).champion
                champions[read] = champion[0] if champion is not None else -1
            if version != champions[read]:
                return [*wrong, "a row names another version than the champion of its time"]
    return wrong
