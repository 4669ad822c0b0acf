"""Laws of the engine: what a request sees is what stood before it, and nothing else in the world changes it."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression


class Payment(hr.Event):
    payment: str
    card: str | None
    amount: float
    at: datetime
    came: datetime


class Note(hr.Event):
    payment: str
    bad: bool
    at: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment, arrived=Payment.came, disorder="1h")
notes = hr.source("notes", Note, time=Note.at)
bad = payments.label(notes, Note.bad, on="payment", within="2d", otherwise=hr.DROP)
card = payments.by(Payment.card)
vector = payments.vector(
    "v",
    Payment.amount,
    card.count("1h"),
    card.sum(Payment.amount, "1h"),
    card.mean(Payment.amount, "1h", default=-1.0),
    card.max(Payment.amount, "1h", default=None),
    bad.by(Payment.card).mean(bad.value, "1d", default=0.5, prior=2),
    own=card.count("1h", include_current=True),
    large=payments.where(hr.fill(Payment.amount, 0.0) > 50).by(Payment.card).count("1h"),
    before=card.count("1h", offset="1h"),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = list(vector.features)


def rows(seed: int, count: int = 250, *, late: bool = True) -> list[dict[str, object]]:
    draw = random.Random(seed)
    made = []
    came = START
    for number in range(count):
        came += timedelta(minutes=draw.choice([0, 1, 5]))
        at = came - timedelta(minutes=draw.choice([0, 0, 3, 40]) if late else 0)
        key = draw.choice(["a", "b", "c", None])
        made.append(
            {"payment": f"p{number}", "card": key, "amount": draw.choice([1.5, 20.0, 99.0]), "at": at, "came": came}
        )
    return made


def answers(payments_made: list[dict[str, object]], seed: int) -> list[dict[str, object]]:
    draw = random.Random(seed)
    found = [
        {
            "payment": row["payment"],
            "bad": draw.random() < 0.3,
            "at": row["came"] + timedelta(minutes=draw.randrange(200)),
        }  # type: ignore[operator]
        for row in payments_made
        if draw.random() < 0.8
    ]
    return sorted(found, key=lambda row: str(row["at"]))


def compute(
    made: list[dict[str, object]], noted: list[dict[str, object]], truth: str = "served"
) -> list[dict[str, object]]:
    tables = {"payments": pa.Table.from_pylist(made), "notes": pa.Table.from_pylist(noted)}
    rows_found: list[dict[str, object]] = vector.compute(truth=truth, **tables).to_pylist()  # type: ignore[arg-type]
    return rows_found


def by_definition(made: list[dict[str, object]], place: int, truth: str) -> dict[str, float | None]:
    own = made[place]
    seen = made[: place + 1] if truth == "served" else made
    hour = timedelta(hours=1)

    def inside(since: timedelta, until: timedelta, *, current: bool = False) -> list[float]:
        at = own["at"]
        return [
            row["amount"]  # type: ignore[misc]
            for row in seen
            if row["card"] == own["card"] is not None
            and at - since <= row["at"]  # type: ignore[operator]
            and (row["at"] < at - until or (current and row["at"] == at and made.index(row) <= place))  # type: ignore[operator]
        ]

    values = inside(hour, timedelta(0))
    return {
        "card_count_1h": float(len(values)),
        "card_sum_amount_1h": sum(values, 0.0),
        "card_mean_amount_1h": sum(values) / len(values) if values else -1.0,
        "card_max_amount_1h": max(values, default=None),
        "own": float(len(inside(hour, timedelta(0), current=True))),
        "large": float(sum(value > 50 for value in values)),
        "before": float(len(inside(2 * hour, hour))),
    }


@pytest.mark.parametrize("truth", ["served", "complete"])
@pytest.mark.parametrize("seed", range(3))
def test_vectors_follow_the_definition_in_both_truths(truth: str, seed: int) -> None:
    made = rows(seed)
    found = compute(made, answers(made, seed), truth)
    for place in range(len(made)):
        expected = by_definition(made, place, truth)
        assert {name: found[place][name] for name in expected} == expected, place


def test_the_two_truths_differ_only_where_something_came_late() -> None:
    made = rows(1, late=False)
    assert compute(made, answers(made, 1)) == compute(made, answers(made, 1), "complete")
    late = rows(1)
    assert compute(late, answers(late, 1)) != compute(late, answers(late, 1), "complete")


def test_whatever_comes_after_a_request_changes_nothing_of_it() -> None:
    made = rows(2)
    noted = answers(made, 2)
    place = 120
    before = compute(made, noted)[:place]
    garbage = [{**row, "amount": 1e9, "card": "a"} for row in made[place:]]
    later = [row for row in noted if row["at"] <= made[place - 1]["came"]]  # type: ignore[operator]
    assert compute([*made[:place], *garbage], later)[:place] == before


def test_another_key_changes_nothing() -> None:
    made = rows(3)
    noted = answers(made, 3)
    mine = [place for place, row in enumerate(made) if row["card"] == "a"]
    whole = compute(made, noted)
    others = [row if row["card"] == "a" else {**row, "card": "z", "amount": 7.0} for row in made]
    assert [compute(others, noted)[place] for place in mine] == [whole[place] for place in mine]


def test_an_event_never_counts_in_its_own_feature_and_the_first_has_no_key() -> None:
    #  min  0    10        at 10, a knows 1.5: not its own 99, not b's 20
    #  a    1.5  99
    #  b         20
    made = [
        {
            "payment": "p",
            "card": key,
            "amount": amount,
            "at": START + timedelta(minutes=minute),
            "came": START + timedelta(minutes=minute),
        }
        for key, amount, minute in (("a", 1.5, 0), ("b", 20.0, 10), ("a", 99.0, 10))
    ]
    made = [{**row, "payment": f"p{number}"} for number, row in enumerate(made)]
    found = compute(made, [{"payment": "p0", "bad": True, "at": START + timedelta(days=1)}])
    assert [row["card_sum_amount_1h"] for row in found] == [0.0, 0.0, 1.5]
    assert [row["_reason_card_sum_amount_1h"] for row in found] == ["no_key", "no_key", "ok"]
    assert [row["own"] for row in found] == [1.0, 1.0, 2.0]


def test_a_missing_key_reads_as_missing_input() -> None:
    made = [row for row in rows(4) if row["card"] is None][:3]
    found = compute(made, answers(made, 4))
    assert {row["_reason_card_count_1h"] for row in found} == {"missing_input"}
    assert {row["card_count_1h"] for row in found} == {0.0}


def test_a_table_that_does_not_fit_is_refused_with_the_column() -> None:
    made = rows(5, 5)
    noted = answers(made, 5)
    with pytest.raises(ConfigError, match="did you mean 'payments'"):
        vector.compute(paymens=pa.Table.from_pylist(made), notes=pa.Table.from_pylist(noted))
    with pytest.raises(ConfigError, match="column 'amount': wanted a value in every row"):
        compute([{**made[0], "amount": None}], noted)
    with pytest.raises(ConfigError, match="anything with __arrow_c_stream__"):
        vector.compute(payments=[1, 2], notes=pa.Table.from_pylist(noted))


def test_a_key_beyond_max_keys_takes_the_place_of_the_one_written_longest_ago() -> None:
    few = payments.vector("few", n=payments.by(Payment.card, max_keys=1).count("1h"))
    assert isinstance(few.features["n"], Expression)
    made = [{**row, "card": row["card"] or "a"} for row in rows(6, 60, late=False)]
    found = few.compute(payments=pa.Table.from_pylist(made)).to_pylist()
    for place, row in enumerate(found):
        since = made[place]["at"] - timedelta(hours=1)  # type: ignore[operator]
        run = place
        while run > 0 and made[run - 1]["card"] == made[place]["card"]:
            run -= 1  # Only what came since another card did is still there.
        assert row["n"] == sum(since <= made[other]["at"] < made[place]["at"] for other in range(run, place))  # type: ignore[operator]
        lost = [other for other in made[:run] if other["card"] == made[place]["card"] and other["at"] >= since]  # type: ignore[operator]
        assert row["_reason_n"] == "truncated" or not lost
    assert {row["_reason_n"] for row in found} >= {"ok", "truncated"}
