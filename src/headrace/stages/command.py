"""command: a person's commands, from an inbox into the topic whose readers obey: [control] or [events].

A command has an id, a goal and a precondition (`champion := B if champion = A`), so a second copy does nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from headrace.core.records import Batch, StreamSchema
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import COMMAND, CONTROL, INBOX

__all__ = ["Command", "EventsCommand"]


@final
class Command(Stage):
    """Pass commands on, in the order in which the inbox took them, each id once.

    `too_late` says why a skip comes to nothing, or "". It looks at the side, so it is a recorded choice: every command
    gives one row to the same place whatever was seen, and what was seen stands in the row.
    """

    def __init__(self, *, output: str, too_late: Callable[[Mapping[str, Any]], str]) -> None:
        self._output = output
        self._too_late = too_late
        self._seen: list[str] = []
        self.ended = True

    def process(self, batch: Batch) -> Outputs:
        """Turn commands into moves of the pointer, and skips; what they come to is decided where [control] is read."""
        made: list[Entry] = []
        for entry in entries_of(batch, INBOX):
            if entry.id not in self._seen:
                self._seen.append(entry.id)
                stream, columns = "pointer", dict(entry.columns)
                if entry.stream == "skip":
                    stream, columns = "skip", {**columns, "refused": self._too_late(columns)}
                made.append(Entry(stream, entry.offset, entry.sub, entry.time_us, columns, entry.id))
        return Outputs(len(batch), {self._output: batch_of(made, CONTROL)} if made else {})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the ids that were seen; a person's commands are few."""
        return {}, {"seen": list(self._seen)}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._seen = list(meta["seen"])


@final
class EventsCommand(Stage):
    """Pass commands on to all that read [events], in the order in which the inbox took them, each id once.

    `streams` returns those of [events] as they are now: the topic may gain some while this runs.
    """

    def __init__(self, *, output: str, streams: Callable[[], Sequence[StreamSchema]]) -> None:
        self._output = output
        self._streams = streams
        self._seen: list[str] = []
        self.ended = True

    def process(self, batch: Batch) -> Outputs:
        """Turn commands into rows of [events]; what they come to is decided where they are read."""
        made: list[Entry] = []
        for entry in entries_of(batch, (COMMAND,)):
            if entry.id not in self._seen:
                self._seen.append(entry.id)
                made.append(entry)
        return Outputs(len(batch), {self._output: batch_of(made, self._streams())} if made else {})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the ids that were seen; a person's commands are few."""
        return {}, {"seen": list(self._seen)}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._seen = list(meta["seen"])
