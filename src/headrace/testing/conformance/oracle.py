"""The oracle: every window by looking at every record, in plain Python. It shares nothing with any engine."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final
from zoneinfo import ZoneInfo

from headrace.testing.conformance.definitions import (
    Decay,
    Definition,
    Feature,
    Hopping,
    LastN,
    Session,
    Sliding,
    Tumbling,
    Window,
)
from headrace.testing.conformance.events import Event
from headrace.testing.conformance.values import Record, Wanted, wanted

__all__ = ["Oracle", "usable", "verdicts"]

_EPOCH_HALF_LIVES: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEGINNING_US: Final = -(2**62)


@final
class Oracle:
    """Answers by definition: events in the order in which they arrived, and what is wanted of each.

    >>> from headrace.testing.conformance.definitions import Definition, Feature, Sliding
    >>> oracle = Oracle(Definition(features=(Feature(aggregate="sum", window=Sliding(10)),)))
    >>> events = [Event(id=str(at), key="a", at_us=at, arrived_us=at, value=0.1) for at in (1, 2, 3, 12)]
    >>> [row[0].value for row in oracle.answers(events)]
    [0.0, 0.1, 0.2, 0.2]
    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    def answers(self, events: Sequence[Event]) -> list[tuple[Wanted, ...] | None]:
        """Return what is wanted of each event's features; None for an event that asks nothing, or may not."""
        kept = [
            (place, event)
            for place, (event, verdict) in enumerate(zip(events, verdicts(self._definition, events), strict=True))
            if usable(self._definition, verdict)
        ]
        if self._definition.truth == "complete":
            kept.sort(key=lambda one: (one[1].at_us, one[0]))
        found: list[tuple[Wanted, ...] | None] = [None] * len(events)
        records: dict[str, list[Record]] = {}
        newest_us = _BEGINNING_US
        for place, event in kept:
            newest_us = max(newest_us, event.at_us)
            mine = records.setdefault(event.key, [])
            if event.counts:
                mine.append(_record(place, event))
            found[place] = self._answer(event, mine, newest_us - self._definition.disorder_us)
        return found

    def _answer(self, event: Event, known: Sequence[Record], watermark_us: int) -> tuple[Wanted, ...]:
        """Return the row of one event; its own record is known, and lies at the open end of every window."""
        windows: dict[object, list[Record]] = {}
        row = []
        for feature in self._definition.features:
            now_us = event.at_us - feature.offset_us
            looked_at = _fields(feature)
            what = (feature.window, feature.offset_us, feature.include_current, looked_at)
            if what not in windows:
                whole = [record for record in known if all(getattr(record, name) is not None for name in looked_at)]
                until_us = now_us + int(feature.include_current)
                windows[what] = in_window(feature.window, whole, now_us, until_us, watermark_us)
            row.append(wanted(feature, windows[what], now_us))
        return tuple(row)


def verdicts(definition: Definition, events: Sequence[Event]) -> list[str]:
    """Return what each event is, in the order in which they arrived: see `Definition`."""
    newest_us = _BEGINNING_US
    seen: dict[str, int] = {}
    found = []
    for event in events:
        before = seen.get(event.id)
        horizon = definition.duplicate_horizon_us
        if any(number is not None and math.isinf(number) for number in (event.value, event.other)):
            found.append("rejected")
        elif event.at_us - event.arrived_us > definition.future_skew_us:
            found.append("future")
        elif (
            before is not None
            and abs(event.at_us - before) <= horizon
            and newest_us - definition.disorder_us - before <= horizon
        ):
            found.append("duplicate")
        else:
            found.append("late" if event.at_us < newest_us - definition.disorder_us else "ok")
            newest_us = max(newest_us, event.at_us)
            seen[event.id] = event.at_us if before is None else max(before, event.at_us)
    return found


def usable(definition: Definition, verdict: str) -> bool:
    """Return whether an event of that verdict counts and asks."""
    return verdict == "ok" or (verdict == "late" and definition.late == "update")


def in_window(window: Window, records: Sequence[Record], now_us: int, until_us: int, watermark_us: int) -> list[Record]:
    """Return the records of one key that lie in a window, oldest first, those of one time in log order."""
    since_us = _BEGINNING_US
    match window:
        case Sliding(size_us):
            since_us = now_us - size_us
        case LastN(_, within_us) if within_us is not None:
            since_us = now_us - within_us
        case Session(_, longest_us):
            since_us = now_us - longest_us
        case Hopping(size_us, every_us):
            until_us = min(now_us, watermark_us) // every_us * every_us
            since_us = until_us - size_us
        case Tumbling(size_us, zone):
            since_us, until_us = _local_window(min(now_us, watermark_us), size_us, zone)
        case Decay(half_life_us):
            epoch_us = _EPOCH_HALF_LIVES * half_life_us
            since_us = (now_us // epoch_us - 2) * epoch_us
    inside = sorted(
        (record for record in records if since_us <= record.at_us < until_us),
        key=lambda record: (record.at_us, record.place),
    )
    if isinstance(window, LastN):
        return inside[-window.n :]
    if isinstance(window, Session):
        return _open_session(inside, now_us, window.gap_us)
    return inside


def _open_session(inside: list[Record], now_us: int, gap_us: int) -> list[Record]:
    session: list[Record] = []
    after_us = now_us
    for record in reversed(inside):
        if after_us - record.at_us > gap_us:
            break
        session.append(record)
        after_us = record.at_us
    return session[::-1]


def _local_window(moment_us: int, size_us: int, zone: str) -> tuple[int, int]:
    """Return the last whole window before a moment: cut in local time, given as instants."""
    here = ZoneInfo(zone)
    # A clock on the wall, told as if it hung in Greenwich.
    wall = (_EPOCH + timedelta(microseconds=moment_us)).astimezone(here).replace(tzinfo=UTC)
    until = (wall - _EPOCH) // timedelta(microseconds=1) // size_us * size_us
    return _instant_us(until - size_us, here), _instant_us(until, here)


def _instant_us(wall_us: int, zone: ZoneInfo) -> int:
    moment = (_EPOCH + timedelta(microseconds=wall_us)).replace(tzinfo=zone)
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def _record(place: int, event: Event) -> Record:
    return Record(event.at_us, place, _there(event.value), _there(event.other), event.category)


def _there(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


def _fields(feature: Feature) -> tuple[str, ...]:
    """Return the fields that a record must have for a feature to look at it."""
    if feature.aggregate in ("argmax", "argmin"):
        return (feature.field, "other")
    return (feature.field,) if feature.field else ()
