"""The feature store: values by key while the engine stands, one vector under two pipelines, and memory at its bound.

`look_up`: 100 requests of drawn keys, 50 features each, in one call on an engine that holds 200,000 payments; `get`
is the same through the public call, which also builds the table with a reason beside each value.

`shared`: two pipelines of one vector over one history in one worker. `featurized` counts the rows on which features
were computed, `alone_differ` the topics of either that are not what it gives alone.

`eviction`: keys that each come once, against `max_keys`.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import headrace as hr
from benchmarks._eviction import eviction
from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.core.time import DAY_US
from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.features.engine import Engine
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment
from headrace.run.online import OnlineFeatures
from headrace.run.taken import taken_rows
from headrace.run.task import StageTask
from headrace.run.together import place_together
from headrace.run.worker import Placed, Worker
from headrace.stages.ingest import Ingest
from headrace.topics.digest import value_digest
from headrace.topics.memory import MemoryLog

__all__ = ["NOTES", "run"]

NOTES: Final = """\
Times are taken in the process that holds the engine, by the clock and by the processor: nothing is sent anywhere. A
look-up changes no byte of the state, which a test holds down, so as many may be asked as there is time for. The two
pipelines are in one worker; two workers, one after the other, compute the vectors once as well, since the second finds
the first one's snapshot."""

_KEYS: Final = 100
_STAGES: Final = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond")
_SPAN_US: Final = 7 * DAY_US
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Pay(hr.Event):
    """A payment."""

    pay_id: str
    card: str
    shop: str
    amount: float
    at: datetime


class Result(hr.Event):
    """Whether it was disputed."""

    pay_id: str
    bad: bool
    at: datetime


pays = hr.source("pays", Pay, time=Pay.at, id=Pay.pay_id)
results = hr.source("results", Result, time=Result.at)
bad = pays.label(results, Result.bad, on="pay_id", within="2d", otherwise=hr.DROP)
_WINDOWS: Final = ("5min", "1h", "6h", "1d", "7d")
_FEATURES: Final = [
    feature
    for grouped in (pays.by(Pay.card), pays.by(Pay.shop))
    for window in _WINDOWS
    for feature in (
        grouped.count(window),
        grouped.sum(Pay.amount, window),
        grouped.mean(Pay.amount, window, default=0.0),
        grouped.max(Pay.amount, window, default=0.0),
        grouped.min(Pay.amount, window, default=0.0),
    )
]
risk = pays.vector("risk", *_FEATURES)


def _pipeline(name: str, rate: float) -> hr.Pipeline[Pay]:
    return hr.Pipeline(
        name,
        features=risk,
        label=bad,
        model=hr.models.Logistic(rate=rate),
        serve=hr.Serve(fallback=[hr.Constant(0.1)]),
        learn=hr.Learn(every="12h"),
    )


def run(quick: bool) -> dict[str, object]:  # noqa: FBT001 - every benchmark is called like this
    """Measure look-ups, run two pipelines of one vector, and send new keys against their bound."""
    return {
        "features": len(risk.features),
        "keys": _KEYS,
        **_looked_up(20_000 if quick else 200_000, 200 if quick else 3_000),
        "shared": _shared(2_000 if quick else 20_000),
        "eviction": eviction(quick=quick),
    }


def _payments(count: int) -> pa.Table:
    draw = np.random.default_rng(20_260_101)
    at = np.sort(draw.integers(0, _SPAN_US, count)) + int(_START.timestamp() * 1e6)
    cards, shops = draw.integers(0, count // 10, count), draw.integers(0, count // 100, count)
    return pa.table(
        {
            "pay_id": strings([f"p{number}" for number in range(count)]),
            "card": strings([f"c{number}" for number in cards.tolist()]),
            "shop": strings([f"s{number}" for number in shops.tolist()]),
            "amount": np.round(np.exp(draw.normal(3.0, 1.0, count)), 2),
            "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        },
        schema=pays.settings.schema.arrow,
    )


def _results(payments: pa.Table) -> pa.Table:
    draw = np.random.default_rng(7)
    at = payments["at"].cast(pa.int64()).to_numpy() + draw.integers(1, DAY_US, len(payments))
    order = np.argsort(at, kind="stable")
    found = pa.table(
        {
            "pay_id": payments["pay_id"],
            "bad": draw.random(len(payments)) < 0.1,
            "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        },
        schema=results.settings.schema.arrow,
    )
    return found.take(pa.array(order))


def _looked_up(count: int, calls: int) -> dict[str, object]:
    payments = _payments(count)
    record = payments.combine_chunks().to_batches()[0]
    time_us = record["at"].cast(pa.int64()).to_numpy()
    source = pays.settings
    engine = Engine(risk, None, [StreamSchema(source.name, Kind.EVENT, source.schema.arrow)], [source])
    zeros = np.zeros(count, np.int64)
    codes = np.zeros(count, np.uint8)
    whole = Batch(np.arange(count), zeros, codes, time_us, time_us, codes, record["pay_id"], (record,))
    for start in range(0, count, 65_536):
        engine.run(whole.slice(start, start + 65_536))
    draw = np.random.default_rng(1)
    requests = [record.take(pa.array(draw.integers(0, count, _KEYS))) for _ in range(calls)]
    now = np.full(_KEYS, int(time_us[-1]) + 1)
    before = {name: array.tobytes() for name, array in engine.snapshot()[0].items()}
    engine.look_up(requests[0], now)  # Not counted: kernels are loaded from the cache.
    looked = [_timed(partial(engine.look_up, one, now)) for one in requests]
    after = {name: array.tobytes() for name, array in engine.snapshot()[0].items()}
    deployment = _deployment(_pipeline("one", 0.1))
    _worked([deployment], payments.slice(0, min(count, 20_000)), stages=("ingest",))
    online = OnlineFeatures(deployment)
    keys = [pa.table({"card": one["card"], "shop": one["shop"], "amount": one["amount"]}) for one in requests]
    online.get(keys[0])
    got = [_timed(partial(online.get, one)) for one in keys]
    return {
        "look_up_ms": _percentiles([wall for wall, _ in looked]),
        "look_up_cpu_ms": _percentiles([cpu for _, cpu in looked]),
        "get_ms": _percentiles([wall for wall, _ in got]),
        "get_cpu_ms": _percentiles([cpu for _, cpu in got]),
        "state_unchanged": before == after,
    }


def _timed(job: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds a call took by the clock, and by the processor."""
    wall, cpu = time.perf_counter(), time.thread_time()
    job()
    return time.perf_counter() - wall, time.thread_time() - cpu


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {name: round(float(np.percentile(seconds, part)) * 1e3, 3) for name, part in (("p50", 50), ("p99", 99))}


def _deployment(made: hr.Pipeline[Pay], log: MemoryLog | None = None) -> Deployment:
    return Deployment(pipeline=made, log=log or MemoryLog(), blobs=None, clock=VirtualClock(start_us=0))


def _worked(deployments: list[Deployment], payments: pa.Table, stages: tuple[str, ...] = _STAGES) -> list[Placed]:
    """Run some pipelines over one history to its end, in one worker; return their tasks."""
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        tables = {"pays": payments, "results": _results(payments)}
        for settings in deployments[0].pipeline.source_settings():
            path = Path(folder) / f"{settings.name}.parquet"
            pq.write_table(tables[settings.name], path)
            sources.append((settings, SourceFiles(paths=(path,), format="parquet")))
        ingest = Ingest(MergedHistory(sources))
    placed = place_together(deployments, stages, ingest=ingest)
    worker = Worker(deployments[0].log, placed, clock=VirtualClock(start_us=0))
    worker.start()
    while worker.round():
        pass
    return placed


def _shared(count: int) -> dict[str, object]:
    payments, log = _payments(count), MemoryLog()
    made = [_pipeline("one", 0.1), _pipeline("two", 0.5)]
    together = [_deployment(one, log) for one in made]
    started = time.process_time()
    placed = _worked(together, payments)
    seconds = time.process_time() - started
    alone_seconds, differ = 0.0, 0
    for one, shared in zip(made, together, strict=True):
        alone = _deployment(one)
        started = time.process_time()
        _worked([alone], payments)
        alone_seconds += time.process_time() - started
        for topic in ("features", "predictions", "examples"):
            differ += value_digest(taken_rows(alone.topic(topic))) != value_digest(taken_rows(shared.topic(topic)))
    featurized = [
        place.task.rows for place in placed if isinstance(place.task, StageTask) and place.task.name == "featurize"
    ]
    return {
        "pipelines": len(made),
        "events": len(taken_rows(together[0].topic("events"))),
        "featurized": sum(featurized),
        "computed_once": sum(featurized) == len(taken_rows(together[0].topic("events"))),
        "alone_differ": differ,
        "cpu_seconds": round(seconds, 2),
        "cpu_seconds_apart": round(alone_seconds, 2),
    }
