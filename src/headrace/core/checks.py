"""Checks of what the user gives, whatever a type checker was told."""

import math
import re
from typing import Final

from headrace.core.errors import ConfigError

__all__ = ["check_name", "is_finite", "is_whole"]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(where: str, name: object) -> str:
    """Return a name that may stand in a topic, a metric and a column unchanged.

    >>> check_name("source", "departures")
    'departures'

    Raises ConfigError unless it is ASCII letters, digits and _, a letter first.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigError(f"{where} name", wanted="ASCII letters, digits and _, a letter first", got=repr(name))


def is_finite(value: object) -> bool:
    """Return whether a value is a number, not a bool, and neither infinite nor NaN.

    >>> is_finite(0.5), is_finite(float("nan")), is_finite(True)
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Return whether a value is an int and not a bool.

    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool)
