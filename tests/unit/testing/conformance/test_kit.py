"""The kit itself: it finds what is wrong, says where, and finds nothing where nothing is."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import final

import pytest

from headrace.testing.conformance import (
    LAWS,
    STREAMS,
    Answer,
    Definition,
    Engine,
    Event,
    Mistake,
    Reference,
    Run,
    scorecard,
)
from headrace.testing.conformance.oracle import verdicts

LAW = {law.name: law for law in LAWS}
VALUES = "values are those of the definition"
FOUND_BY = {
    Mistake.CLOSED_END: ("ties", VALUES),
    Mistake.ADD_BEFORE_READ: ("steady", VALUES),
    Mistake.FUTURE_MOVES: ("skewed clocks", "a clock that is ahead changes nothing"),
    Mistake.ONE_MICROSECOND: ("gaps", VALUES),
    Mistake.DIFFERENCE_OF_SQUARES: ("cancelling", VALUES),
    Mistake.RUNNING_SUM: ("cancelling", VALUES),
    Mistake.PEEKS: ("disordered", "a batch equals the loop"),
    Mistake.FORGETS: ("steady", "a crash anywhere changes nothing"),
    Mistake.COUNTS_COPIES: ("duplicates", "copies change nothing"),
    Mistake.SHORT_KEYS: ("long keys", VALUES),
    Mistake.DROPS_LATE: ("disordered", "every event is answered, or refused for a reason"),
    Mistake.KEEPS_LATE: ("disordered", "every event is answered, or refused for a reason"),
    Mistake.AS_SERVED: ("disordered", "arrival changes nothing that is complete"),
    Mistake.BY_ARRIVAL: ("disordered", VALUES),
}


@final
class Raises(Engine):
    name = "raises"

    def start(self, definition: Definition) -> Run:
        return RaisingRun()


@final
class RaisingRun(Run):
    def feed(self, events: Sequence[Event]) -> list[Answer | None]:
        raise ZeroDivisionError("no events, please")

    def crash(self) -> None:
        pass


@pytest.mark.parametrize("mistake", Mistake, ids=lambda mistake: mistake.name)
def test_every_mistake_breaks_the_law_that_is_against_it(mistake: Mistake) -> None:
    stream, law = FOUND_BY[mistake]
    streams = {stream: STREAMS[stream]}
    for seeds in ([0], range(1, 12)):
        if not scorecard(
            Reference(mistake), seeds=seeds, events=40, streams=streams, laws=[LAW[law]], shorten=False
        ).holds:
            return
    pytest.fail(f"{law} holds for an engine that {mistake.value}")


@pytest.mark.parametrize("stream", STREAMS)
def test_an_engine_without_a_mistake_keeps_every_law(stream: str) -> None:
    found = scorecard(Reference(), seeds=[7], events=40, streams={stream: STREAMS[stream]})
    assert found.holds, str(found)
    assert all(line.tried for line in found.lines)


def test_a_counterexample_is_made_short_and_says_what_differs() -> None:
    found = scorecard(Reference(Mistake.CLOSED_END), seeds=range(4), events=60, streams={"ties": STREAMS["ties"]})
    counterexample = next(line.counterexample for line in found.lines if line.law == VALUES)
    assert counterexample is not None
    assert len(counterexample.events) <= 3
    assert len(counterexample.definition.features) == 1
    assert "wanted" in counterexample.difference
    assert "BROKEN" in str(found)


def test_an_engine_that_raises_keeps_no_law() -> None:
    found = scorecard(Raises(), seeds=[0], events=20, streams={"ties": STREAMS["ties"]})
    assert not any(line.held for line in found.lines)
    assert all("no events, please" in str(line.counterexample) for line in found.lines)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_is_the_same_for_a_seed_and_another_for_another(stream: str) -> None:
    generator = STREAMS[stream]
    assert generator(3, 50) == generator(3, 50)
    assert generator(3, 50) != generator(4, 50)
    assert len(generator(3, 50)) == 50


def test_the_streams_hold_what_they_are_named_for() -> None:
    def kinds(stream: str, disorder_us: int = 0) -> Counter[str]:
        return Counter(verdicts(Definition(features=(), disorder_us=disorder_us), STREAMS[stream](5, 400)))

    assert kinds("steady") == {"ok": 400}
    assert kinds("disordered")["late"] > 100
    assert 0 < kinds("slightly disordered")["late"] < 30
    assert kinds("slightly disordered", 60_000_000)["late"] == 0
    assert kinds("skewed clocks")["future"] > 50
    assert kinds("duplicates")["duplicate"] > 30
    assert kinds("extremes")["rejected"] > 2
    assert len({event.at_us for event in STREAMS["ties"](5, 400)}) == 4
    assert len({event.key for event in STREAMS["keys once"](5, 400)}) >= 360
    assert max(len(event.key) for event in STREAMS["long keys"](5, 400)) == 10_000
    hot = Counter(event.key for event in STREAMS["hot key"](5, 400))
    assert 330 < hot["hot"] < 390
    values = [event.value for event in STREAMS["extremes"](5, 400) if event.value is not None]
    assert any(math.isnan(value) for value in values)
    assert {1e300, 1e-300, 5e-324} <= set(values)
