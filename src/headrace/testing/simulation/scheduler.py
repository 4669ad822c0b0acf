"""The scheduler: draws who does what next, and what goes wrong, from a seed; then lets everything come to rest.

A run has two parts. In the first, each step is one drawn number, from which everything that happens in it follows; so
a failing run may be repeated with some of its steps left out. In the second nothing goes wrong any more, and the law
of the world is checked on what stands in the log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, final

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.position import ALL, START, Position
from headrace.run.task import Task
from headrace.testing.simulation.faults import ALL_FAULTS, Faults
from headrace.testing.simulation.log import Flight
from headrace.testing.simulation.process import Process, SimulatedBlobs
from headrace.testing.simulation.world import World
from headrace.topics.contract import Receipt
from headrace.topics.frame import encode

__all__ = ["Outcome", "simulate", "steps_of"]

_STEPS: Final = 300
_REST: Final = 120
_STOPS: Final = 12
_STRANGER: Final = 99
_WEATHERS: Final = (0.1, 0.4, 1.0)
"""By how much the faults of a run are rarer: in a storm nothing lives long enough to be far along when it dies."""
_BUDGETS: Final = (1, 3, 100)


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what the records violate, what was refused for good, and the steps that were taken."""

    seed: int
    violations: tuple[str, ...]
    refused: str | None
    trace: tuple[str, ...]
    crashes: int

    @property
    def bad(self) -> bool:
        """Return whether the run is wrong and nobody said so."""
        return bool(self.violations) and self.refused is None


def steps_of(seed: int, count: int = _STEPS) -> list[int]:
    """Return the steps of a seed's first part."""
    draw = Random(seed)
    return [draw.getrandbits(48) for _ in range(draw.randint(count // 4, count))]


def simulate(world: World, seed: int, *, faults: Faults = ALL_FAULTS, steps: Sequence[int] | None = None) -> Outcome:
    """Run a fresh world once. The same arguments give the same run, step for step."""
    run = _Run(world, faults, weather=Random(seed).choice(_WEATHERS))
    for step in steps if steps is not None else steps_of(seed):
        run.step(Random(step))
    run.come_to_rest(Random(seed + 1))
    return Outcome(seed, tuple(run.violations()), run.refused, tuple(run.trace), run.crashes)


@final
@dataclass(slots=True)
class _Run:
    world: World
    faults: Faults
    weather: float
    blobs: dict[str, SimulatedBlobs] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    flying: list[Flight] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    refused: str | None = None
    livelock: bool = False
    resting: bool = False
    stops: int = 0
    broken: str | None = None
    crashes: int = 0
    begun: int = 0

    def step(self, draw: Random) -> None:
        """Let one thing happen."""
        if self.refused is not None or self.broken is not None:
            return
        faults = self.faults
        rare: list[tuple[float, Callable[[Random], str | None]]] = [
            (faults.crash, self._crash),
            (faults.crash, self._second_owner),
            (faults.power, self._cut_power),
            (faults.compact + faults.choose + faults.stall, lambda draw: self.world.disturb(draw, faults)),
            (faults.trim, self._trim),
            (faults.disk, self._refuse_snapshot),
            (faults.lose_suffix, self._lose_suffix),
            (faults.recreate, self._recreate),
            (faults.empty, self._lose_snapshots),
            (faults.stranger, self._forge),
        ]
        left = draw.random() / self.weather
        for share, happening in rare:
            if left < share:
                self._note(happening(draw))
                return
            left -= share
        self._begin_missing(draw)
        if not self.processes:
            return
        process = draw.choice(self.processes)
        kind = draw.random()
        if self.flying and kind < 0.1:
            self._land_late(draw)
        elif kind < 0.4:
            self._turn(process, draw.choice(process.tasks), draw.choice(_BUDGETS))
        elif kind < 0.45:
            self._round(draw.choice(_BUDGETS))
        elif kind < 0.8:
            self._deliver(process, draw)
        elif kind < 0.92 or not process.keeping:
            self._capture(process, draw.choice(process.tasks))
        else:
            self._keep(process, draw)

    def come_to_rest(self, draw: Random) -> None:
        """Let nothing go wrong any more until nothing moves: with the processes that are, or with new ones."""
        for flight in self.flying:
            self.world.shared.land(flight)
        self.flying.clear()
        self.world.calm()
        self.resting = True
        everybody = draw.random() < 0.5
        for process in list(self.processes):
            if everybody or not self.world.current(process):
                self._end(process, draw)
        for _ in range(_REST):
            if self.refused is not None or self.broken is not None:
                return
            self._begin_missing(draw)
            if not self._round(_BUDGETS[-1]):
                return
        self.livelock = True

    def violations(self) -> list[str]:
        """Return what is wrong in the end."""
        livelock = ["the run does not come to rest"] if self.livelock else []
        return [*self.world.violations(), *livelock, *([self.broken] if self.broken is not None else [])]

    def _round(self, budget: int) -> bool:
        """Give every task a turn and let everything land; return whether anything moved."""
        moved = False
        for process in list(self.processes):
            for task in process.tasks:
                moved |= self._turn(process, task, budget)
                if process not in self.processes:
                    moved = True
                    break
                while process.session.sent:
                    self.world.shared.land(process.session.sent.pop(0))
                    moved = True
        return moved

    def _note(self, what: str | None) -> None:
        if what is not None:
            self.trace.append(what)

    def _blobs(self, task: str) -> SimulatedBlobs:
        return self.blobs.setdefault(task, SimulatedBlobs())

    def _begin_missing(self, draw: Random) -> None:
        """Start a process for each group of tasks that nobody owns: a supervisor does that at once."""
        current = [process for process in self.processes if self.world.current(process)]
        owned = {task.name for process in current for task in process.tasks}
        missing = [group for group in self.world.groups if not owned.issuperset(group)]
        if len(missing) == len(self.world.groups) and draw.random() < 0.3:
            self._begin([name for group in missing for name in group], draw)
            return
        for group in missing:
            self._begin(group, draw)

    def _begin(self, names: Sequence[str], draw: Random) -> None:
        build = self.world.made_by() if self.resting else int(draw.random() < self.faults.build)
        self.begun += 1
        process = Process.begun(self.begun, Random(draw.getrandbits(48)), build, self.world.shared)
        try:
            process.tasks = self.world.tasks(names, process, self._blobs)
            for task in process.tasks:
                task.start()
        except StateError as error:
            self.trace.append(f"refused: {', '.join(names)}: {error}")
            if build == self.world.made_by():
                self.refused = str(error)
            return
        except Exception as error:  # noqa: BLE001 - a start that dies of anything else is wrong
            self.broken = f"the start of {', '.join(names)} dies of {type(error).__name__}: {error}"
            return
        self.processes.append(process)
        self.trace.append(f"{process.name} starts{' with another build' if build else ''}")

    def _end(self, process: Process, draw: Random) -> None:
        """Let a process die. Of what it had sent, some lands later and some never."""
        self.flying += [flight for flight in process.session.sent if draw.random() < self.faults.late]
        self.processes.remove(process)
        self.crashes += 1

    def _crash(self, draw: Random) -> str | None:
        if not self.processes:
            return None
        process = draw.choice(self.processes)
        self._end(process, draw)
        return f"{process.name} is killed"

    def _second_owner(self, draw: Random) -> str | None:
        group = draw.choice(self.world.groups)
        owners = sum(1 for process in self.processes if {task.name for task in process.tasks}.issuperset(group))
        if owners < self.faults.owners:
            self._begin(group, draw)
        return None

    def _cut_power(self, draw: Random) -> str | None:
        for process in list(self.processes):
            self._end(process, draw)
        self.flying.clear()
        return f"the power is cut: {self.world.shared.cut_power(draw)} frames are lost"

    def _lose_suffix(self, draw: Random) -> str | None:
        for process in list(self.processes):
            self._end(process, draw)
        topic = self.world.shared.lose_suffix(draw)
        return None if topic is None else f"[{topic}] loses a suffix that was acknowledged"

    def _recreate(self, draw: Random) -> str | None:
        for process in list(self.processes):
            self._end(process, draw)
        if not self.world.shared.topics:
            return None
        topic = draw.choice(sorted(self.world.shared.topics))
        self.world.shared.recreate(topic)
        self.flying = [flight for flight in self.flying if flight.topic != topic]  # A broker knows topics by their ids.
        return f"[{topic}] is deleted and made anew"

    def _forge(self, draw: Random) -> str | None:
        """Let somebody who is not listed write what another wrote, under a number of his own."""
        shared = self.world.shared
        places = [
            (topic, part)
            for topic, kept in shared.topics.items()
            for part in range(len(kept.frames))
            if kept.frames[part]
        ]
        if not places:
            return None
        topic, part = draw.choice(places)
        frame = shared.frame(topic, part, draw.randrange(len(shared.topics[topic].frames[part])))
        forged = replace(frame, producer=_STRANGER, after=START, through=Position(frame.through.offset + 9, ALL))
        shared.land(Flight(topic, part, encode(forged, shared.topics[topic].manifest), Receipt()))
        return f"a stranger writes to [{topic}/{part}]"

    def _lose_snapshots(self, draw: Random) -> str | None:
        task = draw.choice([name for group in self.world.groups for name in group])
        self._blobs(task).clear()
        return f"the snapshots of {task} are lost"

    def _trim(self, draw: Random) -> str | None:
        try:
            return self.world.trim(draw, self._blobs)
        except SurroundingsError as error:
            return f"a trim stops: {error}"

    def _refuse_snapshot(self, draw: Random) -> str | None:
        if not self.blobs:
            return None
        name = draw.choice(sorted(self.blobs))
        self.blobs[name].refuse = True
        return f"the disk of {name} is full for once"

    def _land_late(self, draw: Random) -> None:
        flight = self.flying.pop(draw.randrange(len(self.flying)))
        self.world.shared.land(flight)
        self.trace.append(f"a frame for [{flight.topic}/{flight.partition}] lands late")

    def _turn(self, process: Process, task: Task, budget: int) -> bool:
        try:
            moved = task.turn(budget)
        except Exception as error:  # noqa: BLE001 - whatever ends a process is looked at in `_stop`
            self._stop(process, error)
            return True
        if moved:
            self.trace.append(f"process {process.number}: turn of {task.name}, {budget} rows")
        return moved

    def _stop(self, process: Process, error: Exception) -> None:
        """End a process that ended itself. What it sent may still land."""
        self.trace.append(f"{process.name} stops: {error}")
        self.flying += process.session.sent
        self.processes.remove(process)
        if isinstance(error, StateError):
            # Who was overtaken starts again and is well; who must not go on says the same again and again.
            self.stops += self.resting
            if self.stops > _STOPS:
                self.refused = str(error)
        elif not isinstance(error, SurroundingsError):
            self.broken = f"{process.name} dies of {type(error).__name__}: {error}"

    def _deliver(self, process: Process, draw: Random) -> None:
        """Let one frame of a process arrive, get lost, arrive twice, or be overtaken."""
        sent = process.session.sent
        if not sent:
            return
        place = 1 if len(sent) > 1 and draw.random() < self.faults.reorder else 0
        flight = sent.pop(place)
        where = f"process {process.number}: frame for [{flight.topic}/{flight.partition}]"
        if draw.random() < self.faults.lose:
            flight.receipt.error = "the broker did not answer"
            if draw.random() < self.faults.late:
                self.flying.append(flight)
            self.trace.append(f"{where} is lost")
            return
        self.world.shared.land(flight)
        self.trace.append(f"{where} lands{' before the one ahead of it' if place else ''}")
        if draw.random() < self.faults.double:
            self.flying.append(flight)

    def _capture(self, process: Process, task: Task) -> None:
        try:
            keep = task.capture()
        except Exception as error:  # noqa: BLE001 - whatever ends a process is looked at in `_stop`
            self._stop(process, error)
            return
        process.keeping.append(keep)
        self.trace.append(f"process {process.number}: snapshot of {task.name} is copied")

    def _keep(self, process: Process, draw: Random) -> None:
        keep = process.keeping.pop(0)
        process.session.force()
        try:
            keep()
        except SurroundingsError as error:
            self._stop(process, error)
            return
        self.trace.append(f"process {process.number}: a snapshot is on disk")
