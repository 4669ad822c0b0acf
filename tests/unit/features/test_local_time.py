"""Parts of local time agree with the standard library, change of clocks included, each row in its own zone."""

import math
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.core import reasons
from headrace.core.calendar import Day, Hour, LocalPart, Minute, Month, Weekday
from headrace.core.events import event_schema
from headrace.core.expressions import FieldColumn
from headrace.core.time import instant_us
from headrace.features.evaluator import Evaluator
from headrace.features.local_time import by_zone, local_part

ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "UTC", "Australia/Lord_Howe"]
moments = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds only
AT = FieldColumn("Ping", "at", "time")


class Ping(hr.Event):
    zone: str | None
    sent: datetime | None
    at: datetime


def parts_of(moment: datetime) -> dict[type[LocalPart], int]:
    return {
        Minute: moment.minute,
        Hour: moment.hour,
        Weekday: moment.weekday(),
        Day: moment.day,
        Month: moment.month,
    }


def evaluated(expression: Any, rows: list[dict[str, object]]) -> tuple[list[float], list[int]]:
    found = Evaluator(pa.RecordBatch.from_pylist(rows, schema=event_schema(Ping).arrow)).column(expression)
    return found.as_numbers().tolist(), found.reason.tolist()


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(ZONES))
def test_each_part_is_that_of_the_standard_library(drawn: list[datetime], zone: str) -> None:
    times = np.array([instant_us(moment) for moment in drawn])
    local = [parts_of(moment.astimezone(ZoneInfo(zone))) for moment in drawn]
    for part in (Minute, Hour, Weekday, Day, Month):
        assert local_part(part(AT, zone), times, zone).tolist() == [one[part] for one in local]


@given(st.lists(st.tuples(moments, st.sampled_from([*ZONES, "Mars/Olympus", "", None])), min_size=1, max_size=20))
def test_each_row_has_the_part_of_its_own_zone_and_an_unknown_one_none(
    drawn: list[tuple[datetime, str | None]],
) -> None:
    times = np.array([instant_us(moment) for moment, _ in drawn])
    zones = pa.array([zone for _, zone in drawn], pa.string())
    wanted = [float(moment.astimezone(ZoneInfo(zone)).hour) if zone in ZONES else math.nan for moment, zone in drawn]
    np.testing.assert_array_equal(by_zone(Hour(AT, "UTC"), times, zones), wanted)


def test_the_hour_jumps_where_the_clocks_change() -> None:
    change = datetime(2013, 3, 10, 7, tzinfo=UTC)
    times = np.array([instant_us(change - timedelta(microseconds=1)), instant_us(change)])
    zone = "America/New_York"
    assert local_part(Hour(AT, zone), times, zone).tolist() == [1, 3]


@pytest.mark.parametrize("year", [1600, 1899, 1900, 1972, 2000, 2023, 2100])
def test_days_and_months_keep_the_calendar_also_far_away(year: int) -> None:
    months = [(month, day) for month in range(1, 13) for day in (1, monthrange(year, month)[1])]
    times = np.array([instant_us(datetime(year, month, day, 23, 59, 59, tzinfo=UTC)) for month, day in months])
    assert local_part(Month(AT, "UTC"), times, "UTC").tolist() == [month for month, _ in months]
    assert local_part(Day(AT, "UTC"), times, "UTC").tolist() == [day for _, day in months]


def test_a_missing_time_and_an_unknown_zone_leave_the_part_missing_with_the_reason() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    rows = [
        {"zone": "Europe/Berlin", "sent": noon, "at": noon},
        {"zone": "Europe/Bärlin", "sent": noon, "at": noon},
        {"zone": None, "sent": noon, "at": noon},
        {"zone": "UTC", "sent": None, "at": noon},
    ]
    wrong = reasons.MISSING_INPUT
    found, why = evaluated(hr.hour(Ping.sent, tz=Ping.zone), rows)
    np.testing.assert_array_equal(found, [14.0, math.nan, math.nan, math.nan])
    assert why == [reasons.OK, wrong, wrong, wrong]
    found, why = evaluated(hr.hour(Ping.sent, tz="Europe/Berlin"), rows)
    np.testing.assert_array_equal(found, [14.0, 14.0, 14.0, math.nan])
    assert why == [reasons.OK, reasons.OK, reasons.OK, wrong]
    found, _ = evaluated(hr.fill(hr.hour(Ping.sent, tz=Ping.zone), -1.0), rows)
    assert found == [14.0, -1.0, -1.0, -1.0]


def test_a_zone_that_may_be_missing_leaves_the_part_so() -> None:
    assert hr.hour(Ping.at, tz=Ping.zone).missing
    assert not hr.hour(Ping.at, tz=hr.fill(Ping.zone, "UTC")).missing


def test_the_difference_of_two_times_is_seconds_to_the_microsecond() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    rows = [
        {"zone": None, "sent": noon - timedelta(days=400, microseconds=1), "at": noon},
        {"zone": None, "sent": noon + timedelta(seconds=2), "at": noon},
        {"zone": None, "sent": None, "at": noon},
    ]
    gone: Any = Ping.at - Ping.sent  # type: ignore[operator] # to a type checker fields are values
    found, why = evaluated(hr.seconds(gone), rows)
    np.testing.assert_array_equal(found, [400 * 86400 + 1e-6, -2.0, math.nan])
    assert why == [reasons.OK, reasons.OK, reasons.MISSING_INPUT]
    assert gone.unit == "s"
    with pytest.raises(hr.ConfigError, match="between which > is defined"):
        gone > Ping.at  # noqa: B015 - it raises
    with pytest.raises(hr.ConfigError, match="the difference of two times"):
        hr.seconds(Ping.at)


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(ZONES), st.sampled_from(["1h", "1d", "7d", "90s"]))
def test_a_period_of_time_goes_round_once_from_a_local_monday_on(drawn: list[datetime], zone: str, period: str) -> None:
    rows: list[dict[str, object]] = [{"zone": zone, "sent": None, "at": moment} for moment in drawn]
    monday = datetime(2024, 1, 1, tzinfo=ZoneInfo(zone))
    size = {"1h": 3600, "1d": 86400, "7d": 7 * 86400, "90s": 90}[period]
    for tz in (zone, Ping.zone):
        parts = hr.cyclical(Ping.at, period, tz=tz).children
        sines, cosines = (evaluated(part, rows)[0] for part in parts)
        for moment, sine, cosine in zip(drawn, sines, cosines, strict=True):
            wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - monday.replace(tzinfo=None)
            angle = 2 * math.pi * ((wall % timedelta(seconds=size)) / timedelta(seconds=size))
            assert (sine, cosine) == pytest.approx((math.sin(angle), math.cos(angle)), abs=1e-12)


def test_the_quarters_of_a_day_are_exact() -> None:
    sine, cosine = hr.cyclical(Ping.at, "1d", tz="UTC").children
    rows = [{"zone": None, "sent": None, "at": datetime(2024, 1, 1, hour, tzinfo=UTC)} for hour in (0, 6, 12, 18)]
    assert evaluated(sine, rows)[0] == [0.0, 1.0, 0.0, -1.0]
    assert evaluated(cosine, rows)[0] == [1.0, 0.0, -1.0, 0.0]
