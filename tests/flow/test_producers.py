"""A producer one hour ahead and one hour behind, a day ahead, a day late, all at one time: nobody else is touched."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pytest

import headrace as hr
from headrace.testing import drive

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


class Reading(hr.Event):
    id: str
    sensor: str
    heat: float
    at: datetime
    came: datetime


class Answer(hr.Event):
    id: str
    good: bool
    at: datetime


def definition(**changes: Any) -> tuple[hr.Pipeline[Any], Any, Any]:
    """Return a pipeline over sensors, and its two sources."""
    given: dict[str, Any] = {
        "time": Reading.at,
        "id": Reading.id,
        "arrived": Reading.came,
        "producer": Reading.sensor,
        "disorder": "10s",
        "max_future_skew": "2h",
        "silent": "2h",
    }
    readings = hr.source("readings", Reading, **given | changes)
    answers = hr.source("answers", Answer, time=Answer.at)
    good = readings.label(answers, Answer.good, on="id", within="10min", otherwise=False)
    by = readings.by(Reading.sensor)
    vector = readings.vector(
        "now",
        Reading.heat,
        n=by.count("10min"),
        mean=by.mean(Reading.heat, "30min", default=0.0),
        closed=by.sum(Reading.heat, hr.Tumbling("5min")),
        hops=by.count(hr.Hopping("10min", every="1min")),
        good=good.by(Reading.sensor).mean(good.value, "1h", default=0.5, prior=1),
    )
    pipeline = hr.Pipeline("heat", features=vector, label=good, model=hr.models.Logistic())
    return pipeline, readings, answers


def rows(seed: int, off: dict[str, timedelta], *, minutes: int = 90) -> list[dict[str, Any]]:
    """Return what five sensors send, each every few seconds, some by a clock that is off; in the order of arrival."""
    draw = random.Random(seed)
    made = []
    for second in range(0, minutes * 60, 7):
        for sensor in ("s1", "s2", "s3", "fast", "slow"):
            late = draw.choice([0, 0, 0, 3, 8, 40])
            came = START + timedelta(seconds=second, milliseconds=draw.randrange(900))
            at = came - timedelta(seconds=late) + off.get(sensor, timedelta(0))
            heat = float(draw.randrange(100))
            made.append({"id": f"{sensor}-{second}", "sensor": sensor, "heat": heat, "at": at, "came": came})
    return sorted(made, key=lambda row: row["came"])


def computed(pipeline: hr.Pipeline[Any], made: list[dict[str, Any]], truth: str = "served") -> dict[str, Any]:
    """Return the features and reasons of each request, by its id; NaN as its text."""
    table = pa.Table.from_pylist(made)
    said = pa.table({"id": table["id"], "good": [row["heat"] > 50 for row in made], "at": table["came"]})
    found = pipeline.examples(truth=truth, readings=table, answers=said)  # type: ignore[arg-type]
    vectors = [(row.tobytes(), why.tobytes()) for row, why in zip(found.X, found.reasons, strict=True)]
    answers = zip(found.y.tolist(), found.known.tolist(), strict=True)
    return dict(zip(found.ids.to_pylist(), zip(vectors, answers, strict=True), strict=True))


@pytest.mark.parametrize("seed", range(2))
def test_a_producer_ahead_and_one_behind_change_no_byte_of_the_others(seed: int) -> None:
    pipeline, _, _ = definition()
    straight = computed(pipeline, rows(seed, {}))
    skewed = computed(pipeline, rows(seed, {"fast": HOUR, "slow": -HOUR}))
    others = [name for name in straight if name[:2] in ("s1", "s2", "s3")]
    assert len(others) > 2_000
    assert [name for name in others if skewed[name] != straight[name]] == []
    # They themselves see, an hour off, what they would have seen; but for the labels, whose times are not off. Of the
    # one behind, the first hour lies before what the source had reached when it began.
    for name in straight:
        if name not in others and (name.startswith("fast") or int(name.split("-")[1]) > 3_600):
            assert skewed[name][0][0][:40] == straight[name][0][0][:40], name


def test_an_answer_of_one_that_is_ahead_closes_the_labels_of_nobody_else() -> None:
    #  each is answered 5 min later, within 10 min; those of "fast" say that they come an hour after that
    class Told(hr.Event):
        id: str
        sensor: str
        good: bool
        at: datetime
        came: datetime

    readings = hr.source("readings", Reading, time=Reading.at, id=Reading.id, arrived=Reading.came)
    told = hr.source(
        "told", Told, time=Told.at, arrived=Told.came, max_future_skew="2h", producer=Told.sensor, silent="2h"
    )
    label = readings.label(told, Told.good, on="id", within="10min", otherwise=hr.DROP)
    pipeline = hr.Pipeline(
        "heat", features=readings.vector("now", Reading.heat), label=label, model=hr.models.Logistic()
    )
    made = rows(0, {}, minutes=40)
    later = [row["came"] + timedelta(minutes=5) for row in made]
    said = pa.table(
        {
            "id": [row["id"] for row in made],
            "sensor": [row["sensor"] for row in made],
            "good": [True] * len(made),
            "at": [
                at + (HOUR if row["sensor"] == "fast" else timedelta(0)) for at, row in zip(later, made, strict=True)
            ],
            "came": later,
        }
    )
    found = pipeline.examples(readings=pa.Table.from_pylist(made), told=said)
    answered = [name.split("-")[0] for name in found.ids.to_pylist()]
    assert {name: answered.count(name) for name in ("s1", "s2", "s3", "slow", "fast")} == {
        name: 0 if name == "fast" else len(made) // 5 for name in ("s1", "s2", "s3", "slow", "fast")
    }


def test_by_one_clock_for_all_the_same_records_would_have_been_late() -> None:
    pipeline, _, _ = definition(producer=None, silent=None)
    straight = computed(pipeline, rows(0, {}))
    skewed = computed(pipeline, rows(0, {"fast": HOUR, "slow": -HOUR}))
    assert sum(skewed[name] != straight[name] for name in straight if name[:2] in ("s1", "s2", "s3")) > 1_000


@pytest.mark.parametrize("late", ["update", "aside", "drop"])
def test_what_comes_a_day_ahead_a_day_late_or_twice_is_counted_once(late: str) -> None:
    pipeline, readings, _ = definition(late=late, arrived=None, max_future_skew="5min", duplicates="30min")
    d = drive(pipeline, start="2026-01-05T00:00Z")

    def sent(id: str, sensor: str, by: timedelta = timedelta(0)) -> None:
        d.send(readings, Reading(id=id, sensor=sensor, heat=1.0, at=d.now + by, came=d.now))
        d.advance("1s")

    day, while_ago = timedelta(days=1), timedelta(minutes=5)
    sent("a", "s1", -day)  # Until its second record, nobody knows that a clock is a day behind.
    for id, by in (("b", timedelta(0)), ("c", -day), ("d", day), ("g", -while_ago)):
        sent(id, "s1", by)
    sent("e", "slow", -day)
    sent("f", "slow", -day)
    sent("b", "s1")
    sent("b", "slow", -day)  # A day away from the first "b" it is another one.
    d.crash()
    counts = d.ledger()["readings"]
    kept = {"update": "late_kept", "aside": "late_aside", "drop": "late_dropped"}[late]
    assert {name: count for name, count in counts.items() if count} == {
        "received": 9,
        "ok": 5,
        kept: 2,
        "future": 1,
        "duplicate": 1,
    }
    sent("z", "s1", -while_ago)
    sent("y", "s1")
    d.verify()
    assert d.ledger()["readings"][kept] == 3
    assert d.features("y")["n"] == (3 if late == "update" else 1)  # "b", and the late "g" and "z" at their own times.
    if late == "update":
        assert d.features("z")["n"] == 1
    else:  # It is kept in [events], and neither asks nor counts.
        with pytest.raises(hr.ConfigError, match="late"):
            d.features("z")


def test_records_of_one_timestamp_are_all_in_time_and_see_nothing_of_one_another() -> None:
    pipeline, readings, _ = definition(arrived=None, disorder="0s")
    d = drive(pipeline, start="2026-01-05T00:00Z")
    at = d.now
    d.send(readings, *(Reading(id=f"r{n}", sensor=f"s{n % 3}", heat=1.0, at=at, came=at) for n in range(300)))
    assert d.ledger()["readings"]["ok"] == 300
    assert {d.features(f"r{n}")["n"] for n in range(300)} == {0.0}
    d.verify()


def test_producers_beyond_the_bound_are_rejected_with_a_reason_and_the_ledger_balances() -> None:
    pipeline, readings, _ = definition(arrived=None, max_producers=2)
    d = drive(pipeline, start="2026-01-05T00:00Z")
    for number in range(9):
        d.send(readings, Reading(id=f"r{number}", sensor=f"s{number % 3}", heat=1.0, at=d.now, came=d.now))
        d.advance("1s")
        if number == 4:
            d.crash()
    counts = d.ledger()["readings"]
    assert (counts["ok"], counts["rejected"], counts["reasons"]) == (6, 3, {"too_many_producers": 3})
    assert [one.id for one in d.predictions()] == ["r0", "r1", "r3", "r4", "r6", "r7"]
    d.verify()


def test_the_settings_of_producers_are_checked_where_they_are_written() -> None:
    for changes, word in (
        ({"producer": Reading.heat}, "text field"),
        ({"producer": None, "silent": "1h"}, "producer"),
        ({"producer": None, "silent": None, "max_producers": 3}, "producer"),
        ({"max_producers": 0}, "max_producers"),
        ({"max_producers": 2.5}, "max_producers"),
        ({"silent": 5}, "silent"),
        ({"duplicates": "2 days"}, "duplicates"),
    ):
        with pytest.raises(hr.ConfigError, match=word):
            definition(**changes)
