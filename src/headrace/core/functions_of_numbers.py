"""Functions of numbers, as the user writes them: `hr.log1p(Txn.amount)`.

None calls the system's mathematics: what is not rounded correctly is computed in plain multiply and add, so that the
same record gives the same bits on every machine. `abs`, `ceil`, `clip`, `floor`, `maximum`, `minimum` and `sqrt` are
the correctly rounded results; `exp`, `log` and `log1p` lie within 2 units in the last place of them.
"""

from headrace.core.checks import is_finite, is_whole
from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression, Literal, column_of, expression_of
from headrace.core.scalars import NumberFunction, Numeric

__all__ = ["abs", "ceil", "clip", "exp", "floor", "log", "log1p", "maximum", "minimum", "power", "round", "sqrt"]

_DIGITS = 15


def abs(x: object) -> Expression:  # noqa: A001 - reached as hr.abs
    """Return x without its sign.

    >>> import headrace as hr
    >>> hr.abs(hr.Prediction.score - 0.5)
    hr.abs((Prediction.score - 0.5))

    Raises ConfigError if x is no column of numbers.
    """
    return _of("abs", x)


def floor(x: object) -> Expression:
    """Return the largest whole number that is not above x.

    >>> import headrace as hr
    >>> hr.floor(hr.Prediction.score * 10)
    hr.floor((Prediction.score * 10))

    Raises ConfigError if x is no column of numbers.
    """
    return _of("floor", x)


def ceil(x: object) -> Expression:
    """Return the smallest whole number that is not below x.

    >>> import headrace as hr
    >>> hr.ceil(hr.Prediction.score * 10)
    hr.ceil((Prediction.score * 10))

    Raises ConfigError if x is no column of numbers.
    """
    return _of("ceil", x)


def round(x: object, digits: int = 0) -> Expression:  # noqa: A001 - reached as hr.round
    """Return x rounded to some digits behind the point, a half to the even side.

    It is x * 10**digits, rounded to a whole number, over 10**digits; with digits, each of the two steps rounds.

    >>> import headrace as hr
    >>> hr.round(hr.Prediction.score, 2)
    hr.round(Prediction.score, 2)

    Raises ConfigError if x is no column of numbers, or digits is not from 0 to 15.
    """
    if not is_whole(digits) or not 0 <= digits <= _DIGITS:
        raise ConfigError("hr.round digits", wanted=f"a whole number from 0 to {_DIGITS}", got=digits)
    return _of("round", x, Literal(digits))


def clip(x: object, low: float, high: float) -> Expression:
    """Return x, `low` where it is lower and `high` where it is higher.

    >>> import headrace as hr
    >>> hr.exp(hr.clip(hr.Prediction.drift, -5, 5)).missing
    False

    Raises ConfigError if x is no column of numbers, or low and high are not finite numbers in this order.
    """
    if not is_finite(low) or not is_finite(high) or low > high:
        raise ConfigError("hr.clip", wanted="low and high, finite numbers in this order", got=(low, high))
    return _of("clip", x, expression_of(low), expression_of(high))


def minimum(*x: object) -> Expression:
    """Return the least of several columns or numbers in one record; missing where any is.

    >>> import headrace as hr
    >>> hr.minimum(hr.Prediction.score, 0.5)
    hr.minimum(Prediction.score, 0.5)

    Raises ConfigError for fewer than two, or what is no number.
    """
    return _pairwise("minimum", x)


def maximum(*x: object) -> Expression:
    """Return the greatest of several columns or numbers in one record; missing where any is.

    >>> import headrace as hr
    >>> hr.maximum(hr.Prediction.score, hr.Prediction.drift, 0)
    hr.maximum(hr.maximum(Prediction.score, Prediction.drift), 0)

    Raises ConfigError for fewer than two, or what is no number.
    """
    return _pairwise("maximum", x)


def sqrt(x: object) -> Expression:
    """Return the square root of x; missing where x is negative.

    >>> import headrace as hr
    >>> hr.sqrt(hr.Prediction.score).missing, hr.sqrt(hr.abs(hr.Prediction.score)).missing
    (True, False)

    Raises ConfigError if x is no column of numbers.
    """
    return _of("sqrt", x)


def exp(x: object) -> Expression:
    """Return e to the power of x; missing where that is more than a float can hold (x above 709.78).

    >>> import headrace as hr
    >>> hr.exp(hr.Prediction.score)
    hr.exp(Prediction.score)

    Raises ConfigError if x is no column of numbers.
    """
    return _of("exp", x)


def log(x: object) -> Expression:
    """Return the natural logarithm of x; missing where x is not positive.

    >>> import headrace as hr
    >>> hr.log(hr.Prediction.score)
    hr.log(Prediction.score)

    Raises ConfigError if x is no column of numbers.
    """
    return _of("log", x)


def log1p(x: object) -> Expression:
    """Return the natural logarithm of 1 + x, exact also where x is small; missing where x is not above -1.

    Of a field that ingest holds at 0 or more it is never missing.

    >>> import headrace as hr
    >>> from typing import Annotated
    >>> class Payment(hr.Event):
    ...     amount: Annotated[float, hr.Unit("usd", ge=0)]
    >>> hr.log1p(Payment.amount).missing
    False

    Raises ConfigError if x is no column of numbers.
    """
    return _of("log1p", x)


def power(x: object, exponent: object) -> Expression:
    """Return x to the power of an exponent; missing where that is not defined or not finite.

    A whole exponent of at most 1024 is repeated multiplication. Any other is e**(exponent * log x), for a positive x
    (of 0 it is 0); the relative error grows with |exponent * log x|, and stays below 2**-40.

    >>> import headrace as hr
    >>> hr.power(hr.Prediction.score, 2)
    hr.power(Prediction.score, 2)

    Raises ConfigError if x and the exponent are no numbers, or neither is a column.
    """
    if not isinstance(exponent, Expression):
        return _of("power", x, expression_of(exponent))
    return Numeric("power", (expression_of(x), exponent))


def _of(function: NumberFunction, x: object, *more: Expression) -> Expression:
    return Numeric(function, (column_of(f"hr.{function}", x), *more))


def _pairwise(function: NumberFunction, x: tuple[object, ...]) -> Expression:
    if len(x) < 2 or not any(isinstance(one, Expression) for one in x):
        raise ConfigError(f"hr.{function}", wanted="two columns or numbers or more, at least one column", got=len(x))
    found = expression_of(x[0])
    for one in x[1:]:
        found = Numeric(function, (found, expression_of(one)))
    return found
