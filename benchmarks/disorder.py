"""Late events: what each share of them costs, under each policy and over each kind of window, and that all is right.

0, 5 and 50 % of the events come up to a minute or an hour late; a minute is what the source declares.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import headrace as hr
from benchmarks import _matrices as by_definition
from benchmarks._lateness import lateness_error
from benchmarks._matrices import KINDS, Arrived, late_rows, of_key, watermark_us
from headrace.features.vector import Vector
from headrace.testing.conformance import LAWS, Headrace, scorecard
from headrace.testing.conformance.streams import delayed, steady

__all__ = ["NOTES", "run"]

NOTES: Final = """\
Each figure is one run of `vector.compute(...)` over the events in the order in which they arrive, everything in it:
keys hashed, verdicts, windows, the table of results; count, sum and maximum over one kind of window (decay: count and
sum). `rows_equal` says that all rows of all runs are those of a check by matrices of every row of a key against every
other, written in NumPy with nothing of ours: bit for bit, for decay within 1e-9; `rows_truncated` are those that stand
so far behind the watermark that they say themselves that a part of their window is not kept. `oracle_equal`: on shorter
streams of the same disorder everything that the conformance kit knows equals its oracle, served and complete.
`lateness_max_error_points` is how far `headrace features FILE --lateness` is from the true share of records in time,
over all disorders that it tells of."""

_MINUTE_US: Final = 60_000_000
_DELAYS: Final = (
    ("in order", 0.0, 0),
    ("5% up to 60s", 0.05, _MINUTE_US),
    ("50% up to 60s", 0.5, _MINUTE_US),
    ("5% up to 1h", 0.05, 60 * _MINUTE_US),
    ("50% up to 1h", 0.5, 60 * _MINUTE_US),
)
_POLICIES: Final[tuple[Literal["update", "aside", "drop"], ...]] = ("update", "aside", "drop")
_DISORDER: Final = "60s"
_START_US: Final = 1_774_569_600_000_000
_ROWS_A_KEY: Final = 200
_SPAN_US: Final = 24 * 60 * _MINUTE_US
_WINDOWS: Final[dict[str, Any]] = {
    "sliding": "1h",
    "tumbling": hr.Tumbling("1h"),
    "hopping": hr.Hopping("1h", every="10min"),
    "session": hr.Session("30min", longest="12h"),
    "last_n": hr.LastN(by_definition.NEWEST),
    "forever": hr.FOREVER,
    "decay": hr.Decay("1h"),
}


class Sale(hr.Event):
    """One event: a key, a number, when it happened and when it came."""

    shop: str
    amount: float
    at: datetime
    came: datetime


def run(*, quick: bool, events: int = 200_000) -> dict[str, Any]:
    """Measure every combination, and compare every row of it."""
    if quick:
        events = 20_000
    rates: dict[str, dict[str, dict[str, int]]] = {}
    compared = differ = truncated = 0
    for late, share, up_to_us in _DELAYS:
        arrived = _arrived(events, share, up_to_us)
        table = _table(arrived)
        is_late = late_rows(arrived.time, _MINUTE_US)
        rates[late] = {policy: {} for policy in _POLICIES}
        wanted = {kept: _wanted(arrived.take(rows)) for kept, rows in ((True, slice(None)), (False, ~is_late))}
        for policy in _POLICIES:
            for kind in KINDS:
                vector = _vector(policy, kind)
                if share == 0.0:
                    vector.compute(sales=table.slice(0, 500))  # The kernels are compiled, or read from the cache.
                start = time.process_time()
                found = vector.compute(sales=table)
                rates[late][policy][kind] = round(events / (time.process_time() - start))
                right = wanted[policy == "update"][kind]
                compared += len(found)
                cut, wrong = _rows_that_differ(found, right, exact=kind != "decay")
                truncated, differ = truncated + cut, differ + wrong
    return {
        "events": events,
        "keys": events // _ROWS_A_KEY,
        "disorder": _DISORDER,
        "events_per_cpu_second": rates,
        "slowest_to_fastest": _spread(rates),
        "rows_compared": compared,
        "rows_truncated": truncated,
        "rows_differ": differ,
        "rows_equal": differ == 0,
        **_by_the_kit(quick=quick),
        **_lateness(10_000 if quick else 50_000),
    }


def _arrived(events: int, share: float, up_to_us: int) -> Arrived:
    draw = np.random.default_rng(20_260_328)
    came = _START_US + np.sort(draw.integers(0, _SPAN_US, events))
    late = draw.random(events) < share
    time_us = came - np.where(late, draw.integers(0, max(up_to_us, 1), events), 0)
    # What comes in order has times of whole seconds now and then, so that there are ties.
    time_us = np.where(draw.random(events) < 0.5, time_us // 1_000_000 * 1_000_000, time_us) if share else time_us
    return Arrived(draw.integers(0, events // _ROWS_A_KEY, events), time_us, draw.integers(-4_000, 40_000, events) / 4)


def _table(arrived: Arrived) -> pa.Table:
    """Return the events as a table in order of arrival; when they came is their number, in microseconds."""
    zone = pa.timestamp("us", tz="UTC")
    names = pa.array([f"shop {number:05d}" for number in range(int(arrived.key.max()) + 1)])
    return pa.table(
        {
            "shop": names.take(pa.array(arrived.key)),
            "amount": arrived.value,
            "at": pa.array(arrived.time).cast(zone),
            "came": pa.array(_START_US + 2 * _SPAN_US + np.arange(len(arrived.key))).cast(zone),
        }
    )


def _vector(policy: Literal["update", "aside", "drop"], kind: str) -> Vector[Sale]:
    sales = hr.source(
        "sales",
        Sale,
        time=Sale.at,
        arrived=Sale.came,
        disorder=_DISORDER,
        late=policy,
        max_future_skew=timedelta(days=1),
    )
    shop, window = sales.by(Sale.shop), _WINDOWS[kind]
    features: dict[str, Any] = {"count": shop.count(window), "sum": shop.sum(Sale.amount, window)}
    if kind != "decay":
        features["max"] = shop.max(Sale.amount, window, default=None)
    return sales.vector("late", **features)


def _wanted(kept: Arrived) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return what is right for every row of the events that count, by kind of window and aggregate."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {
        kind: {name: np.empty(len(kept.key)) for name in ("count", "sum", "max")} for kind in KINDS
    }
    for rows, windows in of_key(kept, watermark_us(kept.time, _MINUTE_US)):
        for kind, aggregates in windows.items():
            for name, values in aggregates.items():
                found[kind][name][rows] = values
    return found


def _rows_that_differ(found: pa.Table, right: dict[str, NDArray[np.float64]], *, exact: bool) -> tuple[int, int]:
    """Return how many rows say that a part of their window is not kept, and in how many others a value differs."""
    if len(found) != len(right["count"]):
        return 0, max(len(found), len(right["count"]))
    names = ("count", "sum", "max") if exact else ("count", "sum")
    equal, truncated = np.ones(len(found), bool), np.zeros(len(found), bool)
    for name in names:
        ours = found[name].to_numpy()
        same = (ours == right[name]) | (np.isnan(ours) & np.isnan(right[name]))
        if not exact:
            same |= np.abs(ours - right[name]) <= 1e-9 * np.maximum(np.abs(right[name]), 1.0)
        equal &= same
        truncated |= pc.equal(found[f"_reason_{name}"], "truncated").to_numpy()
    return int(truncated.sum()), int(np.count_nonzero(~equal & ~truncated))


def _spread(rates: dict[str, dict[str, dict[str, int]]]) -> float:
    every = [rate for policies in rates.values() for kinds in policies.values() for rate in kinds.values()]
    return round(max(every) / min(every), 2)


def _lateness(events: int) -> dict[str, Any]:
    """Return by how many points `features --lateness` is wrong, at the worst, about any disorder and any share."""
    told = [lateness_error(_arrived(events, share, up_to_us), _table) for _, share, up_to_us in _DELAYS]
    return {
        "lateness_shares": sum(int(one["disorders"]) for one in told),
        "lateness_max_error_points": max(one["points"] for one in told),
    }


def _by_the_kit(*, quick: bool) -> dict[str, Any]:
    """Return what the kit says on short streams with the same shares of late events."""
    streams = {
        late: (
            lambda seed, count, share=share, up_to_us=up_to_us: delayed(
                steady(seed, count), seed, share=share, up_to_us=max(up_to_us, 1)
            )
        )
        for late, share, up_to_us in _DELAYS
    }
    card = scorecard(Headrace(), seeds=range(1 if quick else 6), events=80, streams=streams, laws=LAWS[:2])
    return {
        "oracle_streams": sum(line.tried for line in card.lines),
        "oracle_pairs": card.features,
        "oracle_equal": card.holds,
    }
