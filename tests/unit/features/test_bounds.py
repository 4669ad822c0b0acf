"""Bounds as they are declared: what they come to, what is refused, and an engine that keeps them however it is cut."""

from typing import Any

import numpy as np
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression
from headrace.features.bounds import KEY_BYTES
from headrace.features.engine import Engine
from headrace.features.state_size import StateSize
from tests.unit.features.test_look_up import SOURCES, START_US, STREAMS, Swipe, batch_of, drawn, swipes, when

amount = hr.fill(Swipe.amount, 0.0)
few = swipes.by(Swipe.card, max_keys=2)
vector = swipes.vector(
    "bounded",
    few.count("3h"),
    few.sum(amount, hr.FOREVER),
    own=few.count("3h", include_current=True),
    newest=swipes.by(Swipe.shop, Swipe.card, max_keys=3).mean(amount, hr.LastN(2), default=-1.0),
    two=swipes.by(Swipe.card, max_events_per_key=2).sum(amount, "1d"),
    young=swipes.by(Swipe.card, ttl="1h").sum(amount, "1d"),
    tiled=swipes.by(Swipe.card, max_keys=2).count("3h", resolution="30min"),
)


def engine_of(features: Any = vector) -> Engine:
    return Engine(features, None, STREAMS, SOURCES)


def size_of(feature: Expression) -> StateSize:
    (size,) = engine_of(swipes.vector("v", feature)).sizes.values()
    return size


def as_bytes(engine: Engine) -> tuple[dict[str, bytes], dict[str, Any]]:
    arrays, meta = engine.snapshot()
    return {name: array.tobytes() for name, array in arrays.items()}, meta


@pytest.mark.parametrize("seed", range(4))
def test_an_engine_evicts_alike_however_the_log_is_cut(seed: int) -> None:
    entries = drawn(seed, 160)
    whole = engine_of()
    expected = whole.run(batch_of(entries))
    assert (expected.reasons == reasons.TRUNCATED).any()
    assert {state["evicted"] > 0 for state in whole.state.values()} == {True, False}
    for size in (1, 7, 50):
        engine = engine_of()
        parts = [engine.run(batch_of(entries[at : at + size], at)) for at in range(0, len(entries), size)]
        assert np.concatenate([part.dense for part in parts]).tobytes() == expected.dense.tobytes()
        assert np.concatenate([part.reasons for part in parts]).tobytes() == expected.reasons.tobytes()
        assert as_bytes(engine) == as_bytes(whole)


def test_a_restored_engine_evicts_as_if_nothing_had_happened() -> None:
    entries = drawn(7, 160)
    first, second = engine_of(), engine_of()
    first.run(batch_of(entries[:80]))
    second.restore(*first.snapshot())
    one, other = (engine.run(batch_of(entries[80:], 80)) for engine in (first, second))
    assert one.dense.tobytes() == other.dense.tobytes()
    assert one.reasons.tobytes() == other.reasons.tobytes()
    assert as_bytes(first) == as_bytes(second)


@pytest.mark.parametrize("seed", range(3))
def test_a_look_up_tells_of_an_eviction_what_the_next_request_would_be_told(seed: int) -> None:
    entries = [entry for entry in drawn(seed, 100) if entry[0] == 0]
    engine = engine_of()
    engine.run(batch_of(entries[:-1]))
    before = as_bytes(engine)
    asked = batch_of(entries[-1:], len(entries) - 1)
    told = engine.look_up(asked.payloads[0], asked.event_time)
    assert as_bytes(engine) == before
    found = engine.run(asked)
    assert told.dense.tobytes() == found.dense.tobytes()
    assert told.reasons.tobytes() == found.reasons.tobytes()


def test_counters_say_what_was_evicted_and_what_that_cut() -> None:
    engine = engine_of(swipes.vector("v", n=few.count("3h")))
    times = [START_US + minute * 60_000_000 for minute in range(5)]
    records = [
        {"swipe": str(number), "card": card, "shop": "x", "amount": 1.0, "at": when(time)}
        for number, (card, time) in enumerate(zip("abcab", times, strict=True))
    ]
    engine.run(batch_of([(0, record) for record in records]))
    #  a b; c evicts a; a evicts b and lacks its row; b evicts c and lacks its row
    assert list(engine.state.values()) == [{"rows": 2, "keys": 2, "evicted": 3, "truncated": 2}]


def test_a_forgotten_key_makes_room() -> None:
    engine = engine_of(swipes.vector("v", n=few.count("3h")))
    records = [
        {"swipe": str(number), "card": card, "shop": "x", "amount": 1.0, "at": when(START_US + number)}
        for number, card in enumerate("abcb")
    ]
    engine.run(batch_of([(0, record) for record in records[:2]]))
    engine.forget("swipes", {"card": "a"})
    found = engine.run(batch_of([(0, record) for record in records[2:]], 2))
    assert found.dense[:, 0].tolist() == [0.0, 1.0]
    assert next(iter(engine.state.values()))["evicted"] == 0


def test_a_budget_of_bytes_becomes_rows_of_a_key_or_keys() -> None:
    by_rows = size_of(swipes.by(Swipe.card, max_keys=1000, max_bytes="1MB").sum(amount, "7d"))
    assert by_rows.keys == 1000
    assert by_rows.rows is not None
    assert by_rows.most_bytes is not None
    assert 500_000 < by_rows.most_bytes <= 1_000_000
    by_keys = size_of(swipes.by(Swipe.card, max_events_per_key=10, max_bytes=1_000_000).sum(amount, "7d"))
    assert by_keys.rows == 10
    assert by_keys.most_bytes is not None
    assert 900_000 < by_keys.most_bytes <= 1_000_000
    assert by_keys.keys == 1_000_000 // (KEY_BYTES + int(16 * by_keys.row_bytes))
    wide = swipes.by(Swipe.card, max_keys=1000, max_bytes="1MB")
    more = {f"n{number}": wide.sum(amount * float(number), "7d") for number in range(4)}
    (size,) = engine_of(swipes.vector("v", **more)).sizes.values()
    assert size.rows is not None
    assert size.rows < by_rows.rows


def test_what_is_bounded_and_what_grows_is_said() -> None:
    assert size_of(swipes.by(Swipe.card).count(hr.FOREVER)).grows
    assert not size_of(swipes.by(Swipe.card, ttl="30d").count(hr.FOREVER)).grows
    assert not size_of(swipes.by(Swipe.card, max_events_per_key=50).count(hr.FOREVER)).grows
    assert not size_of(swipes.by(Swipe.card).mean(amount, hr.LastN(20), default=0.0)).grows
    assert not size_of(swipes.by(Swipe.card).count("30d")).grows


def test_bounds_are_a_part_of_the_definition() -> None:
    def text(**bounds: Any) -> str:
        return swipes.by(Swipe.card, **bounds).count("1h").canonical

    assert "max_keys=1000000)" in text()
    assert "max_keys=9, max_events_per_key=5, ttl='1d', max_bytes=2000000)" in text(
        max_keys=9, max_events_per_key=5, ttl="24h", max_bytes="2MB"
    )
    assert text(max_bytes="1GiB", max_keys=10) == text(max_bytes=1 << 30, max_keys=10)


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({"max_keys": 0}, r"max_keys: wanted a whole number, at least 1, got 0"),
        ({"max_keys": True}, r"max_keys: wanted a whole number"),
        ({"max_events_per_key": 0}, r"max_events_per_key: wanted a whole number, at least 1, got 0"),
        ({"ttl": "0s"}, r"ttl: wanted a duration longer than nothing"),
        ({"ttl": 3600}, r"ttl: wanted a duration such as"),
        ({"max_bytes": "a lot"}, r"max_bytes: wanted a number of bytes, such as"),
        ({"max_bytes": "5XB"}, r"max_bytes: wanted a number of bytes"),
        ({"max_bytes": 0}, r"max_bytes: wanted a number of bytes"),
        ({"max_bytes": "1MB"}, r"max_bytes: wanted at least 120000000 for 1000000 keys"),
    ],
)
def test_what_is_no_bound_is_refused_where_it_is_written(bounds: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"swipes\.by {wanted}"):
        swipes.by(Swipe.card, **bounds)


def test_a_budget_that_holds_no_row_is_refused_with_what_it_would_take() -> None:
    tight = swipes.by(Swipe.card, max_keys=1000, max_bytes=130_000).sum(amount, "7d")
    with pytest.raises(ConfigError, match=r"max_bytes: wanted at least \d+ for 1000 keys"):
        size_of(tight)
    one = swipes.by(Swipe.card, max_events_per_key=1000, max_bytes=5_000).sum(amount, "7d")
    with pytest.raises(ConfigError, match=r"max_bytes: wanted at least \d+, for one key of 1000 rows"):
        size_of(one)
