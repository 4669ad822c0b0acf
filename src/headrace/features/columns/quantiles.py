"""Quantiles of a column."""

from collections.abc import Sequence
from typing import final

import numpy as np

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import quantiles as kernel

__all__ = ["Quantiles"]


@final
class Quantiles(ColumnState):
    """A column's values, and the buckets of stretches of rows in sorted order."""

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is a quantile, over a window without weights."""
        return read.operation == "quantile" and not plan.windows[read.window].half_life_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        chosen = [plan.reads[number] for number in reads]
        self._column = column
        self._reads = np.array(
            [
                [read.window, round(read.parameters["q"] * kernel.SHARES), number]
                for number, read in zip(reads, chosen, strict=True)
            ],
            np.int64,
        ).reshape(-1, kernel.READ_COLUMNS)
        self._values = np.zeros(0)
        self._nodes = np.zeros((0, kernel.LEVELS), np.int64)

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._values = longer(self._values, slab)
        self._nodes = longer(self._nodes, slab)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        pieces = (len(self._values) >> kernel.LARGE) + (2 << (kernel.LARGE - kernel.SMALL))
        kernel.run(
            *script.walk,
            columns[self._column],
            self._values,
            self._nodes,
            self._scratch(),
            np.empty((kernel.PIECE_ROWS, pieces), np.int64),
            np.empty(2 << kernel.SMALL, np.int64),
            self._reads,
            out,
        )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and sort their buckets."""
        self._values[rows] = columns[self._column]
        kernel.derive(state, self._values, self._nodes, self._scratch())

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values

    @staticmethod
    def _scratch() -> I8:
        return np.empty(1 << kernel.LARGE, np.int64)
