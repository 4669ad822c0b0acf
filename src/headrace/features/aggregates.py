"""An aggregate: what is known of the records that share a key with the request, in a window before it."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from headrace.core.expressions import Expression, FieldColumn, Kind
from headrace.core.time import ENDED_US, duration_text
from headrace.features.bounds import Bounds
from headrace.features.windows import Window

if TYPE_CHECKING:
    from headrace.features.grouped import Records
    from headrace.features.labels import Label

__all__ = ["OF_ROWS", "ZERO_WHEN_EMPTY", "AggregateRead", "Parameter"]

Parameter: TypeAlias = float | int | str
ZERO_WHEN_EMPTY: Final = ("count", "sum", "distinct", "rate", "entropy")
"""What is 0 for an empty window, and so never missing."""
OF_ROWS: Final = ("count", "rate", "seconds_since")
"""What needs no column."""
KEEPS_TEXT: Final = ("first", "last", "top", "argmax", "argmin")
"""What gives a text back where its column is one."""
_IN_NAMES: Final = ("q", "rank", "k", "name")
_NEVER_NEGATIVE: Final = ("count", "distinct", "rate", "entropy")
_SECONDS: Final = ("seconds_since",)
_WITHOUT_UNIT: Final = ("distinct", "entropy", "skew", "top_share")


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AggregateRead(Expression):
    """One aggregate over one window, read at a request's time.

    records: what is aggregated, a stream or a label. keys: expressions over its records. equals: expressions over
    the request that must equal the keys; in a vector there is one a key. column: what is aggregated, over the
    records (over `label.value` for a label); None for what needs none. other: a second column, which `argmax` and
    `argmin` look for the extreme of. parameters: the aggregate's own, by name. code: of an aggregate of the user's,
    the text of its functions. resolution_us: the length of the tiles that are kept instead of every record, 0 for none.

    The window ends at t - offset, one microsecond later with `include_current`. `default` is the value of an empty
    window, None for NaN; without `defaulted` the user has not said so, and the value may be missing.
    """

    operation: str
    records: "Records[Any]"
    keys: tuple[Expression, ...]
    equals: tuple[Expression, ...]
    column: Expression | None
    window: Window
    offset_us: int
    include_current: bool
    default: float | str | None
    defaulted: bool
    limits: Bounds
    other: Expression | None = None
    parameters: tuple[tuple[str, Parameter], ...] = ()
    resolution_us: int = 0

    @property
    def kind(self) -> Kind:
        """Return text for what gives a text column back, else number."""
        text = self.operation in KEEPS_TEXT and self.column is not None and self.column.kind == "text"
        return "text" if text else "number"

    @property
    def unit(self) -> str:
        """Return the column's unit, which most aggregates keep; seconds_since has seconds."""
        if self.operation in _SECONDS:
            return "s"
        return self.column.unit if self.column is not None and self.operation not in _WITHOUT_UNIT else ""

    @property
    def operation_text(self) -> str:
        """Return the operation as it stands in the feature's name, with what tells it from its like."""
        told = [str(value) for name, value in self.parameters if name in _IN_NAMES]
        return "_".join([self.operation, *told])

    @property
    def columns(self) -> tuple[Expression, ...]:
        """Return the columns that it reads."""
        return tuple(column for column in (self.column, self.other) if column is not None)

    @property
    def settings(self) -> Mapping[str, Parameter]:
        """Return the parameters by name."""
        return dict(self.parameters)

    @property
    def missing(self) -> bool:
        """Return whether an empty window leaves the value missing without the user having said so."""
        return not self.defaulted

    @property
    def bounds(self) -> tuple[float, float]:
        """Return that a count is not negative."""
        return (0.0, math.inf) if self.operation in _NEVER_NEGATIVE else super().bounds

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
        sparse = " ".join(column.canonical for column in self.columns if column.missing)
        tiles = f" tiles of {self.resolution_us} us, {self.include_current}" if self.resolution_us else ""
        return f"{self.grouped} {sparse}{tiles}"

    @property
    def edge_error(self) -> float:
        """Return the share of the window that each edge may be off by; 0 without a beginning, or without tiles."""
        return 0.0 if self.window.reach_us >= ENDED_US else self.resolution_us / self.window.reach_us

    @property
    def window_text(self) -> str:
        """Return the window as it stands in the feature's name."""
        return self.window.text + (f"_before_{duration_text(self.offset_us)}" if self.offset_us else "")

    @cached_property
    def canonical(self) -> str:
        """Return the call."""
        columns = () if self.operation in OF_ROWS else tuple(column.canonical for column in self.columns)
        parts = [*columns, self.window.canonical]
        parts += [f"offset={duration_text(self.offset_us)!r}"] if self.offset_us else []
        parts += ["include_current=True"] if self.include_current else []
        parts += [f"resolution={duration_text(self.resolution_us)!r}"] if self.resolution_us else []
        parts += [f"{name}={value!r}" for name, value in self.parameters]
        parts += [f"default={self.default!r}"] if self.defaulted and self.operation not in ZERO_WHEN_EMPTY else []
        return f"{self.grouped}.{self.operation}({', '.join(parts)})"

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with the aggregate, the fields it reads, or what ingest says of the source.

        Another feature, or another field of the same records, leaves it as it is.
        """
        read = [node for part in (*self.keys, *self.columns, *self.records.decided_by) for node in part.walk()]
        fields = {node.canonical for node in read if isinstance(node, FieldColumn)}
        parts = [self.canonical]
        for settings in (source.settings for source in self.records.sources):
            parts.append(f"{settings.name} {settings.time} {settings.id} {settings.disorder_us} {settings.late}")
            parts.append(f"{settings.arrived} {settings.delay_us} {settings.max_future_skew_us}")
            parts.append(f"{settings.duplicate_horizon_us} {settings.producer} {settings.silent_us}")
            parts += [
                repr(field) for field in settings.schema.fields if f"{settings.schema.name}.{field.name}" in fields
            ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def grouped(self) -> str:
        """Return the records with their keys and bounds."""
        keys = ", ".join(key.canonical for key in self.keys)
        fields = tuple(key.name if isinstance(key, FieldColumn) else "" for key in self.keys)
        same = all(isinstance(other, FieldColumn) for other in self.equals) and fields == tuple(
            other.name for other in self.equals if isinstance(other, FieldColumn)
        )
        equals = "" if same or not self.equals else f", equals=[{', '.join(key.canonical for key in self.equals)}]"
        return f"{self.records!r}.by({keys}{equals}, {self.limits.canonical})"
