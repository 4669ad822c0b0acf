"""Local time from UTC by a table of a zone's offsets, so that a million rows cost one search each and no object."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from headrace.core.records import I8
from headrace.core.time import DAY_US, HOUR_US, instant_us

__all__ = ["boundaries", "hour_of_day", "local_us", "weekday"]

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2101
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday; Monday is 0.
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=64)
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


def hour_of_day(time_us: I8, zone: str) -> I8:
    """Return the local hour, 0 to 23.

    >>> hour_of_day(np.array([0]), "America/New_York").tolist()
    [19]
    """
    return local_us(time_us, zone) % DAY_US // HOUR_US


def weekday(time_us: I8, zone: str) -> I8:
    """Return the local day of the week, Monday 0 to Sunday 6.

    >>> weekday(np.array([0]), "UTC").tolist()
    [3]
    """
    return (local_us(time_us, zone) // DAY_US + _EPOCH_WEEKDAY) % 7


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
