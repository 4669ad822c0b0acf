"""A worker is a process that gives turns to any set of tasks over one log. It decides when, never what.

Turns go down the pipeline: first the tasks that answer and learn; those that promise (`watch`, `judge`) when the
first stand still; those that nobody waits for (`act`, `respond`) when all others do, or when much has gathered for
them. So each works on batches as large as may be. A task that feeds a reader of this worker pauses while that reader
is far behind: back-pressure by turns, which never closes the loop learn -> predict.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, final

from headrace.run.clock import Clock
from headrace.run.task import Task
from headrace.topics.contract import Log

__all__ = ["Placed", "Upkeep", "Worker"]

_IDLE_US: Final = 500
_TIDY_US: Final = 1_000_000
_COLLECT: Final = (50_000, 20, 50)
_AHEAD_FRAMES: Final = 12
_RELIEF: Final = {1: (16, 1_000), 2: (128, 16_384)}
"""Frames that gather for a task before it is relieved, and the rows of its turn then, by its patience: few and often
for those who fold rows as they come; seldom and all at once for `act`, each of whose turns may force a file to disk."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A task, how soon it gets its turn, and the tasks that read what it writes.

    `patience` 0 is a turn a round, 1 a turn when no task of patience 0 moved, 2 a turn when none at all moved.
    `answers` says that somebody waits for what it writes: it is committed at once, not at the end of the round.
    `source` says that it brings records in. In history they are committed before anybody works on them: one that kills
    the process then stands in the log, where it can be found and skipped.
    """

    task: Task
    patience: int = 0
    readers: tuple[str, ...] = ()
    answers: bool = False
    source: bool = False


class Upkeep(Protocol):
    """What a worker does for the log after snapshots were kept (`run.trimming`)."""

    def look(self) -> None:
        """Look at the snapshots; called on the thread that keeps them."""

    def trim(self) -> None:
        """Forget what nobody needs; called on the thread that writes to the log."""


@final
class Worker:
    """Gives turns to tasks until a finite history has ended, or until it is told to stop.

    `snapshot_every_us` is elapsed time between snapshots: it matters for the length of a recovery and for nothing
    else. `after_commit` is called after each commit (progress bars, latency probes).
    """

    def __init__(
        self,
        log: Log,
        placed: Sequence[Placed],
        *,
        clock: Clock,
        budget: int = 16_384,
        snapshot_every_us: int = 10_000_000,
        after_commit: Callable[[], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
        upkeep: Upkeep | None = None,
    ) -> None:
        self._log = log
        self._upkeep = upkeep
        self._placed = tuple(placed)
        self._by_patience = [[place for place in placed if place.patience == patience] for patience in range(3)]
        # Where nobody waits for an answer, the patient tasks wait for a pause, and then work on large batches.
        self._live = any(place.answers for place in placed)
        # Of several pipelines there may be several tasks of a name.
        names = dict.fromkeys(place.task.name for place in placed)
        self._tasks: Mapping[str, list[Task]] = {
            name: [place.task for place in placed if place.task.name == name] for name in names
        }
        self._clock = clock
        self._budget = budget
        self._snapshot_every_us = snapshot_every_us
        self._after_commit = after_commit
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
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="headrace-disk") as disk:
                self._run(disk)
        finally:
            gc.set_threshold(*thresholds)
            gc.unfreeze()

    def _run(self, disk: ThreadPoolExecutor) -> None:
        saved_us = tidied_us = self._clock.elapsed_us()
        saving: Future[None] | None = None
        while not self._stop():
            moved = self.round()
            if all(place.task.ended for place in self._placed) and not moved:
                break
            if saving is not None and saving.done():
                saving.result()  # What went wrong on the disk stops the worker.
                saving = None
                self._trim()
            if saving is None and self._clock.elapsed_us() - saved_us >= self._snapshot_every_us:
                saving = disk.submit(self._capture())
                saved_us = self._clock.elapsed_us()
            elif saving is None and self._clock.elapsed_us() - tidied_us >= _TIDY_US:
                saving = disk.submit(self._log.tidy)
                tidied_us = self._clock.elapsed_us()
            if not moved:
                self._clock.sleep_us(_IDLE_US)
        if saving is not None:
            saving.result()
        self.save()

    def round(self) -> bool:
        """Give turns to the tasks whose time it is, and commit what they wrote; return whether anything moved."""
        moved = False
        for places in self._by_patience:
            if not moved:
                for place in places:
                    if not self._far_ahead(place) and place.task.turn(self._budget):
                        moved = True
                        if place.answers or (place.source and not self._live):
                            self._commit()
        if moved and self._live:
            self._relieve()
        self._commit()
        return moved

    def _commit(self) -> None:
        self._log.commit()
        if self._after_commit is not None:
            self._after_commit()

    def save(self) -> None:
        """Keep a snapshot of every task, and return when it is on disk."""
        self._capture()()
        self._trim()

    def _trim(self) -> None:
        if self._upkeep is not None:
            self._upkeep.trim()

    def _capture(self) -> Callable[[], None]:
        """Copy every task's state, and return what makes the log safe and then keeps the copies, in this order."""
        self._log.commit()
        keeping = [place.task.capture() for place in self._placed]

        def keep() -> None:
            self._log.force()
            for one in keeping:
                one()
            if self._upkeep is not None:
                self._upkeep.look()
            self._log.tidy()

        return keep

    def _relieve(self) -> None:
        """Under a load that never pauses, give one patient task a short turn when enough has gathered for it."""
        for patience, (frames, rows) in _RELIEF.items():
            places = self._by_patience[patience]
            most = max(places, key=lambda place: place.task.backlog, default=None)
            if most is not None and most.task.backlog > frames:
                most.task.turn(rows)
                return

    def _far_ahead(self, place: Placed) -> bool:
        readers = [task for name in place.readers for task in self._tasks.get(name, ())]
        return any(task.backlog > _AHEAD_FRAMES for task in readers)
