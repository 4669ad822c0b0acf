"""Windows by definition: lists and `fractions.Fraction` over everything seen so far. Imports nothing of ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

OK, NO_KEY, EXPIRED, MISSING_INPUT, TRUNCATED = range(5)
Window = tuple[float, int, bool]
"""Size (may be infinite), offset, whether the moment of the read is in."""
Read = tuple[str, int, int, float, float]
"""Operation, window, column, prior, default."""


@dataclass
class Row:
    """One operation: a row that is inserted, a read, or first the one and then the other."""

    key: int
    time: int
    insert: bool
    read: bool
    lowest: int
    values: tuple[float, ...]


@dataclass
class Windows:
    """Every row ever inserted, in log order; a read looks at all of them."""

    windows: Sequence[Window]
    reads: Sequence[Read]
    seen: list[Row] = field(default_factory=list)

    def step(self, row: Row) -> list[tuple[float, int]] | None:
        """Return (value, reason) of each read, None if the row asks nothing."""
        if row.insert and row.key >= 0:
            self.seen.append(row)
        if not row.read:
            return None
        return [self._answer(row, read) for read in self.reads]

    def _answer(self, row: Row, read: Read) -> tuple[float, int]:
        operation, window, column, prior, default = read
        size, offset, current = self.windows[window]
        until = row.time - offset + int(current)
        since = row.time - offset - size
        ever = [other for other in self.seen if other.key == row.key]
        inside = [other for other in ever if since <= other.time < until and other.time >= row.lowest]
        # A row that asks is not one that its key had before, unless the window takes it in.
        had = [other for other in ever if current or other is not row]
        inside.sort(key=lambda other: other.time)  # Stable: ties stay in log order.
        cut = since < row.lowest and any(other.time < min(row.lowest, until) for other in had)
        reason = TRUNCATED if cut else OK if inside else EXPIRED if had else NO_KEY
        if operation == "seconds_since":
            return (row.time - inside[-1].time) / 1e6 if inside else math.nan, reason
        return aggregate(operation, [other.values[column] for other in inside], prior, default), reason


def aggregate(operation: str, values: list[float], prior: float, default: float) -> float:
    """Return one aggregate of the values of a window, oldest first."""
    count = len(values)
    if operation == "count":
        return float(count)
    if operation == "sum":
        return exact_sum(values)
    if operation == "mean" and prior > 0:
        return (exact_sum(values) + prior * default) / (count + prior)
    if not values:
        return math.nan
    if operation == "mean":
        return exact_sum(values) / count
    if operation == "last":
        return values[-1]
    return max(values) if operation == "max" else min(values)


def exact_sum(values: Sequence[float]) -> float:
    """Return the float64 nearest to the sum; an infinity if it is beyond the largest."""
    total = sum((Fraction(value) for value in values), Fraction(0))
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf
