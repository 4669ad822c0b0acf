"""A column at the extremes of others: argmax and argmin."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import at_extremes as kernel

__all__ = ["AtExtremes"]

_SIGNS: Final = {"argmax": 1, "argmin": -1}


@final
class AtExtremes(ColumnState):
    """A column's values beside the columns whose extremes are looked for, and trees of places."""

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is one of these aggregates, over a window without weights."""
        return read.operation in _SIGNS and not plan.windows[read.window].half_life_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        chosen = [plan.reads[number] for number in reads]
        self._column = column
        self._of = list(dict.fromkeys(read.other for read in chosen))
        asked = [(self._of.index(read.other), _SIGNS[read.operation]) for read in chosen]
        extremes = list(dict.fromkeys(asked))
        self._extremes = np.array(extremes, np.int64).reshape(-1, kernel.EXTREME_COLUMNS)
        self._reads = np.array(
            [
                [read.window, extremes.index(extreme), number]
                for number, read, extreme in zip(reads, chosen, asked, strict=True)
            ],
            np.int64,
        ).reshape(-1, kernel.READ_COLUMNS)
        self._values = np.zeros(0)
        self._others = np.zeros((0, len(self._of)))
        self._tree = np.zeros((0, kernel.LEVELS - 1, len(extremes)), np.int64)

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._values = longer(self._values, slab)
        self._others = longer(self._others, slab)
        self._tree = longer(self._tree, slab >> 4)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        kernel.run(
            *script.walk,
            columns[self._column],
            self._beside(columns),
            self._values,
            self._others,
            self._tree,
            self._extremes,
            self._reads,
            out,
        )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and derive the trees."""
        self._values[rows] = columns[self._column]
        self._others[rows] = self._beside(columns)
        kernel.derive(state, self._others, self._tree, self._extremes)

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values

    def _beside(self, columns: Sequence[F8]) -> F8:
        """Return the columns whose extremes are looked for, side by side: f8[n, others]."""
        return np.ascontiguousarray(np.stack([columns[of] for of in self._of], axis=1))
