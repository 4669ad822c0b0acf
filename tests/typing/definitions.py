"""What type checkers know of definitions. An ignored line is one that they must refuse."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, assert_type

import headrace as hr
from headrace.core.expressions import Expression
from headrace.features.grouped import Grouped
from headrace.features.labels import Label
from headrace.features.streams import Stream
from headrace.features.vector import Vector

Minutes = Annotated[float, hr.Unit("min")]


class Trip(hr.Event):
    trip_id: str
    car: str
    minutes: Minutes
    tip: float | None
    kind: Literal["short", "long"]
    zone: str
    place: Annotated[tuple[float, ...], hr.Length(8)]
    note: str | None = None
    booked: datetime
    at: datetime


class End(hr.Event):
    trip_id: str
    delay: Minutes
    at: datetime


trips = hr.source("trips", Trip, time=Trip.at, id=Trip.trip_id)
ends = hr.source("ends", End, time=End.at, disorder="5min", late="drop")
assert_type(trips, Stream[Trip])
assert_type(trips.where(Trip.minutes > 5), Stream[Trip])
assert_type(trips.by(Trip.car), Grouped)
assert_type(trips.by(Trip.car).count("1h"), Expression)

# On a record a field has its own type.
noon = datetime.fromisoformat("2026-01-01T12:00:00Z")
trip = Trip(
    trip_id="1",
    car="a",
    minutes=5.0,
    tip=None,
    kind="short",
    zone="UTC",
    place=(0.0,) * 8,
    booked=noon,
    at=noon,
)
assert_type(trip.place, tuple[float, ...])
assert_type(trip.minutes, float)
assert_type(trip.tip, float | None)

late = trips.label(ends, End.delay > 15, on="trip_id", within="24h", otherwise=hr.DROP)
assert_type(late, Label[Trip])


@hr.function
def share(part: hr.F8, whole: hr.F8) -> hr.F8:
    """Return a share of a whole."""
    return part / whole


vector = trips.vector(
    "v",
    Trip.minutes,
    hr.fill(Trip.tip, 0.0),
    hr.hour(Trip.at, tz="UTC"),
    hr.category(Trip.kind, bits=2),
    trips.where(Trip.minutes > 5).by(Trip.car).mean(Trip.minutes, hr.FOREVER, default=None),
    late.by(Trip.car).mean(late.value, "28d", default=0.2, prior=20),
    Trip.place,
    hr.words(Trip.note, bits=12, ngrams=2),
    hr.cyclical(Trip.at, "7d", tz=Trip.zone),
    log=hr.log1p(hr.abs(Trip.minutes)),
    waited=hr.seconds(Trip.at - Trip.booked),
    part=hr.fill(share(Trip.minutes, 60.0), 0.0),
    over=hr.fill(Trip.minutes / trips.by(Trip.car).count("1h"), 1.0),
)
assert_type(vector, Vector[Trip])
pipeline = hr.Pipeline(
    "trips",
    features=vector,
    label=late,
    model=hr.models.Logistic(),
    act=[hr.sink("holds", when=hr.Prediction.score > 0.8)],
)
assert_type(pipeline, hr.Pipeline[Trip])

if TYPE_CHECKING:  # What they refuse before anything runs.
    misspelt = Trip.minuets  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    trip.minutes = 5.0  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    Trip(trip_id="1")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hr.source("x", dict, time="at")  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
    hr.source("x", Trip, time=Trip.at, late="wait")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    trips.by(Trip.car).count(3600)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    trips.by(Trip.car).count()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    trips.by(Trip.car).median(Trip.minutes, "1h")  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    hr.hour(Trip.at)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    trips.label(ends, on="trip_id", otherwise=False)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    hr.Pipeline("x", features=vector, label=ends, model=hr.models.Logistic())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    hr.Pipeline("x", features=vector, label=late, model=dict)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    other = ends.label(trips, Trip.minutes, on="trip_id", within="1h", otherwise=0.0)
    hr.Pipeline("x", features=vector, label=other, model=hr.models.Logistic())  # type: ignore[misc] # pyright: ignore[reportArgumentType]
