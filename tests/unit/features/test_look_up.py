"""Laws of look-ups: a request that is looked up gets what it would get if it came next, and nobody can tell."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.core.time import MINUTE_US, instant_us
from headrace.features.engine import Engine, Vectors


class Swipe(hr.Event):
    swipe: str
    card: str | None
    shop: str
    amount: float | None
    at: datetime


class Note(hr.Event):
    swipe: str
    bad: bool
    at: datetime


swipes = hr.source("swipes", Swipe, time=Swipe.at, id=Swipe.swipe, disorder="1h")
notes = hr.source("notes", Note, time=Note.at)
bad = swipes.label(notes, Note.bad, on="swipe", within="2d", otherwise=hr.DROP)
card = swipes.by(Swipe.card)
vector = swipes.vector(
    "v",
    hr.fill(Swipe.amount, -1.0),
    card.count("1h"),
    card.sum(hr.fill(Swipe.amount, 0.0), "3h"),
    card.mean(Swipe.amount, "3h", default=-1.0),
    card.max(Swipe.amount, hr.FOREVER, default=None),
    swipes.by(Swipe.shop).count(hr.Tumbling("1h")),
    card.count(hr.Session("20min")),
    card.mean(Swipe.amount, hr.LastN(3), default=-1.0),
    bad.by(Swipe.card).mean(bad.value, "1d", default=0.5, prior=2),
    hr.category(Swipe.shop, bits=8),
    own=card.sum(Swipe.amount, "3h", include_current=True),
    own_all=card.count("3h", include_current=True),
    own_shop=hr.category(card.last(Swipe.shop, "1d", include_current=True, default="none"), bits=8),
    at_shop=swipes.by(Swipe.shop, Swipe.card).count("1d"),
    large=swipes.where(hr.fill(Swipe.amount, 0.0) > 50).by(Swipe.card).count("1h", include_current=True),
)
START_US = instant_us(datetime(2026, 1, 1, tzinfo=UTC))
SOURCES = [stream.settings for stream in (swipes, notes)]
STREAMS = [StreamSchema(source.name, Kind.EVENT, source.schema.arrow) for source in SOURCES]


def when(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def batch_of(entries: list[tuple[int, dict[str, Any]]], first: int = 0) -> Batch:
    """Return rows of [events]; each entry is the number of a stream and a record."""
    count = len(entries)
    times = np.array([instant_us(record["at"]) for _, record in entries], np.int64)
    payloads = tuple(
        pa.RecordBatch.from_pylist([record for number, record in entries if number == stream], schema.schema)
        for stream, schema in enumerate(STREAMS)
    )
    return Batch(
        np.arange(first, first + count),
        np.zeros(count, np.int64),
        np.array([number for number, _ in entries], np.uint8),
        times,
        times,
        np.zeros(count, np.uint8),
        strings([record["swipe"] for _, record in entries]),
        payloads,
    )


def drawn(seed: int, count: int) -> list[tuple[int, dict[str, Any]]]:
    draw = random.Random(seed)
    entries: list[tuple[int, dict[str, Any]]] = []
    time_us = START_US
    for number in range(count):
        time_us += draw.choice([0, 1, 7, 25]) * MINUTE_US
        if entries and draw.random() < 0.3:
            asked = draw.choice([record for stream, record in entries if stream == 0])
            entries.append((1, {"swipe": asked["swipe"], "bad": draw.random() < 0.5, "at": when(time_us)}))
            continue
        late_us = draw.choice([0, 0, 0, 40]) * MINUTE_US
        record = {
            "swipe": f"s{number}",
            "card": draw.choice(["a", "b", "c", None]),
            "shop": draw.choice(["x", "y"]),
            "amount": draw.choice([None, 1.5, 20.25, 99.0]),
            "at": when(time_us - late_us),
        }
        entries.append((0, record))
    return entries


def engine_after(entries: list[tuple[int, dict[str, Any]]]) -> Engine:
    engine = Engine(vector, bad, STREAMS, SOURCES)
    engine.run(batch_of(entries))
    return engine


def table(requests: list[dict[str, Any]]) -> tuple[pa.RecordBatch, np.ndarray]:
    times = np.array([instant_us(request["at"]) for request in requests], np.int64)
    return pa.RecordBatch.from_pylist(requests, STREAMS[0].schema), times


def bits(found: Vectors) -> tuple[Any, ...]:
    return found.dense.view(np.uint64).tolist(), found.ids.tolist(), found.reasons.tolist()


def arrays_in(thing: Any, seen: set[int]) -> list[bytes]:
    """Return the bytes of every array that can be reached from an object."""
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | type | None):
        return []
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return [thing.tobytes() if thing.dtype != object else repr(thing.tolist()).encode()]
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, list | tuple):
        parts = list(thing)
    else:
        parts = [getattr(thing, name) for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)]
        parts += list(getattr(thing, "__dict__", {}).values())
    return [found for part in parts for found in arrays_in(part, seen)]


REQUESTS: list[dict[str, Any]] = [
    {"swipe": "q0", "card": "a", "shop": "x", "amount": 70.0, "at": None},
    {"swipe": "q1", "card": "b", "shop": "never", "amount": None, "at": None},
    {"swipe": "q2", "card": None, "shop": "y", "amount": 3.0, "at": None},
    {"swipe": "q3", "card": "stranger", "shop": "x", "amount": 3.0, "at": None},
    {"swipe": "q4", "card": "a", "shop": "y", "amount": 60.0, "at": None},
]


@pytest.mark.parametrize("seed", range(6))
def test_a_request_that_is_looked_up_gets_what_it_would_get_if_it_came_next(seed: int) -> None:
    entries = drawn(seed, 120)
    newest_us = max(instant_us(record["at"]) for _, record in entries)
    engine = engine_after(entries)
    requests = [
        {**request, "at": when(newest_us + minutes * MINUTE_US)}
        for request in REQUESTS
        for minutes in (-130, -15, 0, 1, 90, 3000)
    ]
    found = engine.look_up(*table(requests))
    kept, meta = engine.snapshot()
    for place, request in enumerate(requests):
        again = Engine(vector, bad, STREAMS, SOURCES)
        again.restore(kept, meta)
        came = again.run(batch_of([(0, request)], first=len(entries)))
        one = Vectors(
            came.row,
            found.dense[place : place + 1],
            found.ids[place : place + 1],
            found.reasons[place : place + 1],
            came.labels,
            came.asked,
        )
        assert bits(one) == bits(came), request


def test_a_look_up_changes_no_byte_of_state() -> None:
    engine = engine_after(drawn(7, 150))
    requests = [{**request, "at": when(START_US + 10**10)} for request in REQUESTS]
    first = engine.look_up(*table(requests))
    before = arrays_in(engine, set())
    second = engine.look_up(*table(requests))
    assert arrays_in(engine, set()) == before
    assert bits(first) == bits(second)


def test_a_look_up_on_an_engine_that_has_seen_nothing_says_that_there_is_no_key() -> None:
    engine = Engine(vector, bad, STREAMS, SOURCES)
    before = arrays_in(engine, set())
    found = engine.look_up(*table([{**REQUESTS[0], "at": when(START_US)}]))
    blocks = vector.blocks()
    assert found.reasons[0, blocks.dense.index("card_count_1h")] == reasons.NO_KEY
    assert found.dense[0, blocks.dense.index("own_all")] == 1.0
    assert arrays_in(engine, set()) == before


def test_a_field_that_is_not_given_is_a_missing_input() -> None:
    engine = engine_after(drawn(1, 50))
    names = STREAMS[0].schema.names
    requests = [{**dict.fromkeys(names), "card": "a", "at": when(START_US + 10**10)}]
    found = engine.look_up(*table(requests))
    blocks = vector.blocks()
    order = (*blocks.dense, *blocks.categories)
    assert found.reasons[0, order.index("at_shop")] == reasons.MISSING_INPUT
    assert found.reasons[0, order.index("shop")] == reasons.MISSING_INPUT
    assert found.ids[0, blocks.categories.index("shop")] == 0
    assert found.reasons[0, order.index("card_count_1h")] != reasons.MISSING_INPUT
