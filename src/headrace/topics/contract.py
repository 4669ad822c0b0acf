"""What a log must do: keep frames in order in each partition of each topic. A new log is one file.

Nothing else is asked of it: no transaction between topics, no fence, no exactly-once. Who reads decides what was
taken (see `reader`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from headrace.topics.cut import Cut
from headrace.topics.frame import FRAME_BYTES_MAX, Frame
from headrace.topics.manifest import Manifest

__all__ = ["PENDING", "Log", "Receipt", "Topic"]

PENDING: Final = -1


@final
@dataclass(slots=True)
class Receipt:
    """What became of one append. The log fills it in: at once, or when its broker has answered.

    `offset` is `PENDING` until the frame is in the log; `error` says why nobody knows whether it ever will be.
    """

    offset: int = PENDING
    error: str | None = None


class Topic(ABC):
    """One topic of a log. Partitions are numbered from 0; offsets rise from 0 within one, and need not be dense."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """Return the topic's first record, in its newest revision; never older than what `read` has returned."""

    @property
    def frame_bytes(self) -> int:
        """Return how large a frame's body may grow before it is cut between two rows."""
        return FRAME_BYTES_MAX

    @abstractmethod
    def append(self, partition: int, frame: Frame) -> Receipt:
        """Put a frame at the end of a partition.

        Once its receipt has an offset it may be read through this log object, by others after `commit`; it is safe
        after `sync`, by whose return every receipt has an offset or an error.
        """

    @abstractmethod
    def read(self, partition: int, offset: int, limit: int) -> Sequence[tuple[int, Frame]]:
        """Return at most `limit` frames whose offsets are >= `offset`, in order. Empty at the end."""

    @abstractmethod
    def begin(self, partition: int) -> int:
        """Return the lowest offset that can still be read (that of the next frame if there is none)."""

    @abstractmethod
    def end(self, partition: int) -> int:
        """Return an offset above every frame and not above the next one's."""

    @abstractmethod
    def trim(self, partition: int, cut: Cut) -> None:
        """Forget the frames below a cut, and keep the cut; one below the kept cut does nothing."""

    @abstractmethod
    def cut(self, partition: int) -> Cut:
        """Return where reading may begin: the cut of the last `trim`, or the beginning with nothing taken."""


class Log(ABC):
    """A set of topics that live in one place."""

    @abstractmethod
    def create(self, manifest: Manifest, partitions: int = 1) -> Topic:
        """Make a topic, or open the one of that name.

        A topic of no generation grows by what `manifest` asks for and it does not have (see `Manifest.amended`).
        Raises StateError if it stands there with another manifest; the incarnation is the log's to choose.
        """

    @abstractmethod
    def open(self, topic: str) -> Topic:
        """Open a topic. Raises StateError, with the topics that exist, if there is none of that name."""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the names of all topics, sorted."""

    @abstractmethod
    def commit(self) -> None:
        """Let everybody read what was appended through this object: once a turn."""

    @abstractmethod
    def force(self) -> None:
        """Return when a power cut can no longer take away what was committed. May be called by another thread."""

    def tidy(self) -> None:  # noqa: B027 - most logs have nothing to tidy
        """Do what can be done at leisure, so that it need not be done in a turn. May be called by another thread."""

    def sync(self) -> None:
        """Commit, and return when a power cut can no longer take away what was appended."""
        self.commit()
        self.force()

    @abstractmethod
    def close(self) -> None:
        """Let go of what the log holds open. What was not committed may be lost."""
