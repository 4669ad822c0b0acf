"""Ids of whatever a record says or the past told: numbers, times, texts of aggregates, missing or not."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.events import event_schema
from headrace.features.evaluator import Column, Evaluator
from headrace.testing import drive

START = datetime(2026, 1, 1, tzinfo=UTC)


class Txn(hr.Event):
    txn_id: str
    merchant: str
    amount: float | None
    size: int
    online: bool
    opened: datetime | None
    at: datetime


class Merchant(hr.Event):
    merchant: str
    risk: Literal["low", "mid", "high"]
    tz: str
    at: datetime


txns = hr.source("txns", Txn, time=Txn.at, id=Txn.txn_id)
merchants = hr.source("merchants", Merchant, time=Merchant.at)
shop = merchants.by(Merchant.merchant, equals=Txn.merchant)
risk = shop.last(Merchant.risk, hr.FOREVER, default="mid")
zone = shop.last(Merchant.tz, hr.FOREVER, default="UTC")
amount: Any = Txn.amount


def record(number: int, **more: Any) -> Txn:
    given = {"merchant": "m", "amount": 1.0, "size": 1, "online": True, "opened": START, **more}
    return Txn(txn_id=f"t{number}", at=START + timedelta(hours=number), **given)


def table_of(records: list[Any]) -> pa.Table:
    kind = type(records[0])
    return pa.Table.from_pylist(
        [{name: getattr(one, name) for name in kind.__struct_fields__} for one in records], event_schema(kind).arrow
    )


def ids_of(expression: Any, records: list[Txn]) -> list[float]:
    fields = table_of(records).combine_chunks().to_batches()[0]
    ids: list[float] = Evaluator(fields).column(expression).as_numbers().tolist()
    return ids


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("amount", [0.5, 7.25, None, 0.5, -0.0, 0.0]),
        ("size", [2**53, 2**53 + 1, 3, 2**53, 0, -1]),
        ("online", [True, False, True, False, True, True]),
        ("opened", [START, None, START + timedelta(microseconds=1), START, START, START]),
        ("merchant", ["a", "b", "a", "", "A", "b"]),
    ],
)
def test_equal_values_have_one_id_and_others_others(field: str, values: list[Any]) -> None:
    ids = ids_of(hr.category(getattr(Txn, field), bits=28), [record(n, **{field: v}) for n, v in enumerate(values)])
    for one, id_one in zip(values, ids, strict=True):
        assert (id_one == 0.0) == (one is None)
        for other, id_other in zip(values, ids, strict=True):
            assert (id_one == id_other) == (one == other)


def test_a_category_of_something_computed_is_one_of_its_values() -> None:
    made = hr.category(hr.floor(hr.log1p(hr.abs(amount))), bits=20)
    ids = ids_of(made, [record(n, amount=value) for n, value in enumerate([1.0, 1.1, 9.0, None])])
    assert ids[0] == ids[1] != ids[2]
    assert ids[3] == 0.0


def test_texts_that_an_aggregate_gives_are_texts_as_any() -> None:
    fields = table_of([record(0), record(1), record(2)]).combine_chunks().to_batches()[0]
    made = txns.vector(
        "v",
        risk=hr.category(risk, bits=10),
        both=hr.cross(risk, Txn.merchant, hr.hour(Txn.at, tz=zone), bits=20),
        high=risk == "high",
        some=hr.isin(risk, ["low", "mid"]),
        hour=hr.hour(Txn.at, tz=zone),
        length=hr.length(risk),
        moved=hr.is_missing(shop.last(Merchant.risk, "1h")),
        told=hr.words(zone, bits=8),
    )
    texts = {
        "risk": pa.array(["high", "low", None]),
        "tz": pa.array(["Asia/Tokyo", "UTC", "nowhere"]),
    }
    why = np.array([reasons.OK, reasons.OK, reasons.NO_KEY], np.uint8)
    known = {read.canonical: Column(why, texts=texts[field_of(read)]) for read in made.aggregates()}
    evaluator = Evaluator(fields, known)
    found = {name: evaluator.column(feature) for name, feature in made.features.items() if name != "told"}
    assert found["high"].as_numbers().tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found["high"].as_numbers()[2])
    np.testing.assert_array_equal(found["some"].as_numbers(), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(found["length"].as_numbers(), [4.0, 3.0, np.nan])
    np.testing.assert_array_equal(found["hour"].as_numbers(), [9.0, 1.0, np.nan])
    assert found["moved"].as_numbers().tolist() == [0.0, 0.0, 1.0]
    ids = found["risk"].as_numbers()
    assert ids[0] != ids[1]
    assert ids[2] == 0.0
    assert found["risk"].reason.tolist() == why.tolist()
    assert found["both"].as_numbers()[2] == 0.0
    tokens = evaluator.column(made.features["told"]).tokens
    assert tokens is not None
    assert [len(one) for one in tokens.lists()] == [2, 1, 1]


def field_of(read: Any) -> str:
    name: str = read.column.name
    return name


def test_a_slowly_changing_table_is_read_as_of_the_request_live_and_in_a_notebook() -> None:
    answers = txns.label(merchants, on={"merchant": "merchant"}, within="1h", otherwise=False)
    vector = txns.vector(
        "v",
        hr.category(risk, bits=10),
        hr.is_missing(Txn.amount),
        hr.fill(Txn.amount, 0.0),
        hr.hour(Txn.at, tz=zone),
        size=hr.category(Txn.size, bits=10),
        opened=hr.fill(hr.seconds(Txn.at - Txn.opened), -1.0),  # type: ignore[operator] # values, to a type checker
        shop_x_hour=hr.cross(risk, hr.hour(Txn.at, tz="UTC"), bits=12),
    )
    assert "amount_missing" in vector.features
    told = [
        Merchant(merchant="m", risk="low", tz="Asia/Tokyo", at=START + timedelta(minutes=90)),
        Merchant(merchant="m", risk="high", tz="Mars/Olympus", at=START + timedelta(minutes=210)),
    ]
    asked = [record(n, amount=None if n == 1 else 2.0, opened=None if n == 2 else START) for n in range(5)]
    computed = vector.compute(txns=table_of(asked), merchants=table_of(told))
    hour = next(name for name in vector.features if name.startswith("hour_"))
    assert computed[hour].to_pylist() == [0.0, 1.0, 11.0, 12.0, None]
    assert computed[f"_reason_{hour}"].to_pylist() == ["no_key", "no_key", "ok", "ok", "missing_input"]
    assert computed["opened"].to_pylist() == [0.0, 3600.0, -1.0, 3 * 3600.0, 4 * 3600.0]
    assert computed["amount_missing"].to_pylist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    risks = computed[next(name for name in vector.features if "risk" in name)].to_pylist()
    assert risks[0] == risks[1] != risks[2] == risks[3] != risks[4]
    driven = drive(
        hr.Pipeline("asof", features=vector, label=answers, model=hr.models.Logistic()), start="2026-01-01T00:00Z"
    )
    for number, request in enumerate(asked):
        for one in told:
            if asked[number - 1].at < one.at < request.at and number:
                driven.send(merchants, one)
        driven.send(txns, request)
        driven.advance("1h")
        found = driven.features()
        again = {name: computed[name][number].as_py() for name in found}
        assert {name: None if np.isnan(value) else value for name, value in found.items()} == again
    driven.verify()
