"""Functions of times, as the user writes them: `hr.hour(Departure.at, tz="America/New_York")`.

`tz` is the name of a zone, or a column of such names. A name that nobody knows, in a column, leaves the part missing.
"""

from headrace.core.calendar import Cyclic, CyclicTime, Day, Hour, Minute, Month, Side, Weekday, is_zone
from headrace.core.checks import is_finite
from headrace.core.errors import ConfigError
from headrace.core.expressions import Elapsed, Expression, Several, column_of
from headrace.core.time import Duration, duration_us

__all__ = ["cyclical", "day", "hour", "minute", "month", "seconds", "weekday"]


def minute(x: object, *, tz: object) -> Expression:
    """Return the minute of the local hour, 0 to 59.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> hr.minute(Ping.at, tz="Asia/Kathmandu")
    hr.minute(Ping.at, tz='Asia/Kathmandu')

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Minute(_column("hr.minute", x), _zone("hr.minute", tz))


def hour(x: object, *, tz: object) -> Expression:
    """Return the local hour of a time, 0 to 23.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     zone: str
    ...     at: datetime
    >>> hr.hour(Ping.at, tz="Europe/Berlin"), hr.hour(Ping.at, tz=Ping.zone)
    (hr.hour(Ping.at, tz='Europe/Berlin'), hr.hour(Ping.at, tz=Ping.zone))

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Hour(_column("hr.hour", x), _zone("hr.hour", tz))


def weekday(x: object, *, tz: object) -> Expression:
    """Return the local day of the week of a time, Monday 0 to Sunday 6.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> hr.weekday(Ping.at, tz="UTC")
    hr.weekday(Ping.at, tz='UTC')

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Weekday(_column("hr.weekday", x), _zone("hr.weekday", tz))


def day(x: object, *, tz: object) -> Expression:
    """Return the day of the local month, 1 to 31.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> hr.day(Ping.at, tz="UTC")
    hr.day(Ping.at, tz='UTC')

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Day(_column("hr.day", x), _zone("hr.day", tz))


def month(x: object, *, tz: object) -> Expression:
    """Return the local month, January 1 to December 12.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> hr.month(Ping.at, tz="UTC")
    hr.month(Ping.at, tz='UTC')

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Month(_column("hr.month", x), _zone("hr.month", tz))


def seconds(x: object) -> Expression:
    """Return the difference of two times in seconds, to the microsecond; negative where the second one is later.

    `a - b` of two times is this number already; to a type checker it is a `timedelta`, and this makes it a number.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     sent: datetime
    ...     at: datetime
    >>> hr.seconds(Ping.at - Ping.sent).unit
    's'

    Raises ConfigError if x is no difference of two times.
    """
    if not isinstance(x, Elapsed):
        raise ConfigError("hr.seconds", wanted="the difference of two times (Ping.at - Ping.sent)", got=repr(x))
    return x


def cyclical(x: object, period: float | Duration, *, tz: object = None) -> Expression:
    """Return where x stands in a period as a point on a circle: two features, `..._sin` and `..._cos`.

    So that 23 h and 0 h are neighbours. x is a number and the period one too, or x is a time and the period a
    duration, in local time of `tz`; then periods are counted from a Monday at midnight. At the quarters of the
    period the two are exactly 0, 1 and -1.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> two = hr.cyclical(hr.hour(Ping.at, tz="UTC"), 24)
    >>> week = hr.cyclical(Ping.at, "7d", tz="Europe/Berlin")
    >>> list(hr.source("pings", Ping, time=Ping.at).vector("v", two, week).features)
    ['hour_at_sin', 'hour_at_cos', 'at_7d_sin', 'at_7d_cos']

    Raises ConfigError if x is neither, or the period is not positive or of the wrong kind.
    """
    where = "hr.cyclical"
    column = _column(where, x)
    sides: tuple[Side, Side] = ("sin", "cos")
    if column.kind == "time":
        if tz is None:
            wanted = 'tz="Europe/Berlin" or another zone, in which the period is counted'
            raise ConfigError(where, wanted=wanted, got="none")
        if isinstance(period, int | float):
            raise ConfigError(f"{where} period", wanted="a duration such as '1d', of a time", got=period)
        period_us = duration_us(f"{where} period", period)
        if period_us == 0:
            raise ConfigError(f"{where} period", wanted="a duration that is longer than nothing", got=repr(period))
        zone = _zone(where, tz)
        times = [CyclicTime(column, zone, side, period_us) for side in sides]
        return Several(tuple((time.side, time) for time in times), times[0])
    if tz is not None:
        raise ConfigError(f"{where} tz", wanted="none (x is no time)", got=repr(tz))
    if not isinstance(period, int | float) or not is_finite(period) or not period > 0:
        raise ConfigError(f"{where} period", wanted="a finite number above 0", got=repr(period))
    numbers = [Cyclic(column, side, float(period)) for side in sides]
    return Several(tuple((number.side, number) for number in numbers), column)


def _column(where: str, x: object) -> Expression:
    return column_of(where, x, "a column, such as Departure.at")


def _zone(where: str, tz: object) -> str | Expression:
    """Return a zone by its name, or a column of names as it is; the node looks at the column's kind."""
    if isinstance(tz, Expression):
        return tz
    wanted = "a time zone such as 'Europe/Berlin' or 'UTC', or a column of their names"
    if not isinstance(tz, str) or not is_zone(tz):
        raise ConfigError(f"{where} tz", wanted=wanted, got=repr(tz))
    return tz
