"""One simulated process: a session with the log, some tasks, snapshots on their way to the disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import final

from headrace.core.errors import SurroundingsError
from headrace.run.task import Task
from headrace.store.blobs import Blobs
from headrace.testing.simulation.log import SharedLog, SimulatedLog

__all__ = ["Process", "SimulatedBlobs"]


@final
class SimulatedBlobs(Blobs):
    """Blobs of one task in memory; the disk may refuse one when told to. Knows the order in which they were put."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self.refuse = False

    def put(self, name: str, content: bytes) -> None:
        """Keep a blob; see `Blobs.put`."""
        if self.refuse:
            self.refuse = False
            raise SurroundingsError("blobs", wanted="a disk to write to", got="no space left")
        self._blobs.pop(name, None)
        self._blobs[name] = content

    def get(self, name: str) -> bytes | None:
        """Return a blob, or None."""
        return self._blobs.get(name)

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        return sorted(self._blobs)

    def by_age(self) -> list[str]:
        """Return the names of all blobs, the one put last first."""
        return list(reversed(self._blobs))

    def delete(self, name: str) -> None:
        """Forget a blob."""
        self._blobs.pop(name, None)

    def clear(self) -> None:
        """Lose everything."""
        self._blobs.clear()


@final
@dataclass(slots=True)
class Process:
    """What dies together. `draw` is its own randomness: what a mistaken stage takes from its clock or its memory.

    `build` is the number of the code that it runs.
    """

    number: int
    draw: Random
    build: int
    session: SimulatedLog
    tasks: Sequence[Task] = ()
    keeping: list[Callable[[], None]] = field(default_factory=list)

    @classmethod
    def begun(cls, number: int, draw: Random, build: int, shared: SharedLog) -> "Process":
        """Return a process that has opened the log and done nothing else."""
        return cls(number, draw, build, SimulatedLog(shared))

    @property
    def name(self) -> str:
        """Return what the trace calls it."""
        return f"process {self.number} ({', '.join(task.name for task in self.tasks)})"
