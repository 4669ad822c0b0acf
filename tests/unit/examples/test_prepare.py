"""The three files of the flights hold what the package holds, at the right moments."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from examples.flights.prepare import prepare
from tests.oracle.flights import NEW_YORK, PUERTO_RICO, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files."""
    return prepare(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="module")
def departures(folder: Path) -> list[dict[str, Any]]:
    """Return the departures."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "departures.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def arrivals(folder: Path) -> list[dict[str, Any]]:
    """Return the arrivals."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "arrivals.parquet").to_pylist()
    return rows


def test_every_flight_is_a_departure_in_the_order_of_the_package(departures: list[dict[str, Any]]) -> None:
    expected = (
        f"{date(2013, int(row['month']), int(row['day']))}-{row['carrier']}-{row['flight']}-{row['origin']}"
        for row in table("flights.csv.zip")
    )
    assert [row["flight_id"] for row in departures] == list(expected)
    assert any(later["at"] < earlier["at"] for earlier, later in pairwise(departures))


def test_a_departure_is_at_the_minute_that_the_clock_in_new_york_showed(departures: list[dict[str, Any]]) -> None:
    for row, departure in zip(table("flights.csv.zip"), departures, strict=True):
        local = departure["at"].astimezone(NEW_YORK)
        shown = (local.month, local.day, local.hour * 100 + local.minute)
        assert shown == (int(row["month"]), int(row["day"]), int(row["sched_dep_time"]))


def test_an_arrival_is_at_the_minute_that_the_clock_at_its_destination_showed(
    departures: list[dict[str, Any]], arrivals: list[dict[str, Any]]
) -> None:
    zones = {row["faa"]: ZoneInfo(row["tzone"]) for row in table("airports.csv") if row["tzone"] != "NA"}
    landed = [row for row in table("flights.csv.zip") if row["arr_delay"] != "NA"]
    left = {row["flight_id"]: row["at"] for row in departures}
    odd = set()
    for row, arrival in zip(landed, arrivals, strict=True):
        local = arrival["at"].astimezone(zones.get(row["dest"], PUERTO_RICO))
        if local.hour * 100 + local.minute != int(row["arr_time"]) % 2400:
            odd.add(local.date())
        assert arrival["delay"] == float(row["arr_delay"])
        assert timedelta(0) < arrival["at"] - left[arrival["flight_id"]] < timedelta(days=2)
        scheduled = arrival["at"] - timedelta(minutes=arrival["delay"])
        assert timedelta(minutes=50) <= scheduled - left[arrival["flight_id"]] <= timedelta(minutes=700), arrival
    # The package added the delay to the clock, not to the moment: that differs in the nights in which clocks change.
    assert odd <= {date(2013, 3, 10), date(2013, 11, 3)}


def test_a_missing_tail_is_null_and_never_arrives(
    departures: list[dict[str, Any]], arrivals: list[dict[str, Any]]
) -> None:
    missing = {row["flight_id"] for row in departures if row["tail"] is None}
    assert len(missing) == 2_512
    assert missing.isdisjoint(row["flight_id"] for row in arrivals)


def test_weather_is_stamped_when_its_hour_is_over_and_keeps_the_impossible_wind(folder: Path) -> None:
    rows = pq.read_table(folder / "weather.parquet").to_pylist()
    assert rows[0]["at"] == datetime(2013, 1, 1, 7, tzinfo=UTC)
    assert [(row["origin"], row["at"]) for row in rows if (row["wind"] or 0.0) > 200.0] == [
        ("EWR", datetime(2013, 2, 12, 9, tzinfo=UTC))
    ]
    assert Counter(row["wind"] is None for row in rows) == {False: 26_111, True: 4}


def test_files_that_are_there_are_left_alone(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    prepare(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert sorted(before) == ["arrivals.parquet", "departures.parquet", "weather.parquet"]
