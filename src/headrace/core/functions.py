"""Functions of columns of any kind, as the user writes them: `hr.fill(Departure.tail, "unknown")`."""

from collections.abc import Callable, Iterable

from headrace.core.errors import ConfigError
from headrace.core.expressions import (
    Category,
    Cross,
    Expression,
    FieldColumn,
    Fill,
    IsIn,
    IsMissing,
    Logical,
    Scalar,
    Several,
    When,
    column_of,
    expression_of,
)

__all__ = ["between", "category", "cross", "fill", "is_missing", "isin", "when"]


def fill(x: object, value: Scalar) -> Expression:
    """Put `value` where x is missing; the reason stays beside it. None hands NaN to the model.

    An embedding is filled in each of its places.

    >>> import headrace as hr
    >>> hr.fill(hr.Prediction.fallback, "none")
    hr.fill(Prediction.fallback, 'none')

    Raises ConfigError if x is no column, or the value is of another kind.
    """
    return _each(column_of("hr.fill", x), lambda column: Fill(column, value))


def is_missing(x: object) -> Expression:
    """Return whether x is missing.

    >>> import headrace as hr
    >>> hr.is_missing(hr.Prediction.fallback).missing
    False

    Raises ConfigError if x is no column.
    """
    column = column_of("hr.is_missing", x)
    return column.each(IsMissing) if isinstance(column, Several) else IsMissing(column)


def when(condition: object, then: object, otherwise: object) -> Expression:
    """Return `then` where the condition holds, `otherwise` where it does not, missing where it is missing.

    >>> import headrace as hr
    >>> hr.when(hr.Prediction.version == 0, 0.5, hr.Prediction.score).kind
    'number'

    Raises ConfigError if the condition is none, or the two values are not alike.
    """
    return When(column_of("hr.when", condition), expression_of(then), expression_of(otherwise))


def isin(x: object, values: Iterable[Scalar]) -> Expression:
    """Return whether x is one of `values`; missing where x is.

    >>> import headrace as hr
    >>> hr.isin(hr.Prediction.version, [1, 2])
    hr.isin(Prediction.version, [1, 2])

    Raises ConfigError if x is no column, or a value is of another kind.
    """
    if isinstance(values, str):
        raise ConfigError("hr.isin", wanted="a list of texts", got=repr(values))
    return IsIn(column_of("hr.isin", x), tuple(values))


def between(x: object, low: object, high: object) -> Expression:
    """Return whether low <= x <= high, both ends included, as in SQL; missing where x is.

    >>> import headrace as hr
    >>> hr.between(hr.Prediction.score, 0.2, 0.8)
    ((Prediction.score >= 0.2) & (Prediction.score <= 0.8))

    Raises ConfigError if x is no column, or cannot be compared so.
    """
    column = column_of("hr.between", x)
    return Logical("&", column >= low, column <= high)


def category(x: object, *, bits: int) -> Expression:
    """Return x hashed to one of 2**bits ids; 0 is a missing x.

    >>> import headrace as hr
    >>> hr.category(hr.Prediction.version, bits=6).kind
    'category'

    Raises ConfigError if x is no column, or bits is not from 1 to 28.
    """
    return _each(column_of("hr.category", x), lambda column: Category(column, bits))


def cross(*x: object, bits: int) -> Expression:
    """Return several columns together, hashed to one of 2**bits ids; 0 if any is missing.

    >>> import headrace as hr
    >>> hr.cross(hr.Prediction.version, hr.Prediction.fallback, bits=10).missing
    False

    Raises ConfigError for fewer than two columns, or bits not from 1 to 28.
    """
    return Cross(tuple(column_of("hr.cross", column) for column in x), bits)


def _each(column: Expression, function: Callable[[Expression], Expression]) -> Expression:
    """Apply a function to a column, or to each of several columns."""
    if isinstance(column, FieldColumn) and column.kind == "numbers":
        column = column.spread
    return column.each(function) if isinstance(column, Several) else function(column)
