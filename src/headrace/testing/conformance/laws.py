"""The laws: what must hold of every engine on every stream, each a function that returns where it does not.

A law is given an engine, a definition, events in order of arrival, and a seed for what it draws itself. It returns
the first difference as text, or None. Answers of one engine are compared with each other bit for bit.
"""

import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias, final

from headrace.testing.conformance.definitions import Definition
from headrace.testing.conformance.engines import Engine
from headrace.testing.conformance.events import Answer, Event, Value
from headrace.testing.conformance.oracle import Oracle, usable, verdicts

__all__ = ["LAWS", "Check", "Law"]

Check: TypeAlias = Callable[[Engine, Definition, Sequence[Event], int], str | None]
_TRUNCATED: Final = "truncated"
_DAY_US: Final = 86_400_000_000
_MORE: Final = 0.15
"""The share of events that are followed by one more."""


@final
@dataclass(frozen=True, slots=True)
class Law:
    """A law in one sentence, the check of it, and under which truths it is one."""

    name: str
    check: Check
    truths: tuple[str, ...] = ("served", "complete")


def every_event_is_answered_or_refused(
    engine: Engine, definition: Definition, events: Sequence[Event], _seed: int
) -> str | None:
    """Return the first event that was answered though it may not be, or not answered though it must be."""
    answers = engine.start(definition).feed(events)
    if len(answers) != len(events):
        return f"{len(events)} events, {len(answers)} answers"
    for place, (answer, verdict) in enumerate(zip(answers, verdicts(definition, events), strict=True)):
        if (answer is not None) != usable(definition, verdict):
            was = "answered" if answer is not None else "not answered"
            return f"event {place} ({events[place].id}) is {verdict} under late={definition.late!r}, and was {was}"
    return None


def values_are_those_of_the_definition(
    engine: Engine, definition: Definition, events: Sequence[Event], _seed: int
) -> str | None:
    """Return the first value that is not the oracle's."""
    answers = engine.start(definition).feed(events)
    newest_us = -(2**62)
    kinds = verdicts(definition, events)
    for place, (answer, wanted) in enumerate(zip(answers, Oracle(definition).answers(events), strict=True)):
        if kinds[place] in ("ok", "late"):
            newest_us = max(newest_us, events[place].at_us)
        if answer is None or wanted is None:
            continue
        behind_us = newest_us - events[place].at_us - definition.disorder_us
        excused = behind_us > engine.patience_us and definition.truth == "served"
        for number, (given, right) in enumerate(zip(answer.values, wanted, strict=True)):
            if excused and answer.reasons and answer.reasons[number] == _TRUNCATED:
                continue
            if not right.allows(given):
                return (
                    f"event {place} ({events[place].id}), {definition.features[number]}: "
                    f"wanted {right.value!r}, got {given!r}"
                )
    return None


def a_batch_equals_the_loop(engine: Engine, definition: Definition, events: Sequence[Event], _seed: int) -> str | None:
    """Return the first event that is answered otherwise when all are fed at once than when each is fed alone."""
    run = engine.start(definition)
    alone = [answer for event in events for answer in run.feed([event])]
    return _first_difference(definition, events, engine.start(definition).feed(events), alone)


def cuts_change_nothing(engine: Engine, definition: Definition, events: Sequence[Event], seed: int) -> str | None:
    """Return the first event that is answered otherwise when the stream is cut at drawn places."""
    run = engine.start(definition)
    parts = [answer for part in _cut(events, seed) for answer in run.feed(part)]
    return _first_difference(definition, events, engine.start(definition).feed(events), parts)


def a_crash_anywhere_changes_nothing(
    engine: Engine, definition: Definition, events: Sequence[Event], seed: int
) -> str | None:
    """Return the first event that is answered otherwise when the engine crashes at drawn places, and goes on."""
    run = engine.start(definition)
    parts: list[Answer | None] = []
    for part in _cut(events, seed):
        parts += run.feed(part)
        run.crash()
    return _first_difference(definition, events, engine.start(definition).feed(events), parts)


def another_key_changes_nothing(
    engine: Engine, definition: Definition, events: Sequence[Event], seed: int
) -> str | None:
    """Return the first event of one key that is answered otherwise when all other keys have other records.

    Times stay as they are, since they move the watermark of all.
    """
    if not events:
        return None
    key = _drawn(events, seed).key
    others = [
        event if event.key == key else replace(_garbled(event, seed), key=f"{event.key}, not {key}") for event in events
    ]
    mine = [place for place, event in enumerate(events) if event.key == key]
    before, after = engine.start(definition).feed(events), engine.start(definition).feed(others)
    return _first_difference(
        definition, [events[place] for place in mine], [before[n] for n in mine], [after[n] for n in mine]
    )


def the_future_changes_nothing(
    engine: Engine, definition: Definition, events: Sequence[Event], seed: int
) -> str | None:
    """Return the event that is answered otherwise when what lies behind it holds garbage.

    Behind it is what has a later event time; as served, also all that comes after it.
    """
    if not events:
        return None
    now = _drawn(events, seed)
    place = events.index(now)
    served = definition.truth == "served"
    changed = []
    for number, event in enumerate(events):
        if number > place and served:
            at_us = _draw(seed, event).choice((event.at_us, now.at_us, now.at_us - 1))
            changed.append(replace(_garbled(event, seed), at_us=at_us))
        else:
            changed.append(_garbled(event, seed) if event.at_us > now.at_us else event)
    before, after = engine.start(definition).feed(events), engine.start(definition).feed(changed)
    told = verdicts(definition, events)
    come = [event.at_us for event, kind in zip(events[: place + 1], told, strict=False) if kind in ("ok", "late")]
    # What later rows have driven out may be missed by an event that comes too late, if it says so.
    excused = served and max(come, default=now.at_us) - now.at_us - definition.disorder_us > engine.patience_us
    return _first_difference(definition, [now], [before[place]], [after[place]], excused=excused)


def a_clock_that_is_ahead_changes_nothing(
    engine: Engine, definition: Definition, events: Sequence[Event], seed: int
) -> str | None:
    """Return the first event that is answered otherwise when some come in between that lie a day ahead."""
    ahead_us = definition.future_skew_us + _DAY_US

    def mad(event: Event) -> Event:
        return replace(_garbled(event, seed), id=f"mad {event.id}", at_us=event.arrived_us + ahead_us)

    return _with_more(engine, definition, events, seed, mad)


def copies_change_nothing(engine: Engine, definition: Definition, events: Sequence[Event], seed: int) -> str | None:
    """Return the first event that is answered otherwise when copies of some come behind them, with other values."""

    def copy(event: Event) -> Event:
        """Return another value under the same id; of what was refused the same again, since its id was never seen."""
        numbers = (event.value, event.other)
        refused = any(number is not None and math.isinf(number) for number in numbers)
        return event if refused else _garbled(event, seed)

    return _with_more(engine, definition, events, seed, copy)


def arrival_changes_nothing_that_is_complete(
    engine: Engine, definition: Definition, events: Sequence[Event], seed: int
) -> str | None:
    """Return the first event that is answered otherwise when the events arrive in another order.

    Those of one time keep theirs. Left out is what would be another thing in another order: copies, and under
    another policy than "update" what is late.
    """
    definition = replace(definition, late="update")
    kept = [
        event for event, verdict in zip(events, verdicts(definition, events), strict=True) if verdict in ("ok", "late")
    ]
    kept = list({event.id: event for event in kept}.values())
    draw = random.Random(seed)
    order = draw.sample(range(len(kept)), len(kept))
    by_time: dict[int, list[int]] = {}
    for place in range(len(kept)):
        by_time.setdefault(kept[place].at_us, []).append(place)
    for place, number in enumerate(order):
        order[place] = by_time[kept[number].at_us].pop(0)
    found = engine.start(definition).feed([kept[number] for number in order])
    back: list[Answer | None] = [None] * len(kept)
    for answer, number in zip(found, order, strict=True):
        back[number] = answer
    return _first_difference(definition, kept, engine.start(definition).feed(kept), back)


LAWS: Final = (
    Law("every event is answered, or refused for a reason", every_event_is_answered_or_refused),
    Law("values are those of the definition", values_are_those_of_the_definition),
    Law("a batch equals the loop", a_batch_equals_the_loop, ("served",)),
    Law("cuts change nothing", cuts_change_nothing, ("served",)),
    Law("a crash anywhere changes nothing", a_crash_anywhere_changes_nothing, ("served",)),
    Law("another key changes nothing", another_key_changes_nothing),
    Law("the future changes nothing", the_future_changes_nothing),
    Law("a clock that is ahead changes nothing", a_clock_that_is_ahead_changes_nothing),
    Law("copies change nothing", copies_change_nothing),
    Law("arrival changes nothing that is complete", arrival_changes_nothing_that_is_complete, ("complete",)),
)


def _with_more(
    engine: Engine,
    definition: Definition,
    events: Sequence[Event],
    seed: int,
    more: Callable[[Event], Event],
) -> str | None:
    """Return the first event that is answered otherwise when some drawn ones are followed by what `more` makes."""
    fed: list[Event] = []
    places = []
    for event in events:
        places.append(len(fed))
        fed.append(event)
        if _draw(seed, event).random() < _MORE:
            fed.append(more(event))
    found = engine.start(definition).feed(fed)
    if len(found) != len(fed):
        return f"{len(fed)} events, {len(found)} answers"
    return _first_difference(
        definition, events, engine.start(definition).feed(events), [found[place] for place in places]
    )


def _first_difference(
    definition: Definition,
    events: Sequence[Event],
    one: Sequence[Answer | None],
    other: Sequence[Answer | None],
    *,
    excused: bool = False,
) -> str | None:
    if len(one) != len(events) or len(other) != len(events):
        return f"{len(events)} events, {len(one)} and {len(other)} answers"
    for event, first, second in zip(events, one, other, strict=True):
        if (first is None) != (second is None):
            return f"{event.id}: answered in one case only"
        if first is None or second is None:
            continue
        for number, feature in enumerate(definition.features):
            if excused and _TRUNCATED in {*first.reasons[number : number + 1], *second.reasons[number : number + 1]}:
                continue
            a, b = first.values[number], second.values[number]
            if _bits(a) != _bits(b):
                return f"{event.id}, {feature}: {a!r}, and {b!r}"
            if first.reasons and first.reasons[number] != second.reasons[number]:
                return f"{event.id}, {feature}: {first.reasons[number]}, and {second.reasons[number]}"
    return None


def _bits(value: Value) -> bytes:
    if value is None or isinstance(value, str):
        return repr(value).encode()
    return struct.pack("<d", value)


def _cut(events: Sequence[Event], seed: int) -> list[Sequence[Event]]:
    draw = random.Random(seed)
    places = sorted({0, len(events), *(draw.randrange(len(events) + 1) for _ in range(6))})
    return [events[start:stop] for start, stop in pairwise(places)]


def _draw(seed: int, event: Event) -> random.Random:
    """Return what is drawn for one event: the same whatever other events there are, so that fewer can be tried."""
    return random.Random(f"{seed} {event.id}")


def _drawn(events: Sequence[Event], seed: int) -> Event:
    return min(events, key=lambda event: (_draw(seed, event).random(), event.id))


def _garbled(event: Event, seed: int) -> Event:
    draw = _draw(seed, event)
    value, other = draw.choice((None, 1e6, -7.5)), draw.choice((None, 3.0))
    return replace(event, value=value, other=other, category=draw.choice(("XX", None)))
