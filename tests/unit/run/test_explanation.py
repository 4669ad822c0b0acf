"""explain shows, for every kind of window, the records that made the value, and their value by plain definition."""

import random
from datetime import timedelta
from math import isclose, isnan
from typing import Any

import numpy as np
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.records import flat_block
from headrace.core.time import MINUTE_US, instant_us
from headrace.features.aggregates import AggregateRead
from headrace.run.behind import Search, labels_in, watched
from headrace.run.definition import seen, value_of
from headrace.run.explanation import explain
from headrace.run.orders import forget
from headrace.run.taken import taken, taken_rows
from headrace.testing.sent import Sent, read_records
from headrace.topics.memory import MemoryLog
from tests.flow.generations import CLOCK, START, Pay, Result, Side, bad, pay, pays, pipeline, put, results

card = pays.by(Pay.card)
MADE = pipeline(
    tumbling=card.count(hr.Tumbling("10min")),
    days=card.sum(Pay.amount, hr.Tumbling("1d", tz="Europe/Berlin")),
    hopping=card.mean(Pay.amount, hr.Hopping("10min", every="3min"), default=-1.0),
    session=card.sum(Pay.amount, hr.Session("4min", longest="20min")),
    newest=card.mean(Pay.amount, hr.LastN(3), default=-1.0),
    newest_within=card.max(Pay.amount, hr.LastN(5, within="8min"), default=-1.0),
    weighted=card.sum(Pay.amount, hr.Decay("5min")),
    weights=card.count(hr.Decay("5min")),
    weighted_mean=card.mean(Pay.amount, hr.Decay("5min"), default=-1.0),
    ever=card.min(Pay.amount, hr.FOREVER, default=-1.0),
    own=card.sum(Pay.amount, "10min", include_current=True),
    before=card.count("10min", offset="5min"),
    shop=hr.category(card.last(Pay.shop, "1d", default="none"), bits=8),
    since=card.seconds_since("1d", default=-1.0),
    spread=card.range(Pay.amount, "1h", default=-1.0),
    large=pays.where(Pay.amount > 5).by(Pay.card).rate("20min"),
    known=bad.by(Pay.card).mean(bad.value, "1d", default=0.5, prior=2),
    known_last=bad.by(Pay.shop).mean(bad.value, hr.LastN(4), default=0.5),
)


slow = hr.source("slow", Pay, time=Pay.at, id=Pay.pay_id, disorder="7min")
SLOW = hr.Pipeline(
    "slow",
    features=slow.vector(
        "v",
        slow.by(Pay.card).count(hr.Tumbling("10min")),
        slow.by(Pay.card).sum(Pay.amount, hr.Hopping("20min", every="5min")),
        slow.by(Pay.card).count(hr.Tumbling("1d", tz="Europe/Berlin")),
    ),
    label=slow.label(results, Result.bad, on="pay_id", within="2d", otherwise=hr.DROP),
    model=hr.models.Logistic(),
    serve=hr.Serve(fallback=[hr.Constant(0.1)]),
    learn=hr.Learn(every="1h"),
)


def drawn(seed: int, count: int = 120, *, made: hr.Pipeline[Pay] = MADE, minute: float = 0.0) -> Sent:
    """Send payments, some of them late and some tied, and answers to them, some of them late."""
    draw = random.Random(seed)
    sent = Sent(made.source_settings())
    arrivals: list[tuple[float, int, hr.Event]] = []
    for number in range(count):
        minute += draw.choice([0, 0.25, 1, 2, 7])
        record = Pay(
            pay_id=f"p{number}",
            card=draw.choice("ab"),
            shop=draw.choice(["s", "t"]),
            amount=draw.choice([0.1, 2.5, 7.0, 1e6]),
            at=START + timedelta(minutes=minute),
        )
        arrivals.append((minute + draw.choice([0, 0, 0, 6, 15]), number, record))
        if draw.random() < 0.5:
            known = minute + draw.choice([3, 20])
            answer = Result(pay_id=f"p{number}", bad=draw.random() < 0.5, at=START + timedelta(minutes=known))
            arrivals.append((known + draw.choice([0, 12]), count + number, answer))
    for arrives, _, one in sorted(arrivals, key=lambda entry: entry[:2]):
        rows = read_records(sent.sources[int(isinstance(one, Result))], [one])
        sent.put(int(isinstance(one, Result)), instant_us(START) + int(arrives * MINUTE_US), rows)
    return sent


def searched(side: Side) -> tuple[Search, list[int]]:
    deployment = side.deployment
    streams = deployment.topic("events").manifest.streams
    sources = {source.name: source for source in deployment.pipeline.source_settings()}
    events = watched(taken_rows(deployment.topic("events")), streams, sources)
    asking = [stream.name for stream in streams].index(deployment.pipeline.features.of.name)
    return Search(events, streams, sources, labels_in(taken(deployment.topic("features")))), events.rows_of(
        asking
    ).tolist()


def agreed(side: Side) -> tuple[int, int]:
    """Compare every value of an aggregate with its definition; return how many there were, and how many corrected."""
    search, rows = searched(side)
    vector = side.deployment.pipeline.features
    features = taken_rows(side.deployment.topic("features"))
    names = vector.blocks().dense
    dense = flat_block(features.payloads[0]["dense"], np.float64)
    codes = flat_block(features.payloads[0]["reasons"], np.uint8)
    corrected = compared = 0
    for place, row in enumerate(rows):
        request = search.request(row)
        for name, feature in vector.features.items():
            if not isinstance(feature, AggregateRead):
                continue
            code = codes[place, names.index(name)]
            if code == reasons.TRUNCATED:  # A request that is later than what is kept.
                continue
            past, _ = search.past(request, feature)
            found = seen(feature, request.time_us, search.told_us(request, feature), past)
            value = value_of(feature, request.time_us, found, past)
            served = float(dense[place, names.index(name)])
            assert isinstance(value, float)
            assert isclose(value, served, rel_tol=1e-9) or (isnan(value) and isnan(served)), (name, row)
            compared += 1
            if feature.window.closes:
                assert (code == reasons.CORRECTED) == (found.corrected > 0), (name, row)
                corrected += found.corrected > 0
            assert (code in (reasons.OK, reasons.CORRECTED)) == bool(found.places), (name, row)
    return compared, corrected


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_that_of_the_records_that_are_found_behind_it(seed: int) -> None:
    side = Side(MemoryLog(), MADE)
    side.run(drawn(seed))
    compared, corrected = agreed(side)
    assert compared > 1_000
    assert corrected > 5


def test_a_window_is_closed_by_the_watermark_which_stands_behind_by_the_disorder() -> None:
    #  Berlin's midnight is at 23:00 UTC: minute 1380
    side = Side(MemoryLog(), SLOW)
    side.run(drawn(4, made=SLOW, minute=1_300.0))
    compared, corrected = agreed(side)
    assert compared > 300
    assert corrected > 0


def explained(side: Side, id: str) -> dict[str, dict[str, Any]]:
    return {entry["feature"]: entry for entry in explain(side.deployment, id).features}


def minutes(*numbers: int) -> list[str]:
    return [(START + timedelta(minutes=number)).isoformat().replace("+00:00", "Z") for number in numbers]


def test_each_kind_of_window_shows_what_it_is() -> None:
    #  minute  0 1 2 3 4 5 6 . . . . . 12 13     p13 asks; 7 to 11 are another card's
    sent = Sent(MADE.source_settings())
    put(sent, *(pay(number, card="b" if 7 <= number <= 11 else "a", amount=number + 1.0) for number in range(14)))
    side = Side(MemoryLog(), MADE)
    side.run(sent)
    found = {name: entry["windows"][0] for name, entry in explained(side, "p13").items() if entry["windows"]}
    assert [found["tumbling"]["since"], found["tumbling"]["until"]] == minutes(0, 10)
    assert (found["tumbling"]["records"], found["tumbling"]["value"]) == (7, 7.0)
    assert f"the watermark stood at {minutes(13)[0]}" in found["tumbling"]["note"]
    assert [found["hopping"]["since"], found["hopping"]["until"]] == minutes(2, 12)
    assert (found["session"]["since"], found["session"]["records"]) == (minutes(12)[0], 1)
    assert found["session"]["note"] == f"the session began at {minutes(12)[0]}"
    assert [entry["pay_id"] for entry in found["newest"]["newest"]] == ["p12", "p6", "p5"]
    assert found["newest"]["note"] == "the newest 3 of 3, out of 8 that it may reach"
    assert [entry["pay_id"] for entry in found["newest_within"]["newest"]] == ["p12", "p6", "p5"]
    assert found["weights"]["newest"][0]["weight"] == pytest.approx(0.5 ** (1 / 5))
    assert "half of the weight in 5min" in found["weights"]["note"]
    assert [found["own"]["records"], found["own"]["newest"][0]["pay_id"]] == [6, "p13"]
    assert [found["before"]["since"], found["before"]["until"]] == [*minutes(-2), *minutes(8)]
    assert (found["ever"]["since"], found["ever"]["value"]) == ("unspoken", 1.0)
    assert found["shop"]["value"] == "s"
    assert found["since"]["value"] == 60.0


@pytest.mark.parametrize("newest", [10, 12])
def test_a_corrected_window_names_the_records_that_came_too_late(newest: int) -> None:
    #  p0 .. p12 one a minute; p50 happened at minute 5 and comes behind p12, when [0, 10) was closed; p13 asks
    #  Behind p10, too: the watermark stands at the end of the window then.
    sent = Sent(MADE.source_settings())
    put(sent, *(pay(number) for number in range(newest + 1)))
    tardy = Pay(pay_id="p50", card="a", shop="s", amount=9.0, at=START + timedelta(minutes=5))
    sent.put(0, instant_us(START) + newest * MINUTE_US + 1, read_records(sent.sources[0], [tardy]))
    put(sent, pay(13))
    side = Side(MemoryLog(), MADE)
    side.run(sent)
    entry = explained(side, "p13")["tumbling"]
    assert entry["reason"] == "corrected"
    window = entry["windows"][0]
    assert (window["records"], window["value"]) == (11, entry["value"])
    assert "corrected: 1 of its records came after it was closed" in window["note"]
    late = explained(side, "p13")["hopping"]["windows"][0]["newest"]
    assert not any(one["pay_id"] == "p50" and "late" not in one for one in late)


def test_a_truncated_value_is_explained_as_one() -> None:
    bounded = pipeline(few=pays.by(Pay.card, max_keys=1).count("1h"))
    sent = Sent(bounded.source_settings())
    put(sent, pay(0, card="a"), pay(1, card="b"), pay(2, card="a"), pay(3, card="b"))
    side = Side(MemoryLog(), bounded)
    side.run(sent)
    found = [explained(side, f"p{number}")["few"] for number in range(4)]
    told = [entry for entry in found if entry["reason"] == "truncated"]
    assert told
    assert all("truncated: the state is bounded" in entry["windows"][0]["note"] for entry in told)
    assert all("truncated" not in entry["windows"][0]["note"] for entry in found if entry["reason"] != "truncated")


def test_what_was_forgotten_is_behind_nothing() -> None:
    side = Side(MemoryLog(), MADE)
    sent = Sent(MADE.source_settings())
    put(sent, *(pay(number) for number in range(5)))
    side.run(sent)
    forget(side.deployment, "pays", ["card=a"], clock=CLOCK)
    put(sent, pay(5), pay(6))
    side.run(sent)
    found = explained(side, "p6")
    for name in ("card_count_1d", "newest", "ever"):
        assert found[name]["windows"][0]["records"] == 1, name
        assert found[name]["windows"][0]["value"] == found[name]["value"], name


def test_a_record_aside_is_behind_nothing() -> None:
    wary = hr.source("wary", Pay, time=Pay.at, id=Pay.pay_id, late="aside")
    made = hr.Pipeline(
        "wary",
        features=wary.vector("v", n=wary.by(Pay.card).count("1h")),
        label=wary.label(pays, Pay.amount > 3, on="pay_id", within="1d", otherwise=hr.DROP),
        model=hr.models.Logistic(),
        serve=hr.Serve(fallback=[hr.Constant(0.1)]),
        learn=hr.Learn(every="1h"),
    )
    sent = Sent(made.source_settings())
    for number, arrives in ((5, 5), (1, 6), (7, 7)):
        sent.put(0, instant_us(START) + arrives * MINUTE_US, read_records(sent.sources[0], [pay(number)]))
    side = Side(MemoryLog(), made)
    side.run(sent)
    (entry,) = explain(side.deployment, "p7").features
    assert (entry["value"], entry["windows"][0]["records"]) == (1.0, 1)
