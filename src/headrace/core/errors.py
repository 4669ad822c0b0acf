"""Errors come in four kinds, by what the reader must do. Each says where, wanted, got.

HeadraceError
|- ConfigError        the user wrote something impossible; raised before the first event
|- RecordError        one record is unusable; it keeps its verdict in [events], the stage lives on
|- StateError         saved state cannot be used; the stage stops and names the remedy
|- SurroundingsError  disk, broker, permission: try again after mending (exit code 3)
"""

import difflib
from collections.abc import Iterable
from typing import final

__all__ = ["ConfigError", "HeadraceError", "RecordError", "StateError", "SurroundingsError", "nearest"]


class HeadraceError(Exception):
    """The root of every error that headrace raises on purpose: where, wanted, got, in one sentence."""

    def __init__(self, where: str, *, wanted: str, got: object) -> None:
        shown = got if isinstance(got, str) else repr(got)
        super().__init__(f"{where}: wanted {wanted}, got {shown}")
        self.where, self.wanted, self.got = where, wanted, got

    def __reduce__(self) -> tuple[object, tuple[type["HeadraceError"], str, str, object]]:
        """Rebuild from the three fields, so that an error crosses a process border whole."""
        return _rebuilt, (type(self), self.where, self.wanted, self.got)


def _rebuilt(kind: type[HeadraceError], where: str, wanted: str, got: object) -> HeadraceError:
    return kind(where, wanted=wanted, got=got)


@final
class ConfigError(HeadraceError):
    """The user wrote something impossible.

    >>> raise ConfigError("source 'trips' disorder", wanted="a duration such as '5min'", got="1hr")
    Traceback (most recent call last):
    headrace.core.errors.ConfigError: source 'trips' disorder: wanted a duration such as '5min', got 1hr
    """


@final
class RecordError(HeadraceError):
    """One record is unusable. Its bytes, reason and error are kept in [events]."""


@final
class StateError(HeadraceError):
    """Saved state cannot be used; the stage stops, and the message names the remedy."""


@final
class SurroundingsError(HeadraceError):
    """The disk, a broker or a permission stands in the way: mend it and try again."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest of `names`, or nothing.

    >>> nearest("amuont", ["amount", "card"])
    "; did you mean 'amount'?"
    """
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
