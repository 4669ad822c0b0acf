"""Sketches add up to what was seen, one judge decides for a whole day, and an alarm sounds once an excursion."""

from itertools import pairwise, permutations
from typing import Any, Final, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.records import Batch
from headrace.core.time import DAY_US, ENDED_US
from headrace.drift import ADWIN, PSI
from headrace.drift.sketch import Sketch
from headrace.models.contract import Columns
from headrace.stages.contract import Stage
from headrace.stages.judge import Judge
from headrace.stages.watch import Watch
from headrace.store.snapshots import packed, unpacked
from headrace.topics.digest import row_digests
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL, SKETCHES, example_streams, feature_streams, prediction_streams

COLUMNS: Final = Columns(dense=("x",), categories=("c",), sizes=(16,))
WATCHED: Final = ("features", "predictions", "examples")
STREAMS: Final = {
    "features": feature_streams(1, 1),
    "predictions": prediction_streams(1, 1),
    "examples": example_streams(1, 1),
}
FIRST: Final = {"features": "request", "predictions": "request", "examples": "example"}
Topic = Literal["features", "predictions", "examples"]


def row(topic: Topic, x: float, place: int) -> dict[str, Any]:
    vector = {"dense": [x], "ids": [place % 3]}
    if topic == "features":
        return {**vector, "reasons": [0, 0]}
    served = {"score": abs(x) / 10, "version": 0}
    if topic == "predictions":
        return {**vector, **served, "fallback": None, "control": 0, "drift": 0.0, "drift_of": None}
    return {**vector, **served, "y": float(place % 2), "weight": 1.0, "request_time": 0, "correction": False}


def watched(topic: Topic, *rows: float) -> Batch:
    """Return rows of a topic: a float is a value, an int the day until which progress has come (-1: the end)."""
    entries = []
    for place, value in enumerate(rows):
        if isinstance(value, int):
            until = ENDED_US if value < 0 else value * DAY_US
            entries.append(Entry("progress", 0, place << 24, until, {"until": until}))
        else:
            entries.append(Entry(FIRST[topic], 0, place << 24, 0, row(topic, value, place)))
    return batch_of(entries, STREAMS[topic])


def watch(topic: Topic) -> Watch:
    names = [stream.name for stream in STREAMS[topic]]
    return Watch(topic=topic, progress=names.index("progress"), columns=COLUMNS, every_us=DAY_US, output="sketches")


def written(stage: Watch, batch: Batch) -> list[Entry]:
    found = stage.process(batch)
    assert found.consumed == len(batch)
    return entries_of(found.batches["sketches"], SKETCHES) if found.batches else []


def sketch(values: list[float]) -> tuple[list[int], list[int]]:
    made = Sketch.of(np.array(values))
    return made.buckets.tolist(), made.counts.tolist()


def test_each_day_has_the_sketch_of_its_values_and_no_other() -> None:
    entries = written(watch("features"), watched("features", 0.5, 8.0, 1, -3.0, -3.0, 0.25, 2, 7.0))
    told = [(entry.columns.get("column"), entry.columns["until"] // DAY_US) for entry in entries]
    assert told == [("x", 1), ("c", 1), (None, 1), ("x", 2), ("c", 2), (None, 2)]
    found = [(entry.columns["buckets"], entry.columns["counts"]) for entry in entries if entry.columns.get("column")]
    assert found[0] == sketch([0.5, 8.0])
    assert found[2] == sketch([-3.0, -3.0, 0.25])
    assert [sum(counts) for _, counts in found] == [2, 2, 3, 3]


def test_of_predictions_the_score_is_sketched_and_of_examples_the_error_is_summed() -> None:
    scores = written(watch("predictions"), watched("predictions", 1.0, 2.0, 1))
    assert (scores[0].columns["column"], scores[0].columns["of"]) == ("score", "predictions")
    assert (scores[0].columns["buckets"], scores[0].columns["counts"]) == sketch([0.1, 0.2])
    values = [1.0, 2.0, 9.0, 4.0]
    error, progress, later, _ = written(watch("examples"), watched("examples", *values, 1, 5.0, 2))
    assert (later.columns["count"], later.columns["mean"], later.columns["m2"]) == (1, 0.5, 0.0)
    errors = np.array([abs(abs(x) / 10 - place % 2) for place, x in enumerate(values)])
    assert (error.stream, progress.stream) == ("error", "progress")
    assert error.columns["count"] == 4
    assert error.columns["mean"] == pytest.approx(errors.mean())
    assert error.columns["m2"] == pytest.approx(((errors - errors.mean()) ** 2).sum())


def test_a_day_without_rows_is_announced_and_progress_within_a_day_is_not() -> None:
    stage = watch("features")
    assert [entry.stream for entry in written(stage, watched("features", 1))] == ["progress"]
    assert written(stage, watched("features", 5.0, 1)) == []
    entries = written(stage, watched("features", 3, -1))
    assert [entry.stream for entry in entries] == ["sketch", "sketch", "progress", "progress"]
    assert entries[-1].columns["until"] == ENDED_US
    assert stage.ended


def judge(*detectors: PSI | ADWIN) -> Judge:
    chosen = detectors or (PSI("features", reference="2d", over="1d"), PSI("score", reference="1d", over="1d"), ADWIN())
    return Judge(detectors=chosen, columns=COLUMNS, every_us=DAY_US, watchers=3, output="control")


def day(until: int, low: float, *, error: float = 0.1, skew: int = 0) -> list[list[Entry]]:
    """Return what each of the three watchers says of a day, of 1,000 values above `low`."""
    until_us = ENDED_US if until < 0 else until * DAY_US
    buckets, counts = sketch([low + (number * 37 + skew) % 1000 / 1000 for number in range(1000)])
    progress = [("progress", {"until": until_us})]

    def columns(of: str, column: str) -> dict[str, Any]:
        return {"of": of, "column": column, "until": until_us, "buckets": buckets, "counts": counts}

    spoken: list[list[tuple[str, dict[str, Any]]]] = [
        [("sketch", columns("features", "x")), ("sketch", columns("features", "c")), *progress],
        [("sketch", columns("predictions", "score")), *progress],
        [("error", {"until": until_us, "count": 1000, "mean": error, "m2": 90.0}), *progress],
    ]
    return [[Entry(stream, 0, 0, until_us, entry) for stream, entry in watcher] for watcher in spoken]


def in_order(entries: list[Entry]) -> Batch:
    placed = [Entry(entry.stream, 0, place << 24, entry.time_us, entry.columns) for place, entry in enumerate(entries)]
    return batch_of(placed, SKETCHES)


def decided(stage: Judge, *days: list[list[Entry]]) -> list[Entry]:
    found = stage.process(in_order([entry for spoken in days for watcher in spoken for entry in watcher]))
    return entries_of(found.batches["control"], CONTROL) if found.batches else []


def alarms(entries: list[Entry]) -> list[tuple[str, str, int]]:
    return [
        (entry.columns["detector"], entry.columns["column"], entry.time_us // DAY_US)
        for entry in entries
        if entry.stream == "alarm"
    ]


def test_an_alarm_sounds_once_an_excursion_and_again_after_it_was_back() -> None:
    detector = PSI("score", reference="2d", over="1d")
    lows = {1: 1.0, 2: 1.0, 3: 1.0, 4: 9.0, 5: 9.0, 6: 1.0, 7: 1.0, 8: 9.0, 9: 9.0}
    stage = judge(detector)
    entries = decided(stage, *(day(until, low) for until, low in lows.items()))
    assert alarms(entries) == [("psi", "score", 4), ("psi", "score", 8)]
    assert stage.alarms == 2
    scores = {entry.time_us // DAY_US: entry.columns for entry in entries if entry.stream == "score"}
    assert sorted(scores) == [3, 4, 5, 6, 7, 8, 9]  # Two days are the reference.
    assert [until for until, score in scores.items() if score["value"] > score["threshold"]] == [4, 5, 8, 9]
    assert all(score["in_force"] == until * DAY_US for until, score in scores.items())
    assert all(score["threshold"] >= detector.threshold for score in scores.values())


def test_few_rows_that_have_not_changed_raise_no_alarm() -> None:
    entries = decided(judge(PSI("features", reference="2d", over="2d")), *(day(n, 1.0, skew=n) for n in range(1, 9)))
    assert alarms(entries) == []
    scores = [(entry.columns["column"], entry.time_us // DAY_US) for entry in entries if entry.stream == "score"]
    assert scores == [(column, until) for until in range(4, 9) for column in ("x", "c")]  # A whole window first.


def test_a_rise_of_the_error_is_an_alarm_and_a_fall_is_none() -> None:
    days = [day(until, 1.0, error=0.1 if until < 6 else 0.6) for until in range(1, 9)]
    assert alarms(decided(judge(ADWIN()), *days)) == [("adwin", "error", 6)]
    falling = [day(until, 1.0, error=0.6 if until < 6 else 0.1) for until in range(1, 9)]
    assert alarms(decided(judge(ADWIN()), *falling)) == []


def test_a_day_is_decided_when_the_last_watcher_has_spoken_and_the_next_one_is_promised() -> None:
    stage = judge()
    one, two, three = day(1, 1.0)
    assert decided(stage, [one, three]) == []
    made = decided(stage, [two])
    assert made[-1].columns == {"until": 2 * DAY_US}
    assert not stage.ended
    over = decided(stage, day(-1, 9.0, error=0.9))
    assert [(entry.stream, entry.columns) for entry in over] == [("progress", {"until": ENDED_US})]
    assert stage.ended


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_the_watchers_speak_changes_no_decision(order: tuple[int, ...]) -> None:
    days = [day(until, 1.0 if until < 5 else 9.0, error=0.1 * until) for until in range(1, 7)]
    expected = judge().process(in_order([entry for spoken in days for watcher in spoken for entry in watcher]))
    # Every watcher may be days ahead of the others.
    mixed = [entry for place in order for spoken in days for entry in spoken[place]]
    found = judge().process(in_order(mixed))
    assert row_digests(found.batches["control"]).tolist() == row_digests(expected.batches["control"]).tolist()


def cut(make: Any, batch: Batch, cuts: set[int], restarts: set[int]) -> tuple[list[int], Stage]:
    """Return the values that a stage gives when its batch is cut, and the state restored at some of the cuts."""
    stage: Stage = make()
    found = []
    for start, stop in pairwise([0, *sorted(cuts | restarts), len(batch)]):
        state = packed(*stage.snapshot())  # A snapshot that is taken and not used changes nothing either.
        if start in restarts:
            stage = make()
            stage.restore(*unpacked(state))
        found += stage.process(batch.slice(start, stop)).batches.values()
    return row_digests(Batch.concat(found)).tolist(), stage


VALUES: Final = (0.5, 8.0, 1, -3.0, 1, 0.25, 2, 7.0, float("nan"), 4, 1e300, -1)


@pytest.mark.parametrize("topic", WATCHED)
@given(cuts=st.sets(st.integers(1, 11)), restarts=st.sets(st.integers(1, 11)))
def test_neither_cuts_nor_restarts_change_a_sketch(topic: Topic, cuts: set[int], restarts: set[int]) -> None:
    batch = watched(topic, *VALUES)
    expected = row_digests(watch(topic).process(batch).batches["sketches"]).tolist()
    found, stage = cut(lambda: watch(topic), batch, cuts, restarts)
    assert found == expected
    assert stage.ended


STORY: Final = in_order(
    [
        entry
        for until in (1, 2, 3, 4, 5, 6, -1)
        for watcher in day(until, 1.0 if until != 4 else 9.0, error=0.1 if until < 5 else 0.7)
        for entry in watcher
    ]
)


@given(cuts=st.sets(st.integers(1, 48)), restarts=st.sets(st.integers(1, 48)))
def test_neither_cuts_nor_restarts_change_a_decision(cuts: set[int], restarts: set[int]) -> None:
    whole = judge()
    expected = row_digests(whole.process(STORY).batches["control"]).tolist()
    found, stage = cut(judge, STORY, cuts, restarts)
    assert found == expected
    assert packed(*stage.snapshot()) == packed(*whole.snapshot())
    assert stage.ended
    assert whole.alarms >= 3
