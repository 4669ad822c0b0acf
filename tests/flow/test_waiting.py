"""A pipeline whose vector waits: answered, taught, crashed, verified, and the same however it is disturbed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import headrace as hr
from headrace.features.labels import Label
from headrace.features.vector import Vector
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment
from headrace.run.explanation import explain
from headrace.run.notebook import _history
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.testing import Drive, drive
from headrace.topics.memory import MemoryLog
from tests.unit.testing.payments import START, Outcome, Txn, card, fraud, outcomes, txn, txns


def over(vector: Vector[Any], label: Label[Any]) -> hr.Pipeline[Any]:
    return hr.Pipeline(
        "card_fraud",
        features=vector,
        label=label,
        model=hr.models.Logistic(),
        serve=hr.Serve(deadline="20ms", fallback=[hr.Constant(0.25)]),
        learn=hr.Learn(every="1h"),
        watch=[hr.PSI("features"), hr.ADWIN("error")],
    )


class Stamped(hr.Event):
    txn_id: str
    card: str
    amount: float
    at: datetime
    came: datetime


pipeline = over(txns.vector("risk", Txn.amount, seen=card.count("1h"), wait="60s"), fraud)
stamped = hr.source(
    "txns", Stamped, time=Stamped.at, id=Stamped.txn_id, disorder="30s", arrived=Stamped.came, max_future_skew="1h"
)
history = over(
    stamped.vector("risk", Stamped.amount, seen=stamped.by(Stamped.card).count("1h"), wait="60s"),
    stamped.label(outcomes, Outcome.kind == "fraud", on="txn_id", within="2h", otherwise=False),
)


def started(seed: int = 0) -> Drive:
    return drive(pipeline, start=START, seed=seed)


def ago(d: Drive, seconds: int) -> Any:
    return d.now - timedelta(seconds=seconds)


def features_of(d: Drive) -> list[tuple[str, str, str]]:
    """Return the kind, id and event time of each row of [features]; those of progress without their id."""
    batch = taken_rows(d._rig.deployment.topic("features"))  # noqa: SLF001 - the log is what this is about
    kinds = ("request", "label", "progress", "command")
    return [
        (kinds[stream], name, str(time))
        for stream, name, time in zip(
            batch.stream.tolist(), batch.id.to_pylist(), batch.event_time.tolist(), strict=True
        )
    ]


def test_a_request_is_answered_when_the_watermark_has_passed_it_and_sees_what_came_late() -> None:
    #  s    0    40    30, come at 90    100: the first with 0 + 60, 30 + 60 and 40 + 60
    #  a    1    2     3                 4
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("40s")
    d.send(txns, txn(d, "2"))
    d.advance("50s")
    d.send(txns, txn(d, "3", at=ago(d, 60)))
    assert d.predictions() == []
    d.crash()
    d.advance("10s")
    d.send(txns, txn(d, "4"))
    assert [one.id for one in d.predictions()] == ["1", "2", "3"]
    assert (d.features("2")["seen"], d.features("3")["seen"]) == (2, 1)
    d.verify()


def test_the_label_of_a_waiting_request_finds_its_prediction_and_the_end_lets_all_go() -> None:
    d = started()
    for number in range(30):
        d.send(txns, txn(d, f"t{number}", amount=float(number)))
        d.advance("20s")
        kind: Any = "fraud" if number % 3 == 0 else "ok"
        d.send(outcomes, Outcome(txn_id=f"t{number}", kind=kind, at=d.now))
        if number % 7 == 0:
            d.crash(keep_snapshots=number % 2 == 0)
    asked = [name for kind, name, _ in features_of(d) if kind == "request"]
    assert asked == [f"t{number}" for number in range(len(asked))]
    assert 25 <= len(asked) < 30
    d.end()
    d.crash()
    d.verify()
    rows = features_of(d)
    assert [name for kind, name, _ in rows if kind == "request"] == [f"t{number}" for number in range(30)]
    labels = [name for kind, name, _ in rows if kind == "label"]
    assert sorted(labels) == sorted(f"t{number}" for number in range(30))
    for name in labels:
        assert [kind for kind, other, _ in rows if other == name] == ["request", "label"]
    assert rows[-1][0] == "progress"  # Nothing stands below the end.
    assert len(taken_rows(d._rig.deployment.topic("examples")).rows_of(0)) == 30  # noqa: SLF001
    assert len(d.predictions()) == 30


def test_requests_that_are_let_go_out_of_order_are_answered_by_the_version_of_their_arrival() -> None:
    #  each fourth request comes 200 s late: it is let go at once, before those that had come 45 s and 90 s earlier
    start = datetime(2026, 1, 1, tzinfo=UTC)
    came = [start + timedelta(seconds=45 * number) for number in range(400)]
    at = [moment - timedelta(seconds=200 if number % 4 == 0 else 0) for number, moment in enumerate(came)]
    names = [f"t{number}" for number in range(400)]
    asked = pa.table(
        {"txn_id": names, "card": ["a"] * 400, "amount": [float(number % 9) for number in range(400)], "at": at}
    ).append_column("came", pa.array(came))
    said = pa.table({"txn_id": names, "kind": ["fraud" if n % 9 > 6 else "ok" for n in range(400)], "at": came})
    deployment = Deployment(pipeline=history, log=MemoryLog(), blobs=None, clock=VirtualClock(start_us=0))
    ingest = Ingest(_history(history, {"txns": asked, "outcomes": said}))
    stages = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond")
    worker = Worker(deployment.log, deployment.place(stages, ingest=ingest), clock=deployment.clock)
    worker.start()
    worker.run()
    predictions = taken_rows(deployment.topic("predictions"))
    arrival = predictions.arrival_time[predictions.rows_of(0)].tolist()
    version = predictions.payloads[0]["version"].to_pylist()
    assert len(arrival) == 400
    assert arrival != sorted(arrival)
    by_arrival = [number for _, number in sorted(zip(arrival, version, strict=True), key=lambda one: one[0])]
    assert by_arrival == sorted(by_arrival)
    assert by_arrival[-1] >= 3
    assert len(taken_rows(deployment.topic("examples")).rows_of(0)) == 400
    assert verify(deployment).differ == 0


def test_explain_shows_what_had_come_when_the_vector_was_computed() -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("40s")
    d.send(txns, txn(d, "2"))
    d.advance("50s")
    d.send(txns, txn(d, "3", at=ago(d, 60)))
    d.advance("60s")
    d.send(txns, txn(d, "4"))
    d.end()
    assert d.features("2")["seen"] == 2
    (window,) = explain(d._rig.deployment, "2").features[1]["windows"]  # noqa: SLF001
    assert window["records"] == 2
    (window,) = explain(d._rig.deployment, "3").features[1]["windows"]  # noqa: SLF001
    assert window["records"] == 1
