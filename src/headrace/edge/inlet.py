"""What ingest takes records from."""

from abc import ABC, abstractmethod

from headrace.core.records import Batch
from headrace.edge.ledger import Ledger
from headrace.store.snapshots import Arrays, Meta

__all__ = ["Inlet"]


class Inlet(ABC):
    """Records of [events] in one order, judged, each with a position that names it.

    Results do not depend on how `next` is cut.
    """

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Return whether every record has been given."""

    @property
    def idle(self) -> bool:
        """Return whether a source itself says that there is no more for now: its end was reached by a successful read.

        That nothing came is no such word. A finished history has ended, and is idle for good.
        """
        return self.ended

    @property
    @abstractmethod
    def ledger(self) -> Ledger:
        """Return the counts of what was given."""

    @abstractmethod
    def next(self, limit: int) -> Batch | None:
        """Return at most `limit` rows, or None if there is none now; positions rise, within and between batches."""

    @abstractmethod
    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return where the inlet stands, without aliasing it."""

    @abstractmethod
    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood. Raises StateError if what lies outside is no longer what it was."""
