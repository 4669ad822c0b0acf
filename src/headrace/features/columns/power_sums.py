"""Variance, standard deviation, skewness and trend of a column."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import power_sums as kernel
from headrace.kernels.exact import strays_in

__all__ = ["PowerSums"]

_CODES: Final = {"var": kernel.VAR, "std": kernel.STD, "skew": kernel.SKEW, "trend": kernel.TREND}


@final
class PowerSums(ColumnState):
    """A column's values, with exact prefix sums of those powers and products that its reads need."""

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is one of these aggregates, over a window without weights."""
        return read.operation in _CODES and not plan.windows[read.window].half_life_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        chosen = [plan.reads[number] for number in reads]
        self._column = column
        self._sums = self._kept([_CODES[read.operation] for read in chosen])
        self._reads = np.array(
            [[_CODES[read.operation], read.window, number] for number, read in zip(reads, chosen, strict=True)],
            np.int64,
        ).reshape(-1, kernel.READ_COLUMNS)
        self._timed = any(read.operation == "trend" for read in chosen)
        self._stray = False
        self._values = np.zeros(0)
        self._times = np.zeros(0, np.int64)
        self._prefix = np.zeros((0, int(self._sums[-1, kernel.STOP])), np.uint64)
        self._strays = np.zeros(0, np.int64)

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._values = longer(self._values, slab)
        self._prefix = longer(self._prefix, slab)
        if self._timed:
            self._times = longer(self._times, slab)
        if self._stray:
            self._strays = longer(self._strays, slab)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        column = columns[self._column]
        with np.errstate(over="ignore"):
            self._watch_strays(column, script.insert)
            kernel.run(
                *script.walk,
                script.time,
                column,
                self._values,
                self._times,
                self._prefix,
                self._strays,
                self._sums,
                np.empty((kernel.KINDS, kernel.MOST_WORDS), np.uint64),
                np.empty((kernel.NUMBERS, kernel.DIGITS), np.int64),
                kernel.NEEDED,
                kernel.STEPS,
                self._reads,
                out,
            )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and derive the sums before them."""
        column = np.ascontiguousarray(columns[self._column])
        self._values[rows] = column
        if self._timed:
            self._times[rows] = time
        words = np.empty((kernel.KINDS, kernel.MOST_WORDS), np.uint64)
        with np.errstate(over="ignore"):
            self._watch_strays(column, np.ones(len(column), bool))
            kernel.derive(state, self._values, self._times, self._prefix, self._strays, self._sums, words)

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values

    @staticmethod
    def _kept(codes: list[int]) -> I8:
        """Return the table of the sums, with words for those that the aggregates need."""
        lengths = np.where(kernel.NEEDED[codes].any(axis=0), kernel.WORDS, 0)
        stops = np.cumsum(lengths)
        return np.column_stack([stops - lengths, stops, np.array(kernel.SUMS, np.int64)]).astype(np.int64)

    def _watch_strays(self, column: F8, chosen: NDArray[np.bool_]) -> None:
        """Begin to count values off the grid when the first one comes; before it there was none to count."""
        if not self._stray and strays_in(column, chosen):
            self._stray = True
            self._strays = np.zeros(len(self._values), np.int64)
