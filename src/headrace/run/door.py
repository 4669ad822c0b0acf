"""The door: a person's command goes into an inbox under an id, and the task of the inbox passes it on."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.errors import StateError
from headrace.core.position import ALL, Position
from headrace.core.records import StreamSchema
from headrace.run.clock import Clock
from headrace.run.deployment import Deployment
from headrace.run.taken import taken
from headrace.run.worker import Worker
from headrace.topics.contract import Topic
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.writer import Writer

__all__ = ["commands_in", "send"]

_DOOR: Final = "door"
_TRIES: Final = 8


def commands_in(inbox: Topic, streams: Sequence[StreamSchema]) -> list[Entry]:
    """Return every command that an inbox took."""
    return [entry for piece in taken(inbox) for entry in entries_of(piece.batch, streams)]


def send(
    deployment: Deployment,
    name: str,
    streams: Sequence[StreamSchema],
    *,
    stream: str,
    columns: Mapping[str, Any],
    text: str,
    clock: Clock,
) -> str:
    """Put a command into inbox `name`, which has these streams, and let its task pass it on; return its id.

    `text` says what is asked for, and under which precondition; the id is made of it and of the place in the inbox.

    Raises StateError if others took every place that was tried.
    """
    inbox = deployment.topic(name)
    for _ in range(_TRIES):
        offset = inbox.end(0)
        id_ = hashlib.sha256(f"{text} at {offset}".encode()).hexdigest()[:16]
        door = Writer(inbox, _DOOR)
        door.start()
        command = Entry(stream, offset, 0, clock.now_us(), dict(columns), id_)
        door.write(batch_of([command], streams), Position(offset, ALL))
        deployment.log.sync()
        if any(entry.id == id_ for entry in commands_in(inbox, streams)):
            worker = Worker(deployment.log, deployment.place(("command",)), clock=clock)
            worker.start()
            worker.run()
            return id_
        # Somebody else's command took this place of the inbox in the same moment: take the next.
    raise StateError(f"inbox [{name}]", wanted=f"a free place within {_TRIES} tries (try again)", got="none")
