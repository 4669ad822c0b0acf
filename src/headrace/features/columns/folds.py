"""Aggregates of the user's: each in a module of its own, compiled into the loop of `kernels.folds`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from headrace.core.records import F8, I8
from headrace.features.columns.contract import ColumnState, Plan, Read, Script, longer
from headrace.features.generated import module_of
from headrace.kernels.folds import LEVELS, READ_COLUMNS, TARGET, WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Folds"]

_CODE: Final = "code"
_EXACT: Final = "exact"


@final
class Folds(ColumnState):
    """A column's values once for each aggregate, with nodes of merged states where those are exact.

    The parameter `code` of a read is the text of its functions; `exact` says whether a merge of states is the state of
    all their rows to the bit. Else a read costs a step a row of its window.
    """

    keeps_values = True

    @staticmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether it is an aggregate of the user's, over a window without weights."""
        return read.operation == "agg" and not plan.tile_us and not plan.windows[read.window].half_life_us

    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows."""
        self._column = column
        by_code: dict[tuple[str, int], list[int]] = {}
        for number in reads:
            parameters = plan.reads[number].parameters
            by_code.setdefault((str(parameters[_CODE]), int(parameters[_EXACT])), []).append(number)
        self._folds = [_Fold(plan, code, exact, mine) for (code, exact), mine in by_code.items()]

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        for fold in self._folds:
            fold.grow(slab)

    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of `out`."""
        for fold in self._folds:
            fold.run(script, columns[self._column], out)

    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take rows at places that are known, and derive the nodes."""
        for fold in self._folds:
            fold.place(rows, columns[self._column], state)

    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places."""
        values: F8 = self._folds[0].column[rows]
        return values


@final
class _Fold:
    """One aggregate: its module, and the values and nodes that its loop walks."""

    def __init__(self, plan: Plan, code: str, exact: int, reads: Sequence[int]) -> None:
        self._module: Any = module_of(code)
        self._exact = exact
        self._reads = np.zeros((len(reads), READ_COLUMNS), np.int64)
        self._reads[:, WINDOW] = [plan.reads[number].window for number in reads]
        self._reads[:, TARGET] = reads
        self.column: F8 = np.zeros(0)
        self._nodes: NDArray[np.void] = np.zeros(0, self._module.STATE)
        self._levels = np.zeros(LEVELS, np.int64)
        self._scratch: NDArray[np.void] = np.zeros(1, self._module.STATE)

    def grow(self, slab: int) -> None:
        old = len(self.column)
        self.column = longer(self.column, slab)
        if not self._exact:
            return
        sizes = [slab >> (4 * level) for level in range(1, LEVELS)]
        levels = np.array([0, 0, *np.cumsum(sizes[:-1])], np.int64)
        grown = np.zeros(sum(sizes), self._module.STATE)
        for level in range(1, LEVELS):
            count = old >> (4 * level)
            start = self._levels[level]
            grown[levels[level] : levels[level] + count] = self._nodes[start : start + count]
        self._nodes, self._levels = grown, levels

    def run(self, script: Script, column: F8, out: F8) -> None:
        with np.errstate(all="ignore"):  # What the user divides by may be 0: then the answer is not finite.
            self._module.run(
                *script.walk,
                column,
                self.column,
                self._nodes,
                self._levels,
                self._exact,
                self._scratch,
                self._reads,
                out,
            )

    def place(self, rows: I8, column: F8, state: I8) -> None:
        self.column[rows] = column
        with np.errstate(all="ignore"):
            self._module.derive(state, self.column, self._nodes, self._levels, self._exact)
