"""Functions of columns, as the user writes them: `hr.hour(Departure.at, tz="America/New_York")`."""

from collections.abc import Sequence

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
    """Put `value` where x is missing; the reason stays beside it. None hands NaN to the model."""
    return Fill(_column("hr.fill", x), value)


def is_missing(x: object) -> Expression:
    """Return whether x is missing."""
    return IsMissing(_column("hr.is_missing", x))


def when(condition: object, then: object, otherwise: object) -> Expression:
    """Return `then` where the condition holds, `otherwise` where it does not, missing where it is missing."""
    return When(_column("hr.when", condition), expression_of(then), expression_of(otherwise))


def isin(x: object, values: Sequence[Scalar]) -> Expression:
    """Return whether x is one of `values`."""
    return IsIn(_column("hr.isin", x), tuple(values))


def between(x: object, low: object, high: object) -> Expression:
    """Return whether low <= x < high."""
    column = _column("hr.between", x)
    return Logical("&", column >= low, column < high)


def hour(x: object, *, tz: str) -> Expression:
    """Return the local hour of a time, 0 to 23."""
    return Hour(_column("hr.hour", x), _zone("hr.hour", tz))


def weekday(x: object, *, tz: str) -> Expression:
    """Return the local day of the week of a time, Monday 0 to Sunday 6."""
    return Weekday(_column("hr.weekday", x), _zone("hr.weekday", tz))


def category(x: object, *, bits: int) -> Expression:
    """Return x hashed to one of 2**bits ids; 0 is a missing x."""
    return Category(_column("hr.category", x), bits)


def cross(*x: object, bits: int) -> Expression:
    """Return several columns together, hashed to one of 2**bits ids; 0 if any is missing."""
    return Cross(tuple(_column("hr.cross", column) for column in x), bits)


def _column(where: str, x: object) -> Expression:
    if not isinstance(x, Expression):
        raise ConfigError(where, wanted="a column, such as Departure.distance", got=f"the constant {x!r}")
    return x


def _zone(where: str, tz: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - reading the zone data costs at import, and few definitions need it

    try:
        ZoneInfo(tz)
    except (ValueError, OSError, KeyError) as error:
        raise ConfigError(f"{where} tz", wanted="a time zone such as 'Europe/Berlin' or 'UTC'", got=tz) from error
    return tz
