"""Typed events: on the class a field is a column expression, on a record it is a value.

class Departure(hr.Event):
    flight_id: str
    distance: Miles
    at: datetime

Departure.distance > 100        # an expression
Departure(flight_id="UA1", distance=5.0, at=...).distance   # 5.0
"""

import re
import sys
import typing
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, final

import msgspec

from headrace.core.checks import is_whole
from headrace.core.errors import ConfigError, nearest
from headrace.core.expressions import FieldColumn, Kind
from headrace.core.schema import NO_DEFAULT, EventSchema, FieldKind, FieldSchema

__all__ = ["Event", "Length", "Prediction", "Unit", "columns_of", "event_schema"]

_KINDS: Final[dict[Any, FieldKind]] = {
    float: "number",
    int: "integer",
    bool: "bool",
    str: "text",
    datetime: "time",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
_COLUMN_KINDS: Final[dict[FieldKind, Kind]] = {
    "number": "number",
    "integer": "number",
    "bool": "bool",
    "text": "text",
    "category": "text",
    "time": "time",
    "numbers": "numbers",
}
_LENGTH_MAX: Final = 4096
"""Numbers in one field; more of them are no feature of a model that learns row by row."""


def Unit(name: str, *, ge: float | None = None, le: float | None = None) -> Any:  # noqa: N802 - reads as a type
    """Return a unit for a type alias: checked at ingest, and carried into the names of features.

    >>> from typing import Annotated
    >>> class Trip(Event):
    ...     distance: Annotated[float, Unit("mi", ge=0)]
    >>> Trip.distance.unit
    'mi'
    """
    return msgspec.Meta(ge=ge, le=le, extra={"unit": name})


def Length(n: int) -> Any:  # noqa: N802 - reads as a type
    """Return the length of an embedding, for a type alias: every record has exactly n finite numbers there.

    In a vector it is n features, each under its place; one of them is had by its place.

    >>> from typing import Annotated
    >>> class View(Event):
    ...     embedding: Annotated[tuple[float, ...], Length(64)]
    >>> View.embedding, View.embedding[63]
    (View.embedding, View.embedding[63])

    Raises ConfigError unless n is from 1 to 4096.
    """
    if not is_whole(n) or not 1 <= n <= _LENGTH_MAX:
        raise ConfigError("hr.Length", wanted=f"a whole number from 1 to {_LENGTH_MAX}", got=n)
    return msgspec.Meta(min_length=n, max_length=n)


@final
class _Field:
    """What stands on the class: the column on the class itself, the value on a record."""

    def __init__(self, name: str, member: Any) -> None:
        self.name = name
        self.member = member

    def __get__(self, record: Any, owner: Any) -> Any:
        if record is None:
            return columns_of(owner)[self.name]
        return self.member.__get__(record, owner)


@final
class _EventMeta(type(msgspec.Struct)):  # type: ignore[misc] # msgspec's metaclass has no type of its own
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any) -> Any:
        settings = {"frozen": True, "kw_only": True, **settings}
        made = super().__new__(mcs, name, bases, namespace, **settings)
        texts = [text for text in namespace.get("__annotations__", {}).values() if isinstance(text, str)]
        scope = sys._getframe(1).f_locals  # noqa: SLF001 - the names of the function that declares the class
        named = {name for text in texts for name in _IDENTIFIER.findall(text)}
        type.__setattr__(made, "_headrace_scope", {name: scope[name] for name in sorted(named) if name in scope})
        for field in getattr(made, "__struct_fields__", ()):
            member = next(base.__dict__[field] for base in made.__mro__ if field in base.__dict__)
            if not isinstance(member, _Field):
                type.__setattr__(made, field, _Field(field, member))
        return made

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        fields = cls.__struct_fields__
        wanted = f"a field of {cls.__name__} ({', '.join(fields)})"
        raise ConfigError(f"{cls.__name__}.{name}", wanted=wanted, got=name + nearest(name, fields))


if typing.TYPE_CHECKING:

    @typing.dataclass_transform(kw_only_default=True, frozen_default=True)
    class Event:
        """One kind of record. On the class a field is a column; on a record it is a value."""

        __struct_fields__: tuple[str, ...]

else:

    class Event(msgspec.Struct, metaclass=_EventMeta):
        """One kind of record. On the class a field is a column; on a record it is a value.

        >>> class Ping(Event):
        ...     host: str
        ...     ms: float
        >>> Ping.ms > 5, Ping(host="a", ms=7.0).ms
        ((Ping.ms > 5), 7.0)
        """


@final
class Prediction(Event):
    """What an answer is to a sink: `hr.Prediction.score > 0.8`.

    `version` is the number of the model that answered, -1 for none. `fallback` is the reason why its score was not
    used. `drift` is the highest score in force in units of its threshold, and `drift_of` whose it is.
    """

    id: str
    score: float
    version: int
    fallback: str | None
    drift: float
    drift_of: str | None


def event_schema(event: type[Event]) -> EventSchema:
    """Return the shape of one class of events.

    Raises ConfigError, with the class and the field, for an annotation that no column can hold.
    """
    known = event.__dict__.get("_headrace_schema")
    if known is None:
        if not (isinstance(event, _EventMeta) and event.__struct_fields__):
            raise ConfigError(
                "event", wanted="a class of events with fields: class Departure(hr.Event): ...", got=event
            )
        scope: dict[str, Any] = {}
        for base in reversed(event.__mro__):
            scope |= base.__dict__.get("_headrace_scope", {})
        try:
            hints = typing.get_type_hints(event, localns=scope, include_extras=True)
        except (NameError, TypeError, SyntaxError) as error:
            raise ConfigError(event.__name__, wanted="annotations that can be resolved", got=str(error)) from error
        defaults = _defaults(event)
        known = EventSchema(
            name=event.__name__,
            fields=tuple(
                _field_schema(event.__name__, name, hints[name], defaults.get(name, NO_DEFAULT))
                for name in event.__struct_fields__
            ),
        )
        type.__setattr__(event, "_headrace_schema", known)
    return typing.cast("EventSchema", known)


def columns_of(event: type[Event]) -> dict[str, FieldColumn]:
    """Return the columns of a class of events, by name."""
    known = event.__dict__.get("_headrace_columns")
    if known is None:
        known = {
            field.name: FieldColumn(
                event.__name__,
                field.name,
                _COLUMN_KINDS[field.kind],
                field.unit,
                field.nullable,
                field.choices,
                field.length,
                field.ge,
                field.le,
            )
            for field in event_schema(event).fields
        }
        type.__setattr__(event, "_headrace_columns", known)
    return typing.cast("dict[str, FieldColumn]", known)


def _defaults(event: Any) -> dict[str, object]:
    """Return the declared defaults: msgspec lists those of the last fields, with a mark for a field that has none."""
    values = event.__struct_defaults__
    names = event.__struct_fields__[len(event.__struct_fields__) - len(values) :]
    return {name: value for name, value in zip(names, values, strict=True) if value is not msgspec.NODEFAULT}


@final
@dataclass(frozen=True, slots=True)
class _Hint:
    """What an annotation says, taken out of its aliases: type, unit, range, length, whether None may be."""

    type: Any
    unit: str
    low: float | None
    high: float | None
    length: int
    nullable: bool


def _unwrapped(where: str, hint: Any) -> _Hint:
    unit, low, high, length = "", None, None, 0
    nullable = False
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint, *extras = typing.get_args(hint)
            for meta in extras:
                if isinstance(meta, msgspec.Meta):
                    unit = (meta.extra or {}).get("unit", unit)
                    low = meta.ge if meta.ge is not None else low
                    high = meta.le if meta.le is not None else high
                    length = meta.max_length or length
        elif hasattr(hint, "__value__"):  # A `type` statement.
            hint = hint.__value__
        elif typing.get_origin(hint) in {Union, UnionType}:
            parts = [part for part in typing.get_args(hint) if part is not NoneType]
            nullable |= len(parts) < len(typing.get_args(hint))
            if len(parts) != 1:
                raise ConfigError(where, wanted="one type, or one type | None", got=hint)
            hint = parts[0]
        else:
            return _Hint(hint, unit, low, high, length, nullable)


def _field_schema(owner: str, name: str, hint: Any, default: object) -> FieldSchema:
    where = f"{owner}.{name}"
    told = _unwrapped(where, hint)
    choices: tuple[str, ...] = ()
    if typing.get_origin(told.type) is tuple:
        return _numbers_schema(where, name, told, default)
    if told.length:
        wanted = "tuple[float, ...] with its hr.Length (nothing else has a length)"
        raise ConfigError(where, wanted=wanted, got=told.type)
    if typing.get_origin(told.type) is Literal:
        choices = tuple(typing.get_args(told.type))
        if not all(isinstance(choice, str) for choice in choices):
            raise ConfigError(where, wanted="a Literal of texts", got=told.type)
        kind: FieldKind = "category"
    elif told.type in _KINDS:
        kind = _KINDS[told.type]
    else:
        wanted = "str, float, int, bool, datetime, Literal[...] of texts, or one of them | None"
        if told.type in {list, tuple} or typing.get_origin(told.type) is list:
            wanted = "Annotated[tuple[float, ...], hr.Length(n)] for several numbers"
        raise ConfigError(where, wanted=wanted, got=told.type)
    return FieldSchema(
        name=name,
        kind=kind,
        nullable=told.nullable,
        unit=told.unit,
        ge=told.low,
        le=told.high,
        choices=choices,
        default=default,
    )


def _numbers_schema(where: str, name: str, told: _Hint, default: object) -> FieldSchema:
    """Return a field of several numbers; the unit and the range are those of each."""
    one, *rest = typing.get_args(told.type)
    each = _unwrapped(where, one)
    if rest != [...] or each.type is not float or each.nullable or each.length:
        wanted = "tuple[float, ...], whose numbers are never None"
        raise ConfigError(where, wanted=wanted, got=told.type)
    if not told.length:
        wanted = "how many numbers: Annotated[tuple[float, ...], hr.Length(n)]"
        raise ConfigError(where, wanted=wanted, got=told.type)
    if told.unit or told.low is not None or told.high is not None:
        wanted = "the unit of each number: tuple[Annotated[float, hr.Unit(...)], ...]"
        raise ConfigError(where, wanted=wanted, got=told.unit)
    if isinstance(default, tuple | list) and len(default) != told.length:
        raise ConfigError(f"{where} default", wanted=f"{told.length} numbers", got=default)
    return FieldSchema(
        name=name,
        kind="numbers",
        nullable=told.nullable,
        unit=each.unit,
        ge=each.low,
        le=each.high,
        default=default,
        length=told.length,
    )
