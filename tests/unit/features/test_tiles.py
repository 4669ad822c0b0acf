"""`resolution=`: the tiles that a window holds are those that begin in it; each counts for all of its records."""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numba
import pyarrow as pa
import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.features.engine import Engine


class Payment(hr.Event):
    payment: str
    card: str
    amount: float
    at: datetime
    came: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment, arrived=Payment.came, disorder="2h")
card = payments.by(Payment.card)
MINUTE = timedelta(minutes=1)
TILE = timedelta(minutes=10)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
vector = payments.vector(
    "v",
    n=card.count("1h", resolution="10min"),
    rate=card.rate("1h", resolution="10min"),
    total=card.sum(Payment.amount, "1h", resolution="10min"),
    usual=card.mean(Payment.amount, "3h", default=-1.0, resolution="10min"),
    drawn=card.mean(Payment.amount, "1h", default=2.0, prior=3, resolution="10min"),
    least=card.min(Payment.amount, "1h", default=None, resolution="10min"),
    spread=card.range(Payment.amount, "3h", default=None, resolution="10min"),
    before=card.max(Payment.amount, "1h", default=None, offset="1h", resolution="10min"),
    own=card.sum(Payment.amount, "1h", include_current=True, resolution="10min"),
    ever=card.count(hr.FOREVER, resolution="10min"),
)


def rows(seed: int, count: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    came = datetime(2026, 1, 1, tzinfo=UTC)
    made = []
    for number in range(count):
        came += draw.choice([timedelta(0), timedelta(seconds=20), 4 * MINUTE, 31 * MINUTE])
        at = came - draw.choice([0, 0, 0, 3, 50, 100]) * MINUTE
        amount = draw.choice([0.1, 19.99, -2.5, 7.0])
        made.append({"payment": f"p{number}", "card": draw.choice("aab"), "amount": amount, "at": at, "came": came})
    return made


def held(made: list[dict[str, Any]], number: int, *, hours: int, offset: int = 0, own: bool = False) -> list[float]:
    request = made[number]
    end = request["at"] - offset * 60 * MINUTE
    last = number + 1 if own else number
    return [
        row["amount"]
        for row in made[:last]
        if row["card"] == request["card"]
        and (tile := EPOCH + (row["at"] - EPOCH) // TILE * TILE) >= end - hours * 60 * MINUTE
        and (tile < end or (own and tile == end))
    ]


def exact(values: list[float]) -> float:
    return float(sum((Fraction(value) for value in values), Fraction(0)))


@pytest.mark.parametrize("seed", range(4 if not numba.config.DISABLE_JIT else 1))
def test_a_window_holds_the_tiles_that_begin_in_it(seed: int) -> None:
    made = rows(seed, 400)
    for number, answer in enumerate(vector.compute(payments=pa.Table.from_pylist(made)).to_pylist()):
        hour, three = held(made, number, hours=1), held(made, number, hours=3)
        before, own = held(made, number, hours=1, offset=1), held(made, number, hours=1, own=True)
        assert answer["n"] == len(hour)
        assert answer["rate"] == len(hour) / 3600
        assert answer["total"] == exact(hour)
        assert answer["usual"] == (exact(three) / len(three) if three else -1.0)
        assert answer["drawn"] == (exact(hour) + 6.0) / (len(hour) + 3)
        assert answer["least"] == (min(hour) if hour else None)
        assert answer["spread"] == (max(three) - min(three) if three else None)
        assert answer["before"] == (max(before) if before else None)
        assert answer["own"] == exact(own)
        assert answer["ever"] == len(held(made, number, hours=10_000))


def test_a_stream_cut_and_restored_anywhere_gives_the_same() -> None:
    made = rows(9, 150)
    whole = vector.compute(payments=pa.Table.from_pylist(made))
    from headrace.features import tables  # noqa: PLC0415

    sources = [stream.settings for stream in vector.streams()]
    batch = tables._merged(sources, {"payments": pa.Table.from_pylist(made)})  # noqa: SLF001
    streams = [tables.StreamSchema(source.name, tables.Kind.EVENT, source.schema.arrow) for source in sources]
    engine, found = Engine(vector, None, streams, sources), []
    for start in range(0, len(batch), 13):
        found.append((start, engine.run(batch.slice(start, min(start + 13, len(batch))))))
        arrays, meta = engine.snapshot()
        engine = Engine(vector, None, streams, sources)
        engine.restore(arrays, meta)
    assert tables._table(vector, batch, found).equals(whole)  # noqa: SLF001


def test_a_sum_over_what_is_off_the_grid_is_its_default_and_says_so() -> None:
    made = rows(3, 3)
    for row, amount in zip(made, [2.0**41, 1.0, 1.0], strict=True):
        start = datetime(2026, 1, 1, tzinfo=UTC)
        row |= {"card": "a", "amount": amount, "at": start, "came": start}
    made[-1]["at"] = made[-1]["came"] = made[0]["at"] + 30 * MINUTE
    answer = vector.compute(payments=pa.Table.from_pylist(made)).to_pylist()[-1]
    assert (answer["total"], answer["_reason_total"], answer["n"]) == (0.0, "missing_input", 2.0)


def test_a_resolution_says_how_far_its_edges_may_be_off() -> None:
    (read,) = payments.vector("v", n=card.count("24h", resolution="1min")).aggregates()
    assert read.edge_error == 1 / 1440
    assert "resolution='1min'" in read.canonical
    for window, resolution in (("1h", "31min"), ("1h", "0s"), (hr.LastN(3), "1min"), (hr.Session("1min"), "1s")):
        with pytest.raises(ConfigError, match="resolution"):
            card.count(window, resolution=resolution)
