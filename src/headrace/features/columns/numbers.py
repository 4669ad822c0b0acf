"""Sums, means, extremes, first and last values of a column."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import numbers as kernel
from headrace.kernels.exact import LIMBS, strays_in

__all__ = ["Numbers"]

_CODES: Final = {
    "sum": kernel.SUM,
    "mean": kernel.MEAN,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "range": kernel.RANGE,
    "first": kernel.FIRST,
    "last": kernel.LAST,
}
_PARAMETER: Final = {"mean": ("prior", 0.0), "last": ("rank", 1)}


@final
class Numbers(ColumnState):
    """A column's values, with exact prefix sums and trees of extremes if any read needs them."""

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is one of these aggregates, over a window without weights."""
        return read.operation in _CODES and not plan.windows[read.window].half_life_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        mine = sorted(reads, key=lambda number: plan.reads[number].window)
        chosen = [plan.reads[number] for number in mine]
        operations = {read.operation for read in chosen}
        self._column = column
        self._reads = np.array(
            [[_CODES[read.operation], read.window, number] for number, read in zip(mine, chosen, strict=True)], np.int64
        ).reshape(-1, kernel.COLUMN_READ_COLUMNS)
        own = [_PARAMETER.get(read.operation, ("", 0.0)) for read in chosen]
        self._parameters = np.array(
            [[read.parameters.get(name, value), read.default] for read, (name, value) in zip(chosen, own, strict=True)],
            np.float64,
        ).reshape(-1, 2)
        self._uses = np.zeros(kernel.USES, np.uint8)
        self._uses[kernel.SUMS] = bool(operations & {"sum", "mean"})
        self._uses[kernel.GREATEST] = bool(operations & {"max", "range"})
        self._uses[kernel.LEAST] = bool(operations & {"min", "range"})
        self._values = np.zeros(0)
        self._prefix = np.zeros((0, kernel.PREFIX_WORDS), np.uint64)
        self._strays = np.zeros(0, np.int64)
        self._greatest = np.zeros(0)
        self._least = np.zeros(0)
        self._levels = np.zeros(kernel.LEVELS, np.int64)

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        old = len(self._values)
        self._values = longer(self._values, slab)
        if self._uses[kernel.SUMS]:
            self._prefix = longer(self._prefix, slab)
        if self._uses[kernel.STRAYS]:
            self._strays = longer(self._strays, slab)
        sizes = [slab >> (4 * level) for level in range(1, kernel.LEVELS)]
        levels = np.array([0, 0, *np.cumsum(sizes[:-1])], np.int64)
        if self._uses[kernel.GREATEST]:
            self._greatest = self._moved(self._greatest, levels, old, sum(sizes))
        if self._uses[kernel.LEAST]:
            self._least = self._moved(self._least, levels, old, sum(sizes))
        self._levels = levels

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        column = columns[self._column]
        with np.errstate(over="ignore"):
            self._watch_strays(column, script.insert)
            kernel.run(
                *script.walk,
                column,
                self._values,
                self._prefix,
                self._strays,
                self._greatest,
                self._least,
                self._levels,
                self._uses,
                np.empty(LIMBS, np.int64),
                self._reads,
                self._parameters,
                out,
            )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and derive prefixes and trees."""
        column = np.ascontiguousarray(columns[self._column])
        self._values[rows] = column
        with np.errstate(over="ignore"):
            self._watch_strays(column, np.ones(len(column), bool))
            kernel.derive(
                state,
                self._values,
                self._prefix,
                self._strays,
                self._greatest,
                self._least,
                self._levels,
                self._uses,
            )

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values

    def _watch_strays(self, column: F8, chosen: NDArray[np.bool_]) -> None:
        """Begin to count values off the grid when the first one comes; before it there was none to count."""
        if self._uses[kernel.SUMS] and not self._uses[kernel.STRAYS] and strays_in(column, chosen):
            self._uses[kernel.STRAYS] = 1
            self._strays = np.zeros(len(self._values), np.int64)

    def _moved(self, tree: F8, levels: I8, old: int, size: int) -> F8:
        """Return a tree of `size` nodes whose levels begin elsewhere, with the nodes of the `old` rows."""
        grown = np.zeros(size)
        for level in range(1, kernel.LEVELS):
            count = old >> (4 * level)
            grown[levels[level] : levels[level] + count] = tree[self._levels[level] : self._levels[level] + count]
        return grown
