"""Small definitions that the tests of definitions share: the flights, without the example's models and detectors."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, final

import headrace as hr

Minutes = Annotated[float, hr.Unit("min")]


class Departure(hr.Event):
    flight_id: str
    carrier: str
    tail: str | None
    origin: str
    dest: str
    seats: int
    distance: Annotated[float, hr.Unit("mi", ge=0)]
    at: datetime


class Arrival(hr.Event):
    flight_id: str
    carrier: str
    tail: str | None
    dest: str
    delay: Minutes
    taxi: Minutes | None
    status: Literal["landed", "diverted", "cancelled"]
    boarded: datetime | None
    at: datetime


@final
@dataclass(frozen=True)
class Recipe:
    """A model's settings, which print as the code that makes them."""

    rate: float = 0.1

    def __call__(self, columns: Any, seed: int) -> Any:
        """Make nothing: these tests define and do not learn."""


@final
@dataclass(frozen=True)
class Detector:
    """A detector's settings."""

    of: str


departures = hr.source("departures", Departure, time=Departure.at, id=Departure.flight_id)
arrivals = hr.source("arrivals", Arrival, time=Arrival.at, disorder="5min")
delayed = departures.label(arrivals, Arrival.delay > 15, on="flight_id", within="24h", otherwise=hr.DROP)
carrier = arrivals.by(Arrival.carrier)
risk = departures.vector(
    "risk",
    Departure.distance,
    hr.category(Departure.carrier, bits=6),
    carrier.mean(Arrival.delay, "3h", default=0.0),
    late=delayed.by(Departure.origin, Departure.dest).mean(delayed.value, "28d", default=0.2, prior=20),
)
