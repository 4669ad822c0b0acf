"""Functions of columns, as the user writes them: `hr.hour(Departure.at, tz="America/New_York")`."""

import zoneinfo
from collections.abc import Iterable

from headrace.core.errors import ConfigError
from headrace.core.expressions import (
    Category,
    Cross,
    Expression,
    Fill,
    Hour,
    IsIn,
    IsMissing,
    Logical,
    Scalar,
    Weekday,
    When,
    expression_of,
)

__all__ = ["between", "category", "cross", "fill", "hour", "is_missing", "isin", "weekday", "when"]


def fill(x: object, value: Scalar) -> Expression:
    """Put `value` where x is missing; the reason stays beside it. None hands NaN to the model.

    >>> import headrace as hr
    >>> hr.fill(hr.Prediction.fallback, "none")
    hr.fill(Prediction.fallback, 'none')

    Raises ConfigError if x is no column, or the value is of another kind.
    """
    return Fill(_column("hr.fill", x), value)


def is_missing(x: object) -> Expression:
    """Return whether x is missing.

    >>> import headrace as hr
    >>> hr.is_missing(hr.Prediction.fallback).missing
    False

    Raises ConfigError if x is no column.
    """
    return IsMissing(_column("hr.is_missing", x))


def when(condition: object, then: object, otherwise: object) -> Expression:
    """Return `then` where the condition holds, `otherwise` where it does not, missing where it is missing.

    >>> import headrace as hr
    >>> hr.when(hr.Prediction.version == 0, 0.5, hr.Prediction.score).kind
    'number'

    Raises ConfigError if the condition is none, or the two values are not alike.
    """
    return When(_column("hr.when", condition), expression_of(then), expression_of(otherwise))


def isin(x: object, values: Iterable[Scalar]) -> Expression:
    """Return whether x is one of `values`; missing where x is.

    >>> import headrace as hr
    >>> hr.isin(hr.Prediction.version, [1, 2])
    hr.isin(Prediction.version, [1, 2])

    Raises ConfigError if x is no column, or a value is of another kind.
    """
    if isinstance(values, str):
        raise ConfigError("hr.isin", wanted="a list of texts", got=repr(values))
    return IsIn(_column("hr.isin", x), tuple(values))


def between(x: object, low: object, high: object) -> Expression:
    """Return whether low <= x <= high, both ends included, as in SQL; missing where x is.

    >>> import headrace as hr
    >>> hr.between(hr.Prediction.score, 0.2, 0.8)
    ((Prediction.score >= 0.2) & (Prediction.score <= 0.8))

    Raises ConfigError if x is no column, or cannot be compared so.
    """
    column = _column("hr.between", x)
    return Logical("&", column >= low, column <= high)


def hour(x: object, *, tz: str) -> Expression:
    """Return the local hour of a time, 0 to 23.

    >>> import headrace as hr
    >>> from datetime import datetime
    >>> class Ping(hr.Event):
    ...     at: datetime
    >>> hr.hour(Ping.at, tz="Europe/Berlin")
    hr.hour(Ping.at, tz='Europe/Berlin')

    Raises ConfigError if x is no time, or the zone is unknown.
    """
    return Hour(_column("hr.hour", x), _zone("hr.hour", tz))


def weekday(x: object, *, tz: str) -> Expression:
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


def category(x: object, *, bits: int) -> Expression:
    """Return x hashed to one of 2**bits ids; 0 is a missing x.

    >>> import headrace as hr
    >>> hr.category(hr.Prediction.version, bits=6).kind
    'category'

    Raises ConfigError if x is no column, or bits is not from 1 to 28.
    """
    return Category(_column("hr.category", x), bits)


def cross(*x: object, bits: int) -> Expression:
    """Return several columns together, hashed to one of 2**bits ids; 0 if any is missing.

    >>> import headrace as hr
    >>> hr.cross(hr.Prediction.version, hr.Prediction.fallback, bits=10).missing
    False

    Raises ConfigError for fewer than two columns, or bits not from 1 to 28.
    """
    return Cross(tuple(_column("hr.cross", column) for column in x), bits)


def _column(where: str, x: object) -> Expression:
    if not isinstance(x, Expression):
        raise ConfigError(where, wanted="a column, such as Departure.distance", got=f"the constant {x!r}")
    return x


def _zone(where: str, tz: str) -> str:
    try:
        zoneinfo.ZoneInfo(tz)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ConfigError(f"{where} tz", wanted="a time zone such as 'Europe/Berlin' or 'UTC'", got=repr(tz)) from error
    return tz
