"""What is fed to an engine, and what it answers."""

from dataclasses import dataclass
from typing import TypeAlias, final

__all__ = ["Answer", "Event", "Value"]

Value: TypeAlias = float | str | None
"""The value of a feature, a number or a text; None where it has none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record of one stream. It asks for the features of its key at its time, and then it is one of its records.

    id: what a second copy has as well. at_us: when it happened, arrived_us: when it came, microseconds UTC. value and
    other: numbers, category: a text; None where it has none. counts: whether it is a record that features look at;
    one that is not only asks.
    """

    id: str
    key: str
    at_us: int
    arrived_us: int
    value: float | None = None
    other: float | None = None
    category: str | None = None
    counts: bool = True


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """The features of one event, in the order of the definition.

    reasons: why each has its value, in headrace's words (`docs/reasons.md`); empty if an engine gives none.
    """

    values: tuple[Value, ...]
    reasons: tuple[str, ...] = ()
