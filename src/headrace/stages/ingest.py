"""ingest: records of the outside world become rows of [events], judged and counted once and for ever."""

from typing import final

from headrace.core.position import Position
from headrace.core.records import Batch
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.store.snapshots import Arrays, Meta

__all__ = ["Ingest"]


@final
class Ingest:
    """Pull records from an inlet. It is no `Stage`: its input is not a topic, so nobody can offer it batches."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet

    @property
    def ended(self) -> bool:
        """Return whether every source has ended and given its last record."""
        return self._inlet.ended

    @property
    def idle(self) -> bool:
        """Return whether the sources themselves say that there is no more for now."""
        return self._inlet.idle

    @property
    def ledger(self) -> Ledger:
        """Return the counts of what was pulled."""
        return self._inlet.ledger

    def pull(self, limit: int) -> tuple[Batch, Position] | None:
        """Return at most `limit` rows and the position they reach, or None if nothing can be had now.

        They reach their last row and no further: the tick of a source has the next `sub` after its last record.
        """
        batch = self._inlet.next(limit)
        return None if batch is None else (batch, batch.position(len(batch) - 1))

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return how far the sources were read, and what was counted."""
        return self._inlet.snapshot()

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood.

        Raises StateError, with the remedy, if the sources are no longer what they were.
        """
        self._inlet.restore(arrays, meta)
