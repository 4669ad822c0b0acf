"""A column with weights that decay: sum, count and mean over `Decay`."""

from collections.abc import Sequence
from typing import final

import numpy as np

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import decay as kernel

__all__ = ["Decaying"]


@final
class Decaying(ColumnState):
    """A column's values and times, and one fold a half-life; a second one, of ones, if any read is a mean."""

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is a sum or a mean over a window with weights."""
        return read.operation in {"sum", "mean"} and plan.windows[read.window].half_life_us > 0

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        chosen = [plan.reads[number] for number in reads]
        windows = [plan.windows[read.window] for read in chosen]
        halves = sorted({window.half_life_us for window in windows})
        self._column = column
        self._halves = np.array(halves, np.int64)
        self._reads = np.array(
            [
                [
                    read.window,
                    halves.index(window.half_life_us),
                    window.offset_us,
                    int(read.operation == "mean"),
                    number,
                ]
                for number, read, window in zip(reads, chosen, windows, strict=True)
            ],
            np.int64,
        ).reshape(-1, kernel.READ_COLUMNS)
        self._parameters = np.array(
            [[read.parameters.get("prior", 0.0), read.default] for read in chosen], np.float64
        ).reshape(-1, 2)
        kinds = 1 + any(read.operation == "mean" for read in chosen)
        self._values = np.zeros(0)
        self._times = np.zeros(0, np.int64)
        self._folds = np.zeros((0, len(halves), kinds))

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._values = longer(self._values, slab)
        self._times = longer(self._times, slab)
        self._folds = longer(self._folds, slab)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        with np.errstate(over="ignore", invalid="ignore"):
            kernel.run(
                *script.walk,
                script.time,
                columns[self._column],
                self._values,
                self._times,
                self._folds,
                self._halves,
                self._reads,
                self._parameters,
                out,
            )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and fold them anew."""
        self._values[rows] = columns[self._column]
        self._times[rows + 1] = time
        with np.errstate(over="ignore", invalid="ignore"):
            kernel.derive(state, self._values, self._times, self._folds, self._halves)

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values
