"""A column as categories: distinct, entropy and the most frequent values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, final

import numpy as np

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.kernels import categories as kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OF_TEXT", "Categories"]

OF_TEXT: Final = "of_text"
"""The parameter that is 1 for a column of texts: the last 6 bits of their numbers say how they are sampled."""
_CODES: Final = {
    "distinct": kernel.DISTINCT,
    "entropy": kernel.ENTROPY,
    "top_share": kernel.TOP_SHARE,
    "top": kernel.TOP,
}
_RANK: Final = {"top_share": "k", "top": "rank"}
_LEAST_TABLE: Final = 1 << 6
_LEAST_RECORDS: Final = 1 << 6
_WEIGHTS: Final = 1 << 12


@final
class Categories(ColumnState):
    """A column's values; for long windows, what was counted at the last read, which is derived and may be let go.

    Equal numbers are one value, whatever their zero's sign. `distinct` is exact up to its `cap`; beyond it is
    2**level times the number of different values whose hash ends in `level` zeros, at the least level at which those
    are no more than `cap`: a standard error of 1.2 / sqrt(cap). Of values that are equally frequent, the one that came
    last stands first in `top`. At a read `top` and `top_share` look at every different value of the key, and for a tie
    at the rows back to the one that decides it; of a window with more than 4,096 different values they are those of its
    newest 4,096 rows.
    """

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is one of these aggregates, over a window without weights."""
        return read.operation in _CODES and not plan.windows[read.window].half_life_us and not plan.tile_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        asked = [(plan.reads[number].window, int(plan.reads[number].parameters.get("cap", 0))) for number in reads]
        cursors = sorted(set(asked))
        self._column = column
        self._told = int(any(plan.reads[number].parameters.get(OF_TEXT, 0) for number in reads))
        planned: list[list[int]] = []
        listed: list[list[int]] = []
        for window, cap in cursors:
            mine = [number for number, cursor in zip(reads, asked, strict=True) if cursor == (window, cap)]
            ranks = [
                int(plan.reads[number].parameters.get(_RANK.get(plan.reads[number].operation, ""), 0))
                for number in mine
            ]
            planned.append([window, cap, max(ranks), len(listed), len(listed) + len(mine)])
            listed += [
                [_CODES[plan.reads[number].operation], rank, number] for number, rank in zip(mine, ranks, strict=True)
            ]
        self._plan = np.array(planned, np.int64).reshape(-1, kernel.PLAN_COLUMNS)
        self._reads = np.array(listed, np.int64).reshape(-1, kernel.READ_COLUMNS)
        most = int(self._plan[:, kernel.MOST].max(initial=0))
        weighs = bool((self._reads[:, kernel.CODE] == kernel.ENTROPY).any())
        self._weights = np.zeros(_WEIGHTS if weighs else 0, np.int64)
        kernel.weigh(self._weights)
        self._tally = np.zeros(kernel.VALUES if most else kernel.SHORT, np.int64)
        self._best, self._seen = np.zeros(most, np.int64), np.zeros(most, np.int64)
        self._values = np.zeros(0)
        self._pointers = np.zeros(0, np.int32)
        self._owner = np.zeros(0, np.int32)
        self._records = np.zeros((_LEAST_RECORDS, kernel.RECORD_COLUMNS), np.int64)
        self._cursors = np.zeros((_LEAST_RECORDS, len(cursors), kernel.CURSOR_COLUMNS), np.int64)
        self._slots = np.zeros((1, kernel.COUNTS + len(cursors) + (kernel.LIST_COLUMNS if most else 0)), np.int64)
        self._table: NDArray[np.int32] = np.zeros(_LEAST_TABLE, np.int32)
        self._counts = np.zeros(kernel.COUNTERS, np.int64)
        self._counts[[kernel.USED_SLOTS, kernel.USED_RECORDS]] = 1  # The first of each is none.

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        self._values = longer(self._values, slab)
        self._pointers = longer(self._pointers, slab)
        self._owner = longer(self._owner, slab >> kernel.GRANULE_BITS)
        # A slot a row at most; those that were never used are not copied, so that they cost nothing.
        used = int(self._counts[kernel.USED_SLOTS])
        self._slots = longer(self._slots[:used], slab + 1)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        first, made = 0, script.made
        with np.errstate(over="ignore"):
            while True:
                first = kernel.run(
                    first,
                    script.operations,
                    script.order,
                    script.place,
                    script.ends,
                    script.read,
                    script.low,
                    script.high,
                    script.moves,
                    made,
                    columns[self._column],
                    self._told,
                    self._plan,
                    self._values,
                    self._pointers,
                    self._owner,
                    self._records,
                    self._cursors,
                    self._slots,
                    self._table,
                    self._counts,
                    self._weights,
                    self._tally,
                    self._best,
                    self._seen,
                    self._reads,
                    out,
                )
                if first == script.operations:
                    return
                made = 0
                windows = self._plan[:, kernel.WINDOW]
                rows = (
                    script.high[first, windows] - script.low[first, windows]
                    if script.read[script.order[first]] >= 0
                    else 0
                )
                self._make_room(1 + int(np.sum(rows)))

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known; what is derived comes with the reads."""
        self._values[rows] = columns[self._column]

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._values[rows]
        return values

    def _make_room(self, need: int) -> None:
        """Have room for one more record and `need` more slots, in a table that stays at most half full."""
        if int(self._counts[kernel.USED_RECORDS]) + 1 > len(self._records):
            self._records = longer(self._records, 2 * len(self._records))
            self._cursors = longer(self._cursors, 2 * len(self._cursors))
        places = 2 * (int(self._counts[kernel.LIVE_SLOTS]) + need)
        if places > len(self._table):
            self._table = np.zeros(2 << (places - 1).bit_length(), np.int32)
            kernel.enter(self._table, self._slots, int(self._counts[kernel.USED_SLOTS]))
