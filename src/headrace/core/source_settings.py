"""What ingest must know of a source: frozen, and free of addresses."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from headrace.core.records import Kind
from headrace.core.schema import EventSchema
from headrace.core.time import DAY_US, HOUR_US, MINUTE_US

__all__ = ["Late", "SourceSettings"]

Late: TypeAlias = Literal["update", "aside", "drop"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source of events.

    `time`, `id` and `arrived` are names of fields. `kind` is REQUEST where a vector asks of this source,
    else EVENT. `disorder_us` is how far a record may stand behind the newest of its source; `late` says what happens
    to one that stands further behind. `max_future_skew_us` is how far the event time may lie ahead of the arrival.
    `duplicate_horizon_us` is the event time over which an id is remembered. `delay_us` is the declared delay from
    event to arrival of a history that has no column `arrived`. `producer` is the field that names who sent a record:
    then "the newest" is that of its own producer, of whom there are at most `max_producers`, and one is waited for
    until the others have told of `silent_us` of event time without it.
    """

    name: str
    schema: EventSchema
    time: str
    kind: Kind
    id: str | None = None
    arrived: str | None = None
    disorder_us: int = 0
    late: Late = "update"
    max_future_skew_us: int = 5 * MINUTE_US
    duplicate_horizon_us: int = 2 * DAY_US
    delay_us: int = 0
    producer: str | None = None
    silent_us: int = HOUR_US
    max_producers: int = 10_000
