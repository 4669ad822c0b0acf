"""What a topic's readers took, whole: for reports, checks and tests. Stages read frame by frame instead."""

from collections.abc import Iterator
from typing import Final

from headrace.core.records import Batch
from headrace.topics.contract import Topic
from headrace.topics.frame import empty_batch
from headrace.topics.reader import Reader, Taken

__all__ = ["taken", "taken_from", "taken_rows"]

_FRAMES: Final = 64


def taken(topic: Topic) -> Iterator[Taken]:
    """Yield everything that any reader of partition 0 would have taken so far, from where it may be read on."""
    return taken_from(Reader(topic))


def taken_from(reader: Reader) -> Iterator[Taken]:
    """Yield everything above a reader, which comes to stand at the end."""
    while True:
        before = reader.offset
        yield from reader.read(_FRAMES)
        if reader.offset == before:
            return


def taken_rows(topic: Topic) -> Batch:
    """Return all rows as taken, as one batch; without those that were trimmed."""
    batches = [piece.batch for piece in taken(topic)]
    return Batch.concat(batches) if batches else empty_batch(topic.manifest)
