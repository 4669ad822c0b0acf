"""Windows: which of a key's records an aggregate looks at, seen from the moment of the request.

Every window is half-open and ends just before the request (or `offset` earlier). A duration alone is a sliding one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias, final

from headrace.core.calendar import is_zone
from headrace.core.checks import is_whole
from headrace.core.errors import ConfigError
from headrace.core.time import DAY_US, ENDED_US, Duration, duration_text, duration_us

__all__ = [
    "EPOCH_HALF_LIVES",
    "FOREVER",
    "Decay",
    "Forever",
    "Hopping",
    "LastN",
    "Session",
    "Sliding",
    "Tumbling",
    "Window",
    "WindowLike",
    "window_of",
]

EPOCH_HALF_LIVES: Final = 32
"""Half-lives in an epoch of `Decay`; the epoch of the request and the two before it count."""


class Window(ABC):
    """A window. `reach_us` is how far before its end (`t - offset`) it may look, `ENDED_US` for no bound."""

    __slots__ = ()

    @property
    @abstractmethod
    def reach_us(self) -> int:
        """Return how far back it may look, in microseconds."""

    @property
    @abstractmethod
    def text(self) -> str:
        """Return the window as it stands in the name of a feature."""

    @property
    def canonical(self) -> str:
        """Return the code that makes it, the same for equal windows however they were written."""
        return repr(self)

    @property
    def closes(self) -> bool:
        """Return whether it is read only once the watermark has passed its end."""
        return False


@final
@dataclass(frozen=True, slots=True)
class Sliding(Window):
    """[t - size, t): what a duration alone means.

    >>> Sliding("3h").canonical
    "'3h'"
    """

    size: Duration

    def __post_init__(self) -> None:
        """Raise ConfigError unless the size is a duration longer than nothing."""
        _positive("hr.Sliding size", self.size)

    @property
    def reach_us(self) -> int:
        """Return the size."""
        return duration_us("hr.Sliding size", self.size)

    @property
    def text(self) -> str:
        """Return the size as the user wrote it."""
        return _written(self.size)

    @property
    def canonical(self) -> str:
        """Return the size."""
        return repr(duration_text(self.reach_us))


@final
@dataclass(frozen=True, slots=True)
class Tumbling(Window):
    """The last complete window of that size that the watermark has closed; days begin at midnight in `tz`.

    Sizes are cut from 1970-01-01 00:00 local time. In a zone with summer time a day may have 23 or 25 hours; only whole
    days may be cut there.

    >>> Tumbling("1d", tz="Europe/Berlin")
    hr.Tumbling('1d', tz='Europe/Berlin')
    """

    size: Duration
    tz: str = "UTC"

    def __post_init__(self) -> None:
        """Raise ConfigError unless the size is a duration longer than nothing, of whole days in a zone."""
        size_us = _positive("hr.Tumbling size", self.size)
        if not isinstance(self.tz, str) or not is_zone(self.tz):
            raise ConfigError(
                "hr.Tumbling tz", wanted="a time zone such as 'Europe/Berlin' or 'UTC'", got=repr(self.tz)
            )
        if self.tz != "UTC" and size_us % DAY_US:
            raise ConfigError("hr.Tumbling size", wanted=f"whole days in {self.tz}", got=self.size)

    def __repr__(self) -> str:
        """Return the code that makes it."""
        zone = "" if self.tz == "UTC" else f", tz={self.tz!r}"
        return f"hr.Tumbling({duration_text(self.size_us)!r}{zone})"

    @property
    def size_us(self) -> int:
        """Return the size in microseconds."""
        return duration_us("hr.Tumbling size", self.size)

    @property
    def reach_us(self) -> int:
        """Return twice the size: the closed window lies up to one size back. A local day may have an hour more."""
        return 2 * self.size_us + (0 if self.tz == "UTC" else DAY_US)

    @property
    def text(self) -> str:
        """Return the size, and that it tumbles."""
        return f"tumbling_{_written(self.size)}"

    @property
    def closes(self) -> bool:
        """Return True."""
        return True


@final
@dataclass(frozen=True, slots=True)
class Hopping(Window):
    """The last window of `size` that ends at a multiple of `every` and that the watermark has closed.

    >>> Hopping("1h", every="5min")
    hr.Hopping('1h', every='5min')
    """

    size: Duration
    every: Duration

    def __post_init__(self) -> None:
        """Raise ConfigError unless both are durations longer than nothing."""
        _positive("hr.Hopping size", self.size)
        _positive("hr.Hopping every", self.every)

    def __repr__(self) -> str:
        """Return the code that makes it."""
        return f"hr.Hopping({duration_text(self.size_us)!r}, every={duration_text(self.every_us)!r})"

    @property
    def size_us(self) -> int:
        """Return the size in microseconds."""
        return duration_us("hr.Hopping size", self.size)

    @property
    def every_us(self) -> int:
        """Return the distance between two windows, in microseconds."""
        return duration_us("hr.Hopping every", self.every)

    @property
    def reach_us(self) -> int:
        """Return size and hop: the closed window ends up to one hop back."""
        return self.size_us + self.every_us

    @property
    def text(self) -> str:
        """Return the size and the hop."""
        return f"{_written(self.size)}_every_{_written(self.every)}"

    @property
    def closes(self) -> bool:
        """Return True."""
        return True


@final
@dataclass(frozen=True, slots=True)
class Session(Window):
    """The session that is open: back from the newest record while neighbours are at most `gap` apart.

    It is empty when the newest lies further back than `gap`, and looks no further back than `longest`.

    >>> Session("30min")
    hr.Session('30min', longest='12h')
    """

    gap: Duration
    longest: Duration = "12h"

    def __post_init__(self) -> None:
        """Raise ConfigError unless both are durations longer than nothing, and `longest` is the longer one."""
        gap_us, longest_us = _positive("hr.Session gap", self.gap), _positive("hr.Session longest", self.longest)
        if longest_us < gap_us:
            raise ConfigError("hr.Session longest", wanted=f"at least the gap, {self.gap}", got=self.longest)

    def __repr__(self) -> str:
        """Return the code that makes it."""
        return f"hr.Session({duration_text(self.gap_us)!r}, longest={duration_text(self.reach_us)!r})"

    @property
    def gap_us(self) -> int:
        """Return the longest silence within a session, in microseconds."""
        return duration_us("hr.Session gap", self.gap)

    @property
    def reach_us(self) -> int:
        """Return the longest session."""
        return duration_us("hr.Session longest", self.longest)

    @property
    def text(self) -> str:
        """Return the gap, and that it is a session."""
        return f"session_{_written(self.gap)}"


@final
@dataclass(frozen=True, slots=True)
class LastN(Window):
    """The newest `n` records, of those not older than `within` if that is given.

    >>> LastN(20, within="7d")
    hr.LastN(20, within='7d')
    """

    n: int
    within: Duration | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError unless n is a whole number from 1 on, and `within` a duration longer than nothing."""
        if not is_whole(self.n) or self.n < 1:
            raise ConfigError("hr.LastN n", wanted="a whole number, at least 1", got=self.n)
        if self.within is not None:
            _positive("hr.LastN within", self.within)

    def __repr__(self) -> str:
        """Return the code that makes it."""
        within = "" if self.within is None else f", within={duration_text(self.reach_us)!r}"
        return f"hr.LastN({self.n}{within})"

    @property
    def reach_us(self) -> int:
        """Return `within`."""
        return ENDED_US if self.within is None else duration_us("hr.LastN within", self.within)

    @property
    def text(self) -> str:
        """Return n and the bound."""
        return f"last_{self.n}" + ("" if self.within is None else f"_within_{_written(self.within)}")


@final
@dataclass(frozen=True, slots=True)
class Decay(Window):
    """Every record, weighted 2**-(age / half_life), for count, sum and mean.

    What is older than 96 half-lives, and some of what is older than 64, has no weight any more: less than 2**-64.

    >>> Decay("6h")
    hr.Decay('6h')
    """

    half_life: Duration

    def __post_init__(self) -> None:
        """Raise ConfigError unless the half-life is a duration longer than nothing."""
        _positive("hr.Decay half_life", self.half_life)

    def __repr__(self) -> str:
        """Return the code that makes it."""
        return f"hr.Decay({duration_text(self.half_life_us)!r})"

    @property
    def half_life_us(self) -> int:
        """Return the age at which a record has half its weight, in microseconds."""
        return duration_us("hr.Decay half_life", self.half_life)

    @property
    def reach_us(self) -> int:
        """Return three epochs."""
        return 3 * EPOCH_HALF_LIVES * self.half_life_us

    @property
    def text(self) -> str:
        """Return the half-life, and that it decays."""
        return f"decay_{_written(self.half_life)}"


@final
@dataclass(frozen=True, slots=True)
class Forever(Window):
    """Everything before the request: the window that has no beginning."""

    def __repr__(self) -> str:
        """Return the name."""
        return "hr.FOREVER"

    @property
    def reach_us(self) -> int:
        """Return that there is no bound."""
        return ENDED_US

    @property
    def text(self) -> str:
        """Return forever."""
        return "forever"


FOREVER: Final = Forever()
WindowLike: TypeAlias = Window | Duration


def window_of(where: str, window: WindowLike) -> Window:
    """Return a window as it was given; a duration is a sliding one.

    Raises ConfigError for anything else.
    """
    if isinstance(window, Window):
        return window
    if isinstance(window, str | timedelta):
        if duration_us(where, window) <= 0:
            raise ConfigError(where, wanted="a window longer than nothing", got=window)
        return Sliding(window)
    wanted = "a duration such as '3h', or hr.FOREVER, hr.Tumbling, hr.Hopping, hr.Session, hr.LastN, hr.Decay"
    raise ConfigError(where, wanted=wanted, got=repr(window))


def _positive(where: str, duration: Duration) -> int:
    size_us = duration_us(where, duration)
    if size_us <= 0:
        raise ConfigError(where, wanted="a duration longer than nothing", got=duration)
    return size_us


def _written(duration: Duration) -> str:
    return duration if isinstance(duration, str) else duration_text(duration_us("window", duration))
