"""A worker is a process that gives turns to any set of tasks over one log. It decides when, never what.

Turns go down the pipeline: first the tasks that answer and learn; those that promise (`watch`, `judge`) when the
first stand still; those that nobody waits for (`act`, `respond`) when all others do, or when much has gathered for
them. So each works on batches as large as may be. A task that feeds a reader of this worker pauses while that reader
is far behind: back-pressure by turns, which never closes the loop learn -> predict.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from headrace.run.clock import Clock
from headrace.run.task import Task
from headrace.topics.contract import Log

__all__ = ["Placed", "Worker"]

_IDLE_US: Final = 500
_COLLECT: Final = (50_000, 20, 50)
_AHEAD_FRAMES: Final = 12
_GATHERED_FRAMES: Final = 64


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A task, how soon it gets its turn, and the tasks that read what it writes.

    `patience` 0 is a turn a round, 1 a turn when no task of patience 0 moved, 2 a turn when none at all moved.
    """

    task: Task
    patience: int = 0
    readers: tuple[str, ...] = ()


@final
class Worker:
    """Gives turns to tasks until a finite history has ended, or until it is told to stop.

    `snapshot_every_us` is elapsed time between snapshots: it matters for the length of a recovery and for nothing
    else. `after_round` is called after each commit (progress bars, latency probes).
    """

    def __init__(
        self,
        log: Log,
        placed: Sequence[Placed],
        *,
        clock: Clock,
        budget: int = 16_384,
        snapshot_every_us: int = 10_000_000,
        after_round: Callable[[], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log = log
        self._placed = tuple(placed)
        self._by_patience = [[place for place in placed if place.patience == patience] for patience in range(3)]
        self._tasks: Mapping[str, Task] = {place.task.name: place.task for place in placed}
        self._clock = clock
        self._budget = budget
        self._snapshot_every_us = snapshot_every_us
        self._after_round = after_round
        self._stop = stop

    def start(self) -> None:
        """Start every task: from its snapshot, checked against the log."""
        for place in self._placed:
            place.task.start()
        self._log.commit()

    def run(self) -> None:
        """Give turns until every task has ended or `stop` says so; keep snapshots on the way and at the end."""
        thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()  # What stands by now stays; looking at it again and again costs a tenth of the time.
        gc.set_threshold(*_COLLECT)
        try:
            self._run()
        finally:
            gc.set_threshold(*thresholds)
            gc.unfreeze()

    def _run(self) -> None:
        saved_us = self._clock.elapsed_us()
        while not self._stop():
            moved = self.round()
            if all(place.task.ended for place in self._placed) and not moved:
                break
            if self._clock.elapsed_us() - saved_us >= self._snapshot_every_us:
                self.save()
                saved_us = self._clock.elapsed_us()
            if not moved:
                self._clock.sleep_us(_IDLE_US)
        self.save()

    def round(self) -> bool:
        """Give turns to the tasks whose time it is, and commit what they wrote; return whether anything moved."""
        moved = False
        for places in self._by_patience:
            if not moved:
                for place in places:
                    if not self._far_ahead(place):
                        moved |= place.task.turn(self._budget)
        for place in self._by_patience[-1]:
            if moved and place.task.backlog > _GATHERED_FRAMES:
                place.task.turn(self._budget)
        self._log.commit()
        if self._after_round is not None:
            self._after_round()
        return moved

    def save(self) -> None:
        """Sync the log, then keep a snapshot of every task: it counts only what no power cut takes away."""
        self._log.sync()
        for place in self._placed:
            place.task.save()

    def _far_ahead(self, place: Placed) -> bool:
        return any(self._tasks[name].backlog > _AHEAD_FRAMES for name in place.readers if name in self._tasks)
