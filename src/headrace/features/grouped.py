"""Grouping: records that share a key with the request, and the aggregates over them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, final

from headrace.core.checks import is_finite, is_whole
from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, columns_of
from headrace.core.expressions import Expression, FieldColumn
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, Duration, duration_text, duration_us
from headrace.features.aggregates import ZERO_WHEN_EMPTY, AggregateRead, Operation

if TYPE_CHECKING:
    from headrace.features.labels import Label
    from headrace.features.streams import Stream

__all__ = ["FOREVER", "REQUIRED", "Column", "Forever", "Grouped", "Records", "Required", "Window"]

E = TypeVar("E", bound=Event)
Column: TypeAlias = Expression | str | float | bool | datetime | None
"""What stands where a column is wanted. To a type checker a field of an event has the type of its value."""
_KEYS: Final = 1_000_000


@final
class Forever:
    """The window that has no beginning."""

    def __repr__(self) -> str:
        """Return the name."""
        return "hr.FOREVER"


@final
class Required:
    """The mark of a default that the user must give, here or with `hr.fill`."""

    def __repr__(self) -> str:
        """Return the mark as it shows in signatures."""
        return "REQUIRED"


FOREVER: Final = Forever()
REQUIRED: Final = Required()
Window: TypeAlias = Duration | Forever


class Records(ABC, Generic[E]):
    """Records of one class that can be grouped by key: a stream, or the rows of a label."""

    def __init__(self, settings: SourceSettings, event: type[E], condition: Expression | None) -> None:
        self._settings = settings
        self._event = event
        self._condition = condition

    @property
    def name(self) -> str:
        """Return the name of the source that the records come from."""
        return self._settings.name

    @property
    def settings(self) -> SourceSettings:
        """Return what ingest must know of that source."""
        return self._settings

    @property
    def event(self) -> type[E]:
        """Return the class of the records."""
        return self._event

    @property
    def condition(self) -> Expression | None:
        """Return the condition that the records meet, None for all."""
        return self._condition

    @property
    @abstractmethod
    def label_of_rows(self) -> "Label[E] | None":
        """Return the label whose rows these records are, None if they are a stream's."""

    @property
    @abstractmethod
    def sources(self) -> "tuple[Stream[Any], ...]":
        """Return the sources that must be read to have these records."""

    @property
    @abstractmethod
    def decided_by(self) -> tuple[Expression, ...]:
        """Return the expressions that decide which rows there are, and their values."""

    @abstractmethod
    def aggregated(self, value: object, where: str) -> Expression:
        """Return the column that is aggregated; raise ConfigError if these records do not have it."""

    def column(self, value: object, where: str) -> Expression:
        """Return a column of these records: an expression over their fields, or the field of that name.

        Raises ConfigError, with the nearest name, for a field of another class or one that does not exist.
        """
        columns = columns_of(self.event)
        if isinstance(value, Expression):
            for node in value.walk():
                if isinstance(node, FieldColumn) and not _same(node, columns.get(node.name)):
                    wanted = f"columns of {self.event.__name__}, the records of {self.name!r}"
                    raise ConfigError(where, wanted=wanted, got=repr(node))
                if not node.of_record:
                    wanted = f"what one {self.event.__name__} says by itself"
                    raise ConfigError(where, wanted=wanted, got=repr(node))
            return value
        if not isinstance(value, str):
            raise ConfigError(where, wanted=f"a column of {self.event.__name__}", got=f"the constant {value!r}")
        if value not in columns:
            wanted = f"a field of {self.event.__name__} ({', '.join(columns)})"
            raise ConfigError(where, wanted=wanted, got=repr(value) + nearest(value, columns))
        return columns[value]

    def by(self, *keys: Column, equals: Column | Sequence[Column] = (), max_keys: int = _KEYS) -> "Grouped":
        """Group by one or more columns.

        `equals` are the request's columns that must equal the keys; left out, they are its fields of the same
        names. At most `max_keys` keys are kept; rows of further ones are counted and left out.

        Raises ConfigError for a key that the records do not have, or as many `equals` as there are no keys for.
        """
        where = f"{self!r}.by"
        if not keys:
            raise ConfigError(where, wanted="at least one column", got="none")
        if not is_whole(max_keys) or max_keys < 1:
            raise ConfigError(f"{where} max_keys", wanted="a whole number, at least 1", got=max_keys)
        several = isinstance(equals, Sequence) and not isinstance(equals, str)
        others = tuple(equals) if several and isinstance(equals, Sequence) else (equals,)
        asked = tuple(other for other in others if isinstance(other, Expression))
        if len(asked) != len(others):
            raise ConfigError(f"{where} equals", wanted="columns of the request, such as Departure.origin", got=equals)
        if asked and len(asked) != len(keys):
            raise ConfigError(f"{where} equals", wanted=f"{len(keys)} columns, one a key", got=len(asked))
        return Grouped(self, tuple(self.column(key, where) for key in keys), asked, max_keys)


@final
class Grouped:
    """The records that share a key with the request. Each method is an aggregate over a window before it.

    A window is "3h", a timedelta, or FOREVER, and ends just before the request's time, or `offset` earlier. With
    `include_current` it takes in records of the very microsecond as well. `default` is the value of an empty window;
    None hands NaN to the model. Every method raises ConfigError, at the line of its call.
    """

    def __init__(
        self, records: Records[Any], keys: tuple[Expression, ...], equals: tuple[Expression, ...], max_keys: int
    ) -> None:
        self._records = records
        self._keys = keys
        self._equals = equals
        self._max_keys = max_keys

    def __repr__(self) -> str:
        """Return the code that makes it, shortened."""
        return f"{self._records!r}.by({', '.join(map(repr, self._keys))})"

    def count(self, window: Window, *, offset: Duration = "0s", include_current: bool = False) -> Expression:
        """Return how many records there are; 0 for none, with the reason why."""
        return self._read("count", None, window, None, offset=offset, include_current=include_current)

    def sum(
        self, column: Column, window: Window, *, offset: Duration = "0s", include_current: bool = False
    ) -> Expression:
        """Return the exact sum, rounded once; 0 for none, with the reason why."""
        return self._read("sum", column, window, None, offset=offset, include_current=include_current)

    def mean(
        self,
        column: Column,
        window: Window,
        *,
        default: float | Required | None = REQUIRED,
        prior: float = 0.0,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the mean; with `prior`, as if that many records with the default value had been seen as well."""
        if not is_finite(prior) or prior < 0:
            raise ConfigError(f"{self!r}.mean prior", wanted="a number of records, 0 or more", got=prior)
        if prior and (default is None or isinstance(default, Required)):
            raise ConfigError(f"{self!r}.mean", wanted="default=..., toward which prior= draws", got="none")
        return self._read("mean", column, window, default, prior, offset=offset, include_current=include_current)

    def min(
        self,
        column: Column,
        window: Window,
        *,
        default: float | Required | None = REQUIRED,
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
        default: float | Required | None = REQUIRED,
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
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the value of the newest record that has one; of equal times, the last in the log."""
        return self._read("last", column, window, default, offset=offset, include_current=include_current)

    def seconds_since(self, window: Window, *, default: float | Required | None = REQUIRED) -> Expression:
        """Return the seconds since the newest record."""
        return self._read("seconds_since", None, window, default)

    def _read(
        self,
        operation: Operation,
        column: Column,
        window: Window,
        default: float | Required | None,
        prior: float = 0.0,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        where = f"{self!r}.{operation}"
        size_us = ENDED_US if isinstance(window, Forever) else duration_us(f"{where} window", window)
        if size_us <= 0:
            raise ConfigError(f"{where} window", wanted="a window longer than nothing", got=window)
        read = None
        if operation not in {"count", "seconds_since"}:
            read = self._records.aggregated(column, where)
            if read.kind not in {"number", "bool"}:
                raise ConfigError(where, wanted="a number", got=f"{read!r}, which is a {read.kind}")
        empty = 0.0 if operation in ZERO_WHEN_EMPTY else default
        given = None if isinstance(empty, Required) else empty
        if given is not None and not is_finite(given):
            raise ConfigError(f"{where} default", wanted="a finite number, or None for NaN", got=given)
        return AggregateRead(
            operation=operation,
            records=self._records,
            keys=self._keys,
            equals=self._equals,
            column=read,
            size_us=size_us,
            size_text=_text_of(window, size_us),
            offset_us=duration_us(f"{where} offset", offset),
            include_current=include_current,
            default=None if given is None else float(given),
            defaulted=not isinstance(empty, Required),
            prior=float(prior),
            max_keys=self._max_keys,
        )


def _same(one: FieldColumn, other: FieldColumn | None) -> bool:
    """Return whether two columns are one field; a class that a notebook cell declares again has new objects."""
    return other is not None and all(getattr(one, part.name) == getattr(other, part.name) for part in fields(one))


def _text_of(window: Window, size_us: int) -> str:
    if isinstance(window, Forever):
        return "forever"
    return window if isinstance(window, str) else duration_text(size_us)
