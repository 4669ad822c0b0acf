"""Time is int64 microseconds since 1970 in UTC; a duration is a string with its unit."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from headrace.core.errors import ConfigError

__all__ = [
    "DAY_US",
    "ENDED_US",
    "HOUR_US",
    "MINUTE_US",
    "SECOND_US",
    "UNSPOKEN_US",
    "Duration",
    "duration_text",
    "duration_us",
    "instant_text",
    "instant_us",
]

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
UNSPOKEN_US: Final = -(2**62)
"""The watermark of a producer that has not spoken. Far from the edge of int64, so that a window may be subtracted."""
ENDED_US: Final = 2**62
"""The time that stands for "nothing more will come"."""

Duration: TypeAlias = str | timedelta
_UNITS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "min": MINUTE_US,
    "h": HOUR_US,
    "d": DAY_US,
    "w": 7 * DAY_US,
}
_DURATION: Final = re.compile(r"(\d+)(us|ms|s|min|h|d|w)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def duration_us(where: str, duration: Duration) -> int:
    """Return a duration in microseconds.

    >>> duration_us("window", "3h") == 3 * HOUR_US
    True

    Raises ConfigError if it is no duration, or is negative. A bare number never means time.
    """
    if isinstance(duration, timedelta):
        if duration < timedelta(0):
            raise ConfigError(where, wanted="a duration that is not negative", got=duration)
        return duration // _MICROSECOND
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if match is None:
        raise ConfigError(where, wanted="a duration such as '500ms', '90s', '5min', '3h', '7d'", got=duration)
    size_us = int(match[1]) * _UNITS[match[2]]
    if size_us >= ENDED_US:
        raise ConfigError(where, wanted="a duration below 146,000 years", got=duration)
    return size_us


def duration_text(size_us: int) -> str:
    """Return the shortest exact text of a duration.

    >>> duration_text(duration_us("", "24h")), duration_text(90 * SECOND_US)
    ('1d', '90s')
    """
    for unit in ("w", "d", "h", "min", "s", "ms"):
        if size_us and size_us % _UNITS[unit] == 0 and (unit != "w" or size_us >= 2 * _UNITS["w"]):
            return f"{size_us // _UNITS[unit]}{unit}"
    return f"{size_us}us"


def instant_us(moment: datetime) -> int:
    """Return an aware moment as microseconds UTC.

    >>> instant_us(datetime(1970, 1, 2, tzinfo=UTC)) == DAY_US
    True

    Raises ConfigError if the moment has no time zone: a naive moment means another instant on another machine.
    """
    if moment.tzinfo is None:
        raise ConfigError("datetime", wanted="a time zone (datetime(..., tzinfo=UTC))", got=moment.isoformat())
    return (moment - _EPOCH) // _MICROSECOND


def instant_text(time_us: int) -> str:
    """Return an instant as text, in UTC.

    >>> instant_text(DAY_US + 1)
    '1970-01-02T00:00:00.000001Z'
    >>> instant_text(ENDED_US), instant_text(UNSPOKEN_US)
    ('ended', 'unspoken')
    """
    if time_us >= ENDED_US:
        return "ended"
    if time_us <= UNSPOKEN_US:
        return "unspoken"
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{time_us}us"
