"""A history: the rows of one stream for one entity, and the windows that are read from them."""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.records import F8, I8, U1
from headrace.core.time import ENDED_US
from headrace.features.aggregates import Operation
from headrace.kernels import numbers, spans
from headrace.kernels.exact import LIMBS, strays_in

__all__ = ["History", "HistoryPlan", "Read", "Window"]

_CLASSES: Final = 40
_LEAST_SLAB: Final = 1 << 12
_LEAST_KEYS: Final = 1 << 8
_CODES: Final[dict[Operation, int]] = {
    "count": spans.ROWS,
    "seconds_since": spans.SECONDS_SINCE,
    "sum": numbers.SUM,
    "mean": numbers.MEAN,
    "min": numbers.MIN,
    "max": numbers.MAX,
    "last": numbers.LAST,
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The window [t - offset - size, t - offset), one microsecond longer with `include_current`.

    A size of `ENDED_US` or more is the window of everything before t - offset.
    """

    size_us: int
    offset_us: int = 0
    include_current: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One aggregate of one column (-1 for count and seconds_since) over one window.

    With `prior`, a mean counts that many further rows whose value is `default`.
    """

    operation: Operation
    window: int
    column: int = -1
    prior: float = 0.0
    default: float = np.nan


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPlan:
    """The windows of a history, the number of its columns, and what is read of them."""

    windows: tuple[Window, ...]
    columns: int
    reads: tuple[Read, ...]


@final
class _ColumnState:
    """One column: its values where `spans` puts them, and what is derived from them.

    Prefixes stand in the words of one array a row: those of squares, when a variance asks for them, follow on those
    of sums.
    """

    def __init__(self, plan: HistoryPlan, column: int) -> None:
        mine = [number for number, read in enumerate(plan.reads) if read.column == column]
        mine.sort(key=lambda number: plan.reads[number].window)
        reads = [plan.reads[number] for number in mine]
        operations = {read.operation for read in reads}
        self.reads = np.array(
            [[_CODES[read.operation], read.window, number] for number, read in zip(mine, reads, strict=True)], np.int64
        ).reshape(-1, numbers.COLUMN_READ_COLUMNS)
        self.priors = np.array([[read.prior, read.default] for read in reads], np.float64).reshape(-1, 2)
        self.uses = np.zeros(numbers.USES, np.uint8)
        self.uses[numbers.SUMS] = bool(operations & {"sum", "mean"})
        self.uses[numbers.GREATEST] = "max" in operations
        self.uses[numbers.LEAST] = "min" in operations
        self.values = np.zeros(0)
        self.prefix = np.zeros((0, numbers.PREFIX_WORDS), np.uint64)
        self.strays = np.zeros(0, np.int64)
        self.greatest = np.zeros(0)
        self.least = np.zeros(0)
        self.levels = np.zeros(numbers.LEVELS, np.int64)

    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""
        old = len(self.values)
        self.values = _longer(self.values, slab)
        if self.uses[numbers.SUMS]:
            self.prefix = _longer(self.prefix, slab)
        if self.uses[numbers.STRAYS]:
            self.strays = _longer(self.strays, slab)
        sizes = [slab >> (4 * level) for level in range(1, numbers.LEVELS)]
        levels = np.array([0, 0, *np.cumsum(sizes[:-1])], np.int64)
        if self.uses[numbers.GREATEST]:
            self.greatest = self._moved(self.greatest, levels, old, sum(sizes))
        if self.uses[numbers.LEAST]:
            self.least = self._moved(self.least, levels, old, sum(sizes))
        self.levels = levels

    def watch_strays(self, column: F8, chosen: NDArray[np.bool_]) -> None:
        """Begin to count values off the grid when the first one comes; before it there was none to count."""
        if self.uses[numbers.SUMS] and not self.uses[numbers.STRAYS] and strays_in(column, chosen):
            self.uses[numbers.STRAYS] = 1
            self.strays = np.zeros(len(self.values), np.int64)

    def _moved(self, tree: F8, levels: I8, old: int, size: int) -> F8:
        """Return a tree of `size` nodes whose levels begin elsewhere, with the nodes of the `old` rows."""
        grown = np.zeros(size)
        for level in range(1, numbers.LEVELS):
            count = old >> (4 * level)
            grown[levels[level] : levels[level] + count] = tree[self.levels[level] : self.levels[level] + count]
        return grown


@final
class History:
    """Rows kept by key and time, and aggregates of the windows before any moment.

    A read costs the logarithm of a key's rows, changes no byte of state, and depends on what the window holds
    alone; a late row costs the distance that it is late. Results do not depend on how operations are batched.
    Sums are exact and rounded once; those of a key must stay below 2**63.

    >>> day = Window(size_us=86_400_000_000)
    >>> plan = HistoryPlan(windows=(day,), columns=1, reads=(Read(operation="sum", window=0, column=0),))
    >>> history, out, reason = History(plan), np.empty((2, 1)), np.empty((2, 1), np.uint8)
    >>> history.run(
    ...     key=np.array([0, 0]), time=np.array([5, 7]), insert=np.array([True, True]), read=np.array([0, 1]),
    ...     lowest=np.array([0, 0]), columns=[np.array([2.5, 4.0])], out=out, reason=reason,
    ... )
    >>> out.tolist(), reason.tolist()
    ([[0.0], [2.5]], [[1], [0]])
    """

    def __init__(self, plan: HistoryPlan) -> None:
        self._plan = plan
        self._windows = np.array(
            [
                [
                    spans.FOREVER if window.size_us >= ENDED_US else spans.SLIDING,
                    window.size_us,
                    window.offset_us,
                    int(window.include_current),
                ]
                for window in plan.windows
            ],
            np.int64,
        ).reshape(-1, spans.WINDOW_COLUMNS)
        self._reads = np.array([[_CODES[read.operation], read.window] for read in plan.reads], np.int64).reshape(
            -1, spans.READ_COLUMNS
        )
        self._clear()

    @property
    def rows(self) -> int:
        """Return how many rows are held, expired ones that were not dropped yet among them."""
        return int(np.sum(self._state[:, spans.END] - self._state[:, spans.BEGIN]))

    def run(
        self,
        *,
        key: I8,
        time: I8,
        insert: NDArray[np.bool_],
        read: I8,
        lowest: I8,
        columns: list[F8],
        out: F8,
        reason: U1,
    ) -> None:
        """Walk n operations in log order; an operation may insert a row and then read.

        key: i8[n], dense ids, -1 for none (such an operation inserts nothing and reads an empty window). time: i8[n],
        microseconds. insert: bool[n]. read: i8[n], the row of `out` to fill, or -1. lowest: i8[n], never falling,
        within a call or from one call to the next: nothing before it is read, so that what lies before it may be
        forgotten. columns: one f8[n] a column, the values of the operations that insert; none of those may be NaN or
        infinite.

        out: f8[m, reads], C order. An empty window gives 0 for count and sum, the default for a mean with a prior,
        else NaN. reason: u1[m, reads], of `core.reasons`: TRUNCATED if `lowest` cuts off a part of the window that
        begins after the key's earliest time up to this operation, so that rows of it may be gone; else OK if the
        window holds a row, EXPIRED if the key has or had rows elsewhere, NO_KEY if it never had.
        """
        count = len(key)
        if count == 0:
            return
        inserting = insert & (key >= 0)
        inserts = bool(inserting.any())
        if inserts:
            self._reserve_keys(int(key[inserting].max()) + 1)
        if int(key.max()) >= self._used or int(key.min()) < 0:
            key = np.where(key < self._used, key, spans.NONE)
            self._fill_empty(read[(key < 0) & (read >= 0)], out, reason)
        order, starts = np.empty(count, np.int64), np.empty(count + 1, np.int64)
        keys, wanted = np.empty(count, np.int64), np.empty(count, np.int64)
        groups = spans.group(key, self._state, order, starts, keys)
        moves, made = np.empty((0, spans.MOVE_COLUMNS), np.int64), 0
        if inserts:
            floor = int(lowest[0])
            more = spans.room(groups, starts, keys, order, inserting, floor, self._state, self._ts, wanted)
            self._reserve_slab(int(more))
            moves = np.empty((groups, spans.MOVE_COLUMNS), np.int64)
            made = spans.plan(groups, keys, wanted, self._state, self._ts, self._free, self._top, moves)
        width = len(self._windows)
        place, ends = np.empty(count, np.int64), np.empty(count, np.int64)
        low, high = np.empty((count, width), np.int64), np.empty((count, width), np.int64)
        hints, why = np.empty(2 * width, np.int64), np.empty(width, np.uint8)
        spans.script(
            groups,
            starts,
            keys,
            order,
            time,
            inserting,
            read,
            lowest,
            self._windows,
            self._reads,
            self._state,
            self._ts,
            hints,
            why,
            place,
            ends,
            low,
            high,
            out,
            reason,
        )
        limbs = np.empty(LIMBS, np.int64)
        with np.errstate(over="ignore"):
            for state, column in zip(self._columns, columns, strict=True):
                state.watch_strays(column, inserting)
                numbers.run(
                    int(starts[groups]),
                    order,
                    place,
                    ends,
                    read,
                    low,
                    high,
                    moves,
                    made,
                    column,
                    state.values,
                    state.prefix,
                    state.strays,
                    state.greatest,
                    state.least,
                    state.levels,
                    state.uses,
                    limbs,
                    state.reads,
                    state.priors,
                    out,
                )
        if inserts:
            self._floor = int(lowest[np.flatnonzero(inserting)[-1]])
            self._sweep(count)

    def forget(self, key: int) -> None:
        """Drop all rows of a key, and that it ever had any; its id may then be another key's. Others keep every bit."""
        if key < self._used:
            self._state[key, spans.BEGIN] = self._state[key, spans.END]
            spans.sweep(key, 1, self._used, self._floor, self._state, self._ts, self._free)
            self._state[key, spans.OLDEST] = spans.NEVER

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return each key's earliest time, and the times and values of its rows that may still be read.

        It depends on the operations alone, not on how they were batched or when rows were freed. Prefixes and trees
        are derived, and not in it.
        """
        begin, length = np.empty(self._used, np.int64), np.empty(self._used, np.int64)
        spans.kept(self._state, self._ts, self._floor, begin, length)
        rows = _ranges(begin, length)
        arrays: dict[str, NDArray[Any]] = {
            "floor": np.array([self._floor], np.int64),
            "length": length,
            "oldest": self._state[: self._used, spans.OLDEST].copy(),
            "time": self._ts[rows],
        }
        for number, state in enumerate(self._columns):
            arrays[f"value{number}"] = state.values[rows]
        return arrays

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood: every key's rows in a block of their own, prefixes and trees made anew."""
        self._clear()
        length = arrays["length"]
        count = len(length)
        self._floor = int(arrays["floor"][0])
        self._reserve_keys(count)
        spans.settle(length, self._state, self._top)
        self._reserve_slab(0)
        self._state[:count, spans.OLDEST] = arrays["oldest"]
        rows = _ranges(self._state[:count, spans.BEGIN], length)
        self._ts[rows] = arrays["time"]
        with np.errstate(over="ignore"):
            for number, state in enumerate(self._columns):
                column = np.ascontiguousarray(arrays[f"value{number}"])
                state.values[rows] = column
                state.watch_strays(column, np.ones(len(column), bool))
                numbers.derive(
                    self._state,
                    state.values,
                    state.prefix,
                    state.strays,
                    state.greatest,
                    state.least,
                    state.levels,
                    state.uses,
                )

    def _clear(self) -> None:
        self._used = 0
        self._state = np.zeros((0, spans.STATE_COLUMNS), np.int64)
        self._ts = np.zeros(0, np.int64)
        self._free = np.full(_CLASSES, spans.NONE, np.int64)
        self._top = np.zeros(1, np.int64)
        self._floor = int(spans.ALWAYS)
        self._swept = 0
        self._columns: list[_ColumnState] = [_ColumnState(self._plan, column) for column in range(self._plan.columns)]

    def _fill_empty(self, rows: I8, out: F8, reason: U1) -> None:
        """Answer the reads of no key."""
        for number, read in enumerate(self._plan.reads):
            empty = 0.0 if read.operation in ("count", "sum") else np.nan
            out[rows, number] = read.default if read.operation == "mean" and read.prior > 0 else empty
        reason[rows] = reasons.NO_KEY

    def _sweep(self, operations: int) -> None:
        """Look at some keys a batch, in turn, so that a key that is never touched again gives its block back too."""
        count = min(1 + operations // 4, self._used)
        spans.sweep(self._swept, count, self._used, self._floor, self._state, self._ts, self._free)
        self._swept = (self._swept + count) % self._used

    def _reserve_keys(self, count: int) -> None:
        self._used = max(self._used, count)
        size = len(self._state)
        if count > size:
            grown = _longer(self._state, max(_LEAST_KEYS, 1 << (count - 1).bit_length()))
            grown[size:, spans.BLOCK] = spans.NONE
            grown[size:, spans.OLDEST] = spans.NEVER
            self._state = grown

    def _reserve_slab(self, more: int) -> None:
        need = int(self._top[0]) + more
        if need > len(self._ts):
            size = max(_LEAST_SLAB, 1 << (need - 1).bit_length())
            self._ts = _longer(self._ts, size)
            for state in self._columns:
                state.grow(size)


def _longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return an array of `size` rows that begins with the old ones; untouched pages of the new ones cost nothing."""
    grown = np.zeros((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _ranges(begin: I8, length: I8) -> I8:
    """Return begin[0], begin[0] + 1, ..., for each range in turn."""
    starts = np.cumsum(length) - length
    return np.repeat(begin - starts, length) + np.arange(int(length.sum()))
