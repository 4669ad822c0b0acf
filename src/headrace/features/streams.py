"""Streams: what the user starts from. A source of events, or those of its records that meet a condition.

Grammar: stream[.where(condition)].by(keys).aggregate(column, window, default=).
"""

from collections.abc import Mapping
from typing import Final, TypeVar, final

from headrace.core.checks import check_name, is_whole
from headrace.core.errors import ConfigError
from headrace.core.events import Event, event_schema
from headrace.core.expressions import Expression, FieldColumn, Kind
from headrace.core.records import Kind as RecordKind
from headrace.core.settings import How
from headrace.core.source_settings import Late, SourceSettings
from headrace.core.time import Duration, duration_us
from headrace.features.grouped import Column, Records
from headrace.features.labels import Drop, Label
from headrace.features.vector import Vector

__all__ = ["Stream", "source"]

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Event)
_PRODUCERS: Final = 10_000
_PRODUCERS_MAX: Final = 1_000_000
_RESERVED: Final = ("tick", "rejected", "events", "label")


@final
class Stream(Records[E]):
    """Records of one class in the order of the log: a source, or those of its records that meet a condition.

    Made by `hr.source(...)` and by `.where(...)`, never directly.
    """

    def __init__(
        self,
        settings: SourceSettings,
        event: type[E],
        *,
        condition: Expression | None = None,
        origin: "Stream[E] | None" = None,
    ) -> None:
        super().__init__(settings, event, condition)
        self._origin = origin

    @property
    def source(self) -> "Stream[E]":
        """Return the source whose records these are: itself, if it has no condition."""
        return self if self._origin is None else self._origin

    @property
    def label_of_rows(self) -> None:
        """Return None: its records are no label's."""
        return

    @property
    def sources(self) -> "tuple[Stream[E], ...]":
        """Return the one source."""
        return (self.source,)

    @property
    def decided_by(self) -> tuple[Expression, ...]:
        """Return the condition, if there is one."""
        return () if self.condition is None else (self.condition,)

    def __repr__(self) -> str:
        """Return the stream as the user reaches it."""
        return self.name + (f".where({self.condition!r})" if self.condition is not None else "")

    def aggregated(self, value: object, where: str) -> Expression:
        """Return a column of the records."""
        return self.column(value, where)

    def where(self, condition: Column) -> "Stream[E]":
        """Return the records for which a condition holds; those where it is missing are left out.

        Raises ConfigError if the condition is none, or reads the fields of another class.
        """
        where = f"{self!r}.where"
        if not isinstance(condition, Expression):
            wanted = "an expression over fields (for a missing value: hr.is_missing)"
            raise ConfigError(where, wanted=wanted, got=f"the constant {condition!r}")
        self.column(condition, where)
        if condition.kind != "bool":
            raise ConfigError(where, wanted="a condition", got=f"{condition!r}, which is a {condition.kind}")
        both = condition if self.condition is None else self.condition & condition
        return Stream(self.settings, self.event, condition=both, origin=self.source)

    def vector(self, name: str, /, *features: Column, wait: Duration | None = None, **named: Column) -> "Vector[E]":
        """Return a vector of features, asked for by each record of this source.

        With `wait`, each is computed when the highest event time less the wait has reached the record's own: then what
        was known agrees with what had happened, for all that comes no later than the wait. It still sees what happened
        strictly before the record.

        A keyword names its feature; one without gets the name of its field, or key_aggregate_column_unit_window.
        Raises ConfigError for whatever cannot be a feature; see `Vector`.
        """
        return Vector(self, name, features, named, wait)

    def label(
        self,
        events: "Stream[R]",
        value: Column = True,  # noqa: FBT002 - "an event came" is the shortest answer
        /,
        *,
        on: str | Mapping[str, str],
        within: Duration,
        otherwise: float | bool | Drop,
        after: Duration = "0s",
        how: How = "first",
    ) -> "Label[E]":
        """Return the answer to each record of this source: found in `events` in [t + after, t + within).

        `on` names the field that both share, or maps the request's field to the event's. `otherwise` is the answer
        of a request for which none came; `hr.DROP` gives it none. `how` says which matching event decides: the
        first to come, or, when the time is over, the last by event time.

        Raises ConfigError for whatever cannot be a label; see `Label`.
        """
        return Label(self, events, value, on=on, within=within, otherwise=otherwise, after=after, how=how)


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
    duplicates: Duration = "2d",
    producer: Column = None,
    silent: Duration | None = None,
    max_producers: int | None = None,
) -> Stream[E]:
    """Return a source of events. Where its records come from is said in headrace.toml.

    time: the field that says when it happened. id: the field by which a second copy is known. disorder: how far a
    record may stand behind the newest. late: what becomes of one that stands further behind. max_future_skew: how
    far its time may lie ahead of its arrival. arrived: the field that says when it came (of a history), else the
    event time plus `delay`. duplicates: the event time over which an id is known again.

    producer: the field that names who sent a record, each by a clock of its own. "The newest" is then that of the
    record's own producer, and the source has come as far as the slowest of them. silent: one is waited for until the
    others have told of this much event time without it (1h). max_producers: records of further ones are rejected and
    counted (10,000).

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     host: str
    ...     at: datetime
    >>> hr.source("pings", Ping, time=Ping.at, disorder="5s")
    pings

    Raises ConfigError for a field that does not exist or is of the wrong kind, and for what is no duration.
    """
    where = f"source {name!r}"
    check_name("source", name)
    if name in _RESERVED:
        raise ConfigError("source name", wanted=f"another word than {', '.join(_RESERVED)}", got=name)
    schema = event_schema(event)
    bare: Stream[E] = Stream(SourceSettings(name=name, schema=schema, time="", kind=RecordKind.EVENT), event)

    def field(value: Column, setting: str, kind: Kind) -> str | None:
        if value is None:
            return None
        column = bare.column(value, f"{where} {setting}")
        if not isinstance(column, FieldColumn) or column.kind != kind:
            what = "a datetime field" if kind == "time" else f"a {kind} field"
            raise ConfigError(f"{where} {setting}", wanted=what, got=f"{column!r}, which is a {column.kind}")
        return column.name

    at = field(time, "time", "time")
    if at is None or schema.field(at).nullable:
        raise ConfigError(f"{where} time", wanted="a datetime field that is never None", got=repr(time))
    named = field(producer, "producer", "text")
    if named is None and (silent is not None or max_producers is not None):
        raise ConfigError(f"{where} producer", wanted="the field that names who sent a record", got="none")
    if named is not None and schema.field(named).nullable:
        raise ConfigError(f"{where} producer", wanted="a text field that is never None", got=repr(producer))
    most = _PRODUCERS if max_producers is None else max_producers
    if not is_whole(most) or not 1 <= most <= _PRODUCERS_MAX:
        wanted = f"a whole number from 1 to {_PRODUCERS_MAX:,}"
        raise ConfigError(f"{where} max_producers", wanted=wanted, got=max_producers)
    if late not in {"update", "aside", "drop"}:
        raise ConfigError(f"{where} late", wanted="'update', 'aside' or 'drop'", got=late)
    settings = SourceSettings(
        name=name,
        schema=schema,
        time=at,
        kind=RecordKind.EVENT,
        id=field(id, "id", "text"),
        arrived=field(arrived, "arrived", "time"),
        disorder_us=duration_us(f"{where} disorder", disorder),
        late=late,
        max_future_skew_us=duration_us(f"{where} max_future_skew", max_future_skew),
        duplicate_horizon_us=duration_us(f"{where} duplicates", duplicates),
        delay_us=duration_us(f"{where} delay", delay),
        producer=named,
        silent_us=duration_us(f"{where} silent", "1h" if silent is None else silent),
        max_producers=most,
    )
    return Stream(settings, event)
