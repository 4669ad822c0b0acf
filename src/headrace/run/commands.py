"""A person's commands: written to the inbox with an id, a goal and a precondition, and carried out by a task."""

import hashlib
from typing import Final, Literal, TypeAlias

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.position import Position
from headrace.run.clock import Clock
from headrace.run.deployment import Deployment
from headrace.run.worker import Worker
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import INBOX
from headrace.topics.writer import Writer

__all__ = ["Move", "move_champion"]

Move: TypeAlias = Literal["promote", "rollback"]
_DOOR: Final = "door"


def move_champion(deployment: Deployment, move: Move, *, to: str | None, clock: Clock) -> dict[str, object]:
    """Promote a version, or roll back to the one before (or to `to`); return what [control] says afterwards.

    A rollback holds: later versions are published and do not take over until one is promoted. The command names the
    champion that it replaces, so a second copy of it, or one that comes too late, does nothing.

    Raises ConfigError if there is no such version.
    """
    control = deployment.control()
    control.follow()
    champion = control.champion
    wanted = control.version(to) if to is not None else control.previous if move == "rollback" else None
    if champion is None or wanted is None:
        known = f"the name or number of one of {len(control.versions)} versions"
        raise ConfigError(f"versions {move}", wanted=known, got=to or "none before the champion")
    topic = deployment.topic("inbox")
    offset = topic.end(0)
    text = f"{move} {wanted.name} if {champion.name} at {offset}"
    columns = {"command": move, "champion": wanted.name, "expected": champion.name, "hold": move == "rollback"}
    command = Entry("command", offset, 0, clock.now_us(), columns, hashlib.sha256(text.encode()).hexdigest()[:16])
    door = Writer(topic, _DOOR)
    door.start()
    door.write(batch_of([command], INBOX), Position(offset, np.iinfo(np.int64).max))
    deployment.log.sync()
    worker = Worker(deployment.log, deployment.place(("command",)), clock=clock)
    worker.start()
    worker.run()
    control.follow()
    now = control.champion
    return {
        "command": command.id,
        "moved": now is not None and now.name == wanted.name and champion.name != wanted.name,
        "champion": now.name if now is not None else None,
        "was": champion.name,
        "held": control.held,
    }
