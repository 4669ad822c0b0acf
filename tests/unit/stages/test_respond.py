"""Every alarm gets one decision that says why, and nothing is moved."""

from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.records import Batch
from headrace.core.time import ENDED_US
from headrace.stages.respond import Respond
from headrace.store.snapshots import packed, unpacked
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL


def alarm(offset: int, detector: str) -> Entry:
    columns = {"detector": detector, "column": "x", "value": 0.5, "threshold": 0.2, "text": f"{detector} is high"}
    return Entry("alarm", offset, 5, offset * 10, columns)


def promise(offset: int, until: int) -> Entry:
    return Entry("progress", offset, 0, until, {"until": until})


POINTER: Final = Entry("pointer", 4, 0, 0, {"command": "promote", "champion": "b", "expected": "a", "hold": False})
DECISION: Final = Entry("decision", 5, 0, 0, {"action": "review", "why": "its own"})
STORY: Final = batch_of(
    [
        promise(0, 10),
        alarm(1, "psi"),
        alarm(2, "adwin"),
        promise(3, ENDED_US),
        POINTER,
        DECISION,
        alarm(6, "psi"),
        promise(7, ENDED_US),
    ],
    CONTROL,
)


def test_each_alarm_has_one_decision_and_no_other_row_causes_anything() -> None:
    stage = Respond(output="control")
    found = stage.process(STORY)
    assert found.consumed == len(STORY)
    made = entries_of(found.batches["control"], CONTROL)
    assert [(entry.stream, entry.offset, entry.sub, entry.time_us) for entry in made] == [
        ("decision", 1, 5, 10),
        ("decision", 2, 5, 20),
        ("decision", 6, 5, 60),
    ]
    assert [entry.columns["action"] for entry in made] == ["review", "retrain", "review"]
    assert [entry.columns["why"].split(";")[0] for entry in made] == ["psi is high", "adwin is high", "psi is high"]
    assert stage.decided == 3


def test_it_ends_when_both_who_promise_have_announced_the_end() -> None:
    stage = Respond(output="control")
    stage.process(STORY.slice(0, 7))
    assert not stage.ended
    stage.process(STORY.slice(7, 8))
    assert stage.ended


@given(cuts=st.sets(st.integers(1, 7)), restarts=st.sets(st.integers(1, 7)))
def test_neither_cuts_nor_restarts_change_a_decision(cuts: set[int], restarts: set[int]) -> None:
    expected = Respond(output="control").process(STORY).batches["control"]
    stage = Respond(output="control")
    found = []
    for start, stop in pairwise([0, *sorted(cuts | restarts), len(STORY)]):
        if start in restarts:
            state = packed(*stage.snapshot())
            stage = Respond(output="control")
            stage.restore(*unpacked(state))
        found += stage.process(STORY.slice(start, stop)).batches.values()
    assert row_digests(Batch.concat(found)).tolist() == row_digests(expected).tolist()
    assert (stage.ended, stage.decided) == (True, 3)
