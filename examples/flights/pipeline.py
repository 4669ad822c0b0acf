"""Will this flight be more than 15 minutes late? Asked at scheduled departure; known at arrival, hours later."""

from datetime import datetime
from typing import Annotated

import headrace as hr

Minutes = Annotated[float, hr.Unit("min")]
Miles = Annotated[float, hr.Unit("mi", ge=0)]
Mph = Annotated[float, hr.Unit("mph", ge=0, le=200)]


class Departure(hr.Event):
    flight_id: str
    carrier: str
    tail: str | None
    origin: str
    dest: str
    distance: Miles
    at: datetime


class Arrival(hr.Event):
    flight_id: str
    carrier: str
    tail: str | None
    dest: str
    delay: Minutes
    at: datetime


class Weather(hr.Event):
    origin: str
    wind: Mph | None
    visibility: float | None
    at: datetime


departures = hr.source("departures", Departure, time=Departure.at, id=Departure.flight_id)
arrivals = hr.source("arrivals", Arrival, time=Arrival.at, disorder="5min")
weather = hr.source("weather", Weather, time=Weather.at)

delayed = departures.label(arrivals, Arrival.delay > 15, on="flight_id", within="24h", otherwise=hr.DROP)

carrier = arrivals.by(Arrival.carrier)
tail = arrivals.by(Arrival.tail, max_keys=10_000)
sky = weather.by(Weather.origin, equals=Departure.origin)

risk = departures.vector(
    "late_risk",
    Departure.distance,
    hr.hour(Departure.at, tz="America/New_York"),
    hr.weekday(Departure.at, tz="America/New_York"),
    hr.category(Departure.carrier, bits=6),
    hr.cross(Departure.origin, Departure.dest, bits=10),
    *(carrier.mean(Arrival.delay, size, default=0.0) for size in ("1h", "3h", "24h")),
    tail.last(Arrival.delay, "2d", default=0.0),
    tail.seconds_since("2d", default=172_800.0),
    delayed.by(Departure.origin, Departure.dest).mean(delayed.value, "28d", default=0.2, prior=20),
    wind=sky.last(Weather.wind, "3h", default=0.0),
    visibility=sky.last(Weather.visibility, "3h", default=10.0),
    queue=departures.by(Departure.origin).count("1h"),
)

pipeline = hr.Pipeline(
    "flights",
    features=risk,
    label=delayed,
    model=hr.models.Logistic(),
    serve=hr.Serve(deadline="20ms", fallback=[hr.Constant(0.2)]),
    learn=hr.Learn(every="6h"),
    watch=[hr.PSI("features"), hr.PSI("score"), hr.ADWIN("error")],
    act=[hr.sink("holds", when=hr.Prediction.score > 0.8)],
)
