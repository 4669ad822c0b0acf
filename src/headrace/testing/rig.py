"""A rig: the real tasks of a pipeline over a log in memory, with what outlives them."""

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from headrace.run.clock import VirtualClock
from headrace.run.deployment import STAGES, Deployment
from headrace.run.task import Task
from headrace.run.worker import Placed, Worker
from headrace.stages.ingest import Ingest
from headrace.store.blobs import MemoryBlobs
from headrace.testing.sent import Sent, SentInlet
from headrace.topics.memory import MemoryLog

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["Rig"]

_TURNS_MAX: Final = 24
_BUDGETS: Final = (1, 4, 16_384)
_SAVES: Final = 1 / 3
_LOSES: Final = 1 / 4
_SNAPSHOTS: Final = "snapshots/"


@final
class Rig:
    """A pipeline that is running. The clock, the log, the snapshots and what was sent outlive a crash; no task does.

    `drawn` decides when a snapshot is kept, in the middle of what a crash comes, and which snapshots it takes along.
    Without it no snapshot is ever kept.
    """

    def __init__(self, pipeline: "Pipeline[Any]", *, start_us: int, drawn: np.random.Generator | None = None) -> None:
        self.clock: Final = VirtualClock(start_us=start_us)
        self.sent: Final = Sent(pipeline.source_settings())
        self.deployment: Final = Deployment(
            pipeline=pipeline, log=MemoryLog(), blobs=self._blobs, clock=self.clock, live=True
        )
        self._kept: dict[str, MemoryBlobs] = {}
        self._drawn = drawn
        self._start()

    @property
    def ingest(self) -> Ingest:
        """Return the ingest that is running now."""
        return self._ingest

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks that are running now, down the pipeline."""
        return tuple(place.task for place in self._placed)

    def settle(self) -> None:
        """Give turns until nothing moves; now and then keep a snapshot of every task."""
        while self._worker.round():
            pass
        if self._drawn is not None and self._drawn.random() < _SAVES:
            self._worker.save()

    def crash(self, *, keep_snapshots: bool) -> None:
        """Give some tasks some turns, throw all of them away, and start anew from what outlived them."""
        if self._drawn is not None:
            self._work_a_little(self._drawn)
        for place, blobs in self._kept.items():
            # What is kept elsewhere (the bundles of versions) is kept for good.
            for name in blobs.names() if place.startswith(_SNAPSHOTS) else ():
                if not keep_snapshots or (self._drawn is not None and self._drawn.random() < _LOSES):
                    blobs.delete(name)
        self._start()

    def _work_a_little(self, drawn: np.random.Generator) -> None:
        """Give a drawn number of turns in a drawn order, so that a crash finds each task somewhere else."""
        for _ in range(int(drawn.integers(_TURNS_MAX))):
            task = self.tasks[int(drawn.integers(len(self._placed)))]
            # One shipment is one frame: what arrived together is answered together, whatever happens.
            task.turn(max(_BUDGETS) if task.name == "ingest" else _BUDGETS[int(drawn.integers(len(_BUDGETS)))])
            if drawn.random() < 1 / _TURNS_MAX:
                self._worker.save()

    def _start(self) -> None:
        self._ingest = Ingest(SentInlet(self.sent))
        self._placed: list[Placed] = self.deployment.place(STAGES, ingest=self._ingest)
        self._worker = Worker(self.deployment.log, self._placed, clock=self.clock)
        self._worker.start()

    def _blobs(self, place: str) -> MemoryBlobs:
        return self._kept.setdefault(place, MemoryBlobs())
