"""A pipeline over payments, for the tests of the drive: two sources, a label, hourly versions, drift."""

from datetime import datetime
from typing import Annotated, Any, Literal

import headrace as hr
from headrace.testing import Drive, drive

Usd = Annotated[float, hr.Unit("usd", ge=0)]
START = "2026-01-01T00:00Z"


class Txn(hr.Event):
    txn_id: str
    card: str
    amount: Usd
    at: datetime
    memo: str | None = None


class Outcome(hr.Event):
    txn_id: str
    kind: Literal["ok", "fraud"]
    at: datetime


txns = hr.source("txns", Txn, time=Txn.at, id=Txn.txn_id, disorder="30s")
outcomes = hr.source("outcomes", Outcome, time=Outcome.at)
fraud = txns.label(outcomes, Outcome.kind == "fraud", on="txn_id", within="2h", otherwise=False)
card = txns.by(Txn.card)
risk = txns.vector(
    "risk",
    Txn.amount,
    hr.category(Txn.card, bits=6),
    card.mean(Txn.amount, "3h", default=0.0),
    frauds=fraud.by(Txn.card).mean(fraud.value, "28d", default=0.1, prior=5),
    seen=card.count("1h"),
    surge=hr.fill(card.count("1h") / card.count("24h"), 0.0),
)
pipeline = hr.Pipeline(
    "card_fraud",
    features=risk,
    label=fraud,
    model=hr.models.Logistic(),
    serve=hr.Serve(deadline="20ms", fallback=[hr.Constant(0.25)]),
    learn=hr.Learn(every="1h"),
    watch=[hr.PSI("features"), hr.PSI("score"), hr.ADWIN("error")],
)


def started(*, seed: int = 0, of: hr.Pipeline[Any] = pipeline) -> Drive:
    """Return a drive that stands at `START`."""
    return drive(of, start=START, seed=seed)


def txn(d: Drive, txn_id: str, card: str = "a", **values: Any) -> Txn:
    """Return a payment of now; values of any type, since a test wants wrong ones too."""
    given: dict[str, Any] = {"txn_id": txn_id, "card": card, "amount": 9.0, "at": d.now, **values}
    return Txn(**given)


def outcome(d: Drive, txn_id: str, kind: Any = "fraud", **values: Any) -> Outcome:
    """Return an answer of now."""
    given: dict[str, Any] = {"txn_id": txn_id, "kind": kind, "at": d.now, **values}
    return Outcome(**given)
