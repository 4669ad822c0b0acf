"""Ragged rows of ids: what words become. A text of n words is n ids (and those of its n-grams), not one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import pyarrow as pa

from headrace.core.records import I4, I8

__all__ = ["Tokens"]


@final
@dataclass(frozen=True, slots=True)
class Tokens:
    """n rows of ids. offsets: i8[n + 1], never falling. ids: i4[m]; row i has ids[offsets[i] : offsets[i + 1]].

    >>> words = Tokens(np.array([0, 2, 2, 3]), np.array([7, 8, 9], np.int32))
    >>> len(words), words.rows(1, 3).lists()
    (3, [[], [9]])
    """

    offsets: I8
    ids: I4

    @staticmethod
    def nothing(count: int) -> "Tokens":
        """Return `count` rows without an id."""
        return Tokens(np.zeros(count + 1, np.int64), np.zeros(0, np.int32))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    @property
    def most(self) -> int:
        """Return how many ids the longest row has."""
        return int(np.diff(self.offsets).max(initial=0))

    def rows(self, start: int, stop: int) -> "Tokens":
        """Return some of the rows, without copying."""
        return Tokens(self.offsets[start : stop + 1], self.ids)

    def take(self, rows: I8) -> "Tokens":
        """Return the given rows in the given order.

        >>> Tokens(np.array([0, 2, 3]), np.array([7, 8, 9], np.int32)).take(np.array([1, 0, 1])).lists()
        [[9], [7, 8], [9]]
        """
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        place = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], counts)
        return Tokens(offsets, self.ids[place])

    @staticmethod
    def beside(parts: Sequence["Tokens"], starts: Sequence[int]) -> "Tokens":
        """Return rows that have the ids of all parts, one part after the other, each moved to where its ids start.

        parts: at least one, all of n rows.

        >>> one = Tokens(np.array([0, 1, 1]), np.array([3], np.int32))
        >>> two = Tokens(np.array([0, 1, 2]), np.array([0, 1], np.int32))
        >>> Tokens.beside([one, two], [0, 100]).lists()
        [[3, 100], [101]]
        """
        counts = [np.diff(part.offsets) for part in parts]
        ids = np.concatenate([part.packed.ids + np.int32(start) for part, start in zip(parts, starts, strict=True)])
        row = np.concatenate([np.repeat(np.arange(len(count)), count) for count in counts])
        offsets = np.concatenate([[0], np.cumsum(np.sum(counts, axis=0))]).astype(np.int64)
        return Tokens(offsets, ids[np.argsort(row, kind="stable")])

    @staticmethod
    def joined(parts: Sequence["Tokens"]) -> "Tokens":
        """Return the rows of all parts, one part below the other; at least one."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return Tokens(np.concatenate([[0], np.cumsum(counts)]), np.concatenate([part.packed.ids for part in parts]))

    @property
    def packed(self) -> "Tokens":
        """Return the same rows with no id before the first or behind the last."""
        start, stop = int(self.offsets[0]), int(self.offsets[-1])
        if start == 0 and stop == len(self.ids):
            return self
        return Tokens(self.offsets - start, self.ids[start:stop])

    def part(self, start: int, stop: int) -> "Tokens":
        """Return of every row the ids start <= id < stop, less start: those of one feature.

        >>> Tokens(np.array([0, 2, 3]), np.array([3, 100, 101], np.int32)).part(100, 200).lists()
        [[0], [1]]
        """
        packed = self.packed
        kept = (packed.ids >= start) & (packed.ids < stop)
        counted = np.concatenate([[0], np.cumsum(kept)])
        return Tokens(counted[packed.offsets], packed.ids[kept] - np.int32(start))

    @property
    def arrow(self) -> pa.ListArray:
        """Return the rows as one Arrow column, list<int32>."""
        packed = self.packed
        return pa.ListArray.from_arrays(pa.array(packed.offsets.astype(np.int32)), pa.array(packed.ids))

    @staticmethod
    def of_arrow(column: pa.ListArray) -> "Tokens":
        """Return the rows of a column that `arrow` made, or of a slice of it."""
        return Tokens(column.offsets.to_numpy().astype(np.int64), column.values.to_numpy())

    def lists(self) -> list[list[int]]:
        """Return the rows as Python has them, for reports and tests."""
        edges = self.offsets.tolist()
        return [self.ids[start:stop].tolist() for start, stop in pairwise(edges)]
