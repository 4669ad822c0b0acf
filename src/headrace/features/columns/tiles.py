"""A column in tiles: what `resolution=` keeps instead of every record."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np

from headrace.core.records import F8, I8
from headrace.core.time import SECOND_US
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import tiles as kernel

__all__ = ["Tiles"]

_CODES: Final = {
    "count": kernel.COUNT,
    "rate": kernel.RATE,
    "sum": kernel.SUM,
    "mean": kernel.MEAN,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "range": kernel.RANGE,
}
_PACKED: Final = kernel.PREFIX_COLUMNS + 2


@final
class Tiles(ColumnState):
    """Counts, exact sums and extremes, one row a stretch of time. Extremes cost a step a tile of the window.

    The values of its rows, as a snapshot has them, are six words each: f8[n, 6], which are bits and no numbers.
    """

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether the history is one of tiles."""
        return plan.tile_us > 0 and read.operation in _CODES

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        chosen = [plan.reads[number] for number in reads]
        self._column = column
        self._reads = np.array(
            [[_CODES[read.operation], read.window, number] for number, read in zip(reads, chosen, strict=True)],
            np.int64,
        ).reshape(-1, kernel.READ_COLUMNS)
        self._parameters = np.array(
            [[read.parameters.get("prior", 0.0), read.default] for read in chosen], np.float64
        ).reshape(-1, 2)
        self._seconds = np.array([window.size_us / SECOND_US for window in plan.windows], np.float64)
        self._prefix = np.zeros((0, kernel.PREFIX_COLUMNS), np.uint64)
        self._extremes = np.zeros((0, 2))

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._prefix = longer(self._prefix, slab)
        self._extremes = longer(self._extremes, slab)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        with np.errstate(over="ignore"):
            kernel.run(
                *script.walk,
                columns[self._column],
                self._prefix,
                self._extremes,
                self._reads,
                self._seconds,
                self._parameters,
                out,
            )

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, in the order of their keys."""
        packed = np.ascontiguousarray(columns[self._column]).view(np.uint64).reshape(-1, _PACKED)
        with np.errstate(over="ignore"):
            kernel.unpack(packed, state, self._prefix, self._extremes)

    def values(self, rows: I8) -> F8:
        """Return what each of n rows holds: f8[n, 6]."""
        packed = np.empty((len(rows), _PACKED), np.uint64)
        with np.errstate(over="ignore"):
            kernel.pack(rows, self._prefix, self._extremes, packed)
        return packed.view(np.float64)
