"""How late the records of a log came, counted from the log itself."""

from collections.abc import Iterable

from headrace.edge.lateness import DISORDERS_US, Lateness, SourceLateness
from headrace.run.deployment import EVENTS, Deployment, event_streams
from headrace.run.taken import taken
from headrace.topics.manifest import chosen

__all__ = ["lateness"]


def lateness(
    deployment: Deployment, *, keep: float = 0.999, disorders_us: Iterable[int] = ()
) -> tuple[SourceLateness, ...]:
    """Return, for each source of the pipeline, how late its records in [events] came, as far as these are kept.

    keep: the share that a recommended disorder keeps. disorders_us: more disorders to be told of, in microseconds.
    """
    topic, streams = deployment.topic(EVENTS), event_streams(deployment.pipeline)
    found = Lateness(deployment.pipeline.source_settings(), disorders_us=(*DISORDERS_US, *disorders_us))
    for piece in taken(topic):
        found.add(chosen(piece.batch, topic.manifest.streams, streams))
    return found.report(keep=keep)
