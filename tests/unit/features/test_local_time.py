"""Local hours and weekdays agree with the standard library, change of clocks included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.time import instant_us
from headrace.features.local_time import hour_of_day, weekday

ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "UTC", "Australia/Lord_Howe"]
moments = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds only


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(ZONES))
def test_hour_and_weekday_are_those_of_the_standard_library(drawn: list[datetime], zone: str) -> None:
    times = np.array([instant_us(moment) for moment in drawn])
    local = [moment.astimezone(ZoneInfo(zone)) for moment in drawn]
    assert hour_of_day(times, zone).tolist() == [moment.hour for moment in local]
    assert weekday(times, zone).tolist() == [moment.weekday() for moment in local]


def test_the_hour_jumps_where_the_clocks_change() -> None:
    change = datetime(2013, 3, 10, 7, tzinfo=UTC)
    times = np.array([instant_us(change - timedelta(microseconds=1)), instant_us(change)])
    assert hour_of_day(times, "America/New_York").tolist() == [1, 3]
