"""Functions of texts, as the user writes them: `hr.contains(hr.lower(Txn.memo), "gift")`."""

from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression, column_of
from headrace.core.scalars import Lower, TextLength, TextTest

__all__ = ["contains", "length", "lower", "starts_with"]


def lower(x: object) -> Expression:
    """Return a text in lower case, by Unicode's simple rules; missing where x is.

    >>> import headrace as hr
    >>> hr.lower(hr.Prediction.id) == "ua1"
    (hr.lower(Prediction.id) == 'ua1')

    Raises ConfigError if x is no column of texts.
    """
    return Lower(_column("hr.lower", x))


def length(x: object) -> Expression:
    """Return how many characters (code points of Unicode) a text has; missing where x is.

    >>> import headrace as hr
    >>> hr.length(hr.Prediction.id).kind
    'number'

    Raises ConfigError if x is no column of texts. (The length of an embedding is `hr.Length`.)
    """
    return TextLength(_column("hr.length", x))


def starts_with(x: object, part: str) -> Expression:
    """Return whether a text begins with another; capitals count; missing where x is.

    >>> import headrace as hr
    >>> hr.starts_with(hr.Prediction.id, "UA")
    hr.starts_with(Prediction.id, 'UA')

    Raises ConfigError if x is no column of texts, or `part` is no text.
    """
    return TextTest(_column("hr.starts_with", x), "starts_with", _part("hr.starts_with", part))


def contains(x: object, part: str) -> Expression:
    """Return whether a text has another inside; capitals count; missing where x is.

    >>> import headrace as hr
    >>> hr.contains(hr.lower(hr.Prediction.id), "ua")
    hr.contains(hr.lower(Prediction.id), 'ua')

    Raises ConfigError if x is no column of texts, or `part` is no text.
    """
    return TextTest(_column("hr.contains", x), "contains", _part("hr.contains", part))


def _column(where: str, x: object) -> Expression:
    return column_of(where, x, "a column of texts, such as Departure.carrier")


def _part(where: str, part: object) -> str:
    if not isinstance(part, str) or not part:
        raise ConfigError(f"{where} part", wanted="a text that is not empty", got=repr(part))
    return part
