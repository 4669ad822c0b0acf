"""Grouping: records that share a key with the request, and the aggregates over them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, final

from headrace.core.checks import is_finite, is_whole
from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, columns_of
from headrace.core.expressions import Category, Expression, FieldColumn, Literal, Scalar, Several
from headrace.core.source_settings import SourceSettings
from headrace.core.time import Duration, duration_us
from headrace.features.aggregates import KEEPS_TEXT, OF_ROWS, ZERO_WHEN_EMPTY, AggregateRead, Parameter
from headrace.features.bounds import KEYS, Bounds, Bytes, bounds_of
from headrace.features.windows import FOREVER, Decay, LastN, Session, Window, WindowLike, window_of

if TYPE_CHECKING:
    from headrace.features.labels import Label
    from headrace.features.streams import Stream
    from headrace.features.user_aggregate import Aggregate

__all__ = ["REQUIRED", "Column", "Grouped", "Records", "Required"]

E = TypeVar("E", bound=Event)
Column: TypeAlias = Expression | str | float | bool | datetime | tuple[float, ...] | None
"""What stands where a column is wanted. To a type checker a field of an event has the type of its value."""


@final
class Required:
    """The mark of a default that the user must give, here or with `hr.fill`."""

    def __repr__(self) -> str:
        """Return the mark as it shows in signatures."""
        return "REQUIRED"


REQUIRED: Final = Required()
_DISTINCT: Final = 10_000
"""How many distinct values are counted exactly, unless the user says so."""
_RANKS: Final = 100
"""How many of the most frequent values can be asked for."""
_NOT_IN_A_SUFFIX: Final = re.compile(r"[^A-Za-z0-9]+")
_TAKES_TEXT: Final = (*KEEPS_TEXT, "counts", "distinct", "entropy", "top_share")
_DECAYING: Final = ("count", "sum", "mean")


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

    def by(
        self,
        *keys: Column,
        equals: Column | Sequence[Column] = (),
        max_keys: int = KEYS,
        max_events_per_key: int | None = None,
        ttl: Duration | None = None,
        max_bytes: Bytes | None = None,
    ) -> "Grouped":
        """Group by one or more columns.

        `equals` are the request's columns that must equal the keys; left out, they are its fields of the same names.

        What is kept is bounded by what the log holds, never by how much memory there is, so that results are the same
        everywhere. At most `max_keys` keys are kept: a new one takes the place of the key that was written longest ago.
        Of a key the newest `max_events_per_key` records before a request count, and none that is older than `ttl` when
        it is read. `max_bytes` ("2GB") is turned into records of a key when the definition is made, or into keys where
        the records of a key are bounded already; all aggregates of the same grouping share it. What any bound took from
        a window shows as the reason `truncated`; `headrace check` prints what the bounds come to.

        Raises ConfigError for a key that the records do not have, as many `equals` as there are no keys for, or a bound
        that is none.
        """
        where = f"{self!r}.by"
        if not keys:
            raise ConfigError(where, wanted="at least one column", got="none")
        bounds = bounds_of(
            where, max_keys=max_keys, max_events_per_key=max_events_per_key, ttl=ttl, max_bytes=max_bytes
        )
        several = isinstance(equals, Sequence) and not isinstance(equals, str)
        others = tuple(equals) if several and isinstance(equals, Sequence) else (equals,)
        asked = tuple(other for other in others if isinstance(other, Expression))
        if len(asked) != len(others):
            raise ConfigError(f"{where} equals", wanted="columns of the request, such as Departure.origin", got=equals)
        if asked and len(asked) != len(keys):
            raise ConfigError(f"{where} equals", wanted=f"{len(keys)} columns, one a key", got=len(asked))
        return Grouped(self, tuple(self.column(key, where) for key in keys), asked, bounds)


@final
class Grouped:
    """The records that share a key with the request. Each method is an aggregate over a window before it.

    A window is "3h", a timedelta, or one of `features.windows`, and ends just before the request's time, or `offset`
    earlier. With `include_current` it takes in records of the very microsecond as well. `default` is the value of an
    empty window; None hands NaN to the model. `resolution` keeps one row for all records of a key in such a stretch of
    time, for long windows over heavy streams: each edge of the window may then be off by as much, which `headrace
    check` prints, and a sum over a value of 2**40 or more has its default. Every method raises ConfigError, at the
    line of its call.
    """

    def __init__(
        self, records: Records[Any], keys: tuple[Expression, ...], equals: tuple[Expression, ...], bounds: Bounds
    ) -> None:
        self._records = records
        self._keys = keys
        self._equals = equals
        self._bounds = bounds

    def __repr__(self) -> str:
        """Return the code that makes it, shortened."""
        return f"{self._records!r}.by({', '.join(map(repr, self._keys))})"

    def count(
        self,
        window: WindowLike,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return how many records there are; 0 for none, with the reason why."""
        return self._read(
            "count",
            None,
            window,
            None,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def rate(
        self,
        window: WindowLike,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return how many records there are a second: the count over the length of the window; 0 for none."""
        return self._read(
            "rate",
            None,
            window,
            None,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def sum(
        self,
        column: Column,
        window: WindowLike,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return the exact sum, rounded once; 0 for none, with the reason why."""
        return self._read(
            "sum",
            column,
            window,
            None,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def mean(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        prior: float = 0.0,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return the mean; with `prior`, as if that many records with the default value had been seen as well."""
        if not is_finite(prior) or prior < 0:
            raise ConfigError(f"{self!r}.mean prior", wanted="a number of records, 0 or more", got=prior)
        if prior and (default is None or isinstance(default, Required)):
            raise ConfigError(f"{self!r}.mean", wanted="default=..., toward which prior= draws", got="none")
        return self._read(
            "mean",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
            parameters={"prior": float(prior)} if prior else {},
        )

    def ewma(self, column: Column, half_life: Duration, *, default: float | Required | None = REQUIRED) -> Expression:
        """Return the exponentially weighted mean: `mean` over `hr.Decay(half_life)`."""
        return self.mean(column, Decay(half_life), default=default)

    def var(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the variance, (n x sum of squares - square of the sum) / n (n - 1), exact but for two roundings."""
        return self._read(
            "var",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def std(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the standard deviation, the square root of `var`; of one record there is none."""
        return self._read(
            "std",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def skew(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the skewness m3 / m2**1.5 of the moments about the mean (Fisher-Pearson g1)."""
        return self._read(
            "skew",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def trend(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the slope of the least-squares line of the column over event time, per second."""
        return self._read(
            "trend",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def min(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return the least value."""
        return self._read(
            "min",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def max(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return the greatest value."""
        return self._read(
            "max",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def range(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return the greatest value less the least."""
        return self._read(
            "range",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            resolution=resolution,
        )

    def first(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | str | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the value of the oldest record; of equal times, the first in the log."""
        return self._read(
            "first",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def last(
        self,
        column: Column,
        window: WindowLike,
        *,
        default: float | str | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the value of the newest record that has one; of equal times, the last in the log."""
        return self._read(
            "last",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
        )

    def argmax(
        self,
        column: Column,
        of: Column,
        window: WindowLike,
        *,
        default: float | str | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the column's value at the record with the greatest `of`; of several, the newest."""
        return self._read("argmax", column, window, default, offset=offset, include_current=include_current, other=of)

    def argmin(
        self,
        column: Column,
        of: Column,
        window: WindowLike,
        *,
        default: float | str | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the column's value at the record with the least `of`; of several, the newest."""
        return self._read("argmin", column, window, default, offset=offset, include_current=include_current, other=of)

    def quantile(
        self,
        column: Column,
        q: float,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the value below which a share `q` of the records lies, within 0.8 % of it.

        The record of rank ceil(q n) in order of value falls into a bucket of 1/64 of a power of two; its middle is
        the answer, at most 1/128 of the value away. The share counts to nine decimals.
        """
        if not is_finite(q) or not 0 <= q <= 1:
            raise ConfigError(f"{self!r}.quantile q", wanted="a share from 0 to 1", got=q)
        return self._read(
            "quantile",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            parameters={"q": float(q)},
        )

    def distinct(
        self,
        column: Column,
        window: WindowLike,
        *,
        cap: int = _DISTINCT,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return how many different values there are; 0 for none.

        It is exact up to `cap`; beyond it an estimate with a standard error of 1.2 / sqrt(cap), 1.2 % unless said
        otherwise, for which no more than a few times `cap` values of a key are kept. Both depend on the values in the
        window alone (adaptive sampling: P. Flajolet, "On adaptive sampling", Computing 43, 1990).
        """
        if not is_whole(cap) or cap < 1:
            raise ConfigError(f"{self!r}.distinct cap", wanted="a whole number, at least 1", got=cap)
        return self._read(
            "distinct",
            column,
            window,
            None,
            offset=offset,
            include_current=include_current,
            parameters={"cap": int(cap)},
        )

    def entropy(
        self,
        column: Column,
        window: WindowLike,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the entropy of the column's values in bits, within 2**-31 of one; 0 for no record."""
        return self._read(
            "entropy",
            column,
            window,
            None,
            offset=offset,
            include_current=include_current,
        )

    def top_share(
        self,
        column: Column,
        window: WindowLike,
        *,
        k: int = 1,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the share of the records that have one of the `k` most frequent values, k up to 100.

        Of a window with more than 4,096 different values it is the share among its newest 4,096 records.
        """
        return self._read(
            "top_share",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            parameters={"k": self._rank("top_share k", k)},
        )

    def top(
        self,
        column: Column,
        window: WindowLike,
        *,
        k: int = 1,
        bits: int = 16,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the `k` most frequent values, k up to 100, each hashed as by `hr.category`; 0 where there are fewer.

        In a vector they are `card_top_country_30d_1` and so on. Of values that are equally frequent the one that came
        last is first. Of a window with more than 4,096 different values they are those of its newest 4,096 records. A
        read looks at every different value of its key, and for a tie at the records back to the one that decides it.
        """
        ranks = range(1, self._rank("top k", k) + 1)
        named, *reads = (
            self._read(
                "top",
                column,
                window,
                None,
                offset=offset,
                include_current=include_current,
                parameters={"rank": rank} if rank else {},
            )
            for rank in (0, *ranks)
        )
        parts = zip(ranks, reads, strict=True)
        return Several(tuple((str(rank), Category(read, bits)) for rank, read in parts), named)

    def counts(
        self,
        column: Column,
        window: WindowLike,
        values: Iterable[Scalar] | None = None,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
        resolution: Duration | None = None,
    ) -> Expression:
        """Return how many records have each of some values: of `values`, or else of the choices of a `Literal` field.

        In a vector they are `card_counts_kind_24h_refund` and so on; letters and digits of a value are in its name.
        """
        where = f"{self!r}.counts"
        read = self._column(where, column, texts=True)
        chosen = tuple(values) if values is not None and not isinstance(values, str) else ()
        if values is None and isinstance(read, FieldColumn):
            chosen = read.choices
        if not chosen:
            wanted = "a list of values (a Literal field has them of its own)"
            raise ConfigError(f"{where} values", wanted=wanted, got=values)
        counted = tuple(
            (
                _NOT_IN_A_SUFFIX.sub("_", str(value)).strip("_"),
                self.sum(read == value, window, offset=offset, include_current=include_current, resolution=resolution),
            )
            for value in chosen
        )
        return Several(counted, self._read("counts", read, window, None, offset=offset))

    def last_k(
        self,
        column: Column,
        k: int,
        window: WindowLike,
        *,
        default: float | str | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return the values of the newest `k` records, the newest first; `default` where there are fewer.

        In a vector they are `card_last_amount_usd_7d_1` and so on; texts must be hashed, as by `hr.category`.
        """
        ranks = range(1, self._whole("last_k k", k) + 1)
        reads = [
            self._read(
                "last",
                column,
                window,
                default,
                offset=offset,
                include_current=include_current,
                parameters={"rank": rank} if rank > 1 else {},
            )
            for rank in ranks
        ]
        return Several(tuple((str(rank), read) for rank, read in zip(ranks, reads, strict=True)), reads[0])

    def agg(
        self,
        aggregate: "Aggregate",
        column: Column,
        window: WindowLike,
        *,
        default: float | Required | None = REQUIRED,
        offset: Duration = "0s",
        include_current: bool = False,
    ) -> Expression:
        """Return an aggregate of your own, `hr.Aggregate`. It is compiled, and tried on drawn values, right here."""
        from headrace.features.user_aggregate import code_of  # noqa: PLC0415 - a definition alone must stay light

        code = code_of(f"{self!r}.agg", aggregate)
        return self._read(
            "agg",
            column,
            window,
            default,
            offset=offset,
            include_current=include_current,
            parameters={"name": code.name, "exact": int(code.exact), "code": code.text},
        )

    def seconds_since(self, window: WindowLike, *, default: float | Required | None = REQUIRED) -> Expression:
        """Return the seconds since the newest record."""
        return self._read("seconds_since", None, window, default)

    def _whole(self, what: str, number: int) -> int:
        if not is_whole(number) or number < 1:
            raise ConfigError(f"{self!r}.{what}", wanted="a whole number, at least 1", got=number)
        return number

    def _rank(self, what: str, number: int) -> int:
        if self._whole(what, number) > _RANKS:
            raise ConfigError(f"{self!r}.{what}", wanted=f"at most {_RANKS}", got=number)
        return number

    def _read(
        self,
        operation: str,
        column: Column,
        window: WindowLike,
        default: float | str | Required | None,
        *,
        offset: Duration = "0s",
        include_current: bool = False,
        other: Column = None,
        resolution: Duration | None = None,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> Expression:
        where = f"{self!r}.{operation}"
        over = window_of(f"{where} window", window)
        self._check_window(where, operation, over, include_current=include_current)
        read: Expression | None = None
        if operation not in OF_ROWS:
            read = self._column(where, column, texts=operation in _TAKES_TEXT)
        elif resolution is not None or isinstance(over, Decay):
            read = Literal(1.0)  # A decaying count is the decaying sum of ones; tiles count the values of a column.
        resolution_us = 0 if resolution is None else self._tile(where, resolution, over)
        second = None if other is None else self._column(f"{where} of", other, texts=False)
        empty = 0.0 if operation in ZERO_WHEN_EMPTY else default
        given = None if isinstance(empty, Required) else empty
        text = operation in KEEPS_TEXT and read is not None and read.kind == "text"
        if given is not None and (not isinstance(given, str) if text else not is_finite(given)):
            wanted = "a text, or None" if text else "a finite number, or None for NaN"
            raise ConfigError(f"{where} default", wanted=wanted, got=given)
        if text and given is not None and isinstance(read, FieldColumn) and read.choices and given not in read.choices:
            wanted = f"one of {', '.join(read.choices)}"
            raise ConfigError(f"{where} default", wanted=wanted, got=f"{given}{nearest(str(given), read.choices)}")
        return AggregateRead(
            operation=operation,
            records=self._records,
            keys=self._keys,
            equals=self._equals,
            column=read,
            other=second,
            window=over,
            offset_us=duration_us(f"{where} offset", offset),
            include_current=include_current,
            default=given if given is None or isinstance(given, str) else float(given),
            defaulted=not isinstance(empty, Required),
            limits=self._bounds,
            parameters=tuple((parameters or {}).items()),
            resolution_us=resolution_us,
        )

    def _tile(self, where: str, resolution: Duration, window: Window) -> int:
        size_us = duration_us(f"{where} resolution", resolution)
        if isinstance(window, LastN | Session | Decay):
            raise ConfigError(f"{where} resolution", wanted="a window counted in time", got=repr(window))
        if size_us <= 0 or size_us * 2 > window.reach_us:
            wanted = f"more than nothing, and at most half of the window {window!r}"
            raise ConfigError(f"{where} resolution", wanted=wanted, got=resolution)
        return size_us

    def _check_window(self, where: str, operation: str, window: Window, *, include_current: bool) -> None:
        if window.closes and include_current:
            wanted = "left out: a window that is closed cannot hold the request"
            raise ConfigError(f"{where} include_current", wanted=wanted, got=include_current)
        if isinstance(window, Decay) and operation not in _DECAYING:
            wanted = f"a window without weights (hr.Decay is for {', '.join(_DECAYING)})"
            raise ConfigError(f"{where} window", wanted=wanted, got=repr(window))
        if operation == "rate" and (window is FOREVER or isinstance(window, LastN | Session | Decay)):
            wanted = "a window of a fixed length, such as '1h'"
            raise ConfigError(f"{where} window", wanted=wanted, got=repr(window))

    def _column(self, where: str, column: Column, *, texts: bool) -> Expression:
        """Return a column of the records; raise ConfigError if it is of a kind that the aggregate cannot take."""
        read = self._records.aggregated(column, where)
        if read.kind not in ({"number", "bool", "text"} if texts else {"number", "bool"}):
            wanted = "a number or a text" if texts else "a number"
            raise ConfigError(where, wanted=wanted, got=f"{read!r}, which is a {read.kind}")
        return read


def _same(one: FieldColumn, other: FieldColumn | None) -> bool:
    """Return whether two columns are one field; a class that a notebook cell declares again has new objects."""
    return other is not None and all(getattr(one, part.name) == getattr(other, part.name) for part in fields(one))
