"""An aggregate: what is known of the records that share a key with the request, in a window before it."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

from headrace.core.expressions import Expression, FieldColumn, Kind
from headrace.core.time import ENDED_US, duration_text

if TYPE_CHECKING:
    from headrace.features.grouped import Records
    from headrace.features.labels import Label

__all__ = ["OPERATIONS", "ZERO_WHEN_EMPTY", "AggregateRead", "Operation"]

Operation: TypeAlias = Literal["count", "sum", "mean", "min", "max", "last", "seconds_since"]
OPERATIONS: Final[tuple[Operation, ...]] = ("count", "sum", "mean", "min", "max", "last", "seconds_since")
ZERO_WHEN_EMPTY: Final[tuple[Operation, ...]] = ("count", "sum")
"""What is 0 for an empty window, and so never missing."""


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AggregateRead(Expression):
    """One aggregate over one window, read at a request's time.

    records: what is aggregated, a stream or a label. keys: expressions over its records. equals: expressions over
    the request that must equal the keys; in a vector there is one a key. column: what is aggregated, over the
    records (over `label.value` for a label); None for count and seconds_since.

    The window is [t - offset - size, t - offset), one microsecond longer with `include_current`; size_us is
    `ENDED_US` for FOREVER. `size_text` is the size as the user wrote it, for names only. `default` is the value of an
    empty window, None for NaN; without `defaulted` the user has not said so, and the value may be missing.
    """

    operation: Operation
    records: "Records[Any]"
    keys: tuple[Expression, ...]
    equals: tuple[Expression, ...]
    column: Expression | None
    size_us: int
    size_text: str
    offset_us: int
    include_current: bool
    default: float | None
    defaulted: bool
    prior: float
    max_keys: int

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return the column's unit, which every aggregate but the count keeps; seconds_since has seconds."""
        if self.operation == "seconds_since":
            return "s"
        return self.column.unit if self.column is not None else ""

    @property
    def missing(self) -> bool:
        """Return whether an empty window leaves the value missing without the user having said so."""
        return not self.defaulted

    @property
    def of_record(self) -> bool:
        """Return False: it looks at other records."""
        return False

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing: what it reads are other records, not columns of the request."""
        return ()

    @property
    def stream_name(self) -> str:
        """Return the name of the source whose records are aggregated; of a label, the source that asks."""
        return self.records.name

    @property
    def where(self) -> Expression | None:
        """Return the condition that records must meet."""
        return self.records.condition

    @property
    def of_label(self) -> bool:
        """Return whether the records are the rows of a label."""
        return self.records.label_of_rows is not None

    @property
    def label(self) -> "Label[Any] | None":
        """Return the label whose rows are aggregated, if it is one."""
        return self.records.label_of_rows

    @property
    def history(self) -> str:
        """Return the text that two aggregates share if one history of rows can answer both.

        Rows whose column is missing do not count, so a column that may be missing has rows of its own.
        """
        sparse = self.column.canonical if self.column is not None and self.column.missing else ""
        return f"{self._grouped} {sparse}"

    @property
    def window_text(self) -> str:
        """Return the window as it stands in the feature's name."""
        return self.size_text + (f"_before_{duration_text(self.offset_us)}" if self.offset_us else "")

    @property
    def canonical(self) -> str:
        """Return the call."""
        column = f"{self.column.canonical}, " if self.column is not None else ""
        window = "hr.FOREVER" if self.size_us >= ENDED_US else repr(duration_text(self.size_us))
        options = f", offset={duration_text(self.offset_us)!r}" if self.offset_us else ""
        options += ", include_current=True" if self.include_current else ""
        options += f", prior={self.prior!r}" if self.prior else ""
        options += f", default={self.default!r}" if self.defaulted and self.operation not in ZERO_WHEN_EMPTY else ""
        return f"{self._grouped}.{self.operation}({column}{window}{options})"

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with the aggregate, the fields it reads, or what ingest says of the source.

        Another feature, or another field of the same records, leaves it as it is.
        """
        columns = () if self.column is None else (self.column,)
        read = [node for part in (*self.keys, *columns, *self.records.decided_by) for node in part.walk()]
        fields = {node.canonical for node in read if isinstance(node, FieldColumn)}
        parts = [self.canonical]
        for settings in (source.settings for source in self.records.sources):
            parts.append(f"{settings.name} {settings.time} {settings.id} {settings.disorder_us} {settings.late}")
            parts.append(f"{settings.arrived} {settings.delay_us} {settings.max_future_skew_us}")
            parts += [
                repr(field) for field in settings.schema.fields if f"{settings.schema.name}.{field.name}" in fields
            ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def _grouped(self) -> str:
        keys = ", ".join(key.canonical for key in self.keys)
        fields = tuple(key.name if isinstance(key, FieldColumn) else "" for key in self.keys)
        same = all(isinstance(other, FieldColumn) for other in self.equals) and fields == tuple(
            other.name for other in self.equals if isinstance(other, FieldColumn)
        )
        equals = "" if same or not self.equals else f", equals=[{', '.join(key.canonical for key in self.equals)}]"
        return f"{self.records!r}.by({keys}{equals}, max_keys={self.max_keys})"
