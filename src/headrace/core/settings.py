"""What the user declares of serving, learning and acting: frozen, and checked where it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from headrace.core.checks import check_name, is_finite
from headrace.core.errors import ConfigError
from headrace.core.events import Prediction, columns_of
from headrace.core.expressions import Expression, FieldColumn
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
        if not is_finite(self.value):
            raise ConfigError("fallback", wanted="a finite score", got=self.value)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How answers are given: within which time, and what answers when that has passed or no model can.

    >>> Serve(deadline="20ms", fallback=[Constant(0.2)]).deadline_us
    20000

    Raises ConfigError unless the chain of fallbacks ends with one that always answers.
    """

    deadline: Duration = "1s"
    fallback: Sequence[Constant] = (Constant(0.5),)

    def __post_init__(self) -> None:
        """Check the deadline and the chain; keep the chain as a tuple, which nobody can change later."""
        if self.deadline_us <= 0:
            raise ConfigError("serve deadline", wanted="more than nothing", got=self.deadline)
        if not isinstance(self.fallback, Sequence):
            raise ConfigError("serve fallback", wanted="a list, such as [hr.Constant(0.2)]", got=self.fallback)
        if not self.fallback or not all(isinstance(entry, Constant) for entry in self.fallback):
            raise ConfigError("serve fallback", wanted="hr.Constant(...) at its end", got=self.fallback)
        object.__setattr__(self, "fallback", tuple(self.fallback))

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
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sink:
    """Where predictions go that meet a condition; None is all of them. Its address stands in headrace.toml.

    Two sinks are equal if they print alike: `==` of the conditions would be a comparison of columns.

    >>> import headrace as hr
    >>> hr.sink("holds", when=hr.Prediction.score > 0.8) == hr.sink("holds", when=hr.Prediction.score > 0.8)
    True
    """

    name: str
    when: Expression | None = None

    def __repr__(self) -> str:
        """Return the code that makes it."""
        return f"hr.sink({self.name!r}" + (f", when={self.when!r})" if self.when is not None else ")")

    __hash__ = None  # type: ignore[assignment] # a list of sinks is short; nobody looks one up

    def __eq__(self, other: object) -> bool:
        """Return whether both print alike."""
        return isinstance(other, Sink) and repr(self) == repr(other)


def sink(name: str, *, when: object = None) -> Sink:
    """Return a sink for the predictions that meet `when`, an expression over `hr.Prediction`.

    Raises ConfigError if `when` is no condition, or reads anything but a prediction.
    """
    check_name("sink", name)
    where = f"sink {name!r} when"
    if when is None:
        return Sink(name=name)
    if not isinstance(when, Expression) or when.kind != "bool":
        raise ConfigError(where, wanted="a condition, such as hr.Prediction.score > 0.8", got=repr(when))
    answers = columns_of(Prediction)
    for node in when.walk():
        known = answers.get(node.name) if isinstance(node, FieldColumn) else node
        if known is not node or not node.of_record:
            wanted = f"columns of hr.Prediction ({', '.join(answers)})"
            raise ConfigError(where, wanted=wanted, got=repr(node))
    return Sink(name=name, when=when)
