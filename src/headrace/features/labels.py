"""Labels: the answers that come back, each found by its request; themselves a stream, from the time they are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final

from headrace.core.errors import ConfigError
from headrace.core.events import Event
from headrace.core.expressions import Expression, FieldColumn, Kind, Literal
from headrace.core.settings import How
from headrace.core.time import Duration, duration_text, duration_us
from headrace.features.grouped import Column, Records

if TYPE_CHECKING:
    from headrace.features.streams import Stream

__all__ = ["DROP", "Drop", "Label", "LabelValue"]

E = TypeVar("E", bound=Event)


@final
class Drop:
    """No label: a request that closes without an event is not learnt from."""

    def __repr__(self) -> str:
        """Return the name."""
        return "hr.DROP"


DROP: Final = Drop()


@final
@dataclass(frozen=True, eq=False, repr=False)
class LabelValue(Expression):
    """The value of a label, as the column of the label's own rows. `of` is the expression over the event."""

    of: Expression

    @property
    def kind(self) -> Kind:
        """Return the kind of the value: bool is a binary task, number a regression."""
        return self.of.kind

    @property
    def unit(self) -> str:
        """Return the unit of the value."""
        return self.of.unit

    @property
    def missing(self) -> bool:
        """Return False: an event without a value is no answer, so every row of a label has one."""
        return False

    @property
    def of_record(self) -> bool:
        """Return False: the request does not have it, the label's row does."""
        return False

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing: it is read from the label's rows."""
        return ()

    @property
    def canonical(self) -> str:
        """Return label.value: it stands only in aggregates over its own label, which say what decides it."""
        return "label.value"


@final
class Label(Records[E]):
    """The answer to each request of a source; itself rows of (request, answer) from the time it is known.

    `answer` is an expression over the event; its kind is the task: bool is binary, number a regression. An event for
    which it is missing is no answer. The event counts if its time is in [t + after, t + within) of the request's.
    `how` says which matching event decides: the first to come, or, at the close, the last by event time. `otherwise`
    is the label of a request that closes without an event.

    Raises ConfigError for a key that one side does not have, kinds that do not fit, or times that cannot be.
    """

    def __init__(
        self,
        of: "Stream[E]",
        events: "Stream[Any]",
        value: Column,
        *,
        on: str | Mapping[str, str],
        within: Duration,
        otherwise: float | bool | Drop,
        after: Duration,
        how: How,
    ) -> None:
        super().__init__(of.settings, of.event, None)
        where = f"{of!r}.label"
        if of.condition is not None:
            raise ConfigError(where, wanted="a source that asks (a condition belongs to its events)", got=repr(of))
        self.of = of
        self.events = _events(where, events)
        self.answer = _answer(where, events, value)
        self.value = LabelValue(self.answer)
        pairs = {on: on} if isinstance(on, str) else dict(on)
        if not pairs:
            raise ConfigError(f"{where} on", wanted="the field that request and event share", got=on)
        self.asked_keys = tuple(of.column(name, f"{where} on") for name in pairs)
        self.event_keys = tuple(events.column(name, f"{where} on") for name in pairs.values())
        for asked, key in zip(self.asked_keys, self.event_keys, strict=True):
            if asked.kind != key.kind:
                raise ConfigError(f"{where} on", wanted=f"an event's {asked.kind}, as {asked!r}", got=f"a {key.kind}")
            if asked.missing:
                raise ConfigError(f"{where} on", wanted="a field that every request has", got=f"{asked!r}, may be None")
        self.after_us = duration_us(f"{where} after", after)
        self.within_us = duration_us(f"{where} within", within)
        if self.within_us <= self.after_us:
            raise ConfigError(f"{where} within", wanted=f"more than after={after!r}", got=within)
        if how not in {"first", "last"}:
            raise ConfigError(f"{where} how", wanted="'first' or 'last'", got=how)
        self.how: How = how
        self.otherwise = _otherwise(where, self.answer, otherwise)

    def __repr__(self) -> str:
        """Return the code that makes the label, which says all that decides it."""
        pairs = {_name(a): _name(b) for a, b in zip(self.asked_keys, self.event_keys, strict=True)}
        after = f", after={duration_text(self.after_us)!r}" if self.after_us else ""
        return (
            f"{self.of!r}.label({self.events!r}, {self.answer!r}, on={pairs!r}, "
            f"within={duration_text(self.within_us)!r}{after}, otherwise={self.otherwise!r}, how={self.how!r})"
        )

    @property
    def label_of_rows(self) -> "Label[E]":
        """Return the label itself: the rows are its own."""
        return self

    @property
    def sources(self) -> "tuple[Stream[Any], ...]":
        """Return the source that asks and the one that answers."""
        return self.of, self.events.source

    @property
    def decided_by(self) -> tuple[Expression, ...]:
        """Return the answer, the keys of both sides, and the condition on the events."""
        condition = () if self.events.condition is None else (self.events.condition,)
        return self.answer, *self.asked_keys, *self.event_keys, *condition

    @property
    def canonical(self) -> str:
        """Return all that decides the label."""
        return repr(self)

    @property
    def otherwise_value(self) -> float:
        """Return the label of a request that closes unanswered; NaN for none."""
        return nan if isinstance(self.otherwise, Drop) else float(self.otherwise)

    def aggregated(self, value: object, where: str) -> Expression:
        """Return the label's value, or what is computed from it.

        Raises ConfigError for a field of the request (aggregate the requests themselves) or another label's value.
        """
        if isinstance(value, Expression):
            known = [node for node in value.walk() if isinstance(node, FieldColumn) or not node.of_record]
            if all(node is self.value for node in known):
                return value
        raise ConfigError(where, wanted="this label's own .value", got=repr(value))


def _events(where: str, events: object) -> "Stream[Any]":
    if not isinstance(events, Records) or isinstance(events, Label):
        raise ConfigError(where, wanted="a stream of events", got=repr(events))
    return cast("Stream[Any]", events)  # Records are streams or labels.


def _answer(where: str, events: "Stream[Any]", value: object) -> Expression:
    answer: Expression
    if isinstance(value, Expression):
        answer = events.column(value, where)
    elif isinstance(value, bool | int | float) and isfinite(value):
        answer = Literal(value)
    else:
        wanted = f"a column of {events.event.__name__}, or a number"
        raise ConfigError(where, wanted=wanted, got=repr(value))
    if answer.kind not in {"bool", "number"}:
        raise ConfigError(where, wanted="a condition or a number", got=f"{answer!r}, which is a {answer.kind}")
    return answer


def _otherwise(where: str, answer: Expression, otherwise: object) -> float | bool | Drop:
    if isinstance(otherwise, Drop):
        return otherwise
    wanted = "True, False or hr.DROP" if answer.kind == "bool" else "a number or hr.DROP"
    if not isinstance(otherwise, bool | int | float) or not isfinite(otherwise):
        raise ConfigError(f"{where} otherwise", wanted=wanted, got=repr(otherwise))
    if isinstance(otherwise, bool) != (answer.kind == "bool"):
        raise ConfigError(f"{where} otherwise", wanted=wanted, got=repr(otherwise))
    return otherwise


def _name(key: Expression) -> str:
    return key.name if isinstance(key, FieldColumn) else key.canonical
