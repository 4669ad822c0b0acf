"""A log whose frames travel: each process has a session, and what it appends may be lost, late, doubled, overtaken.

The frames are really encoded and decoded. What stands in `SharedLog` is the truth; a session is one process's client.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, final

from headrace.core.errors import StateError, nearest
from headrace.topics.contract import Log, Receipt, Topic
from headrace.topics.cut import Cut
from headrace.topics.frame import Frame, decode, encode
from headrace.topics.manifest import Manifest

__all__ = ["Flight", "SharedLog", "SimulatedLog", "SimulatedTopic"]


@final
@dataclass(slots=True)
class Flight:
    """A frame on its way, and the receipt that its sender holds."""

    topic: str
    partition: int
    raw: bytes
    receipt: Receipt


@final
@dataclass(slots=True)
class _Kept:
    """One topic as it stands in the log: its frames by partition, each decoded at most once."""

    manifest: Manifest
    frames: list[list[bytes]]
    cuts: list[Cut]
    decoded: dict[tuple[int, int], Frame] = field(default_factory=dict)


@final
class SharedLog:
    """All topics, and the order in which everything was appended, so that a power cut can take back a suffix.

    `frame_bytes`: about how large a frame may grow before writers cut it. `most_bytes`: beyond that it is refused.
    """

    def __init__(self, *, frame_bytes: int, most_bytes: int = 1 << 30) -> None:
        self.frame_bytes: Final = frame_bytes
        self.most_bytes: Final = most_bytes
        self.topics: Final[dict[str, _Kept]] = {}
        self._order: list[tuple[str, int]] = []
        self._forced = 0
        self._made = 0

    def create(self, manifest: Manifest, partitions: int) -> Manifest:
        """Make a topic, or look it up; return its manifest."""
        known = self.topics.get(manifest.topic)
        if known is None:
            self._made += 1
            made = replace(manifest, incarnation=self._made)
            known = self.topics[manifest.topic] = _Kept(
                made, [[] for _ in range(partitions)], [Cut() for _ in range(partitions)]
            )
        known.manifest = known.manifest.amended(manifest, [len(frames) for frames in known.frames])
        return known.manifest

    def land(self, flight: Flight) -> None:
        """Put a frame at the end of its partition and answer its sender."""
        frames = self.topics[flight.topic].frames[flight.partition]
        frames.append(flight.raw)
        self._order.append((flight.topic, flight.partition))
        if flight.receipt.error is None:
            flight.receipt.offset = len(frames) - 1

    def frame(self, topic: str, partition: int, offset: int) -> Frame:
        """Return one frame, decoded."""
        kept = self.topics[topic]
        known = kept.decoded.get((partition, offset))
        if known is None:
            known = decode(kept.frames[partition][offset], kept.manifest)
            kept.decoded[partition, offset] = known
        return known

    def force(self) -> None:
        """Let a power cut take nothing of what stands here now."""
        self._forced = len(self._order)

    def cut_power(self, draw: Random) -> int:
        """Lose a drawn part of what was not forced, the same in all topics; return how many frames went."""
        keep = draw.randint(self._forced, len(self._order))
        lost = self._order[keep:]
        for topic, partition in reversed(lost):
            self._drop_last(topic, partition)
        del self._order[keep:]
        return len(lost)

    def lose_suffix(self, draw: Random) -> str | None:
        """Lose the last frames of one partition, though they were forced; return its topic, None if it has none."""
        places = [
            (topic, partition)
            for topic, kept in self.topics.items()
            for partition, frames in enumerate(kept.frames)
            if len(frames) > kept.cuts[partition].offset
        ]
        if not places:
            return None
        topic, partition = draw.choice(places)
        kept = self.topics[topic]
        for _ in range(draw.randint(1, len(kept.frames[partition]) - kept.cuts[partition].offset)):
            self._drop_last(topic, partition)
        self._order = [place for place in self._order if place != (topic, partition)] + [(topic, partition)] * len(
            kept.frames[partition]
        )
        self.force()
        return f"{topic}/{partition}"

    def recreate(self, topic: str) -> None:
        """Delete a topic and make it anew, empty."""
        kept = self.topics.pop(topic)
        self._order = [place for place in self._order if place[0] != topic]
        self._forced = min(self._forced, len(self._order))
        self.create(replace(kept.manifest, incarnation=0), len(kept.frames))

    def _drop_last(self, topic: str, partition: int) -> None:
        kept = self.topics[topic]
        frames = kept.frames[partition]
        frames.pop()
        kept.decoded.pop((partition, len(frames)), None)


@final
class SimulatedTopic(Topic):
    """One topic, as one session sees it."""

    def __init__(self, session: "SimulatedLog", name: str) -> None:
        self._session = session
        self._name = name
        self._kept = session.shared.topics[name]

    @property
    def manifest(self) -> Manifest:
        """Return the topic's first record."""
        return self._kept.manifest

    @property
    def frame_bytes(self) -> int:
        """Return about how large a frame may grow."""
        return self._session.shared.frame_bytes

    def append(self, partition: int, frame: Frame) -> Receipt:
        """Send a frame; the scheduler decides when it lands, if it does."""
        flight = Flight(self._name, partition, encode(frame, self.manifest), Receipt())
        if len(flight.raw) > self._session.shared.most_bytes:
            flight.receipt.error = f"a frame of {len(flight.raw)} bytes is too large"
        else:
            self._session.sent.append(flight)
        return flight.receipt

    def read(self, partition: int, offset: int, limit: int) -> Sequence[tuple[int, Frame]]:
        """Return frames that have landed; see `Topic.read`."""
        first = max(offset, self._kept.cuts[partition].offset)
        last = min(first + limit, len(self._kept.frames[partition]))
        return [(place, self._session.shared.frame(self._name, partition, place)) for place in range(first, last)]

    def begin(self, partition: int) -> int:
        """Return the lowest offset that can still be read."""
        return self._kept.cuts[partition].offset

    def end(self, partition: int) -> int:
        """Return the offset of the next frame."""
        return len(self._kept.frames[partition])

    def trim(self, partition: int, cut: Cut) -> None:
        """Forget the frames below a cut; see `Topic.trim`. The truth keeps them, for the oracle."""
        if cut.offset > self._kept.cuts[partition].offset:
            self._kept.cuts[partition] = cut

    def cut(self, partition: int) -> Cut:
        """Return where reading may begin."""
        return self._kept.cuts[partition]


@final
class SimulatedLog(Log):
    """One process's client of the shared log. What it sent and has not landed dies with it, or lands later."""

    def __init__(self, shared: SharedLog) -> None:
        self.shared: Final = shared
        self.sent: Final[list[Flight]] = []

    def create(self, manifest: Manifest, partitions: int = 1) -> Topic:
        """Make a topic, or open the one of that name; see `Log.create`."""
        self.shared.create(manifest, partitions)
        return SimulatedTopic(self, manifest.topic)

    def open(self, topic: str) -> Topic:
        """Open a topic; see `Log.open`."""
        if topic not in self.shared.topics:
            raise StateError("log", wanted=f"one of {self.names()}", got=topic + nearest(topic, self.names()))
        return SimulatedTopic(self, topic)

    def names(self) -> Sequence[str]:
        """Return the names of all topics, sorted."""
        return sorted(self.shared.topics)

    def commit(self) -> None:
        """Do nothing: the scheduler lets frames land."""

    def force(self) -> None:
        """Make safe what has landed."""
        self.shared.force()

    def close(self) -> None:
        """Do nothing."""
