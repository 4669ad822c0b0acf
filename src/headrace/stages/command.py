"""command: a person's commands, from an inbox into the topic whose readers obey: [control] or [events].

A command has an id, a goal and a precondition (`champion := B if champion = A`), so a second copy does nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from headrace.core.records import Batch, StreamSchema
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of, entries_of

__all__ = ["Command", "for_control"]


def for_control(too_late: Callable[[Mapping[str, Any]], str]) -> Callable[[Entry], Entry]:
    """Return what makes commands into rows of [control]: moves of the pointer, and skips.

    What they come to is decided where [control] is read. `too_late` says why a skip comes to nothing, or "". It looks
    at the side, so it is a recorded choice: every command gives one row to the same place whatever was seen, and what
    was seen stands in the row.
    """

    def passed_on(entry: Entry) -> Entry:
        columns = dict(entry.columns)
        if entry.stream == "skip":
            return replace(entry, columns={**columns, "refused": too_late(columns)})
        return replace(entry, stream="pointer", columns=columns)

    return passed_on


@final
class Command(Stage):
    """Pass commands on, in the order in which the inbox took them, each id once.

    `inbox` are the inbox's streams. `streams` returns those of the output as they are now: a topic may gain some
    while this runs. `passed_on` makes a command into the row that is written; what that comes to is decided where it
    is read.
    """

    def __init__(
        self,
        *,
        inbox: Sequence[StreamSchema],
        output: str,
        streams: Callable[[], Sequence[StreamSchema]],
        passed_on: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> None:
        self._inbox = tuple(inbox)
        self._output = output
        self._streams = streams
        self._passed_on = passed_on
        self._seen: list[str] = []
        self.ended = True

    def process(self, batch: Batch) -> Outputs:
        """Turn each command that was not seen yet into a row."""
        made: list[Entry] = []
        for entry in entries_of(batch, self._inbox):
            if entry.id not in self._seen:
                self._seen.append(entry.id)
                made.append(self._passed_on(entry))
        return Outputs(len(batch), {self._output: batch_of(made, self._streams())} if made else {})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the ids that were seen; a person's commands are few."""
        return {}, {"seen": list(self._seen)}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._seen = list(meta["seen"])
