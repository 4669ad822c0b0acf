"""status: where every topic, source and version stands, read from the log."""

from typing import Any, Final

import numpy as np

from headrace.core.records import Kind
from headrace.core.time import instant_text
from headrace.run.deployment import TOPICS, VERIFY, Deployment
from headrace.run.orders import acting_generation, generations
from headrace.run.summary import ledger_of
from headrace.run.taken import taken

__all__ = ["status"]

_ALARMS: Final = 5


def status(deployment: Deployment) -> dict[str, Any]:
    """Return topics with their rows and how far arrival time has come in each, the ledger, and what is in force.

    "verified" is what sampling verify had counted at its newest snapshot, None where it has none.

    Rows and the ledger are those that are kept; versions, alarms and skips are counted from the beginning.
    """
    control = deployment.control()
    control.follow()
    ledger = ledger_of(deployment)
    acting = acting_generation(deployment)
    topics = []
    for name in TOPICS:
        topic = deployment.topic(name)
        rows, newest_us = 0, None
        for piece in taken(topic):
            rows += len(piece.batch)
            streams = [stream.kind for stream in topic.manifest.streams]
            said = np.array([kind != Kind.COMMAND for kind in streams])[piece.batch.stream]  # Not a person's clock.
            newest_us = int(piece.batch.arrival_time[said][-1]) if said.any() else newest_us
        topics.append(
            {
                "topic": name,
                "rows": rows,
                "frames": topic.end(0) - topic.begin(0),
                "begins at": topic.begin(0),
                "arrived until": None if newest_us is None else instant_text(newest_us),
            }
        )
    return {
        "pipeline": deployment.pipeline.name,
        "generation": deployment.generation,
        "generations": [
            {"generation": generation, "pipeline": name, "acts": generation == acting}
            for generation, name in sorted(generations(deployment).items())
        ],
        "topics": topics,
        "ledger": ledger.as_dict(),
        "ledger_balances": ledger.balances(),
        "champion": control.champion.name if control.champion is not None else None,
        "previous": control.previous.name if control.previous is not None else None,
        "held": control.held,
        "versions": control.count("versions"),
        "alarms": control.count("alarms"),
        "skips": control.count("skips"),
        "verified": _verified(deployment),
        "newest_alarms": control.alarms[-_ALARMS:],
    }


def _verified(deployment: Deployment) -> dict[str, Any] | None:
    snapshots = deployment.snapshots(VERIFY)
    metas = snapshots.metas() if snapshots is not None else []
    found: dict[str, Any] | None = metas[0]["checked"] if metas else None
    return found
