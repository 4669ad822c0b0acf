"""A writer names every output by its cause, and appends only what the log has not taken from this task before."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.position import START, Position
from headrace.core.records import Batch
from headrace.topics.contract import PENDING, Receipt, Topic
from headrace.topics.digest import running_digest
from headrace.topics.frame import Frame, cut, empty_batch
from headrace.topics.reader import Reader

if TYPE_CHECKING:
    from headrace.topics.cut import Cut

__all__ = ["Outstanding", "Writer"]


@final
@dataclass(frozen=True, slots=True)
class Outstanding:
    """Frames that a snapshot counts and the log had not acknowledged when it was taken. Any thread may ask."""

    receipts: tuple[Receipt, ...]
    acknowledged: int
    topic: str

    def settled(self) -> bool:
        """Return whether all have been acknowledged; raise SurroundingsError as `Writer.settle` does."""
        last = self.acknowledged
        for receipt in self.receipts:
            if receipt.error is None and receipt.offset == PENDING:
                return False
            last = in_order(receipt, last, self.topic)
        return True


def in_order(receipt: Receipt, last: int, topic: str) -> int:
    """Return the offset of a receipt, which must lie above that of the frame sent before it."""
    if receipt.error is not None:
        raise SurroundingsError(f"topic {topic!r}", wanted="every frame acknowledged (start again)", got=receipt.error)
    if receipt.offset <= last:
        got = f"offset {receipt.offset} after {last}"
        raise SurroundingsError(f"topic {topic!r}", wanted="frames in the order of sending (start again)", got=got)
    return receipt.offset


@final
class Writer:
    """One task's output into one partition of one topic.

    Raises StateError if the topic does not list the task as a producer.
    """

    def __init__(self, topic: Topic, producer: str, partition: int = 0, *, reads_back: bool = False) -> None:
        names = topic.manifest.producers
        if producer not in names:
            raise StateError(f"topic {topic.manifest.topic!r}", wanted=f"one of its producers {names}", got=producer)
        self._topic = topic
        self._partition = partition
        self._number = names.index(producer)
        self._through = START
        self._digest = 0
        self._tail = Reader(topic, partition)
        self._from_cut = True
        self._taken = START
        self._taken_digest: int | None = None
        self._sent: deque[tuple[Receipt, Frame]] = deque()
        self._acknowledged = PENDING
        self._back: deque[tuple[Cut, Batch]] | None = deque() if reads_back else None

    @property
    def topic(self) -> Topic:
        """Return the topic that is written to."""
        return self._topic

    @property
    def taken(self) -> Position:
        """Return how far the log had taken this task's rows when it started."""
        return self._taken

    def start(self) -> None:
        """Read the own tail as everybody reads it, so that a re-run appends nothing that was taken.

        Raises StateError if the log lacks what the snapshot counts: it lost a suffix that was acknowledged.
        """
        if self._back is not None and self._from_cut and self._tail.through.get(self._number, START) > self._through:
            raise StateError(
                f"topic {self._topic.manifest.topic!r}",
                wanted=f"its own rows above {self._through}, to be read back (a new generation)",
                got="they were trimmed",
            )
        self._read_tail()
        self._taken = self._tail.through.get(self._number, START)
        if self._taken < self._through:
            raise StateError(
                f"topic {self._topic.manifest.topic!r}",
                wanted=f"what the snapshot counts, through {self._through} (use an older snapshot)",
                got=f"{self._taken}",
            )
        if self._topic.manifest.digested and self._taken > self._through:
            self._taken_digest = self._tail.digests[self._number]

    def _read_tail(self) -> None:
        while self._tail.offset < self._topic.end(self._partition):
            before = self._tail.cut()
            for taken in self._tail.read(limit=64 if self._back is None else 1):
                if self._back is not None and taken.producer == self._number:
                    self._back.append((before, taken.causes))
            if self._tail.offset == before.offset:
                break

    def write(self, batch: Batch | None, through: Position) -> None:
        """Append the rows that the input positions up to `through` caused; None or no rows append nothing yet.

        Rows rise by position. What gave nothing is covered by the next frame that has rows.

        Raises StateError if what was taken from this task before is not what its input gives now.
        """
        if batch is None or len(batch) == 0:
            return
        pieces = list(cut(batch, self._topic.frame_bytes))
        for number, piece in enumerate(pieces):
            end = through if number == len(pieces) - 1 else self._end(piece)
            after = running_digest(self._digest, piece) if self._topic.manifest.digested else 0
            if self._taken_digest is not None and end >= self._taken:
                self._check_history(piece)
            if end > self._taken:
                self._send(Frame(self._number, self._through, end, piece, self._digest, after))
            self._through, self._digest = end, after

    def tick(self) -> None:
        """Say that the source is idle where this writer stands: nobody waits for it until its next record.

        A tick takes no place. It is heeded by readers that have taken everything up to here.
        """
        if self._through >= self._taken:
            self._send(
                Frame(
                    self._number, self._through, self._through, self._nothing(), self._digest, self._digest, idle=True
                )
            )

    def progress(self, reached_us: int, at: Position) -> None:
        """Announce how far event time has come with a record that went to another partition, whose position is `at`.

        Announce each of `watermark.crossings`, in the order of the records.
        """
        if at > self._taken:
            nothing = self._nothing()
            self._send(
                Frame(self._number, self._through, at, nothing, self._digest, self._digest, reached_us=reached_us)
            )
        self._through = max(self._through, at)

    def _send(self, frame: Frame) -> None:
        self._sent.append((self._topic.append(self._partition, frame), frame))
        self.settle()

    def _nothing(self) -> Batch:
        return empty_batch(self._topic.manifest)

    def _end(self, piece: Batch) -> Position:
        """Return the last position that a piece covers: a row and its number among those of one cause."""
        return piece.position(len(piece) - 1)

    def _check_history(self, piece: Batch) -> None:
        """Compare the digest of all rows up to what was taken with the log's, once after a start."""
        old = piece.slice(0, len(piece) - len(piece.above(self._taken)))
        if (running_digest(self._digest, old) if len(old) else self._digest) != self._taken_digest:
            raise StateError(
                f"topic {self._topic.manifest.topic!r}",
                wanted="an input that gives what was taken from it before (did it lose any? start a new generation)",
                got=f"other rows up to {self._taken}",
            )
        self._taken_digest = None

    def settle(self) -> None:
        """Look at what the log has acknowledged since, in the order of sending.

        Raises SurroundingsError if a frame failed, or landed before an earlier one: readers have passed over the
        later one as a gap, so nothing that this session wrote since may be counted. It ends; the next one starts from
        a snapshot that is older.
        """
        while self._sent:
            receipt, frame = self._sent[0]
            if receipt.error is None and receipt.offset == PENDING:
                return
            self._acknowledged = in_order(receipt, self._acknowledged, self._topic.manifest.topic)
            if self._back is None:
                self._tail.pass_own(receipt.offset, frame)
            self._sent.popleft()

    def read_back(self, through: Position) -> list[Batch] | None:
        """Return the rows that the log took under this task's name for positions up to `through`, since the last call.

        None while a frame is not acknowledged. They are the truth even where this session wrote others.
        """
        if self._back is None:
            return []
        if self._sent:
            return None
        self._read_tail()
        rows: list[Batch] = []
        while self._back:
            before, batch = self._back.popleft()
            later = batch.above(through)
            if len(later) < len(batch):
                rows.append(batch.slice(0, len(batch) - len(later)))
            if len(later):
                self._back.appendleft((before, later))
                break
        return rows

    def outstanding(self) -> "Outstanding":
        """Return what must yet be acknowledged before a snapshot of this moment may be kept."""
        self.settle()
        receipts = tuple(receipt for receipt, _ in self._sent)
        return Outstanding(receipts, self._acknowledged, self._topic.manifest.topic)

    def snapshot(self) -> dict[str, Any]:
        """Return what a later start needs: how far was written, and the cut up to which the tail is known."""
        self._read_tail()
        unread = self._back[0][0] if self._back else None
        return {"through": list(self._through), "digest": self._digest, "tail": self._tail.snapshot(unread)}

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where a snapshot stood; `start` then reads on to the end of the tail."""
        self._through = Position(*state["through"])
        self._digest = state["digest"]
        if state["tail"]["offset"] < self._topic.begin(self._partition):
            self._tail = Reader(self._topic, self._partition)  # What is below the log's own cut, the cut knows as well.
        else:
            self._tail.restore(state["tail"])
            self._from_cut = False
