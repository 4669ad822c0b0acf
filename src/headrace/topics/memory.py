"""The log in memory: for tests, notebooks and simulation. It keeps bytes, so that frames are really coded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from headrace.core.errors import StateError, nearest
from headrace.topics.contract import Log, Receipt, Topic
from headrace.topics.cut import Cut
from headrace.topics.frame import Frame, decode, encode
from headrace.topics.manifest import Manifest

__all__ = ["MemoryLog"]


@final
class _MemoryTopic(Topic):
    def __init__(self, manifest: Manifest, partitions: int) -> None:
        self._manifest = manifest
        self._frames: list[list[bytes]] = [[] for _ in range(partitions)]
        self._cuts = [Cut() for _ in range(partitions)]

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def partitions(self) -> int:
        return len(self._frames)

    def amend(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def append(self, partition: int, frame: Frame) -> Receipt:
        self._frames[partition].append(encode(frame, self._manifest))
        return Receipt(len(self._frames[partition]) - 1)

    def read(self, partition: int, offset: int, limit: int) -> Sequence[tuple[int, Frame]]:
        first = max(offset, self._cuts[partition].offset)
        raw = self._frames[partition][first : first + limit]
        return [(first + place, decode(frame, self._manifest)) for place, frame in enumerate(raw)]

    def begin(self, partition: int) -> int:
        return self._cuts[partition].offset

    def end(self, partition: int) -> int:
        return len(self._frames[partition])

    def trim(self, partition: int, cut: Cut) -> None:
        if cut.offset <= self._cuts[partition].offset:
            return
        for place in range(self._cuts[partition].offset, cut.offset):
            self._frames[partition][place] = b""
        self._cuts[partition] = cut

    def cut(self, partition: int) -> Cut:
        return self._cuts[partition]


@final
class MemoryLog(Log):
    """Topics in memory.

    >>> MemoryLog().names()
    []
    """

    def __init__(self) -> None:
        self._topics: dict[str, _MemoryTopic] = {}

    def create(self, manifest: Manifest, partitions: int = 1) -> Topic:
        """Make a topic, or open the one of that name; see `Log.create`."""
        known = self._topics.get(manifest.topic)
        if known is None:
            incarnation = len(self._topics) + 1
            known = self._topics[manifest.topic] = _MemoryTopic(replace(manifest, incarnation=incarnation), partitions)
        known.amend(known.manifest.amended(manifest, [known.end(partition) for partition in range(known.partitions)]))
        return known

    def open(self, topic: str) -> Topic:
        """Open a topic; see `Log.open`."""
        if topic not in self._topics:
            raise StateError(
                "log", wanted=f"one of the topics {self.names()}", got=topic + nearest(topic, self.names())
            )
        return self._topics[topic]

    def names(self) -> Sequence[str]:
        """Return the names of all topics, sorted."""
        return sorted(self._topics)

    def commit(self) -> None:
        """Return at once: memory has nothing to wait for."""

    def force(self) -> None:
        """Return at once: memory does not outlive its process."""

    def close(self) -> None:
        """Do nothing: memory is let go with the object."""
