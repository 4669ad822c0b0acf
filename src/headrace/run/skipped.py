"""What is left of a batch when rows of it are skipped by command (see `run.skipping`)."""

from collections.abc import Collection

import numpy as np

from headrace.core.position import K_BITS, Position
from headrace.core.records import Batch

__all__ = ["without"]


def without(batch: Batch, skipped: Collection[Position]) -> Batch:
    """Return the rows of a batch, at their own places in a topic, that are not skipped."""
    if not skipped or len(batch) == 0:
        return batch
    kept = np.ones(len(batch), bool)
    for place in sorted(skipped):
        kept &= (batch.offset != place.offset) | (batch.sub >> K_BITS != place.sub >> K_BITS)
    return batch if kept.all() else batch.take(np.flatnonzero(kept))
