"""A person's commands: written to the inbox with an id, a goal and a precondition, and carried out by a task."""

from typing import Literal, TypeAlias

from headrace.core.errors import ConfigError
from headrace.run.clock import Clock
from headrace.run.deployment import Deployment
from headrace.run.door import send
from headrace.topics.schemas import INBOX

__all__ = ["Move", "move_champion"]

Move: TypeAlias = Literal["promote", "rollback"]


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
    text = f"{move} {wanted.name} if {champion.name}"
    columns = {"command": move, "champion": wanted.name, "expected": champion.name, "hold": move == "rollback"}
    done = send(deployment, "inbox", INBOX, stream="command", columns=columns, text=text, clock=clock)
    control.follow()
    now = control.champion
    return {
        "command": done,
        "moved": now is not None and now.name == wanted.name and champion.name != wanted.name,
        "champion": now.name if now is not None else None,
        "was": champion.name,
        "held": control.held,
    }
