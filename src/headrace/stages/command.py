"""command: a person's commands, from the inbox into [control].

A command has an id, a goal and a precondition (`champion := B if champion = A`), so a second copy does nothing.
"""

from typing import final

from headrace.core.records import Batch
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL, INBOX

__all__ = ["Command"]


@final
class Command(Stage):
    """Pass commands on, in the order in which the inbox took them, each id once."""

    def __init__(self, *, output: str) -> None:
        self._output = output
        self._seen: list[str] = []
        self.ended = True

    def process(self, batch: Batch) -> Outputs:
        """Turn commands into moves of the pointer; whether a move is made is decided where [control] is read."""
        made: list[Entry] = []
        for entry in entries_of(batch, INBOX):
            if entry.id not in self._seen:
                self._seen.append(entry.id)
                made.append(Entry("pointer", entry.offset, entry.sub, entry.time_us, dict(entry.columns), entry.id))
        return Outputs(len(batch), {self._output: batch_of(made, CONTROL)} if made else {})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the ids that were seen; a person's commands are few."""
        return {}, {"seen": list(self._seen)}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._seen = list(meta["seen"])
