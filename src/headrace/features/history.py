"""A history: the rows of one stream for one entity, and the windows that are read from them."""

from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.records import F8, I8, U1
from headrace.features.aggregates import ZERO_WHEN_EMPTY
from headrace.features.columns.contract import ColumnState, Plan, Script, longer
from headrace.features.columns.kinds import states_of
from headrace.kernels import spans

__all__ = ["History"]

_CLASSES: Final = 40
_LEAST_SLAB: Final = 1 << 12
_LEAST_KEYS: Final = 1 << 8
_KINDS: Final = {
    "sliding": spans.SLIDING,
    "forever": spans.FOREVER,
    "last_n": spans.LAST_N,
    "session": spans.SESSION,
    "given": spans.GIVEN,
}
_ROW_CODES: Final = {"count": spans.ROWS, "seconds_since": spans.SECONDS_SINCE, "rate": spans.RATE}
_NO_EDGES: Final = np.zeros((0, 0, 2), np.int64)


@final
class History:
    """Rows kept by key and time, and aggregates of the windows before any moment.

    A read costs the logarithm of a key's rows, changes no byte of state, and depends on what the window holds
    alone; a late row costs the distance that it is late. Results do not depend on how operations are batched.
    Sums are exact and rounded once; those of a key must stay below 2**63.

    >>> from headrace.features.columns.contract import Read, Span
    >>> day = Span(size_us=86_400_000_000)
    >>> plan = Plan(windows=(day,), columns=1, reads=(Read(operation="sum", window=0, column=0),))
    >>> history, out, reason = History(plan), np.empty((2, 1)), np.empty((2, 1), np.uint8)
    >>> history.run(
    ...     key=np.array([0, 0]), time=np.array([5, 7]), insert=np.array([True, True]), read=np.array([0, 1]),
    ...     lowest=np.array([0, 0]), columns=[np.array([2.5, 4.0])], out=out, reason=reason,
    ... )
    >>> out.tolist(), reason.tolist()
    ([[0.0], [2.5]], [[1], [0]])
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        gaps = sorted({window.gap_us for window in plan.windows if window.kind == "session"})
        self._gaps = np.array(gaps, np.int64)
        given = [number for number, window in enumerate(plan.windows) if window.kind == "given"]
        self._windows = np.array(
            [
                [
                    _KINDS[window.kind],
                    window.size_us,
                    window.offset_us,
                    int(window.include_current),
                    given.index(number)
                    if window.kind == "given"
                    else gaps.index(window.gap_us)
                    if window.kind == "session"
                    else window.n,
                ]
                for number, window in enumerate(plan.windows)
            ],
            np.int64,
        ).reshape(-1, spans.WINDOW_COLUMNS)
        self._reads = np.array(
            [
                [
                    spans.FIRST_OF_COLUMN if plan.tile_us else _ROW_CODES.get(read.operation, spans.FIRST_OF_COLUMN),
                    read.window,
                ]
                for read in plan.reads
            ],
            np.int64,
        ).reshape(-1, spans.READ_COLUMNS)
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
        edges: I8 = _NO_EDGES,
        gone: I8 | None = None,
    ) -> None:
        """Walk n operations in log order; an operation may insert a row and then read.

        key: i8[n], dense ids, -1 for none (such an operation inserts nothing and reads an empty window). time: i8[n],
        microseconds. insert: bool[n]. read: i8[n], the row of `out` to fill, or -1. lowest: i8[n], never falling,
        within a call or from one call to the next: nothing before it is read, so that what lies before it may be
        forgotten. columns: one f8[n] a column, the values of the operations that insert; none of those may be NaN or
        infinite. edges: i8[n, g, 2], since and until of the windows that are given, by operation. gone: i8[n], where
        an operation without a key asks for one that was evicted, a time above the least int64.

        out: f8[m, reads], C order. An empty window gives 0 for count and sum, the default for a mean with a prior,
        else NaN. reason: u1[m, reads], of `core.reasons`: TRUNCATED if `lowest` or the plan's `age_us` cuts off a part
        of the window that begins after the key's earliest time up to this operation, so that rows of it may be gone, or
        if the plan's `most` or an eviction took some; else OK if the window holds a row, EXPIRED if the key has or had
        rows elsewhere, NO_KEY if it never had.
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
            asking = (key < 0) & (read >= 0)
            self._fill_empty(read[asking], out, reason)
            if gone is not None:
                reason[read[asking & (gone > spans.ALWAYS)]] = reasons.TRUNCATED
        order, starts = np.empty(count, np.int64), np.empty(count + 1, np.int64)
        keys, wanted = np.empty(count, np.int64), np.empty(count, np.int64)
        groups = spans.group(key, self._state, order, starts, keys)
        moves, made = np.empty((0, spans.MOVE_COLUMNS), np.int64), 0
        if inserts:
            floor = int(lowest[0])
            more = spans.room(
                groups,
                starts,
                keys,
                order,
                inserting,
                floor,
                self._plan.keep,
                self._plan.most,
                self._state,
                self._ts,
                wanted,
            )
            self._reserve_slab(int(more))
            moves = np.empty((groups, spans.MOVE_COLUMNS), np.int64)
            made = spans.plan(groups, keys, wanted, self._state, self._ts, self._silences, self._free, self._top, moves)
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
            edges,
            self._gaps,
            self._plan.tile_us,
            self._plan.keep,
            self._plan.most,
            self._plan.age_us,
            self._reads,
            self._state,
            self._ts,
            self._silences,
            hints,
            why,
            place,
            ends,
            low,
            high,
            out,
            reason,
        )
        script = Script(
            operations=int(starts[groups]),
            order=order,
            place=place,
            ends=ends,
            low=low,
            high=high,
            time=time,
            insert=inserting,
            read=read,
            moves=moves,
            made=made,
        )
        for states in self._columns:
            for state in states:
                state.run(script, columns, out)
        if inserts:
            self._floor = int(lowest[np.flatnonzero(inserting)[-1]])
            self._sweep(count)

    def enter(self, keys: I8, gone: I8) -> None:
        """Know that rows of n keys that have none now were evicted, and lay before gone: i8[n]."""
        told = gone > spans.ALWAYS
        if told.any():
            self._reserve_keys(int(keys.max()) + 1)
            self._state[keys[told], spans.GONE] = gone[told]

    def forget(self, keys: I8) -> None:
        """Drop all rows of n keys, and that they ever had any; their ids may then be others'. Others keep every bit."""
        spans.leave(keys[keys < self._used], self._state, self._ts, self._free)

    def snapshot(self, order: I8 | None = None) -> dict[str, NDArray[Any]]:
        """Return each key's earliest time, and the times and values of its rows that may still be read.

        It depends on the operations alone, not on how they were batched or when rows were freed. Prefixes and trees
        are derived, and not in it. order: i8[n], the keys, as key i that of `order[i]`; -1 and unknown ones have no
        rows. Left out, it is all of them.
        """
        keys = np.arange(self._used) if order is None else np.where(order < self._used, order, spans.NONE)
        rows, length = self._readable(keys)
        known = keys >= 0
        state = np.full((len(keys), spans.STATE_COLUMNS), spans.NEVER)
        state[:, spans.GONE] = spans.ALWAYS
        state[known] = self._state[keys[known]]
        arrays: dict[str, NDArray[Any]] = {
            "floor": np.array([self._floor], np.int64),
            "length": length,
            "oldest": state[:, spans.OLDEST].copy(),
            "time": self._ts[rows],
        }
        lost = np.flatnonzero(state[:, spans.GONE] > spans.ALWAYS)
        arrays |= {"lost": lost, "gone": state[lost, spans.GONE]}
        for number in range(self._plan.columns):
            arrays[f"value{number}"] = self._values(number, rows)
        return arrays

    def values(self, column: int) -> F8:
        """Return a column's values of every row that may still be read."""
        return self._values(column, self._readable(np.arange(self._used))[0])

    def _readable(self, keys: I8) -> tuple[I8, I8]:
        """Return the places of the rows of n keys that may still be read, and how many each key has."""
        begin, length = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        spans.kept(keys, self._state, self._ts, self._floor, self._plan.keep, self._plan.most, begin, length)
        return _ranges(begin, length), length

    def _values(self, column: int, rows: I8) -> F8:
        return next(state for state in self._columns[column] if state.keeps_values).values(rows)

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
        self._state[arrays["lost"], spans.GONE] = arrays["gone"]
        rows = _ranges(self._state[:count, spans.BEGIN], length)
        self._ts[rows] = arrays["time"]
        spans.count_silences(self._state, self._ts, self._gaps, self._silences)
        columns = [np.ascontiguousarray(arrays[f"value{number}"]) for number in range(self._plan.columns)]
        for states in self._columns:
            for state in states:
                state.place(rows, columns, arrays["time"], self._state)

    def _clear(self) -> None:
        self._used = 0
        self._state = np.zeros((0, spans.STATE_COLUMNS), np.int64)
        self._ts = np.zeros(0, np.int64)
        self._free = np.full(_CLASSES, spans.NONE, np.int64)
        self._top = np.zeros(1, np.int64)
        self._floor = int(spans.ALWAYS)
        self._swept = 0
        self._silences: I8 = np.zeros((0, len(self._gaps)), np.int64)
        self._columns: list[tuple[ColumnState, ...]] = [
            states_of(self._plan, column) for column in range(self._plan.columns)
        ]

    def _fill_empty(self, rows: I8, out: F8, reason: U1) -> None:
        """Answer the reads of no key."""
        for number, read in enumerate(self._plan.reads):
            empty = 0.0 if read.operation in ZERO_WHEN_EMPTY else np.nan
            out[rows, number] = read.default if read.parameters.get("prior") else empty
        reason[rows] = reasons.NO_KEY

    def _sweep(self, operations: int) -> None:
        """Look at some keys a batch, in turn, so that a key that is never touched again gives its block back too."""
        if self._plan.keep:
            return  # Every key has rows that stay.
        count = min(1 + operations // 4, self._used)
        spans.sweep(self._swept, count, self._used, self._floor, self._state, self._ts, self._free)
        self._swept = (self._swept + count) % self._used

    def _reserve_keys(self, count: int) -> None:
        self._used = max(self._used, count)
        size = len(self._state)
        if count > size:
            grown = longer(self._state, max(_LEAST_KEYS, 1 << (count - 1).bit_length()))
            grown[size:, spans.BLOCK] = spans.NONE
            grown[size:, spans.OLDEST] = spans.NEVER
            grown[size:, spans.GONE] = spans.ALWAYS
            self._state = grown

    def _reserve_slab(self, more: int) -> None:
        need = int(self._top[0]) + more
        if need > len(self._ts):
            size = max(_LEAST_SLAB, 1 << (need - 1).bit_length())
            self._ts = longer(self._ts, size)
            self._silences = longer(self._silences, size)
            for states in self._columns:
                for state in states:
                    state.grow(size)


def _ranges(begin: I8, length: I8) -> I8:
    """Return begin[0], begin[0] + 1, ..., for each range in turn."""
    starts = np.cumsum(length) - length
    return np.repeat(begin - starts, length) + np.arange(int(length.sum()))
