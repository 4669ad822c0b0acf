"""What was sent outlives everything, and is given again as it was given first, however it is cut."""

from datetime import timedelta
from typing import Any, Final

import pytest

import headrace as hr
from headrace.edge.ledger import Ledger
from headrace.testing.sent import Sent, SentInlet, read_records
from tests.unit.edge.rows import content, drained
from tests.unit.testing.payments import outcome, pipeline, started, txn

MINUTE_US: Final = 60_000_000


def sent() -> Sent:
    """Return shipments of payments with some that cannot be used, one of answers, and an end."""
    d = started()
    kept = Sent(pipeline.source_settings())
    shipments: list[tuple[int, list[Any]]] = [
        (0, [txn(d, "1"), txn(d, "2", amount=-1.0), txn(d, "3", card=None), txn(d, "4"), txn(d, "1")]),
        (1, [outcome(d, "1"), outcome(d, "2", "ok")]),
        (0, [txn(d, "4", amount=None)]),
        (0, [txn(d, "5", at=d.now - timedelta(minutes=1)), txn(d, "6"), txn(d, "7", at=d.now + timedelta(days=1))]),
    ]
    for place, (number, records) in enumerate(shipments):
        kept.put(number, place * MINUTE_US, read_records(kept.sources[number], records))
    kept.put(1, 9 * MINUTE_US, None)
    return kept


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_how_it_is_cut_changes_nothing(limit: int) -> None:
    whole, cut = SentInlet(sent()), SentInlet(sent())
    assert content(drained(cut, limit)) == content(drained(whole, 1_000))
    assert cut.ledger.as_dict() == whole.ledger.as_dict()
    assert whole.next(1) is None


@pytest.mark.parametrize("before", range(13))
def test_an_inlet_that_stands_where_another_stood_gives_the_rest(before: int) -> None:
    kept = sent()
    whole, stopped = SentInlet(kept), SentInlet(kept)
    given = [batch for batch in (stopped.next(1) for _ in range(before)) if batch is not None]
    resumed = SentInlet(kept)
    resumed.restore(*stopped.snapshot())
    assert content([*given, *drained(resumed, 4)]) == content(drained(whole))
    assert resumed.ledger.as_dict() == whole.ledger.as_dict()


def test_rows_are_named_by_their_place_and_stamped_with_their_arrival() -> None:
    batches = drained(SentInlet(sent()), 100)
    assert [len(batch) for batch in batches] == [5, 2, 1, 3, 1]
    assert [offset for batch in batches for offset in batch.offset.tolist()] == list(range(12))
    assert [batch.arrival_time.tolist()[0] // MINUTE_US for batch in batches] == [0, 1, 2, 3, 9]
    assert batches[-1].payloads[0].to_pylist() == [{"source": "outcomes", "reason": "ended"}]


def test_the_ledger_counts_what_the_rows_say() -> None:
    inlet = SentInlet(sent())
    again = Ledger(pipeline.source_settings())
    for batch in drained(inlet, 2):
        again.add(batch)
    assert inlet.ledger.balances()
    assert again.as_dict() == inlet.ledger.as_dict()
    counts = {outcome: count for outcome, count in inlet.ledger.as_dict()["txns"].items() if count}
    # All arrive within nine minutes of 1970, so every payment of 2026 lies in the future.
    assert counts == {"received": 9, "future": 6, "rejected": 3, "reasons": {"missing": 2, "out_of_range": 1}}


def test_a_rejected_record_keeps_its_line_and_its_error() -> None:
    payload = drained(SentInlet(sent()), 100)[0].payloads[1].to_pylist()
    assert [(row["source"], row["reason"], row["error"]) for row in payload] == [
        ("txns", "out_of_range", "amount: wanted at least 0 usd, got -1.0"),
        ("txns", "missing", "card: wanted text, got nothing"),
    ]
    line = b'{"txn_id": "2", "card": "a", "amount": -1.0, "at": "2026-01-01T00:00:00+00:00", "memo": null}'
    assert payload[0]["raw"] == line


def test_it_has_ended_once_every_source_has_and_all_is_given() -> None:
    kept = sent()
    inlet = SentInlet(kept)
    drained(inlet)
    assert not inlet.ended
    kept.put(0, 10 * MINUTE_US, None)
    assert not inlet.ended
    drained(inlet)
    assert inlet.ended


def test_a_snapshot_that_counts_more_than_was_sent_is_refused() -> None:
    inlet = SentInlet(sent())
    drained(inlet)
    arrays, meta = inlet.snapshot()
    with pytest.raises(hr.StateError, match="sent records: wanted at least 12, as many as were given, got 0"):
        SentInlet(Sent(pipeline.source_settings())).restore(arrays, meta)
