"""An aggregate: what is known of the records that share a key with the request, in a window before it."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

from headrace.core.expressions import Expression, Kind
from headrace.core.time import ENDED_US, duration_text

__all__ = ["DEFAULTED", "OPERATIONS", "REQUIRED", "AggregateRead", "Operation", "Required"]

Operation: TypeAlias = Literal["count", "sum", "mean", "min", "max", "last", "seconds_since"]
OPERATIONS: Final[tuple[Operation, ...]] = ("count", "sum", "mean", "min", "max", "last", "seconds_since")
DEFAULTED: Final = ("count", "sum")
"""What is 0 for an empty window, and so never missing."""


@final
class Required:
    """The mark of a default that the user must give."""

    def __repr__(self) -> str:
        """Return the mark as it shows in signatures."""
        return "REQUIRED"


REQUIRED: Final = Required()


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AggregateRead(Expression):
    """One aggregate over one window, read at a request's time.

    stream: the name of the source, or of the label, whose rows are aggregated; `source` is that stream. keys: expressions over its records.
    equals: expressions over the request, () for the fields of the same names. column: what is aggregated; None for
    count and seconds_since. The window, written as size_text, is [t - offset - size, t - offset), one microsecond longer with
    `include_current`. default: the value of an empty window; None is NaN for the model; REQUIRED is not given.
    """

    operation: Operation
    stream: str
    source: Any
    of_label: bool
    where: Expression | None
    keys: tuple[Expression, ...]
    equals: tuple[Expression, ...]
    column: Expression | None
    size_us: int
    size_text: str
    offset_us: int
    include_current: bool
    default: float | None | Required
    prior: float
    max_keys: int

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return the column's unit where the aggregate keeps it."""
        if self.operation == "seconds_since":
            return "s"
        return self.column.unit if self.column is not None else ""

    @property
    def missing(self) -> bool:
        """Return whether an empty window leaves the value missing without the user having said so."""
        return self.operation not in DEFAULTED and isinstance(self.default, Required)

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing: what it reads are other records, not columns of the request."""
        return ()

    @property
    def default_value(self) -> float | None:
        """Return the default, None where NaN is handed over."""
        return None if isinstance(self.default, Required) else self.default

    @property
    def history(self) -> str:
        """Return the text that two aggregates share if one history of rows can answer both.

        Rows whose column is missing do not count, so a column that may be missing has rows of its own.
        """
        sparse = self.column.canonical if self.column is not None and self.column.missing else ""
        keys = ", ".join(key.canonical for key in self.keys)
        equals = ", ".join(key.canonical for key in self.equals)
        where = self.where.canonical if self.where is not None else ""
        return f"{self.stream}.where({where}).by({keys}, equals=[{equals}], max_keys={self.max_keys}) has {sparse}"

    @property
    def window_text(self) -> str:
        """Return the window as the user wrote it."""
        return self.size_text + (f"_before_{duration_text(self.offset_us)}" if self.offset_us else "")

    @property
    def canonical(self) -> str:
        """Return the call."""
        column = f"{self.column.canonical}, " if self.column is not None else ""
        equals = f", equals=[{', '.join(key.canonical for key in self.equals)}]" if self.equals else ""
        where = f".where({self.where.canonical})" if self.where is not None else ""
        keys = ", ".join(key.canonical for key in self.keys)
        options = f", offset={duration_text(self.offset_us)!r}" if self.offset_us else ""
        options += ", include_current=True" if self.include_current else ""
        options += f", prior={self.prior!r}" if self.prior else ""
        options += "" if self.operation in DEFAULTED else f", default={self.default!r}"
        window = "hr.FOREVER" if self.size_us >= ENDED_US else repr(duration_text(self.size_us))
        return f"{self.stream}{where}.by({keys}{equals}, max_keys={self.max_keys}).{self.operation}({column}{window}{options})"
