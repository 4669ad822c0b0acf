"""A reader takes each position of each listed producer once and in order. This is the whole of exactly-once.

For each producer it keeps the position it is *through*. It takes a frame iff `after <= there < through`, skips the
rows at or below, and then stands at `through`. Anything else is a duplicate or lies behind a gap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import StateError
from headrace.core.position import K_BITS, START, Position
from headrace.core.records import Batch, Kind, Verdict
from headrace.core.time import UNSPOKEN_US
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.digest import running_digest
from headrace.topics.frame import Frame
from headrace.topics.watermark import Watermark

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

    `waited_for` names the producers whose event times make the watermark, which then stands beside each row.
    """

    def __init__(self, topic: Topic, partition: int = 0, *, waited_for: Sequence[str] = ()) -> None:
        self.topic: Final = topic
        self.partition: Final = partition
        self._waited_for = tuple(waited_for)
        self.skipped = 0
        """Frames that were not taken: duplicates, gaps, unlisted producers and retired ones that go on."""
        cut = topic.cut(partition)
        self._stand(replace(cut, low_us=UNSPOKEN_US))  # What others waited for is another watermark.

    def _stand(self, cut: Cut) -> None:
        self.offset = cut.offset
        self.through = dict(cut.through)
        self.digests = dict(cut.digests)
        self.watermark = Watermark(cut.reached, cut.idle, cut.low_us)

    def read(self, limit: int) -> Iterator[Taken]:
        """Yield what is taken of at most `limit` further frames; a frame without new rows is passed over."""
        found = self.topic.read(self.partition, self.offset, limit)
        if not found or found[0][0] != self.offset:
            self._check_trimmed()
        for offset, frame in found:
            self.offset = offset + 1
            taken = self.take(offset, frame)
            if taken is not None:
                yield taken

    def take(self, offset: int, frame: Frame) -> Taken | None:
        """Apply the rule to one frame."""
        there = self.through.get(frame.producer, START)
        if not self._listed(frame.producer) or self._over(frame):
            self.skipped += 1
            return None
        if frame.idle:
            self._heed(frame, there, offset)
            return None
        if not self._next(frame, there):
            self.skipped += 1
            return None
        fresh = frame.batch.above(there)
        if self.topic.manifest.digested:
            self._check_digest(frame, fresh, offset)
        self.through[frame.producer] = frame.through
        if frame.reached_us is not None:
            self.watermark.announce(frame.producer, frame.reached_us, waited_for=self._waiting(offset))
        if len(fresh) == 0:
            return None
        fresh = self._timed(frame.producer, fresh, offset)
        first = len(frame.batch) - len(fresh)
        own = np.arange(first, len(frame.batch), dtype=np.int64) << K_BITS
        return Taken(offset, frame.producer, fresh, fresh.placed(np.full(len(fresh), offset, np.int64), own))

    def _check_trimmed(self) -> None:
        """Raise StateError if the frames that come next were trimmed: what follows would be a gap for ever."""
        begin = self.topic.begin(self.partition)
        if begin > self.offset:
            raise StateError(
                f"topic {self.topic.manifest.topic!r}",
                wanted=f"a reader at its cut {begin} or above (another owner is ahead: start again)",
                got=self.offset,
            )

    def _listed(self, producer: int) -> bool:
        return producer < len(self.topic.manifest.producers)

    def _heed(self, frame: Frame, there: Position, offset: int) -> None:
        """Heed a tick where it stands exactly at what was taken: above, it is stale; below, records are missing."""
        if frame.after == there:
            self.watermark.rest(frame.producer, waited_for=self._waiting(offset))
        else:
            self.skipped += 1

    def _timed(self, producer: int, fresh: Batch, offset: int) -> Batch:
        """Return rows with the watermark beside each, if anybody is waited for."""
        manifest = self.topic.manifest
        if manifest.generation:
            return fresh
        tells = np.array([stream.kind in (Kind.REQUEST, Kind.EVENT) for stream in manifest.streams])
        speaks = tells[fresh.stream] & (fresh.verdict <= Verdict.LATE)
        times = np.where(speaks, fresh.event_time, UNSPOKEN_US)
        reached = self.watermark.speak(producer, times, waited_for=self._waiting(offset))
        return replace(fresh, reached=reached) if self._waited_for else fresh

    def _waiting(self, offset: int) -> tuple[int, ...]:
        """Return who is waited for at an offset: not those that had retired before it."""
        manifest = self.topic.manifest
        left = [name for name, ends in manifest.left.items() if ends[self.partition] <= offset]
        return tuple(manifest.producers.index(name) for name in self._waited_for if name not in left)

    def _over(self, frame: Frame) -> bool:
        """Return whether a frame of a retired producer reaches beyond where that one ended: a zombie goes on."""
        return frame.through > self.topic.manifest.last.get(frame.producer, frame.through)

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
        told = self.watermark
        return Cut(
            self.offset,
            dict(self.through),
            dict(self.digests),
            dict(told.reached),
            tuple(sorted(told.idle)),
            told.low_us,
        )

    def snapshot(self, cut: Cut | None = None) -> dict[str, Any]:
        """Return a cut, else the one at which the reader stands, as JSON can hold it."""
        cut = cut or self.cut()
        names = self.topic.manifest.producers
        return {
            "offset": cut.offset,
            "incarnation": self.topic.manifest.incarnation,
            "through": {names[number]: list(position) for number, position in sorted(cut.through.items())},
            "digests": {names[number]: digest for number, digest in sorted(cut.digests.items())},
            "reached": {names[number]: reached for number, reached in sorted(cut.reached.items())},
            "idle": [names[number] for number in cut.idle],
            "low_us": cut.low_us,
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
        digests = {numbers[name]: digest for name, digest in cut["digests"].items()}
        reached = {numbers[name]: time for name, time in cut["reached"].items()}
        idle = tuple(numbers[name] for name in cut["idle"])
        self._stand(Cut(cut["offset"], through, digests, reached, idle, cut["low_us"]))

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
