"""A reader takes each position of each listed producer once and in order. This is the whole of exactly-once.

For each producer it keeps the position it is *through*. It takes a frame iff `after <= there < through`, skips the
rows at or below, and then stands at `through`. Anything else is a duplicate or lies behind a gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import StateError
from headrace.core.position import K_BITS, START, Position
from headrace.core.records import Batch
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.digest import running_digest
from headrace.topics.frame import Frame

__all__ = ["Reader", "Taken"]


@final
@dataclass(frozen=True, slots=True)
class Taken:
    """The rows of one frame that were taken, and the offset at which the frame stands.

    `causes` has the positions of the producer's input; `batch` has the rows' own places in this topic.
    """

    offset: int
    producer: int
    causes: Batch
    batch: Batch


@final
class Reader:
    """Reads one partition of one topic from where its reading may begin, or from a cut that `restore` is given.

    Raises StateError if a producer's running digest does not fit what was taken before: another build or another
    history wrote it, and the stage stops rather than mix the two.
    """

    def __init__(self, topic: Topic, partition: int = 0) -> None:
        self.topic: Final = topic
        self.partition: Final = partition
        self.skipped = 0
        """Frames that were not taken: duplicates, gaps and unlisted producers."""
        self._stand(topic.cut(partition))

    def _stand(self, cut: Cut) -> None:
        self.offset = cut.offset
        self.through = dict(cut.through)
        self.digests = dict(cut.digests)

    def read(self, limit: int) -> Iterator[Taken]:
        """Yield what is taken of at most `limit` further frames; a frame without new rows is passed over."""
        for offset, frame in self.topic.read(self.partition, self.offset, limit):
            self.offset = offset + 1
            taken = self.take(offset, frame)
            if taken is not None:
                yield taken

    def take(self, offset: int, frame: Frame) -> Taken | None:
        """Apply the rule to one frame."""
        there = self.through.get(frame.producer, START)
        if not self._listed(frame.producer) or not self._next(frame, there):
            self.skipped += 1
            return None
        fresh = frame.batch.above(there)
        if self.topic.manifest.digested:
            self._check_digest(frame, fresh, offset)
        self.through[frame.producer] = frame.through
        if len(fresh) == 0:
            return None
        first = len(frame.batch) - len(fresh)
        own = np.arange(first, len(frame.batch), dtype=np.int64) << K_BITS
        return Taken(offset, frame.producer, fresh, fresh.placed(np.full(len(fresh), offset, np.int64), own))

    def _listed(self, producer: int) -> bool:
        return producer < len(self.topic.manifest.producers)

    def _next(self, frame: Frame, there: Position) -> bool:
        """Return whether a frame holds the next positions of a producer that is through `there`."""
        return frame.after <= there < frame.through

    def pass_own(self, offset: int, frame: Frame) -> None:
        """Stand behind a frame that the caller itself has just appended, if nobody else's lies before it.

        Otherwise the next `read` takes it in its turn.
        """
        if offset == self.offset and frame.after == self.through.get(frame.producer, START):
            self.offset = offset + 1
            self.through[frame.producer] = frame.through
            self.digests[frame.producer] = frame.digest_after

    def cut(self) -> Cut:
        """Return where the reader stands."""
        return Cut(self.offset, dict(self.through), dict(self.digests))

    def snapshot(self, cut: Cut | None = None) -> dict[str, Any]:
        """Return a cut, else the one at which the reader stands, as JSON can hold it."""
        cut = cut or self.cut()
        names = self.topic.manifest.producers
        return {
            "offset": cut.offset,
            "incarnation": self.topic.manifest.incarnation,
            "through": {names[number]: list(position) for number, position in sorted(cut.through.items())},
            "digests": {names[number]: digest for number, digest in sorted(cut.digests.items())},
        }

    def restore(self, cut: dict[str, Any]) -> None:
        """Stand at a cut. Raises StateError if the topic is another one, or was trimmed above the cut."""
        manifest = self.topic.manifest
        where = f"topic {manifest.topic!r}"
        if cut["incarnation"] != manifest.incarnation:
            raise StateError(
                where,
                wanted="the topic that the snapshot was taken of (start a new generation)",
                got="another of its name",
            )
        if not self.topic.begin(self.partition) <= cut["offset"] <= self.topic.end(self.partition):
            span = f"{self.topic.begin(self.partition)}..{self.topic.end(self.partition)}"
            raise StateError(
                where, wanted=f"an offset within {span} (an older snapshot, or a new generation)", got=cut["offset"]
            )
        numbers = {name: number for number, name in enumerate(manifest.producers)}
        through = {numbers[name]: Position(*place) for name, place in cut["through"].items()}
        self._stand(Cut(cut["offset"], through, {numbers[name]: digest for name, digest in cut["digests"].items()}))

    def _check_digest(self, frame: Frame, fresh: Batch, offset: int) -> None:
        """Compare the digest of the rows below with ours; equality is checked where the first new row stands."""
        known = self.digests.get(frame.producer, 0)
        old = frame.batch.slice(0, len(frame.batch) - len(fresh))
        if (running_digest(frame.digest_before, old) if len(old) else frame.digest_before) != known:
            name = self.topic.manifest.producers[frame.producer]
            raise StateError(
                f"topic {self.topic.manifest.topic!r}, offset {offset}",
                wanted=f"the history that {name} wrote before (is a second build of it running? stop it)",
                got="another running digest",
            )
        self.digests[frame.producer] = frame.digest_after
