"""A sketch: how often each bucket of values was seen. Sketches of parts add up to that of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from headrace.core.records import F8, I8
from headrace.kernels import sketch as kernel

__all__ = ["Sketch", "bucket_value"]


@final
@dataclass(frozen=True, slots=True)
class Sketch:
    """Sorted buckets and their counts, both i8[b].

    >>> one = Sketch.of(np.array([1.0, 1.0, 2.0]))
    >>> Sketch.merged([one, one]).rows
    6
    """

    buckets: I8
    counts: I8

    @classmethod
    def of(cls, values: F8) -> "Sketch":
        """Return the sketch of n numbers; NaN has a bucket of its own."""
        counts = np.zeros((1, kernel.BUCKETS), np.int64)
        kernel.count_numbers(np.ascontiguousarray(values).reshape(-1, 1), counts)
        return cls.from_counts(counts[0])

    @classmethod
    def from_counts(cls, counts: I8) -> "Sketch":
        """Return the sketch of dense counts, i8[BUCKETS]."""
        buckets = np.flatnonzero(counts)
        return cls(buckets, counts[buckets])

    @classmethod
    def empty(cls) -> "Sketch":
        """Return the sketch of nothing."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def rows(self) -> int:
        """Return how many values were counted."""
        return int(self.counts.sum())

    @classmethod
    def merged(cls, sketches: "Sequence[Sketch]") -> "Sketch":
        """Return the sketch of all."""
        if not sketches:
            return cls.empty()
        buckets, place = np.unique(np.concatenate([sketch.buckets for sketch in sketches]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([sketch.counts for sketch in sketches]))
        return cls(buckets, counts.astype(np.int64))  # Exact: counts stay far below 2**53.

    def shares(self, edges: I8) -> F8:
        """Return the share of the values in each of len(edges) + 1 groups of buckets, cut below each edge."""
        groups = np.searchsorted(edges, self.buckets, side="right")
        found = np.bincount(groups, weights=self.counts, minlength=len(edges) + 1)
        shares: F8 = found / max(self.rows, 1)
        return shares

    def edges(self, groups: int) -> I8:
        """Return the buckets at which about `groups` groups of equal size begin; fewer where values repeat."""
        ahead = np.cumsum(self.counts) - self.counts
        wanted = np.arange(1, groups) * self.rows / groups
        places = np.searchsorted(ahead, wanted)
        return np.unique(self.buckets[places[places < len(self.buckets)]])


def bucket_value(bucket: int) -> float:
    """Return the least positive, or greatest negative, value of a bucket; NaN for the bucket of missing values."""
    if bucket == kernel.MISSING:
        return float("nan")
    head = bucket & 0x7FFF if bucket >= 0x8000 else 0xFFFF - bucket
    return float(np.array([head << 48], np.uint64).view(np.float64)[0])
