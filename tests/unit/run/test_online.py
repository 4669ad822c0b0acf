"""Features by key: as they stand now, and as of any past time; a look-up writes nothing and tells where it stood."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import ConfigError
from headrace.core.position import START as NOTHING
from headrace.core.records import flat_block
from headrace.core.time import MINUTE_US, instant_us
from headrace.run.clock import VirtualClock
from headrace.run.online import OnlineFeatures, features_at
from headrace.run.orders import forget
from headrace.run.taken import taken_rows
from headrace.testing.sent import Sent, read_records
from headrace.topics.memory import MemoryLog
from tests.flow.generations import NEW, START, Result, Side, end, pay, put

if TYPE_CHECKING:
    from headrace.features.tables import Truth

NAMES = tuple(NEW.features.features)


def late(sent: Sent, number: int, minutes: int, **fields: Any) -> None:
    """Send one payment that arrives `minutes` after it happened."""
    record = pay(number, **fields)
    rows = read_records(sent.sources[0], [record])
    sent.put(0, instant_us(record.at) + minutes * MINUTE_US, rows)


def history(count: int = 40) -> tuple[Side, Sent]:
    """Return a generation that has answered payments, one a minute, some of them late, and answers to them."""
    sent = Sent(NEW.source_settings())
    shipped = [(number + (5 if number % 7 == 3 else 0), number) for number in range(count)]
    for arrives, number in sorted(shipped):
        fields = {"card": "abc"[number % 3], "shop": "st"[number % 2], "amount": float(number)}
        late(sent, number, arrives - number, **fields)
        if number % 4 == 0:
            put(sent, Result(pay_id=f"p{number}", bad=number % 8 == 0, at=START + timedelta(minutes=arrives)))
    side = Side(MemoryLog(), NEW)
    side.run(sent)
    return side, sent


def logged(side: Side) -> dict[str, list[float]]:
    rows = taken_rows(side.deployment.topic("features"))
    dense = flat_block(rows.payloads[0]["dense"], np.float64)
    ids = rows.id.take(pa.array(rows.rows_of(0))).to_pylist()
    return {name: dense[place].tolist() for place, name in enumerate(ids)}


def values(table: pa.Table, row: int) -> list[float]:
    return [table[name][row].as_py() for name in NEW.features.blocks().dense]


def test_what_is_found_now_is_what_the_next_request_gets() -> None:
    side, sent = history()
    online = OnlineFeatures(side.deployment)
    request = {"pay_id": "p50", "card": "a", "shop": "s", "amount": 3.5, "at": START + timedelta(minutes=50)}
    found = online.get({name: [value] for name, value in request.items()})
    put(sent, pay(50, card="a", shop="s", amount=3.5))
    side.run(sent)
    assert values(found.table, 0) == logged(side)["p50"]
    assert found.fingerprint == NEW.features.fingerprint


def test_a_look_up_writes_nothing_and_follows_the_log_when_it_is_told_to() -> None:
    side, sent = history()
    before = {name: side.deployment.log.open(name).end(0) for name in side.deployment.log.names()}
    online = OnlineFeatures(side.deployment)
    one = online.get({"card": ["a"]})
    put(sent, pay(60, card="a"))
    side.run(sent)
    two = online.get({"card": ["a"]})
    online.follow()
    three = online.get({"card": ["a"]})
    assert values(one.table, 0) == values(two.table, 0)
    assert one.position == two.position < three.position == online.position
    assert three.table["card_count_1d"].to_pylist() == [one.table["card_count_1d"][0].as_py() + 1]
    assert OnlineFeatures(side.deployment).get({"card": ["a"]}).table.equals(three.table)
    assert set(before) == set(side.deployment.log.names())


def test_as_of_the_time_of_any_request_is_what_that_request_was_told() -> None:
    side, _ = history()
    rows = taken_rows(side.deployment.topic("events"))
    told = logged(side)
    streams = [stream.name for stream in side.deployment.topic("events").manifest.streams]
    asked = rows.rows_of(streams.index("pays"))
    payload = rows.payloads[int(rows.stream[asked[0]])].to_pylist()
    compared = 0
    for record, row in zip(payload, asked.tolist(), strict=True):
        if rows.arrival_time[row] == rows.event_time[row]:
            found = features_at(side.deployment, {name: [value] for name, value in record.items()}, record["at"])
            assert values(found.table, 0) == told[record["pay_id"]]
            compared += 1
    assert compared > 20


def test_complete_sees_what_came_later_and_served_does_not() -> None:
    #  minute  0 1 2 (3) 4 ... 8: p3 happened at 3 and came at 8. At 6, served does not know it.
    side, _ = history()
    at = START + timedelta(minutes=6)
    request = {"card": ["a"], "shop": ["s"], "amount": [0.0]}
    served = features_at(side.deployment, request, at)
    complete = features_at(side.deployment, request, at, truth="complete")
    assert served.table["card_count_1d"].to_pylist() == [1]
    assert complete.table["card_count_1d"].to_pylist() == [2]
    assert served.position < complete.position
    assert (served.truth, complete.truth) == ("served", "complete")


def test_the_complete_truth_is_that_of_the_tables() -> None:
    side, _ = history()
    rows = taken_rows(side.deployment.topic("events"))
    streams = [stream.name for stream in side.deployment.topic("events").manifest.streams]
    tables = {
        name: pa.Table.from_batches([rows.payloads[streams.index(name)]])
        for name in (stream.name for stream in NEW.features.streams())
    }
    tables["results"] = pa.Table.from_batches([rows.payloads[streams.index("results")]])
    whole = NEW.features.compute(truth="complete", **tables).to_pylist()
    for record, wanted in list(zip(tables["pays"].to_pylist(), whole, strict=True))[::5]:
        request = {name: [value] for name, value in record.items()}
        found = features_at(side.deployment, request, record["at"], truth="complete").table.to_pylist()[0]
        assert found == wanted


def test_what_was_forgotten_is_not_found_under_either_truth() -> None:
    side, sent = history()
    at = START + timedelta(minutes=80)
    # A person's clock is far ahead of the records'.
    forget(side.deployment, "pays", ["card=a"], clock=VirtualClock(start_us=instant_us(at) + 10**12))
    put(sent, pay(70, card="b"))
    side.run(sent)
    for found in (
        OnlineFeatures(side.deployment).get({"card": ["a"]}),
        features_at(side.deployment, {"card": ["a"]}, at),
        features_at(side.deployment, {"card": ["a"]}, at, truth="complete"),
    ):
        assert found.table["card_count_1d"].to_pylist() == [0]
        assert found.table["_reason_card_count_1d"].to_pylist() == ["no_key"]


def test_a_log_without_records_is_read_from_its_start() -> None:
    side = Side(MemoryLog(), NEW)
    found = OnlineFeatures(side.deployment).get({"card": ["a", "b"]})
    assert found.position == NOTHING
    assert found.as_dict()["position"] == "start"
    assert [row["reasons"]["card_count_1d"] for row in found.as_dict()["rows"]] == ["no_key", "no_key"]
    assert found.as_dict()["rows"][0]["reasons"]["shop_count_1d"] == "missing_input"


@pytest.mark.parametrize(
    ("requests", "wanted"),
    [
        ({"crad": ["a"]}, "card"),
        ({"card": ["a"], "shop": []}, "as many values"),
        ({}, "as many values"),
        ({"amount": ["much"]}, "values of type"),
        (["a"], "a table"),
    ],
)
def test_requests_that_are_none_are_refused(requests: object, wanted: str) -> None:
    side = Side(MemoryLog(), NEW)
    with pytest.raises(ConfigError, match=wanted):
        OnlineFeatures(side.deployment).get(requests)


def test_an_ended_history_is_found_as_of_any_time_too() -> None:
    side, sent = history()
    end(sent)
    side.run(sent)
    at = START + timedelta(minutes=6)
    truths: tuple[Truth, ...] = ("served", "complete")
    for truth in truths:
        one = features_at(side.deployment, {"card": ["a"], "shop": ["s"], "amount": [0.0]}, at, truth=truth)
        again, _ = history()
        two = features_at(again.deployment, {"card": ["a"], "shop": ["s"], "amount": [0.0]}, at, truth=truth)
        assert one.table.equals(two.table)
