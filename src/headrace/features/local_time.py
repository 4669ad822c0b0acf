"""Local time from UTC by a table of a zone's offsets, so that a million rows cost one search each and no object."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.calendar import CyclicTime, Day, Hour, LocalPart, Minute, Weekday, is_zone
from headrace.core.records import F8, I8
from headrace.core.time import DAY_US, HOUR_US, MINUTE_US, instant_us
from headrace.features.numbers import on_circle

__all__ = ["boundaries", "by_zone", "local_part", "local_us"]

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2101
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday; Monday is 0.
_FIRST_MONDAY_US: Final = 4 * DAY_US
_MARCH_0000: Final = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
_ERA_DAYS: Final = 146_097
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=1024)
def _offsets(name: str) -> tuple[I8, I8]:
    """Return the instants at which the zone's offset changes, and the offset from each on, in microseconds.

    Found by halving between days on which the offsets differ: zoneinfo tells offsets, not transitions.
    """
    zone = ZoneInfo(name)

    def offset_us(moment: datetime) -> int:
        shift = moment.astimezone(zone).utcoffset()
        return 0 if shift is None else shift // _MICROSECOND

    moment = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    end = datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)
    starts, offsets = [np.iinfo(np.int64).min], [offset_us(moment)]
    while moment < end:
        later = moment + timedelta(days=1)
        if offset_us(later) != offsets[-1]:
            low, high = moment, later
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                middle = middle.replace(microsecond=0)
                low, high = (low, middle) if offset_us(middle) != offsets[-1] else (middle, high)
            starts.append(instant_us(high))
            offsets.append(offset_us(high))
        moment = later
    return np.array(starts, np.int64), np.array(offsets, np.int64)


def local_us(time_us: I8, zone: str) -> I8:
    """Return local wall-clock time as microseconds since 1970-01-01 00:00 local.

    time_us: i8[n], microseconds UTC. Beyond 1900..2101 the first and the last offset are taken.
    """
    starts, offsets = _offsets(zone)
    moved: I8 = time_us + offsets[np.searchsorted(starts, time_us, side="right") - 1]
    return moved


def local_part(part: LocalPart, time_us: I8, zone: str) -> F8:
    """Return a part of the local time. time_us: i8[n], microseconds UTC. Result: f8[n].

    >>> from headrace.core.expressions import FieldColumn
    >>> at = FieldColumn("Ping", "at", "time")
    >>> local_part(Hour(at, "America/New_York"), np.array([0]), "America/New_York").tolist()
    [19.0]
    """
    local = local_us(time_us, zone)
    match part:
        case Minute():
            return (local % HOUR_US // MINUTE_US).astype(np.float64)
        case Hour():
            return (local % DAY_US // HOUR_US).astype(np.float64)
        case Weekday():
            return ((local // DAY_US + _EPOCH_WEEKDAY) % 7).astype(np.float64)
        case CyclicTime():
            # Of a whole number of microseconds the remainder is exact, however far from 1970.
            since = (local - _FIRST_MONDAY_US) % part.period_us
            return on_circle(since.astype(np.float64), float(part.period_us), part.side)
        case _:
            months, days = _calendar_days(local // DAY_US)
            return (days if isinstance(part, Day) else months).astype(np.float64)


def by_zone(part: LocalPart, time_us: I8, zones: pa.StringArray) -> F8:
    """Return a part of the local time of each row's own zone, NaN where there is none or nobody knows it.

    time_us: i8[n], microseconds UTC. zones: n names. Each zone's rows are computed at once.
    """
    found = np.full(len(time_us), np.nan)
    names = pc.dictionary_encode(zones)
    place = names.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for number, name in enumerate(names.dictionary.to_pylist()):
        if is_zone(name):
            mine = place == number
            found[mine] = local_part(part, time_us[mine], name)
    return found


def _calendar_days(days: I8) -> tuple[I8, I8]:
    """Return the month and the day of the month of days since 1970-01-01, of the Gregorian calendar for all time.

    The year is begun in March, so that its leap day is the last; 400 years are 146097 days (Hinnant, "chrono-
    compatible low-level date algorithms", 2013).
    """
    shifted = days + _MARCH_0000
    of_era = shifted % _ERA_DAYS
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return np.where(month < 10, month + 3, month - 9), of_year - (153 * month + 2) // 5 + 1


def boundaries(time_us: I8, size_us: int, zone: str) -> tuple[I8, I8]:
    """Return since and until of the last whole stretch of local time, cut at multiples of the size, before a moment.

    time_us: i8[n], microseconds UTC; `until` is at most that.

    >>> since, until = boundaries(np.array([instant_us(datetime(2026, 3, 30, tzinfo=UTC))]), DAY_US, "Europe/Berlin")
    >>> (until - since).tolist() == [23 * HOUR_US]
    True
    """
    until = local_us(time_us, zone) // size_us * size_us
    return _utc_us(until - size_us, zone), _utc_us(until, zone)


def _utc_us(local: I8, zone: str) -> I8:
    """Return the instant of a local time; of one that there is twice the first, of none the one after the gap."""
    starts, offsets = _offsets(zone)
    before = np.searchsorted(starts, local - offsets.max(), side="right") - 1
    after = np.searchsorted(starts, local - offsets.min(), side="right") - 1
    first: I8 = local - offsets[before]
    return np.where(np.searchsorted(starts, first, side="right") - 1 == before, first, local - offsets[after])
