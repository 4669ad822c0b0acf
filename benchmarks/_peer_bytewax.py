"""Bytewax under the conformance kit: its own windows, event clock, recovery store and stateful map.

Each feature is a window of `fold_window`, whose closed values are merged into the stream of events and remembered by a
`stateful_map`, which answers an event with the last window that had closed for its key: how a feature of a window is
joined to an event in Bytewax. System time stands still, so that only events move its watermark. A call of `feed`
is one execution that is aborted at its end, and goes on from the recovery store in the next.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from headrace.testing.conformance import Answer, Definition, Engine, Event, Feature, Hopping, Run, Tumbling

__all__ = ["Bytewax"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_AGGREGATES: Final = ("count", "sum", "mean", "min", "max")
_EMPTY: Final = (0.0, 0.0, 0.0, math.inf, -math.inf)
"""Of a window: records, records with a value, sum, least and greatest value."""


@final
class Bytewax(Engine):
    """Bytewax, for what its windows can do: aligned ones, read when they have closed; what is late is let go."""

    name = "bytewax"
    policies = ("drop",)
    truths = ("served",)

    def can(self, feature: Feature) -> bool:
        """Return whether it is a plain aggregate over an aligned window in UTC without gaps between windows."""
        plain = not (feature.offset_us or feature.include_current or feature.parameters)
        match feature.window:
            case Hopping(size_us, every_us):
                return plain and feature.aggregate in _AGGREGATES and every_us <= size_us
            case Tumbling(_, zone):
                return plain and feature.aggregate in _AGGREGATES and zone == "UTC"
        return False

    def start(self, definition: Definition) -> Run:
        """Return a fresh run."""
        return _BytewaxRun(definition)


@final
class _BytewaxRun(Run):
    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._spans = list(dict.fromkeys(_span(feature) for feature in definition.features))
        self._folder = TemporaryDirectory()
        init_db_dir(Path(self._folder.name), 1)
        self._fed: list[Any] = []

    def feed(self, events: Sequence[Event]) -> list[Answer | None]:
        """Execute the flow on more events, up to an abort behind them."""
        first = len(self._fed)
        self._fed += [(first + number, event) for number, event in enumerate(events)]
        out: list[Any] = []
        abort = TestingSource.ABORT()
        self._fed.append(abort)
        run_main(self._flow(out), epoch_interval=timedelta(0), recovery_config=RecoveryConfig(self._folder.name))
        self._fed.remove(abort)
        late = {number for _, (what, number, _) in out if what == "late"}
        given = {number: values for _, (what, number, values) in out if what == "answer"}
        return [
            None if number in late or number not in given else Answer(given[number])
            for number in range(first, first + len(events))
        ]

    def crash(self) -> None:
        """Do nothing: every execution has ended with an abort."""

    def _flow(self, out: list[Any]) -> Dataflow:
        flow = Dataflow("conformance")
        source = op.input("source", flow, TestingSource(self._fed))
        keyed = op.key_on("key", source, lambda item: item[1].key)
        counting = op.filter_value("counts", keyed, lambda item: item[1].counts)
        streams = [op.map_value("asks", keyed, lambda item: ("asks", *item))]
        late = []
        for number, (size_us, every_us) in enumerate(self._spans):
            clock = EventClock(
                lambda item: _EPOCH + timedelta(microseconds=item[1].at_us),
                wait_for_system_duration=timedelta(microseconds=self._definition.disorder_us),
                now_getter=lambda: _EPOCH,
                to_system_utc=lambda _: None,
            )
            windower = SlidingWindower(
                length=timedelta(microseconds=size_us), offset=timedelta(microseconds=every_us), align_to=_EPOCH
            )
            closed = fold_window(
                f"window{number}", counting, clock, windower, lambda: _EMPTY, _folded, _merged, ordered=False
            )
            streams.append(op.map_value(f"closed{number}", closed.down, lambda item, n=number: ("closed", n, item)))
            late.append(op.map_value(f"late{number}", closed.late, lambda item: ("late", item[1][0], ())))
        answers = op.stateful_map("last", op.merge("merged", *streams), self._remembered)
        told = op.filter_value("told", answers, lambda item: item is not None)
        op.output("out", op.merge("all", told, *late), TestingSink(out))
        return flow

    def _remembered(self, state: Any, item: Any) -> tuple[Any, Any]:
        """Remember a closed window, or answer an event with the last one that closed before it."""
        windows, newest_us = state if state is not None else ({}, -(2**62))
        if item[0] == "closed":
            _, number, (window, aggregates) = item
            return ({**windows, (number, window): aggregates}, newest_us), None
        _, place, event = item
        newest_us = max(newest_us, event.at_us)
        moment_us = min(event.at_us, newest_us - self._definition.disorder_us)
        values = []
        for feature in self._definition.features:
            size_us, every_us = _span(feature)
            # Bytewax numbers a window by its beginning.
            window = moment_us // every_us - size_us // every_us
            key = (self._spans.index((size_us, every_us)), window)
            values.append(_value(feature.aggregate, windows.get(key, _EMPTY)))
        return (windows, newest_us), ("answer", place, tuple(values))


def _span(feature: Feature) -> tuple[int, int]:
    match feature.window:
        case Hopping(size_us, every_us):
            return size_us, every_us
        case Tumbling(size_us, _):
            return size_us, size_us
    raise ValueError(f"no window of Bytewax: {feature.window}")


def _folded(state: tuple[float, ...], item: tuple[int, Event]) -> tuple[float, ...]:
    value = item[1].value
    records, there, total, least, greatest = state
    if value is None or math.isnan(value):
        return (records + 1, there, total, least, greatest)
    return (records + 1, there + 1, total + value, min(least, value), max(greatest, value))


def _merged(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], min(one[3], other[3]), max(one[4], other[4]))


def _value(aggregate: str, state: tuple[float, ...]) -> float | None:
    records, there, total, least, greatest = state
    if aggregate == "count":
        return records
    if aggregate == "sum":
        return total
    if not there:
        return None
    return {"mean": total / there, "min": least, "max": greatest}[aggregate]
