"""status: where every topic, source and version stands, read from the log."""

from typing import Any, Final

from headrace.core.time import instant_text
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.summary import ledger_of
from headrace.run.taken import taken

__all__ = ["status"]

_ALARMS: Final = 5


def status(deployment: Deployment) -> dict[str, Any]:
    """Return topics with their rows and how far arrival time has come in each, the ledger, and what is in force."""
    control = deployment.control()
    control.follow()
    ledger = ledger_of(deployment)
    topics = []
    for name in TOPICS:
        topic = deployment.topic(name)
        rows, newest_us = 0, None
        for piece in taken(topic):
            rows += len(piece.batch)
            newest_us = int(piece.batch.arrival_time[-1])
        topics.append(
            {
                "topic": name,
                "rows": rows,
                "frames": topic.end(0) - topic.begin(0),
                "arrived until": None if newest_us is None else instant_text(newest_us),
            }
        )
    return {
        "pipeline": deployment.pipeline.name,
        "generation": deployment.generation,
        "topics": topics,
        "ledger": ledger.as_dict(),
        "ledger_balances": ledger.balances(),
        "champion": control.champion.name if control.champion is not None else None,
        "previous": control.previous.name if control.previous is not None else None,
        "held": control.held,
        "versions": len(control.versions),
        "alarms": len(control.alarms),
        "newest_alarms": control.alarms[-_ALARMS:],
    }
