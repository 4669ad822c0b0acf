"""Parts of a local time: its hour, its day of the week, where it stands on a circle.

A zone is a name ("Europe/Berlin") or a column of names: then each record has its own, and where the name is none that
anybody knows, the part is missing.
"""

from abc import ABC
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, TypeAlias, final
from zoneinfo import ZoneInfo

from headrace.core.expressions import Expression, Kind, Unary, check_kind
from headrace.core.time import duration_text

__all__ = ["Cyclic", "CyclicTime", "Day", "Hour", "LocalPart", "Minute", "Month", "Side", "Weekday", "is_zone"]

Side: TypeAlias = Literal["sin", "cos"]


@dataclass(frozen=True, eq=False, repr=False)
class LocalPart(Unary, ABC):
    """A part of a local time, in the zone that `tz` names."""

    tz: str | Expression
    _RANGE: ClassVar[tuple[float, float]]

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the first and the last of the parts."""
        return self._RANGE

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a time, and a zone that is a column is a text."""
        check_kind(self.canonical, self.operand, ("time",))
        if isinstance(self.tz, Expression):
            check_kind(f"{self.canonical} tz", self.tz, ("text",))

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def missing(self) -> bool:
        """Return whether the time or the name of the zone may be missing."""
        return any(child.missing for child in self.children)

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the time, and the zone if it is a column."""
        return (self.operand, self.tz) if isinstance(self.tz, Expression) else (self.operand,)

    @property
    def zone(self) -> str:
        """Return the zone as it stands in the call."""
        return self.tz.canonical if isinstance(self.tz, Expression) else repr(self.tz)

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.{type(self).__name__.lower()}({self.operand.canonical}, tz={self.zone})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Minute(LocalPart):
    """The minute of the local hour, 0 to 59."""

    _RANGE: ClassVar = (0.0, 59.0)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Hour(LocalPart):
    """The local hour, 0 to 23."""

    _RANGE: ClassVar = (0.0, 23.0)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Weekday(LocalPart):
    """The local day of the week, Monday 0 to Sunday 6."""

    _RANGE: ClassVar = (0.0, 6.0)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Day(LocalPart):
    """The day of the local month, 1 to 31."""

    _RANGE: ClassVar = (1.0, 31.0)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Month(LocalPart):
    """The local month, 1 to 12."""

    _RANGE: ClassVar = (1.0, 12.0)


@final
@dataclass(frozen=True, eq=False, repr=False)
class CyclicTime(LocalPart):
    """Sine or cosine of where a local time stands in a period; periods are counted from Monday 1970-01-05, 00:00."""

    side: Side
    period_us: int

    _RANGE: ClassVar = (-1.0, 1.0)

    @property
    def canonical(self) -> str:
        """Return the call and which of its two columns this is."""
        return f"hr.cyclical({self.operand.canonical}, {duration_text(self.period_us)!r}, tz={self.zone}).{self.side}"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Cyclic(Unary):
    """Sine or cosine of where a number stands in a period."""

    side: Side
    period: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Return what a sine and a cosine keep to."""
        return -1.0, 1.0

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a number."""
        check_kind(self.canonical, self.operand, ("number",))

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def canonical(self) -> str:
        """Return the call and which of its two columns this is."""
        return f"hr.cyclical({self.operand.canonical}, {self.period!r}).{self.side}"


@lru_cache(maxsize=4096)
def is_zone(name: str) -> bool:
    """Return whether a text names a time zone.

    >>> is_zone("Europe/Berlin"), is_zone("Europe/Bärlin"), is_zone("")
    (True, False, False)
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True
