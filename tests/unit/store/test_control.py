"""The summary of [control]: whoever folds it and the rest knows what whoever folds everything knows."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import StateError
from headrace.core.position import ALL, Position
from headrace.store.blobs import MemoryBlobs
from headrace.store.control import ControlView, summary_name
from headrace.topics.contract import Topic
from headrace.topics.entries import Entry, batch_of
from headrace.topics.manifest import Manifest
from headrace.topics.memory import MemoryLog
from headrace.topics.schemas import CONTROL
from headrace.topics.writer import Writer

PRODUCERS = ("learn", "judge", "command")
KINDS = ("version", "score", "alarm", "promote", "rollback", "skip", "progress")


def written(kinds: list[str]) -> Topic:
    """Return a topic with one frame a kind, whose times are 10, 20, 30, ..."""
    topic = MemoryLog().create(Manifest(topic="control", streams=CONTROL, producers=PRODUCERS))
    writers = {name: Writer(topic, name) for name in PRODUCERS}
    view = ControlView(topic)
    number = 0
    for place, kind in enumerate(kinds):
        view.follow()
        time_us = 10 * (place + 1)
        stream, by, columns = kind, "learn", {"until": time_us}
        if kind == "version":
            columns = _version(number, time_us)
            number += 1
        elif kind == "score":
            by = "judge"
            columns = {"in_force": time_us, "detector": "psi", "column": "x", "value": float(place), "threshold": 2.0}
        elif kind == "alarm":
            by = "judge"
            columns = {"detector": "psi", "column": "x", "value": 1.0, "threshold": 0.5, "text": str(place)}
        elif kind in ("promote", "rollback"):
            wanted = view.previous if kind == "rollback" else (view.versions or [None])[-1]
            stream, by = "pointer", "command"
            columns = {
                "command": kind,
                "champion": wanted.name if wanted else "none",
                "expected": view.champion.name if view.champion else "none",
                "hold": kind == "rollback",
            }
        elif kind == "skip":
            by, columns = "command", {"task": "predict", "offset": place // 3, "row": 1, "why": "", "refused": ""}
        entry = Entry(stream, place, 0, time_us, columns)
        writers[by].write(batch_of([entry], CONTROL), Position(place, ALL))
    return topic


def _version(number: int, time_us: int) -> dict[str, Any]:
    return {
        "number": number,
        "name": f"v{number}-x",
        "parent": "",
        "in_force": time_us,
        "examples": number,
        "metrics": json.dumps({"rows": number}),
        "bundle": bytes([number]) if number % 2 else b"",
    }


def followed(topic: Topic, summaries: MemoryBlobs | None = None) -> ControlView:
    view = ControlView(topic, promises=("learn", "judge"), summaries=summaries)
    view.follow()
    return view


@given(st.lists(st.sampled_from(KINDS), max_size=24), st.data())
@settings(max_examples=60, deadline=None)
def test_a_view_that_begins_at_a_cut_knows_what_the_whole_view_knows(kinds: list[str], data: st.DataObject) -> None:
    topic = written(kinds)
    whole = followed(topic)
    summaries = MemoryBlobs()
    cuts = sorted(data.draw(st.lists(st.integers(1, max(1, len(kinds))), max_size=2)))
    needed_us = data.draw(st.integers(0, 10 * len(kinds) + 10))
    for cut in cuts if kinds else []:
        below = ControlView(topic, summaries=summaries)
        below.follow(cut)
        summaries.put(summary_name(below.cut().offset), below.summary(needed_us))
        topic.trim(0, below.cut())
    part = followed(topic, summaries)
    assert (part.champion, part.previous, part.held) == (whole.champion, whole.previous, whole.held)
    assert (part.promise_us, part.newest_number, part.offset) == (whole.promise_us, whole.newest_number, whole.offset)
    assert part.skips == whole.skips
    for what in ("versions", "alarms", "decisions", "skips"):
        assert part.count(what) == whole.count(what)
    for at_us in range(needed_us, 10 * len(kinds) + 20, 5):
        assert part.champion_at(at_us) == whole.champion_at(at_us)
        assert part.score_at(at_us) == whole.score_at(at_us)


def test_a_trimmed_topic_without_its_summary_is_refused_with_the_remedy() -> None:
    topic = written(["version", "version"])
    view = ControlView(topic)
    view.follow(1)
    topic.trim(0, view.cut())
    for place in (None, MemoryBlobs()):
        with pytest.raises(StateError, match="summary of what stood below offset 1"):
            ControlView(topic, summaries=place)
