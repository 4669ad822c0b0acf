"""An engine in plain Python that is slow and right, and the same with one mistake in it.

The mistakes are those that are made. A kit is worth what it catches: on each of these it must find a law broken.
"""

import copy
import math
from collections.abc import Sequence
from enum import Enum
from typing import Final, final

from headrace.testing.conformance.definitions import Definition, Feature, Hopping, Sliding, Tumbling
from headrace.testing.conformance.engines import Engine, Run
from headrace.testing.conformance.events import Answer, Event, Value
from headrace.testing.conformance.oracle import in_window
from headrace.testing.conformance.values import Record, wanted

__all__ = ["Mistake", "Reference"]

_NEVER_US: Final = -(2**62)
_ALWAYS_US: Final = 2**62


class Mistake(Enum):
    """A mistake, by what the engine then does."""

    CLOSED_END = "`<=` for `<`: an event at the very moment counts"
    ADD_BEFORE_READ = "adds before it reads: whatever has come counts, the event itself too"
    FUTURE_MOVES = "a future event moves the watermark"
    ONE_MICROSECOND = "a window a microsecond short"
    DIFFERENCE_OF_SQUARES = "variance as the mean of squares less the square of the mean"
    RUNNING_SUM = "a running float sum: adds what enters, subtracts what leaves"
    PEEKS = "takes a whole batch before it answers its first event"
    FORGETS = "loses in a crash what came since the last one"
    COUNTS_COPIES = "counts a second copy"
    SHORT_KEYS = "tells keys apart by their first eight characters"
    DROPS_LATE = "drops what is late, whatever the policy"
    KEEPS_LATE = "counts what is late, whatever the policy"
    AS_SERVED = "answers what is complete as it was served"
    BY_ARRIVAL = "takes the order of arrival for that of time"


@final
class Reference(Engine):
    """The slow engine, with or without a mistake.

    >>> from headrace.testing.conformance.scorecard import scorecard
    >>> from headrace.testing.conformance.streams import ties
    >>> scorecard(Reference(Mistake.CLOSED_END), seeds=range(3), events=40, streams={"ties": ties}).holds
    False
    """

    def __init__(self, mistake: Mistake | None = None) -> None:
        self.mistake = mistake
        self.name = "reference" if mistake is None else mistake.value

    def start(self, definition: Definition) -> Run:
        """Return a fresh run."""
        return _ReferenceRun(definition, self.mistake)


@final
class _State:
    """What is kept: the watermark, the ids, the records of each key, and running sums."""

    def __init__(self) -> None:
        self.fed = 0
        self.newest_us = _NEVER_US
        self.seen: dict[str, int] = {}
        self.records: dict[str, list[Record]] = {}
        self.running: dict[tuple[str, int], tuple[float, list[Record]]] = {}


@final
class _ReferenceRun(Run):
    def __init__(self, definition: Definition, mistake: Mistake | None) -> None:
        self._definition = definition
        self._mistake = mistake
        self._state = _State()
        self._saved = _State()

    def feed(self, events: Sequence[Event]) -> list[Answer | None]:
        """Take events one after the other; what is complete is put in order first."""
        answers: list[Answer | None] = [None] * len(events)
        state, first = self._state, self._state.fed
        state.fed += len(events)
        order = list(range(len(events)))
        reached: dict[int, int] = {}
        if self._definition.truth == "complete" and self._mistake is not Mistake.AS_SERVED:
            order = sorted((n for n in order if self._judge(events[n])), key=lambda n: events[n].at_us)
            state.newest_us = _NEVER_US
            for number in order:
                state.newest_us = max(state.newest_us, events[number].at_us)
                self._add(events[number], first + number)
                answers[number] = self._answer(events[number], state.newest_us)
            return answers
        for number in order:
            if self._judge(events[number]):
                reached[number] = state.newest_us
                self._add(events[number], first + number)
                if self._mistake is not Mistake.PEEKS:
                    answers[number] = self._answer(events[number], state.newest_us)
        if self._mistake is Mistake.PEEKS:
            for number, newest_us in reached.items():
                answers[number] = self._answer(events[number], newest_us)
        return answers

    def crash(self) -> None:
        """Go on from a copy of everything."""
        if self._mistake is Mistake.FORGETS:
            self._state, self._saved = self._saved, copy.deepcopy(self._state)
        else:
            self._state = copy.deepcopy(self._state)

    def _judge(self, event: Event) -> bool:
        """Return whether an event counts, and move the watermark."""
        state, settings = self._state, self._definition
        if any(number is not None and math.isinf(number) for number in (event.value, event.other)):
            return False
        if event.at_us - event.arrived_us > settings.future_skew_us:
            if self._mistake is Mistake.FUTURE_MOVES:
                state.newest_us = max(state.newest_us, event.at_us)
            return False
        watermark_us, horizon_us = state.newest_us - settings.disorder_us, settings.duplicate_horizon_us
        before_us = state.seen.get(event.id)
        if before_us is not None and abs(event.at_us - before_us) <= horizon_us >= watermark_us - before_us:
            return self._mistake is Mistake.COUNTS_COPIES
        state.seen[event.id] = event.at_us if before_us is None else max(before_us, event.at_us)
        state.newest_us = max(state.newest_us, event.at_us)
        if event.at_us >= watermark_us:
            return True
        if self._mistake in (Mistake.DROPS_LATE, Mistake.KEEPS_LATE):
            return self._mistake is Mistake.KEEPS_LATE
        return settings.late == "update"

    def _key(self, event: Event) -> str:
        return event.key[:8] if self._mistake is Mistake.SHORT_KEYS else event.key

    def _add(self, event: Event, place: int) -> None:
        if event.counts:
            numbers = [None if one is None or math.isnan(one) else one for one in (event.value, event.other)]
            at_us = event.arrived_us if self._mistake is Mistake.BY_ARRIVAL else event.at_us
            record = Record(at_us, place, numbers[0], numbers[1], event.category)
            self._state.records.setdefault(self._key(event), []).append(record)

    def _answer(self, event: Event, newest_us: int) -> Answer:
        known = self._state.records.get(self._key(event), [])
        values = []
        for number, feature in enumerate(self._definition.features):
            fields = [feature.field, "other"] if feature.aggregate in ("argmax", "argmin") else [feature.field]
            whole = [one for one in known if all(not name or getattr(one, name) is not None for name in fields)]
            now_us = event.at_us - feature.offset_us
            until_us = now_us + int(feature.include_current or self._mistake is Mistake.CLOSED_END)
            if self._mistake is Mistake.ADD_BEFORE_READ and not isinstance(feature.window, Hopping | Tumbling):
                until_us = _ALWAYS_US
            watermark_us = newest_us - self._definition.disorder_us
            inside = in_window(feature.window, whole, now_us, until_us, watermark_us)
            if self._mistake is Mistake.ONE_MICROSECOND and isinstance(feature.window, Sliding):
                inside = [one for one in inside if one.at_us > now_us - feature.window.size_us]
            values.append(self._value(feature, number, self._key(event), inside, now_us))
        return Answer(tuple(values))

    def _value(self, feature: Feature, number: int, key: str, inside: list[Record], now_us: int) -> Value:
        numbers = [one.value for one in inside if one.value is not None]
        if self._mistake is Mistake.DIFFERENCE_OF_SQUARES and feature.aggregate == "var" and len(numbers) > 1:
            mean = sum(numbers) / len(numbers)
            return (sum(one * one for one in numbers) / len(numbers) - mean * mean) * len(numbers) / (len(numbers) - 1)
        if self._mistake is Mistake.RUNNING_SUM and feature.aggregate == "sum" and isinstance(feature.window, Sliding):
            total, before = self._state.running.get((key, number), (0.0, []))
            for record in before:
                total -= 0.0 if record in inside or record.value is None else record.value
            for record in inside:
                total += 0.0 if record in before or record.value is None else record.value
            self._state.running[key, number] = (total, inside)
            return total
        return wanted(feature, inside, now_us).value
