"""Categories as the user writes them: how they are named, and texts from a history all the way into a vector."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.features.texts import Texts
from headrace.features.windows import FOREVER, LastN, Session
from tests.oracle import categories as oracle
from tests.unit.features.columns.streams import COMPILED


class Payment(hr.Event):
    payment: str
    card: str
    country: str | None
    kind: Literal["buy", "refund", "cash out"]
    amount: float
    at: datetime
    came: datetime


payments: Any = hr.source(
    "payments", Payment, time=Payment.at, id=Payment.payment, arrived=Payment.came, disorder="10min"
)
card: Any = payments.by(Payment.card)
START = datetime(2026, 3, 28, tzinfo=UTC)
LONG = "x" * 10_000


def rows(seed: int, count: int = 250) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    now, made = START, []
    for number in range(count):
        now += timedelta(minutes=draw.choice([0, 1, 5, 47]))
        made.append(
            {
                "payment": f"p{number}",
                "card": draw.choice("aab"),
                "country": draw.choice(["DE", "DE", "FR", "", None, LONG, "Ελλάδα"]),
                "kind": draw.choice(["buy", "buy", "refund", "cash out"]),
                "amount": float(draw.randrange(1, 9)),
                "at": now - timedelta(minutes=draw.choice([0, 0, 0, 3, 9])),
                "came": now,
            }
        )
    return made


def compute(vector: Any, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("payment", "card", "country", "kind")),
            ("amount", pa.float64()),
            *((name, pa.timestamp("us", tz="UTC")) for name in ("at", "came")),
        ]
    )
    found: list[dict[str, Any]] = vector.compute(payments=pa.Table.from_pylist(made, schema)).to_pylist()
    return found


def before(made: list[dict[str, Any]], number: int, hours: int = 24) -> list[dict[str, Any]]:
    """Return the records in the window of a request, oldest first, as they had come by then."""
    at = made[number]["at"]
    since = at - timedelta(hours=hours)
    mine = [row for row in made[:number] if row["card"] == made[number]["card"] and since <= row["at"] < at]
    return sorted(mine, key=lambda row: row["at"])


def countries(made: list[dict[str, Any]], number: int) -> list[str]:
    return [row["country"] for row in before(made, number) if row["country"] is not None]


@pytest.mark.parametrize("seed", [1, 2])
def test_texts_go_through_a_history_into_categories_crosses_and_time_zones(seed: int) -> None:
    made = rows(seed)
    zone = hr.when(card.last(Payment.country, "1d", default="FR") == "DE", "Asia/Tokyo", "America/Lima")
    vector = payments.vector(
        "v",
        card.top(Payment.country, "24h", k=2, bits=20),
        latest=hr.category(card.last(Payment.country, "24h", default=None), bits=20),
        filled=hr.category(card.first(Payment.country, "24h", default="nowhere"), bits=20),
        pair=hr.cross(card.last(Payment.country, "24h", default="nowhere"), Payment.kind, bits=20),
        hour=hr.hour(Payment.at, tz=zone),
        largest=hr.category(card.argmax(Payment.country, Payment.amount, "24h", default=None), bits=20),
    )
    texts = payments.vector("t", hr.category(Payment.country, bits=20))
    ids = {row["country"]: found["country"] for row, found in zip(made, compute(texts, made), strict=True)}
    assert ids[None] == 0
    # What the same expressions give of a text that is a field of the request.
    nowhere = [{**made[0], "country": "nowhere"}]
    ids["nowhere"] = compute(texts, nowhere)[0]["country"]
    crossed = payments.vector("c", pair=hr.cross(hr.fill(Payment.country, "nowhere"), Payment.kind, bits=20))
    for number, found in enumerate(compute(vector, made)):
        known = countries(made, number)
        ranked = [text for text, _ in ranked_texts(known)] + [None, None]
        assert [found["card_top_country_24h_1"], found["card_top_country_24h_2"]] == [ids[text] for text in ranked[:2]]
        assert found["latest"] == ids[known[-1] if known else None]
        assert found["filled"] == ids[known[0] if known else "nowhere"]
        latest = known[-1] if known else "nowhere"
        if number % 10 == 0:
            assert found["pair"] == compute(crossed, [{**made[number], "country": latest}])[0]["pair"]
        offset = 9 if (known[-1] if known else "FR") == "DE" else -5
        assert found["hour"] == (made[number]["at"] + timedelta(hours=offset)).hour
        with_country = [row for row in before(made, number) if row["country"] is not None]
        best = max(with_country, key=lambda row: (row["amount"], row["at"]), default=None)
        ties = [row for row in with_country if best is not None and row["amount"] == best["amount"]]
        assert found["largest"] == ids[ties[-1]["country"] if ties else None]


def ranked_texts(known: list[str]) -> list[tuple[str, int]]:
    last = {text: place for place, text in enumerate(known)}
    return sorted(Counter(known).items(), key=lambda entry: (-entry[1], -last[entry[0]]))


def test_counts_and_shares_of_texts_follow_the_definition() -> None:
    made = rows(5)
    vector = payments.vector(
        "v",
        card.counts(Payment.kind, "24h"),
        card.counts(Payment.amount, "24h", [1, 2.0]),
        card.last_k(Payment.amount, 3, "24h", default=-1.0),
        different=card.distinct(Payment.country, "24h"),
        bits=card.entropy(Payment.country, "24h"),
        share=card.top_share(Payment.country, "24h", k=2, default=None),
    )
    assert list(vector.features)[:8] == [
        "card_counts_kind_24h_buy",
        "card_counts_kind_24h_refund",
        "card_counts_kind_24h_cash_out",
        "card_counts_amount_24h_1",
        "card_counts_amount_24h_2_0",
        "card_last_amount_24h_1",
        "card_last_amount_24h_2",
        "card_last_amount_24h_3",
    ]
    for number, found in enumerate(compute(vector, made)):
        window = before(made, number)
        for kind, name in (("buy", "buy"), ("refund", "refund"), ("cash out", "cash_out")):
            assert found[f"card_counts_kind_24h_{name}"] == sum(row["kind"] == kind for row in window)
        assert found["card_counts_amount_24h_2_0"] == sum(row["amount"] == 2.0 for row in window)
        latest = [row["amount"] for row in reversed(window)] + [-1.0] * 3
        assert [found[f"card_last_amount_24h_{place}"] for place in (1, 2, 3)] == latest[:3]
        known = countries(made, number)
        codes = [float(sorted(set(known)).index(text)) for text in known]
        assert found["different"] == len(set(known))
        assert found["bits"] == pytest.approx(oracle.entropy(codes), abs=2.0**-30)
        assert found["share"] == (oracle.top_share(codes, 2) if codes else None)


def test_a_sampled_count_of_texts_does_not_depend_on_their_numbers() -> None:
    # The same records after others of another key, whose texts take the first numbers.
    made = rows(7, 60)
    for number, row in enumerate(made):
        row["country"] = f"c{number % 23}"
    others = [{**made[0], "payment": f"o{number}", "card": "z", "country": f"c{50 - number}"} for number in range(50)]
    vector = payments.vector("v", n=card.distinct(Payment.country, FOREVER, cap=4))
    alone, after = compute(vector, made), compute(vector, [*others, *made])[len(others) :]
    assert [row["n"] for row in alone] == [row["n"] for row in after]
    assert max(row["n"] for row in alone) > 8


def test_texts_that_have_passed_by_are_forgotten() -> None:
    texts, kept, most = Texts(), np.zeros(0), 0
    rounds, size = (200, 5000) if COMPILED else (8, 5000)
    for number in range(rounds):
        codes = texts.codes(pa.array([f"text {number} {place}" for place in range(size)]))
        kept = np.concatenate([kept[-2000:], codes[:500]])
        held = texts.texts(kept[-500:]).to_pylist()
        if texts.crowded:
            texts.collect(kept)
        assert held == texts.texts(kept[-500:]).to_pylist() == [f"text {number} {place}" for place in range(500)]
        most = max(most, len(texts._texts))  # noqa: SLF001 - the law is about what is kept
    assert most <= 1 << 15  # Of a million that passed by.


REFUSED: dict[str, Callable[[], object]] = {
    "at most 100": lambda: card.top(Payment.country, "1h", k=101),
    "at least 1": lambda: card.top(Payment.country, "1h", k=0),
    "a list of values": lambda: card.counts(Payment.country, "1h"),
    "a list of values (": lambda: card.counts(Payment.kind, "1h", "buy"),
    "one of": lambda: card.counts(Payment.kind, "1h", ["bye"]),
    "a suffix of its own": lambda: card.counts(Payment.country, "1h", ["a b", "a-b"]),
    "a number": lambda: card.counts(Payment.at, "1h", [1]),
    "whole number": lambda: card.last_k(Payment.amount, 0, "1h", default=None),
    "from 1 to 28": lambda: card.top(Payment.country, "1h", bits=40),
    "a window without weights": lambda: card.top(Payment.country, hr.Decay("1h")),
}


@pytest.mark.parametrize("wanted", REFUSED)
def test_what_cannot_be_counted_is_refused_where_it_is_written(wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        REFUSED[wanted]()
    assert wanted in str(caught.value)


def test_every_window_will_do() -> None:
    made = rows(9, 120)
    windows = {"newest": LastN(3), "session": Session("30min"), "ever": FOREVER, "day": hr.Tumbling("1d")}
    vector = payments.vector("v", **{name: card.distinct(Payment.country, over) for name, over in windows.items()})
    for number, found in enumerate(compute(vector, made)):
        ever = [row["country"] for row in before(made, number, 10**4) if row["country"] is not None]
        assert found["newest"] == len(set(ever[-3:]))
        assert found["ever"] == len(set(ever))
