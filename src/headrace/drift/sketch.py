"""A sketch: how often each bucket of values was seen. Sketches of parts add up to that of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from headrace.core.records import F8, I4, I8
from headrace.kernels import sketch as kernel

__all__ = ["Counter", "Sketch", "bucket_value"]


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
        counter = Counter(numbers=1, categories=0)
        counter.add(np.ascontiguousarray(values).reshape(-1, 1), np.zeros((len(values), 0), np.int32))
        return counter.drain()[0]

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

    def grouped(self, edges: I8) -> I8:
        """Return how many values lie in each of len(edges) + 1 groups of buckets, cut below each edge."""
        groups = np.searchsorted(edges, self.buckets, side="right")
        # Exact: counts stay far below 2**53.
        return np.bincount(groups, weights=self.counts, minlength=len(edges) + 1).astype(np.int64)

    def quantile(self, share: float) -> float:
        """Return about the least value that a share of the values does not exceed, NaN of nothing.

        It is the middle of a bucket, so within 3 % of the value. Missing values count as the highest.

        >>> Sketch.of(np.arange(100.0)).quantile(0.5)
        49.0
        """
        if not self.rows:
            return float("nan")
        wanted = max(1, int(np.ceil(share * self.rows)))
        bucket = int(self.buckets[np.searchsorted(np.cumsum(self.counts), wanted)])
        if bucket in (kernel.ZERO, kernel.MISSING):
            return bucket_value(bucket)
        return (bucket_value(bucket) + bucket_value(bucket + (1 if bucket > kernel.ZERO else -1))) / 2

    def edges(self, groups: int) -> I8:
        """Return the buckets at which about `groups` groups of equal size begin; fewer where values repeat."""
        ahead = np.cumsum(self.counts) - self.counts
        wanted = np.arange(1, groups) * self.rows / groups
        places = np.searchsorted(ahead, wanted)
        return np.unique(self.buckets[places[places < len(self.buckets)]])


@final
class Counter:
    """Counts the columns of vectors, until it is drained into one sketch a column."""

    def __init__(self, *, numbers: int, categories: int) -> None:
        self._numbers = numbers
        self._counts = np.zeros((numbers + categories, kernel.BUCKETS), np.int64)
        self._touched = np.zeros((numbers + categories, kernel.BLOCKS), np.uint8)
        self._buckets, self._found = np.empty(kernel.BUCKETS, np.int64), np.empty(kernel.BUCKETS, np.int64)

    def add(self, dense: F8, ids: I4) -> None:
        """Count n rows. dense: f8[n, numbers]. ids: i4[n, categories]."""
        kernel.count_numbers(dense, self._counts[: self._numbers], self._touched[: self._numbers])
        kernel.count_ids(ids, self._counts[self._numbers :], self._touched[self._numbers :])

    def drain(self) -> list[Sketch]:
        """Return one sketch a column, and count from 0 again."""
        sketches = []
        for counts, touched in zip(self._counts, self._touched, strict=True):
            made = kernel.drain(counts, touched, self._buckets, self._found)
            sketches.append(Sketch(self._buckets[:made].copy(), self._found[:made].copy()))
        return sketches

    def fill(self, sketches: Sequence[Sketch]) -> None:
        """Stand where `drain` found the counts."""
        for column, sketch in enumerate(sketches):
            self._counts[column, sketch.buckets] = sketch.counts
            self._touched[column, sketch.buckets // kernel.BLOCK] = 1


def bucket_value(bucket: int) -> float:
    """Return the least positive, or greatest negative, value of a bucket; NaN for the bucket of missing values."""
    if bucket == kernel.MISSING:
        return float("nan")
    head = bucket & 0x7FFF if bucket >= 0x8000 else 0xFFFF - bucket
    return float(np.array([head << 48], np.uint64).view(np.float64)[0])
