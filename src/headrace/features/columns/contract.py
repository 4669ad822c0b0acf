"""The contract between a history and what keeps a column of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.records import F8, I8

__all__ = ["ColumnState", "Plan", "Read", "Script", "Span", "longer"]

SpanKind: TypeAlias = Literal["sliding", "forever", "last_n", "session", "given"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How a window becomes a span of rows.

    sliding: [t - offset - size, t - offset), one microsecond longer with `include_current`; a size of `ENDED_US` has no
    beginning. last_n: its newest `n` rows. session: its newest rows, back to the first silence longer than `gap_us`.
    given: [since, until) as they are given for each operation. A decay is a given one with its `half_life_us`.
    """

    kind: SpanKind = "sliding"
    size_us: int = 0
    offset_us: int = 0
    include_current: bool = False
    n: int = 0
    gap_us: int = 0
    half_life_us: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One aggregate of one column (-1 for those of the rows alone) over one window.

    `other` is a second column, -1 for none. `parameters` are the operation's own, by name. With the parameter `prior`,
    a mean counts that many further rows whose value is `default`.
    """

    operation: str
    window: int
    column: int = -1
    other: int = -1
    parameters: dict[str, Any] = field(default_factory=dict)
    default: float = np.nan


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The windows of a history, the number of its columns, and what is read of them.

    With `tile_us`, records of one stretch of time of a key are kept as one row. Of a key the newest `most` rows count
    beside that of the request itself, 0 for all, and those of the last `age_us` before a read, 0 for all. `keep` rows
    are kept beyond what the windows reach back in time, for those of the newest rows without a bound in time.
    """

    windows: tuple[Span, ...]
    columns: int
    reads: tuple[Read, ...]
    tile_us: int = 0
    keep: int = 0
    most: int = 0
    age_us: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a batch does to the rows: first moves of whole blocks, then, key by key, inserts and reads.

    operations: how many there are. order: i8[n], the operation (a row of `time`, `read` and of the columns) at each
    place of the script. place: i8[n], where the script inserts a row, -1 for none; ends: i8[n], the end of that key's
    rows before. low, high: i8[n, W], the span of each window. By operation: time, i8[n]; insert, bool[n]; read, i8[n],
    the row of `out` to fill, -1 for none. moves: i8[made, 3], of `kernels.spans.plan`.
    """

    operations: int
    order: I8
    place: I8
    ends: I8
    low: I8
    high: I8
    time: I8
    insert: NDArray[np.bool_]
    read: I8
    moves: I8
    made: int

    @property
    def walk(self) -> tuple[int, I8, I8, I8, I8, I8, I8, I8, int]:
        """Return what every kernel of a column walks by, in the order in which it takes it."""
        return (
            self.operations,
            self.order,
            self.place,
            self.ends,
            self.read,
            self.low,
            self.high,
            self.moves,
            self.made,
        )


class ColumnState(ABC):
    """One column under one kernel: arrays that follow the moves and the script, and answer its reads.

    It sees no other kernel's arrays: at the time it walks the script, theirs are at the end of the batch or at its
    beginning. What it holds is a function of the rows that are kept, but for where they lie.
    """

    keeps_values: ClassVar[bool]
    """Whether `values` gives the column back as it came; one kernel of each column must."""

    @staticmethod
    @abstractmethod
    def answers(plan: Plan, read: Read) -> bool:
        """Return whether this kernel answers that read."""

    @abstractmethod
    def __init__(self, plan: Plan, column: int, reads: Sequence[int]) -> None:
        """Begin without rows. reads: the numbers of those of `plan.reads` that it answers, its columns of `out`."""

    @abstractmethod
    def grow(self, slab: int) -> None:
        """Have room for `slab` rows; what stands keeps its place."""

    @abstractmethod
    def run(self, script: Script, columns: Sequence[F8], out: F8) -> None:
        """Make the moves, walk the script, and fill its columns of out: f8[m, reads]; NaN for an empty span.

        columns: one f8[n] a column of the plan, by operation.
        """

    @abstractmethod
    def place(self, rows: I8, columns: Sequence[F8], time: I8, state: I8) -> None:
        """Take n rows at places that are known, and derive everything else: after a restore.

        rows: i8[n], their places. columns: one f8[n] a column of the plan. time: i8[n]. state: i8[K, ...], of
        `kernels.spans`.
        """

    @abstractmethod
    def values(self, rows: I8) -> F8:
        """Return the values of the rows at n places, f8[n] or f8[n, w]; asked of kernels that keep them only."""


def longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return an array of `size` rows that begins with the old ones; untouched pages of the new ones cost nothing."""
    grown = np.zeros((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
