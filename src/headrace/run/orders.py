"""A person's commands to all that read [events]: which generation acts, and what is to be forgotten.

Each goes into the inbox [commands] under an id; its task, the second producer of [events], passes it on. The inbox is
small and is kept, so what all commands so far have come to is read from it.
"""

import json
from collections.abc import Sequence
from typing import Final

from headrace.core.errors import ConfigError, nearest
from headrace.run.clock import Clock
from headrace.run.deployment import COMMANDS, EVENTS, Deployment
from headrace.run.door import commands_in, send
from headrace.run.field_values import field_values
from headrace.store.acting import ACTIVATE, Acting
from headrace.topics.schemas import COMMAND

__all__ = ["FORGET", "acting_generation", "activate", "forget", "generations"]

FORGET: Final = "forget"
_KEPT: Final = (
    "the records of before in [events], until retention trims them",
    "groupings by other fields",
    "what models have learnt",
)


def acting_generation(deployment: Deployment) -> str:
    """Return the generation that acts after all commands so far."""
    acting = Acting(deployment.topic(EVENTS).manifest.acting)
    seen: set[str] = set()
    for entry in commands_in(deployment.topic(COMMANDS), (COMMAND,)):
        if entry.id not in seen:
            seen.add(entry.id)
            acting.fold(entry.columns)
    return acting.generation


def generations(deployment: Deployment) -> dict[str, str]:
    """Return every generation that has topics in the log, with the name of its pipeline."""
    manifests = [deployment.log.open(name).manifest for name in deployment.log.names()]
    own = [one for one in manifests if one.generation and "featurize" not in one.producers]
    return {one.generation: one.topic.split(".", maxsplit=1)[0] for one in own}


def activate(deployment: Deployment, *, clock: Clock) -> dict[str, object]:
    """Let this generation act from here on in [events], instead of the one that acts now; return what came of it.

    The command names the generation that it replaces, so a second copy of it, or one that comes too late, does
    nothing. Requests that stand in [events] before it are acted on by the old one, those behind it by the new one.
    """
    was = acting_generation(deployment)
    wanted = deployment.generation
    columns = {"command": ACTIVATE, "goal": wanted, "expected": was, "source": None, "key": None}
    done = _send(deployment, columns, f"activate {wanted} if {was}", clock) if was != wanted else None
    now = acting_generation(deployment)
    return {"command": done, "moved": now == wanted != was, "acting": now, "was": was}


def forget(deployment: Deployment, source: str, key: Sequence[str], *, clock: Clock) -> dict[str, object]:
    """Drop what the features know of one key of a source: `FIELD=VALUE` for each of its fields; return what was said.

    Every generation obeys, each in all of its groupings of that source by exactly these fields.

    Raises ConfigError for a source, a field or a value that there is not, or if no feature groups by these fields.
    """
    streams = {stream.name: stream.settings for stream in deployment.pipeline.sources()}
    if source not in streams:
        wanted = f"a source of {deployment.pipeline.name!r} ({', '.join(streams)})"
        raise ConfigError("forget", wanted=wanted, got=source + nearest(source, streams))
    values = field_values(f"forget {source}", streams[source].schema.fields, key)
    known = deployment.engine().groupings(source)
    if frozenset(values) not in map(frozenset, known):
        listed = "; ".join(" ".join(f"{name}=..." for name in names) for names in known) or "none"
        raise ConfigError(f"forget {source}", wanted=f"a key by which features group it ({listed})", got=" ".join(key))
    text = json.dumps(values, sort_keys=True)
    columns = {"command": FORGET, "goal": None, "expected": None, "source": source, "key": text}
    done = _send(deployment, columns, f"forget {source} {text}", clock)
    return {"command": done, "source": source, "key": values, "kept": list(_KEPT)}


def _send(deployment: Deployment, columns: dict[str, str | None], text: str, clock: Clock) -> str:
    return send(deployment, COMMANDS, (COMMAND,), stream=COMMAND.name, columns=columns, text=text, clock=clock)
