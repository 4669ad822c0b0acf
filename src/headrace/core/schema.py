"""The shape of one kind of record, as every room reads it: names, types, ranges."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import pyarrow as pa

__all__ = ["NO_DEFAULT", "EventSchema", "FieldKind", "FieldSchema"]

FieldKind: TypeAlias = Literal["text", "number", "integer", "bool", "time", "category", "numbers"]


@final
class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()
_ARROW: Final[dict[str, pa.DataType]] = {
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "category": pa.string(),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSchema:
    """One field. `ge` and `le` are the declared range, in `unit`; `choices` are a category's texts.

    `length` is how many numbers a field of kind "numbers" holds in every record; then the range is that of each.

    >>> FieldSchema(name="embedding", kind="numbers", length=64).arrow
    FixedSizeListType(fixed_size_list<item: double>[64])
    """

    name: str
    kind: FieldKind
    nullable: bool = False
    unit: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    default: object = NO_DEFAULT
    length: int = 0

    @property
    def arrow(self) -> pa.DataType:
        """Return the Arrow type of the column: text and category are strings, a time is timestamp[us, UTC]."""
        return pa.list_(pa.float64(), self.length) if self.kind == "numbers" else _ARROW[self.kind]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EventSchema:
    """The fields of one kind of record, in order.

    >>> EventSchema(name="Ping", fields=(FieldSchema(name="host", kind="text"),)).arrow.names
    ['host']
    """

    name: str
    fields: tuple[FieldSchema, ...]

    @property
    def arrow(self) -> pa.Schema:
        """Return the columns as they stand in a payload."""
        return pa.schema([pa.field(field.name, field.arrow, nullable=field.nullable) for field in self.fields])

    def field(self, name: str) -> FieldSchema:
        """Return one field by name; KeyError if there is none."""
        return next(field for field in self.fields if field.name == name) if name in self.names else _missing(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(field.name for field in self.fields)


def _missing(name: str) -> FieldSchema:
    raise KeyError(name)
