"""What the user declares of serving, learning and acting: frozen, and checked where it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression
from headrace.core.time import SECOND_US, Duration, duration_us

__all__ = ["Constant", "How", "Learn", "Serve", "Sink", "sink"]

How: TypeAlias = Literal["first", "last"]
"""Which matching event decides a label: the first to come, or, at the close, the last by event time."""


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """The fallback that always answers: one score.

    >>> Constant(0.2).value
    0.2
    """

    value: float

    def __post_init__(self) -> None:
        """Raise ConfigError unless it is a finite number."""
        if not isinstance(self.value, int | float) or not abs(self.value) < float("inf"):
            raise ConfigError("fallback", wanted="a finite score", got=self.value)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How answers are given: within which time, and what answers when that has passed or no model can.

    Raises ConfigError unless the chain of fallbacks ends with one that always answers.
    """

    deadline: Duration = "1s"
    fallback: Sequence[Constant] = (Constant(0.5),)

    def __post_init__(self) -> None:
        """Check the deadline and the chain."""
        if self.deadline_us <= 0:
            raise ConfigError("serve deadline", wanted="more than nothing", got=self.deadline)
        if not self.fallback or not isinstance(self.fallback[-1], Constant):
            raise ConfigError("serve fallback", wanted="hr.Constant(...) at its end", got=self.fallback)

    @property
    def deadline_us(self) -> int:
        """Return the deadline in microseconds."""
        return duration_us("serve deadline", self.deadline)

    @property
    def constant(self) -> float:
        """Return the score that answers when nothing else can."""
        return float(self.fallback[-1].value)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Learn:
    """How often what was learnt becomes a version, in arrival time of the examples.

    >>> Learn(every="6h").every_us // 3_600_000_000
    6
    """

    every: Duration = "1h"

    def __post_init__(self) -> None:
        """Raise ConfigError if the pace is shorter than a second."""
        if self.every_us < SECOND_US:
            raise ConfigError("learn every", wanted="1s or more", got=self.every)

    @property
    def every_us(self) -> int:
        """Return the pace in microseconds."""
        return duration_us("learn every", self.every)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """Where predictions go that meet a condition; None is all of them. Its address stands in headrace.toml."""

    name: str
    when: Expression | None = field(default=None)


def sink(name: str, *, when: object = None) -> Sink:
    """Return a sink for the predictions that meet `when`, an expression over `hr.Prediction`.

    Raises ConfigError if `when` is no condition.
    """
    if not name.isidentifier():
        raise ConfigError("sink name", wanted="letters, digits and _", got=name)
    if when is not None and (not isinstance(when, Expression) or when.kind != "bool"):
        raise ConfigError(f"sink {name!r} when", wanted="a condition, such as hr.Prediction.score > 0.8", got=repr(when))
    return Sink(name=name, when=when if isinstance(when, Expression) else None)
