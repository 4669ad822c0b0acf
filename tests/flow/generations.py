"""Small pipelines that stand side by side over one log in memory, for the tests of commands to all of them."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

import headrace as hr
from headrace.core.position import Position
from headrace.core.time import instant_us
from headrace.edge.sink import Sink
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment
from headrace.run.worker import Worker
from headrace.stages.act import Outlet
from headrace.stages.ingest import Ingest
from headrace.store.blobs import MemoryBlobs
from headrace.testing.sent import Sent, SentInlet, read_records
from headrace.topics.contract import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOCK = VirtualClock(start_us=0)
START = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = ("featurize", "predict", "join", "learn", "watch", "judge", "respond", "act", "command")


class Pay(hr.Event):
    pay_id: str
    card: str
    shop: str
    amount: float
    at: datetime


class Result(hr.Event):
    pay_id: str
    bad: bool
    at: datetime


class Place(hr.Event):
    shop: str
    risk: float
    at: datetime


pays = hr.source("pays", Pay, time=Pay.at, id=Pay.pay_id)
results = hr.source("results", Result, time=Result.at)
places = hr.source("places", Place, time=Place.at)
bad = pays.label(results, Result.bad, on="pay_id", within="2d", otherwise=hr.DROP)


def pipeline(*features: Any, name: str = "pays", **named: Any) -> hr.Pipeline[Pay]:
    """Return a pipeline with some features besides those of a card."""
    card = pays.by(Pay.card)
    vector = pays.vector(
        "risk",
        Pay.amount,
        card.count("1d"),
        card.mean(Pay.amount, "7d", default=-1.0),
        card.max(Pay.amount, hr.FOREVER, default=-1.0),
        *features,
        **named,
    )
    return hr.Pipeline(
        name,
        features=vector,
        label=bad,
        model=hr.models.Logistic(),
        serve=hr.Serve(fallback=[hr.Constant(0.1)]),
        learn=hr.Learn(every="1h"),
    )


OLD = pipeline()
NEW = pipeline(pays.by(Pay.shop).count("1d"), bad.by(Pay.shop).mean(bad.value, "7d", default=0.2, prior=2))
WIDER = pipeline(
    pays.by(Pay.shop).count("1d"), places.by(Place.shop, equals=Pay.shop).last(Place.risk, hr.FOREVER, default=0.0)
)


@final
class Heard(Sink):
    """A sink that several generations share, each with the positions of its own."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._reached: Position | None = None

    def reached(self) -> Position | None:
        return self._reached

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        self.ids += rows["id"].to_pylist()
        self._reached = through


@final
class Side:
    """One generation over a log: its deployment, its snapshots and its sink."""

    def __init__(self, log: Log, made: hr.Pipeline[Any], *, sink: Sink | None = None) -> None:
        self._kept: dict[str, MemoryBlobs] = {}
        self.deployment = Deployment(pipeline=made, log=log, blobs=self._blobs, clock=CLOCK)
        self.sink = sink or Heard()

    def _blobs(self, place: str) -> MemoryBlobs:
        return self._kept.setdefault(place, MemoryBlobs())

    def run(
        self,
        sent: Sent | None = None,
        *,
        budget: int = 16_384,
        rounds: int = 10_000,
        added: dict[str, Ingest] | None = None,
    ) -> None:
        """Start every task from its snapshot, give turns until nothing moves, and keep snapshots."""
        outlets: Sequence[Outlet] = [Outlet("out", lambda table: np.ones(len(table), bool), self.sink)]
        stages = ("ingest", *STAGES)
        ingest = Ingest(SentInlet(sent)) if sent is not None else None
        placed = self.deployment.place(stages, ingest=ingest, added=added, outlets=lambda: outlets)
        worker = Worker(self.deployment.log, placed, clock=CLOCK, budget=budget)
        worker.start()
        while rounds and worker.round():
            rounds -= 1
        worker.save()


def pay(number: int, *, card: str = "a", shop: str = "s", amount: float = 1.0) -> Pay:
    """Return a payment, one a minute."""
    return Pay(pay_id=f"p{number}", card=card, shop=shop, amount=amount, at=START + timedelta(minutes=number))


def put(sent: Sent, *records: hr.Event) -> None:
    """Send records, each of which arrives when it happens."""
    names = [source.name for source in sent.sources]
    for record in records:
        name = {Pay: "pays", Result: "results", Place: "places"}[type(record)]
        number = names.index(name)
        at_us = instant_us(record.at)  # type: ignore[attr-defined]
        sent.put(number, at_us, read_records(sent.sources[number], [record]))


def end(sent: Sent) -> None:
    """Let every source say that nothing more will come."""
    last_us = sent.shipments[-1].arrival_us
    for number in range(len(sent.sources)):
        sent.put(number, last_us, None)
