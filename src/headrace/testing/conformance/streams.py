"""Streams that hurt: each a function of a seed and a number of events, in the order in which they arrive."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from headrace.testing.conformance.events import Event

__all__ = ["STREAMS", "Generator", "delayed", "steady"]

Generator: TypeAlias = Callable[[int, int], list[Event]]
"""(seed, number of events) -> events."""

START_US: Final = 1_774_569_600_000_000
"""2026-03-27 00:00 UTC: two days before the clocks of Europe change."""
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
_KEYS: Final = "aab"
_CATEGORIES: Final = ("DE", "DE", "FR", "", "IT", None)
_HUGE: Final = (1e300, -1e300, 1e-300, -1e-300, 5e-324, 1e15, 0.1, -0.0, 0.0, 1.7976931348623157e308, 3.0, math.nan)


def steady(seed: int, count: int) -> list[Event]:
    """Return a few keys in order, seconds to minutes apart; some times are equal, some values missing."""
    draw = random.Random(seed)
    at_us, events = START_US + draw.randrange(0, HOUR_US), []
    for number in range(count):
        at_us += draw.choice((0, 1, SECOND_US, 7 * SECOND_US, MINUTE_US, 5 * MINUTE_US, 11 * MINUTE_US))
        events.append(_event(draw, number, at_us))
    return events


def disordered(seed: int, count: int) -> list[Event]:
    """Return half of the events up to an hour late, the others in order."""
    return delayed(steady(seed, count), seed, share=0.5, up_to_us=HOUR_US)


def slightly_disordered(seed: int, count: int) -> list[Event]:
    """Return one event in twenty up to a minute late."""
    return delayed(steady(seed, count), seed, share=0.05, up_to_us=MINUTE_US)


def bursts(seed: int, count: int) -> list[Event]:
    """Return silence of hours, and then dozens of events within milliseconds."""
    draw = random.Random(seed)
    at_us, events = START_US, []
    for number in range(count):
        at_us += draw.randrange(HOUR_US, 9 * HOUR_US) if number % 40 == 39 else draw.randrange(0, 2_000)
        events.append(_event(draw, number, at_us))
    return events


def gaps(seed: int, count: int) -> list[Event]:
    """Return events whose distances are exactly the sizes of windows, or a microsecond more or less."""
    draw = random.Random(seed)
    at_us, events = START_US, []
    for number in range(count):
        at_us += draw.choice((MINUTE_US, 10 * MINUTE_US, HOUR_US)) + draw.choice((-1, 0, 1))
        events.append(replace(_event(draw, number, at_us), key="a" if number % 9 else "b"))
    return events


def ties(seed: int, count: int) -> list[Event]:
    """Return events of a handful of moments only, most of them late, so that every order is a tie."""
    draw = random.Random(seed)
    moments = [START_US + step * MINUTE_US for step in range(4)]
    return [
        replace(_event(draw, number, draw.choice(moments)), arrived_us=moments[-1] + number) for number in range(count)
    ]


def skewed_clocks(seed: int, count: int) -> list[Event]:
    """Return right clocks, and some that are an hour ahead, an hour behind, or a day ahead."""
    draw = random.Random(seed)
    events = []
    for event in steady(seed, count):
        ahead_us = draw.choice((0, 0, 0, 0, 0, 0, HOUR_US, -HOUR_US, 24 * HOUR_US))
        events.append(replace(event, at_us=event.at_us + ahead_us))
    return events


def duplicates(seed: int, count: int) -> list[Event]:
    """Return one event in five a second time, at once or a while later, now and then with another value."""
    draw = random.Random(seed)
    events: list[Event] = []
    for event in steady(seed, count):
        events.append(event)
        if draw.random() < 0.2:
            copy = draw.choice(events[-20:])
            events.append(replace(copy, arrived_us=event.arrived_us, value=draw.choice((copy.value, 77.0))))
    return events[:count]


def extremes(seed: int, count: int) -> list[Event]:
    """Return numbers of every size, from 5e-324 to 1.8e308, NaN among them, and now and then an infinity."""
    draw = random.Random(seed)
    events = []
    for event in steady(seed, count):
        value = draw.choice(_HUGE) if draw.random() < 0.4 else draw.uniform(-1e3, 1e3)
        events.append(replace(event, value=math.inf if draw.random() < 0.02 else value))
    return events


def cancelling(seed: int, count: int) -> list[Event]:
    """Return values near a billion with a small spread, and large ones that cancel: what a running float loses."""
    draw = random.Random(seed)
    events = []
    for event in steady(seed, count):
        value = draw.choice((1e9 + draw.random(), -1e9 - draw.random(), 1e16, -1e16, draw.random()))
        events.append(replace(event, value=value))
    return events


def long_keys(seed: int, count: int) -> list[Event]:
    """Return keys of 10,000 bytes that differ at their end only, an empty one, and one of many alphabets."""
    names = {"a": "k" * 9_999 + "a", "b": "k" * 9_999 + "b"}
    draw = random.Random(seed)
    return [
        replace(event, key=draw.choice(("", "\u00e4\u6f22\U0001f600", names[event.key], names[event.key])))
        for event in steady(seed, count)
    ]


def keys_once(seed: int, count: int) -> list[Event]:
    """Return as many keys as events, but for the last tenth, which sees old ones again."""
    draw = random.Random(seed)
    return [
        replace(event, key=f"k{number if number < count * 9 // 10 else draw.randrange(count)}")
        for number, event in enumerate(steady(seed, count))
    ]


def hot_key(seed: int, count: int) -> list[Event]:
    """Return nine events in ten under one key, one in ten of them up to an hour late."""
    draw = random.Random(seed)
    hot = [replace(event, key="hot" if draw.random() < 0.9 else event.key) for event in steady(seed, count)]
    return delayed(hot, seed, share=0.1, up_to_us=HOUR_US)


STREAMS: Final[dict[str, Generator]] = {
    "steady": steady,
    "slightly disordered": slightly_disordered,
    "disordered": disordered,
    "bursts": bursts,
    "gaps": gaps,
    "ties": ties,
    "skewed clocks": skewed_clocks,
    "duplicates": duplicates,
    "extremes": extremes,
    "cancelling": cancelling,
    "long keys": long_keys,
    "keys once": keys_once,
    "hot key": hot_key,
}


def _event(draw: random.Random, number: int, at_us: int) -> Event:
    return Event(
        id=f"e{number}",
        key=draw.choice(_KEYS),
        at_us=at_us,
        arrived_us=at_us,
        value=None if draw.random() < 0.05 else round(draw.gauss(20.0, 9.0), 2),
        other=None if draw.random() < 0.05 else float(draw.randrange(5)),
        category=draw.choice(_CATEGORIES),
        counts=draw.random() < 0.9,
    )


def delayed(events: list[Event], seed: int, *, share: float, up_to_us: int) -> list[Event]:
    """Return the events in another order of arrival: some come later by a drawn delay."""
    draw = random.Random(f"delays of {seed}")
    delayed = [
        replace(event, arrived_us=event.arrived_us + (draw.randrange(up_to_us) if draw.random() < share else 0))
        for event in events
    ]
    return sorted(delayed, key=lambda event: event.arrived_us)
