"""Windows as the user writes them: what is refused, how they are named, and what a closed one gives."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

import headrace as hr
from headrace.core.errors import ConfigError


class Payment(hr.Event):
    payment: str
    card: str
    country: str | None
    amount: float
    at: datetime
    came: datetime


class Shop(hr.Event):
    card: str
    risk: str
    at: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment, arrived=Payment.came, disorder="10min")
shops = hr.source("shops", Shop, time=Shop.at)
card = payments.by(Payment.card)
START = datetime(2026, 3, 28, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(seed: int, count: int = 300, minutes: tuple[int, ...] = (0, 1, 5, 47)) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    made = []
    came = START
    for number in range(count):
        came += timedelta(minutes=draw.choice(minutes), seconds=draw.choice([0, 7]))
        at = came - timedelta(minutes=draw.choice([0, 0, 3, 40, 95]))
        made.append(
            {
                "payment": f"p{number}",
                "card": draw.choice("aab"),
                "country": draw.choice(["DE", "FR", "", None]),
                "amount": float(draw.randrange(1, 9)),
                "at": at,
                "came": came,
            }
        )
    return made


def compute(vector: Any, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = vector.compute(payments=pa.Table.from_pylist(made)).to_pylist()
    return found


def closed(made: list[dict[str, Any]], number: int, size: timedelta, end: Any) -> tuple[float, bool, bool]:
    """Return the sum over the window that `end` finds, whether it holds a row, whether one came when it was closed."""
    newest = [max(row["at"] for row in made[: place + 1]) - timedelta(minutes=10) for place in range(number + 1)]
    until = end(min(made[number]["at"], newest[number]))
    inside = [
        place
        for place in range(number)
        if made[place]["card"] == made[number]["card"] and until - size <= made[place]["at"] < until
    ]
    return sum(made[place]["amount"] for place in inside), bool(inside), any(newest[n] >= until for n in inside)


@pytest.mark.parametrize("seed", range(4))
def test_a_closed_window_is_the_last_that_the_watermark_has_passed_and_says_if_it_was_corrected(seed: int) -> None:
    made = rows(seed)
    vector = payments.vector(
        "v",
        hop=card.sum(Payment.amount, hr.Hopping("1h", every="20min")),
        tumble=card.sum(Payment.amount, hr.Tumbling("30min")),
    )
    answers = compute(vector, made)
    marks = set()
    for name, size, every in (("hop", 60, 20), ("tumble", 30, 30)):
        step = timedelta(minutes=every)

        def end(moment: datetime, step: timedelta = step) -> datetime:
            return EPOCH + (moment - EPOCH) // step * step

        for number, answer in enumerate(answers):
            reason = answer[f"_reason_{name}"]
            marks.add(reason)
            if reason == "truncated":  # The request came so late that its window was no longer kept.
                assert made[number]["came"] - made[number]["at"] > timedelta(minutes=15)
                continue
            total, holds, late = closed(made, number, timedelta(minutes=size), end)
            assert answer[name] == total
            assert (reason == "corrected") == (holds and late)
    assert {"ok", "corrected", "expired"} <= marks


def test_days_begin_at_local_midnight_also_when_the_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    made = rows(1, minutes=(30, 61, 200))
    vector = payments.vector("v", day=card.count(hr.Tumbling("1d", tz="Europe/Berlin")))
    for number, answer in enumerate(compute(vector, made)):
        newest = max(row["at"] for row in made[: number + 1]) - timedelta(minutes=10)
        local = min(made[number]["at"], newest).astimezone(zone)
        until = local.replace(hour=0, minute=0, second=0, microsecond=0)
        since = (until - timedelta(hours=3)).replace(hour=0)
        inside = [
            row
            for row in made[:number]
            if row["card"] == made[number]["card"] and since.astimezone(UTC) <= row["at"] < until.astimezone(UTC)
        ]
        assert answer["day"] == len(inside)


def test_texts_of_a_table_are_read_as_of_the_request() -> None:
    shop = shops.by(Shop.card)
    vector = payments.vector(
        "v",
        low=shop.last(Shop.risk, hr.FOREVER, default="mid") == "low",
        unknown=hr.is_missing(shop.last(Shop.risk, hr.FOREVER)),
        hashed=hr.category(shop.last(Shop.risk, hr.FOREVER, default="mid"), bits=8),
        country=hr.category(card.last(Payment.country, "3h"), bits=8),
    )
    made = rows(2)
    risks = ["low", "high", "", "low"]
    told = [
        {"card": "a", "risk": risk, "at": START + timedelta(hours=4 * number)} for number, risk in enumerate(risks, 1)
    ]
    tables = {"payments": pa.Table.from_pylist(made), "shops": pa.Table.from_pylist(told)}
    ids: dict[Any, set[int]] = {}
    for number, answer in enumerate(vector.compute(**tables).to_pylist()):
        request = made[number]
        known = [
            entry["risk"]
            for entry in told
            if request["card"] == "a" and entry["at"] < request["at"] and entry["at"] <= request["came"]
        ]
        assert answer["unknown"] == (not known)
        assert answer["low"] == (known[-1:] == ["low"])
        ids.setdefault(known[-1] if known else "mid", set()).add(answer["hashed"])
    assert len(ids) == 4
    assert all(len(found) == 1 for found in ids.values())


def test_windows_are_named_by_what_they_are() -> None:
    vector = payments.vector(
        "v",
        card.count(hr.Hopping("1h", every="5min")),
        card.count(hr.Tumbling("1d")),
        card.count(hr.Session("30min")),
        card.count(hr.LastN(20, within="7d")),
        card.max(Payment.amount, hr.LastN(5), default=None),
        card.sum(Payment.amount, hr.FOREVER),
        card.count("24h", offset="7d"),
    )
    assert list(vector.features) == [
        "card_count_1h_every_5min",
        "card_count_tumbling_1d",
        "card_count_session_30min",
        "card_count_last_20_within_7d",
        "card_max_amount_last_5",
        "card_sum_amount_forever",
        "card_count_24h_before_7d",
    ]


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: hr.Hopping("1h", every="0s"), "longer than nothing"),
        (lambda: hr.Tumbling("5h", tz="Europe/Berlin"), "whole days"),
        (lambda: hr.Tumbling("1d", tz="Europe/Berlim"), "a time zone"),
        (lambda: hr.Session("30min", longest="10min"), "at least the gap"),
        (lambda: hr.LastN(0), "at least 1"),
        (lambda: hr.LastN(5, within="7"), "a duration such as"),
        (lambda: hr.Decay("0h"), "longer than nothing"),
        (lambda: card.count("1hr"), "a duration such as"),
        (lambda: card.count(60), "a duration such as"),
        (lambda: card.max(Payment.amount, hr.Decay("1h"), default=0.0), "without weights"),
        (lambda: card.rate(hr.FOREVER), "fixed length"),
        (lambda: card.count(hr.Tumbling("1h"), include_current=True), "closed"),
        (lambda: card.mean(Payment.country, "1h", default=0.0), "a number"),
        (lambda: card.last(Payment.country, "1h", default=1.0), "a text"),
    ],
)
def test_what_is_no_window_is_refused_where_it_is_written(make: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        make()
