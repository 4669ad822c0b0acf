"""A task is one stage on one partition: it reads frames, lets the stage work, and writes frames. Nothing else.

`turn(budget)` is synchronous: no thread, no clock. Whoever gives turns (the worker, the simulation) decides when.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from headrace.core.errors import HeadraceError, StateError
from headrace.core.position import ALL, START, Position, place_text
from headrace.core.records import Batch, StreamSchema
from headrace.run.skipped import without
from headrace.stages.contract import Stage
from headrace.stages.ingest import Ingest
from headrace.store.snapshots import Arrays, Meta, Snapshots
from headrace.topics.manifest import conformed
from headrace.topics.reader import Reader
from headrace.topics.writer import Outstanding, Writer

__all__ = ["IngestTask", "StageTask", "Task"]

_FRAMES_A_TURN: Final = 64


class Task(ABC):
    """What a worker gives turns to."""

    name: str

    @abstractmethod
    def start(self) -> None:
        """Stand at the newest snapshot that the log bears out, or at the beginning.

        Raises StateError, with the remedy, if neither is possible.
        """

    @abstractmethod
    def turn(self, budget: int) -> bool:
        """Work on about `budget` rows; return whether anything moved."""

    @abstractmethod
    def capture(self) -> Callable[[], None]:
        """Copy the state as it stands, and return what keeps it as a snapshot.

        Call that once the log's `force` has returned, so that a snapshot counts only what is safe; by any thread. A
        snapshot that counts a frame which is not acknowledged is not kept.
        """

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Return whether the input is a finite history that has been processed to its end."""

    @property
    @abstractmethod
    def backlog(self) -> int:
        """Return how many frames of input wait to be read."""


@final
class StageTask(Task):
    """A stage between topics."""

    def __init__(
        self,
        name: str,
        stage: Stage,
        reader: Reader,
        writers: Mapping[str, Writer],
        snapshots: Snapshots | None = None,
        skipped: Callable[[], frozenset[Position]] = frozenset,
    ) -> None:
        """Make a task that has not started. `skipped` says, at the start, which rows of the input it leaves out."""
        self._ask_skipped = skipped
        self._skipped: frozenset[Position] = frozenset()
        self.name = name
        self.stage: Final = stage
        self.reader: Final = reader
        self._writers = dict(writers)
        self._snapshots = snapshots
        self._pending: Batch | None = None
        self._done = START
        self._cut = reader.cut()
        self.rows = 0

    @property
    def ended(self) -> bool:
        """Return whether the stage has seen the end of its input."""
        return self.stage.ended

    @property
    def backlog(self) -> int:
        """Return the number of frames above the reader, and one for rows that the stage has not consumed."""
        unread = self.reader.topic.end(self.reader.partition) - self.reader.offset
        return unread + (self._pending is not None)

    def start(self) -> None:
        """Try snapshots from the newest; without any, the input must begin at its beginning."""
        self._skipped = self._ask_skipped()
        refused: StateError | None = None
        for arrays, meta in self._snapshots.newest_first() if self._snapshots else ():
            try:
                self._restore(arrays, meta)
            except StateError as error:
                refused = error
                continue
            self._check_input()
            return
        if refused is not None:
            raise refused
        topic = self.reader.topic
        if topic.begin(self.reader.partition) > 0:
            raise StateError(
                f"task {self.name}",
                wanted=f"a snapshot, since {topic.manifest.topic!r} no longer begins at 0 (start a new generation)",
                got="none",
            )
        for writer in self._writers.values():
            writer.start()
        self._check_input()

    def _check_input(self) -> None:
        """Refuse an input that ends before what was already made of it: it lost what it had acknowledged."""
        topic, end = self.reader.topic, self.reader.topic.end(self.reader.partition)
        for writer in self._writers.values():
            if writer.taken.offset >= end:
                raise StateError(
                    f"task {self.name}",
                    wanted=f"{topic.manifest.topic!r} up to offset {writer.taken.offset}, of which "
                    f"{writer.topic.manifest.topic!r} holds rows (start a new generation)",
                    got=f"its end at {end}",
                )

    def turn(self, budget: int) -> bool:
        """Offer the stage what was read and not yet consumed; write what it gives."""
        for writer in self._writers.values():
            writer.settle()
        if not self.stage.repeatable and not self._adopt():
            return False
        if self._pending is None and not self._fill(budget):
            return False
        pending = self._pending
        if pending is None:
            return True
        try:
            outputs = self.stage.process(pending)
        except HeadraceError:
            raise
        except Exception as error:
            raise self._failed(pending, error) from error
        if outputs.consumed == 0:
            return False
        last = pending.position(outputs.consumed - 1)
        whole = outputs.consumed == len(pending)
        through = Position(last.offset, ALL) if whole else last.through_row()
        for topic, batch in outputs.batches.items():
            self._writers[topic].write(batch, through)
        self._done = through
        self.rows += outputs.consumed
        self._pending = None if whole else pending.slice(outputs.consumed, len(pending))
        return True

    def _adopt(self) -> bool:
        """Let the stage see what was taken under its name; return whether all of it is known."""
        for writer in self._writers.values():
            taken = writer.read_back(self._done)
            if taken is None:
                return False
            for batch in taken:
                self.stage.adopt(batch)
        return True

    def capture(self) -> Callable[[], None]:
        """Copy the stage's state, the cut at which reading goes on, and how far each output was written."""
        arrays, meta = self.stage.snapshot()
        state = {
            "stage": meta,
            "done": list(self._done),
            "cut": self.reader.snapshot(self._cut if self._pending is not None else None),
            "writers": {topic: writer.snapshot() for topic, writer in self._writers.items()},
            "rows": self.rows,
        }
        outstanding = [writer.outstanding() for writer in self._writers.values()]
        return _keeping(self._snapshots, outstanding, self._done, arrays, state)

    def rehearse(self, say: Callable[[str], None]) -> None:
        """Offer the stage the rest of its input row by row, and write nothing; the task cannot be used afterwards.

        `say` is told the place of each row before its turn: whoever dies of a row has named it last.
        """
        while self._fill(1):
            pending, self._pending = self._pending, None
            rows = [] if pending is None else [pending.slice(row, row + 1) for row in range(len(pending))]
            for one in rows:
                say(place_text(one.position(0)))
                if self.stage.process(one).consumed == 0:
                    return  # What it waits for will not come here.

    def _failed(self, pending: Batch, error: Exception) -> StateError:
        """Return what an exception that is none of ours says of the rows in whose midst it came."""
        first, last = pending.position(0), pending.position(len(pending) - 1)
        places = f"{place_text(first)} to {place_text(last)} of {self.reader.topic.manifest.topic!r}"
        one = len(pending) == 1
        how = (
            f"mend the function, or leave the row out: headrace topics FILE skip {self.name} {place_text(first)}"
            if one
            else f"find the row: headrace topics FILE poison {self.name}"
        )
        return StateError(
            f"task {self.name}, rows {places}", wanted=f"rows that it can work on ({how})", got=repr(error)
        )

    def _fill(self, budget: int) -> bool:
        """Read some frames; return whether the reader moved."""
        self._cut = self.reader.cut()
        before = self.reader.offset
        batches: list[tuple[Batch, Sequence[StreamSchema]]] = []
        topic = self.reader.topic
        rows = 0
        while rows < budget:
            here = self.reader.offset
            for taken in self.reader.read(1):
                fresh = without(taken.batch.above(self._done), self._skipped)
                if len(fresh):
                    batches.append((fresh, topic.manifest.streams))
                    rows += len(fresh)
            if self.reader.offset == here or len(batches) >= _FRAMES_A_TURN:
                break
        # The topic may have grown on the way: what was read before gets the columns that came since.
        grown = [conformed(batch, streams, topic.manifest.streams) for batch, streams in batches]
        self._pending = Batch.concat(grown) if grown else None
        return self.reader.offset > before

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self.reader.restore(meta["cut"])
        for topic, writer in self._writers.items():
            writer.restore(meta["writers"][topic])
            writer.start()
        self.stage.restore(arrays, meta["stage"])
        self._done = Position(*meta["done"])
        self.rows = meta["rows"]
        self._pending = None


@final
class IngestTask(Task):
    """Sources into [events]: the one task whose input is not a topic.

    `streams` are those of the sources' batches, if [events] has more of them or has them in another order.
    """

    def __init__(
        self,
        name: str,
        ingest: Ingest,
        writer: Writer,
        snapshots: Snapshots | None = None,
        *,
        streams: Sequence[StreamSchema] | None = None,
    ) -> None:
        self._streams = tuple(streams) if streams is not None else writer.topic.manifest.streams
        self.name = name
        self.ingest: Final = ingest
        self._writer = writer
        self._snapshots = snapshots
        self._done = START
        self._resting = False

    @property
    def ended(self) -> bool:
        """Return whether every source has ended."""
        return self.ingest.ended

    @property
    def backlog(self) -> int:
        """Return 0: what waits outside is not a topic's."""
        return 0

    def start(self) -> None:
        """Stand at the newest snapshot that the log bears out, or at the sources' beginning."""
        refused: StateError | None = None
        for arrays, meta in self._snapshots.newest_first() if self._snapshots else ():
            try:
                self._writer.restore(meta["writer"])
                self._writer.start()
            except StateError as error:
                refused = error
                continue
            self.ingest.restore(arrays, meta["ingest"])
            self._done = Position(*meta["done"])
            return
        if refused is not None:
            raise refused
        self._writer.start()
        self.capture()()  # What the sources were before the first record, in case they are changed before the next one.

    def turn(self, budget: int) -> bool:
        """Take the next records of the sources."""
        self._writer.settle()
        pulled = self.ingest.pull(budget)
        if pulled is None:
            return self._rest()
        self._resting = False
        batch, through = pulled
        self._writer.write(conformed(batch, self._streams, self._writer.topic.manifest.streams), through)
        self._done = through
        return True

    def _rest(self) -> bool:
        """Say once that the sources are idle, if others write beside this task, so that nobody waits for it."""
        others = len(self._writer.topic.manifest.speakers) > 1
        if self._resting or not others or not self.ingest.idle:
            return False
        self._writer.tick()
        self._resting = True
        return True

    def capture(self) -> Callable[[], None]:
        """Copy how far the sources were read."""
        arrays, meta = self.ingest.snapshot()
        state = {"ingest": meta, "done": list(self._done), "writer": self._writer.snapshot()}
        return _keeping(self._snapshots, [self._writer.outstanding()], self._done, arrays, state)


def _keeping(
    snapshots: Snapshots | None, outstanding: Sequence[Outstanding], done: Position, arrays: Arrays, state: Meta
) -> Callable[[], None]:
    def keep() -> None:
        if snapshots is not None and all(frames.settled() for frames in outstanding):
            snapshots.save(done, arrays, state)

    return keep
