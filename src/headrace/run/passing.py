"""Whether a task has passed a place of its input, as far as others can tell: by its outputs and its snapshots."""

from collections.abc import Sequence

from headrace.core.errors import StateError
from headrace.core.position import START, Position
from headrace.run.taken import taken_from
from headrace.store.snapshots import Snapshots
from headrace.topics.contract import Topic
from headrace.topics.reader import Reader

__all__ = ["passed"]


def passed(task: str, position: Position, outputs: Sequence[Topic], snapshots: Snapshots | None) -> str:
    """Return how a task is known to have passed a position of its input; "" if it is not."""
    metas = snapshots.metas() if snapshots is not None else []
    if any(Position(*meta["done"]) >= position for meta in metas):
        return f"{task} has kept a snapshot that counts it"
    for topic in outputs:
        reader = Reader(topic)
        for meta in metas:
            try:
                reader.restore(next(own["tail"] for own in meta["writers"].values() if _of(topic, own)))
            except (StateError, StopIteration):
                continue  # It was trimmed, or is a snapshot of another topic of the name: read from the cut.
            break
        for _ in taken_from(reader):
            pass
        if reader.through.get(topic.manifest.producers.index(task), START) >= position:
            return f"{task} has written what comes behind it"
    return ""


def _of(topic: Topic, writer: dict[str, dict[str, int]]) -> bool:
    return writer["tail"]["incarnation"] == topic.manifest.incarnation
