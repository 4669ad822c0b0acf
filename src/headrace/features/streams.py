"""What the user starts from: sources of events, filtered sources, and labels, which are streams too.

Grammar: stream[.where(condition)].by(keys).aggregate(column, window, default=).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

import numpy as np

from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, columns_of, event_schema
from headrace.core.expressions import Expression, FieldColumn, Kind, Literal
from headrace.core.records import Kind as RecordKind
from headrace.core.source_settings import Late, SourceSettings
from headrace.core.time import ENDED_US, Duration, duration_text, duration_us
from headrace.features.aggregates import REQUIRED, AggregateRead, Operation, Required
from headrace.core.settings import How
from headrace.features.vector import Vector

__all__ = ["DROP", "FOREVER", "Column", "Drop", "Forever", "Grouped", "Label", "LabelValue", "Stream", "source"]

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Event)
Column: TypeAlias = Expression | str | float | int | bool | datetime | None
"""What stands where a column is wanted. To a type checker a field of an event has the type of its value."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED: Final = ("tick", "rejected", "events", "label")
_KEYS: Final = 1_000_000


@final
class Forever:
    """The window that has no beginning."""

    def __repr__(self) -> str:
        """Return the name."""
        return "hr.FOREVER"


@final
class Drop:
    """No label: a request that closes without an event is not learnt from."""

    def __repr__(self) -> str:
        """Return the name."""
        return "hr.DROP"


FOREVER: Final = Forever()
DROP: Final = Drop()
Window: TypeAlias = Duration | Forever


@final
class Grouped:
    """The records of one stream that share a key with the request."""

    def __init__(
        self, stream: "Stream[Any]", keys: tuple[Expression, ...], equals: tuple[Expression, ...], max_keys: int
    ) -> None:
        self._stream = stream
        self._keys = keys
        self._equals = equals
        self._max_keys = max_keys

    def count(self, window: Window, *, offset: Duration = "0s", include_current: bool = False) -> Expression:
        """Return how many records there are; 0 for none, with the reason why."""
        return self._read("count", None, window, 0.0, offset=offset, include_current=include_current)

    def sum(self, column: Column, window: Window, *, offset: Duration = "0s", include_current: bool = False) -> Expression:
        """Return the exact sum, rounded once; 0 for none, with the reason why."""
        return self._read("sum", column, window, 0.0, offset=offset, include_current=include_current)

    def mean(
        self,
        column: Column,
        window: Window,
        *,
        default: float | None | Required = REQUIRED,
        prior: float = 0.0,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the mean; with `prior`, as if that many records with the default value had been seen as well."""
        if prior and (default is None or isinstance(default, Required)):
            raise ConfigError(self._where("mean"), wanted="default=..., toward which prior= draws", got="none")
        if not prior >= 0:
            raise ConfigError(self._where("mean"), wanted="prior >= 0", got=prior)
        return self._read("mean", column, window, default, prior, offset=offset, include_current=include_current)

    def min(
        self,
        column: Column,
        window: Window,
        *,
        default: float | None | Required = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the least value."""
        return self._read("min", column, window, default, offset=offset, include_current=include_current)

    def max(
        self,
        column: Column,
        window: Window,
        *,
        default: float | None | Required = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the greatest value."""
        return self._read("max", column, window, default, offset=offset, include_current=include_current)

    def last(
        self,
        column: Column,
        window: Window,
        *,
        default: float | None | Required = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the value of the newest record that has one; of equal times, the last in the log."""
        return self._read("last", column, window, default, offset=offset, include_current=include_current)

    def seconds_since(self, window: Window, *, default: float | None | Required = REQUIRED) -> Expression:
        """Return the seconds since the newest record."""
        return self._read("seconds_since", None, window, default)

    def _where(self, operation: str) -> str:
        return f"{self._stream.name}.by({', '.join(map(repr, self._keys))}).{operation}"

    def _read(
        self,
        operation: Operation,
        column: Column,
        window: Window,
        default: float | None | Required,
        prior: float = 0.0,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        where = self._where(operation)
        size_us = ENDED_US if isinstance(window, Forever) else duration_us(f"{where} window", window)
        if size_us <= 0:
            raise ConfigError(f"{where} window", wanted="a window longer than nothing", got=window)
        read: Expression | None = None
        if operation not in ("count", "seconds_since"):
            read = self._stream.column(column, where)
            if read.kind not in ("number", "bool"):
                raise ConfigError(where, wanted="a number", got=f"{read!r}, which is a {read.kind}")
        if default is not None and not isinstance(default, int | float | Required):
            raise ConfigError(f"{where} default", wanted="a number or None", got=default)
        return AggregateRead(
            operation=operation,
            stream=self._stream.history_name,
            source=self._stream,
            of_label=isinstance(self._stream, Label),
            where=self._stream.condition,
            keys=self._keys,
            equals=self._equals,
            column=read,
            size_us=size_us,
            size_text=_window_text(window, size_us),
            offset_us=duration_us(f"{where} offset", offset),
            include_current=include_current,
            default=default,
            prior=prior,
            max_keys=self._max_keys,
        )


class Stream(Generic[E]):
    """Records of one class in the order of the log: a source, a filtered source, or the labels of one."""

    def __init__(self, settings: SourceSettings, event: type[E], condition: Expression | None = None) -> None:
        self._settings = settings
        self.event = event
        self.condition = condition

    @property
    def name(self) -> str:
        """Return the source's name."""
        return self._settings.name

    @property
    def history_name(self) -> str:
        """Return the name under which aggregates know the stream."""
        return self.name

    @property
    def settings(self) -> SourceSettings:
        """Return what ingest must know of the source."""
        return self._settings

    def __repr__(self) -> str:
        """Return the stream as the user reaches it."""
        return self.name + (f".where({self.condition!r})" if self.condition is not None else "")

    def column(self, value: object, where: str) -> Expression:
        """Return a column of this stream's records: a column, or the field of that name.

        Raises ConfigError, with the nearest name, for a field of another class or one that does not exist.
        """
        if isinstance(value, Expression):
            self._check_fields(value, where)
            return value
        fields = columns_of(self.event)
        if not isinstance(value, str):
            raise ConfigError(where, wanted=f"a column of {self.event.__name__}", got=f"the constant {value!r}")
        if value not in fields:
            wanted = f"a field of {self.event.__name__} ({', '.join(fields)})"
            raise ConfigError(where, wanted=wanted, got=repr(value) + nearest(value, fields))
        return fields[value]

    def where(self, condition: Column) -> "Stream[E]":
        """Return the records for which a condition holds."""
        where = f"{self.name}.where"
        if not isinstance(condition, Expression):
            wanted = "an expression over fields (for a missing value: hr.is_missing)"
            raise ConfigError(where, wanted=wanted, got=f"the constant {condition!r}")
        self._check_fields(condition, where)
        if condition.kind != "bool":
            raise ConfigError(where, wanted="a condition", got=f"{condition!r}, which is a {condition.kind}")
        both = condition if self.condition is None else self.condition & condition
        return Stream(self._settings, self.event, both)

    def by(self, *keys: Column, equals: Column | Sequence[Column] = (), max_keys: int = _KEYS) -> Grouped:
        """Group by one or more columns.

        `equals` are the request's columns that must equal the keys; left out, they are its fields of the same
        names. At most `max_keys` keys are kept; rows of further ones are counted and left out.
        """
        where = f"{self.name}.by"
        if not keys:
            raise ConfigError(where, wanted="at least one column", got="none")
        if max_keys < 1:
            raise ConfigError(f"{where} max_keys", wanted="at least 1", got=max_keys)
        others = [equals] if isinstance(equals, str | Expression) or not isinstance(equals, Sequence) else list(equals)
        for other in others:
            if not isinstance(other, Expression):
                raise ConfigError(f"{where} equals", wanted="columns of the request, such as Departure.origin", got=other)
        if others and len(others) != len(keys):
            raise ConfigError(f"{where} equals", wanted=f"{len(keys)} columns, one a key", got=len(others))
        expressions = tuple(self.column(key, where) for key in keys)
        return Grouped(self, expressions, tuple(other for other in others if isinstance(other, Expression)), max_keys)

    def vector(self, name: str, /, *features: Column, **named: Column) -> "Vector[E]":
        """Return a vector of features, asked for by the records of this stream."""
        if self.condition is not None:
            raise ConfigError(f"vector {name!r}", wanted="a source that asks", got=repr(self))
        _check_name("vector", name)
        return Vector(self, name, features, named)

    def label(
        self,
        events: "Stream[R]",
        value: Column = True,
        /,
        *,
        on: str | Mapping[str, str],
        within: Duration,
        otherwise: float | bool | Drop,
        after: Duration = "0s",
        how: How = "first",
    ) -> "Label[E]":
        """Return the answer to each record of this stream: found in `events` in [t + after, t + within)."""
        return Label(self, events, value, on=on, within=within, otherwise=otherwise, after=after, how=how)

    def _check_fields(self, value: Expression, where: str) -> None:
        for node in value.walk():
            if isinstance(node, FieldColumn) and node.owner != self.event.__name__:
                raise ConfigError(where, wanted=f"columns of {self.event.__name__}, the records of {self.name!r}", got=repr(node))


@final
class LabelValue(Expression):
    """The value of a label, as a column of the label's own stream."""

    def __init__(self, value: Expression) -> None:
        self.of = value

    @property
    def kind(self) -> Kind:
        """Return the kind of the value: bool is a binary task, a number a regression."""
        return self.of.kind

    @property
    def missing(self) -> bool:
        """Return False: a label without a value is no row of the stream."""
        return False

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing: it is read from the label's rows."""
        return ()

    @property
    def canonical(self) -> str:
        """Return label.value, with what decides it."""
        return f"label({self.of.canonical}).value"


@final
class Label(Stream[E]):
    """The answer to each request of a stream; itself a stream of (request, answer) from the time it is known.

    `how` says which matching event decides: the first to come, or, at the close, the last by event time. An event
    whose value is missing is no answer. `otherwise` is the label of a request that closes without an event.
    """

    def __init__(
        self,
        of: Stream[E],
        events: Stream[Any],
        value: Column,
        *,
        on: str | Mapping[str, str],
        within: Duration,
        otherwise: float | bool | Drop,
        after: Duration,
        how: How,
    ) -> None:
        super().__init__(of.settings, of.event)
        where = f"{of.name}.label"
        for stream in (of, events):
            if stream.condition is not None and stream is of or isinstance(stream, Label):
                raise ConfigError(where, wanted="sources", got=repr(stream))
        self.of = of
        self.events = events
        decided = value if isinstance(value, Expression) else Literal(value) if isinstance(value, bool | int | float) else None
        if decided is None:
            raise ConfigError(where, wanted=f"a column of {events.event.__name__}, or a number", got=value)
        events.column(decided, where)
        if decided.kind not in ("bool", "number"):
            raise ConfigError(where, wanted="a condition or a number", got=f"{decided!r}, which is a {decided.kind}")
        self.answer = decided
        self.value = LabelValue(decided)
        pairs = {on: on} if isinstance(on, str) else dict(on)
        self.asked_keys = tuple(of.column(name, f"{where}(on=)") for name in pairs)
        self.event_keys = tuple(events.column(name, f"{where}(on=)") for name in pairs.values())
        self.after_us = duration_us(f"{where} after", after)
        self.within_us = duration_us(f"{where} within", within)
        if self.within_us <= self.after_us:
            raise ConfigError(f"{where} within", wanted=f"more than after={after!r}", got=within)
        if how not in ("first", "last"):
            raise ConfigError(f"{where} how", wanted="'first' or 'last'", got=how)
        self.how: How = how
        if not isinstance(otherwise, int | float | Drop):
            raise ConfigError(f"{where} otherwise", wanted="a value, or hr.DROP", got=otherwise)
        self.otherwise = otherwise

    @property
    def history_name(self) -> str:
        """Return the name under which aggregates know the label's rows."""
        return f"{self.name}.label[{self.canonical}]"

    @property
    def canonical(self) -> str:
        """Return all that decides the label."""
        keys = ", ".join(f"{a.canonical}={b.canonical}" for a, b in zip(self.asked_keys, self.event_keys, strict=True))
        where = f".where({self.events.condition.canonical})" if self.events.condition is not None else ""
        return (
            f"{self.events.name}{where}, {self.answer.canonical}, on {keys}, "
            f"[{self.after_us}, {self.within_us}) us, {self.how}, otherwise {self.otherwise!r}"
        )

    @property
    def otherwise_value(self) -> float:
        """Return the label of a request that closes unanswered; NaN for none."""
        return np.nan if isinstance(self.otherwise, Drop) else float(self.otherwise)

    def column(self, value: object, where: str) -> Expression:
        """Return the label's value, or a column of the request."""
        if isinstance(value, LabelValue):
            if value is not self.value:
                raise ConfigError(where, wanted="this label's own value", got=repr(value))
            return value
        return super().column(value, where)

    def where(self, condition: Column) -> "Stream[E]":
        """Refuse: a label's rows are all of its answers."""
        raise ConfigError(f"{self.name}.label.where", wanted="a condition on the label's own events", got=repr(condition))


def source(
    name: str,
    event: type[E],
    *,
    time: Column,
    id: Column = None,
    disorder: Duration = "0s",
    late: Late = "update",
    max_future_skew: Duration = "5min",
    arrived: Column = None,
    delay: Duration = "0s",
    producer: Column = None,
) -> Stream[E]:
    """Return a source of events. Where its records come from is said in headrace.toml.

    time: the field that says when it happened. id: the field by which a second copy is known. disorder: how far a
    record may stand behind the newest. late: what becomes of one that stands further behind. arrived: the field
    that says when it came (of a history), else the event time plus `delay`.
    """
    _check_name("source", name)
    where = f"source {name!r}"
    probe = Stream(SourceSettings(name=name, schema=event_schema(event), time="", kind=RecordKind.EVENT), event)

    def field(value: Column, setting: str, kinds: tuple[Kind, ...]) -> str | None:
        if value is None:
            return None
        column = probe.column(value, f"{where} {setting}")
        if not isinstance(column, FieldColumn) or column.kind not in kinds:
            raise ConfigError(f"{where} {setting}", wanted=f"a {kinds[0]} field", got=f"{column!r}, which is a {column.kind}")
        return column.name

    at = field(time, "time", ("time",))
    if at is None or event_schema(event).field(at).nullable:
        raise ConfigError(f"{where} time", wanted="a datetime field that is never None", got=repr(time))
    if late not in ("update", "aside", "drop"):
        raise ConfigError(f"{where} late", wanted="'update', 'aside' or 'drop'", got=late)
    return Stream(
        SourceSettings(
            name=name,
            schema=event_schema(event),
            time=at,
            kind=RecordKind.EVENT,
            id=field(id, "id", ("text", "category")),
            arrived=field(arrived, "arrived", ("time",)),
            producer=field(producer, "producer", ("text", "category")),
            disorder_us=duration_us(f"{where} disorder", disorder),
            late=late,
            max_future_skew_us=duration_us(f"{where} max_future_skew", max_future_skew),
            delay_us=duration_us(f"{where} delay", delay),
        ),
        event,
    )


def _window_text(window: Window, size_us: int) -> str:
    if isinstance(window, Forever):
        return "forever"
    return window if isinstance(window, str) else duration_text(size_us)


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError(f"{what} name", wanted="lower_case words (it becomes a topic and a metric label)", got=name)
