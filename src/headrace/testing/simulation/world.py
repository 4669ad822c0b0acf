"""What is simulated: the tasks, the outside world that they read and write, and the law that the records must keep."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from random import Random

from headrace.core.records import Batch
from headrace.run.task import Task
from headrace.store.blobs import Blobs
from headrace.testing.simulation.faults import Faults
from headrace.testing.simulation.log import SharedLog
from headrace.testing.simulation.process import Process

__all__ = ["World", "frames_as_taken"]


class World(ABC):
    """One run's world. It is drawn from a seed, and nothing in it remembers a process."""

    shared: SharedLog
    """The log."""
    groups: Sequence[tuple[str, ...]]
    """The tasks, by name, in the groups that share a process when each has a process of its own kind."""

    @abstractmethod
    def tasks(self, names: Sequence[str], process: Process, blobs: Callable[[str], Blobs]) -> list[Task]:
        """Return fresh tasks for a process, not started."""

    @abstractmethod
    def disturb(self, draw: Random, faults: Faults) -> str | None:
        """Let one thing happen outside; return what, or None if nothing did."""

    @abstractmethod
    def calm(self) -> None:
        """Stop what goes wrong outside for a while only."""

    @abstractmethod
    def trim(self, draw: Random, blobs: Callable[[str], Blobs]) -> str | None:
        """Trim one topic as far as is safe; return what was done, or None."""

    def made_by(self) -> int:
        """Return the build by which the log was made."""
        return 0

    def current(self, process: Process) -> bool:
        """Return whether a process runs the newest definition; an older one runs beside it and is not replaced."""
        return True

    @abstractmethod
    def violations(self) -> list[str]:
        """Return what is wrong with the records as taken, once everything has come to rest."""


def frames_as_taken(
    shared: SharedLog, topic: str, partition: int = 0, *, below: int | None = None
) -> Iterator[tuple[str, int, Batch]]:
    """Yield (producer, offset, rows that count) for each frame, by the rule itself, written down without the reader.

    From the beginning, whatever was trimmed: the oracle sees the whole of history. `below`: up to that offset only.
    """
    kept = shared.topics[topic]
    producers = kept.manifest.producers
    there: dict[int, tuple[int, int]] = {}
    for offset in range(len(kept.frames[partition]) if below is None else below):
        frame = shared.frame(topic, partition, offset)
        at = there.get(frame.producer, (-(2**63), -1))
        last = kept.manifest.ended.get(producers[frame.producer]) if frame.producer < len(producers) else None
        if last is not None and frame.through > last:
            continue
        if frame.producer >= len(producers) or not tuple(frame.after) <= at < tuple(frame.through):
            continue
        causes = list(zip(frame.batch.offset.tolist(), frame.batch.sub.tolist(), strict=True))
        fresh = [place for place, cause in enumerate(causes) if cause > at]
        if fresh:
            yield producers[frame.producer], offset, frame.batch.slice(fresh[0], len(causes))
        there[frame.producer] = (frame.through.offset, frame.through.sub)
