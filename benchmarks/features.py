"""Windowed features for each key, strictly before each event: ours against Polars, on the same events in one run.

Workload A of `reference/performance.md` with the aggregates that exist: over the last hour count, sum, mean and max,
over the last day count, sum, mean and min.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.time import DAY_US, HOUR_US, MINUTE_US
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.features.keys import KeyTable, hash_columns

__all__ = ["NOTES", "run"]

_Result = TypeVar("_Result")

NOTES: Final = """\
Each figure is the median of three runs after one that is not counted, in CPU seconds of all threads. Ours starts from
texts: keys are hashed, given dense ids, and only then aggregated. Both are given the same events sorted by time; that
sort is not counted. Rows are equal when counts and extremes are, and sums and means lie within 1e-9: Polars adds and
subtracts as the window moves, ours are the exact sums, rounded once. `events_per_cpu_second_late` is the stream as it
arrives, 5 % of it up to a minute late, each event answered at once."""

_SPAN_US: Final = 72 * HOUR_US
_BATCH: Final = 65_536
_REPEATS: Final = 3
_PLAN: Final = Plan(
    windows=(Span(size_us=HOUR_US), Span(size_us=DAY_US)),
    columns=1,
    reads=(
        Read(operation="count", window=0),
        Read(operation="sum", window=0, column=0),
        Read(operation="mean", window=0, column=0),
        Read(operation="max", window=0, column=0),
        Read(operation="count", window=1),
        Read(operation="sum", window=1, column=0),
        Read(operation="mean", window=1, column=0),
        Read(operation="min", window=1, column=0),
    ),
)
_RELATIVE: Final = 1e-9


@final
@dataclass(frozen=True, slots=True)
class _Stream:
    """n events: keys as texts, event times in microseconds, values in cents."""

    key: "pa.Array[Any]"
    time: NDArray[np.int64]
    value: NDArray[np.float64]

    def sorted(self) -> "_Stream":
        """Return the events by (event time, log position)."""
        order = np.argsort(self.time, kind="stable")
        return _Stream(self.key.take(pa.array(order)), self.time[order], self.value[order])


def run(quick: bool) -> dict[str, object]:  # noqa: FBT001 - every benchmark is called like this
    """Measure both, and compare every row; with `quick`, a twentieth of the events and keys."""
    events, keys = (100_000, 5_000) if quick else (2_000_000, 100_000)
    late = _stream(events, keys)
    ordered = late.sorted()
    _ours(_stream(1_000, 100))  # The kernels are compiled, or read from the cache, before anything is timed.
    seconds, out = _median(lambda: _ours(ordered))
    late_seconds, _ = _median(lambda: _ours(late))
    frame = pl.DataFrame(
        {
            "key": pl.Series(ordered.key),
            "time": pl.Series(ordered.time).cast(pl.Datetime("us")),
            "value": ordered.value,
        }
    )
    polars_seconds, theirs = _median(lambda: _polars(frame))
    hash_seconds, _ = _median(lambda: _ids(ordered))
    differ = _rows_that_differ(out, theirs)
    return {
        "events": events,
        "keys": keys,
        "batch": _BATCH,
        "events_per_cpu_second": round(events / seconds),
        "events_per_cpu_second_late": round(events / late_seconds),
        "key_hashing_ns": round(hash_seconds / events * 1e9, 1),
        "polars": {"events_per_cpu_second": round(events / polars_seconds)},
        "ratio": round(polars_seconds / seconds, 2),
        "rows_compared": len(out),
        "rows_differ": differ,
        "rows_equal": differ == 0,
    }


def _stream(events: int, keys: int) -> _Stream:
    """Draw 72 hours of events with Zipf(1.1) keys, in order of arrival; 5 % are up to a minute late."""
    draw = np.random.default_rng(20_260_101)
    weight = 1.0 / np.arange(1, keys + 1) ** 1.1
    place = np.searchsorted(np.cumsum(weight), draw.random(events) * weight.sum())
    number = draw.permutation(keys)[np.minimum(place, keys - 1)]
    arrival = np.sort(draw.integers(0, _SPAN_US, events))
    delay = np.where(draw.random(events) < 0.05, draw.integers(0, MINUTE_US, events), 0)
    value = np.round(np.exp(draw.normal(3.0, 1.0, events)), 2)
    names = pa.array([f"k{one:07d}" for one in range(keys)])
    return _Stream(names.take(pa.array(number)), arrival - delay, value)


def _ids(stream: _Stream) -> KeyTable:
    table = KeyTable()
    for start in range(0, len(stream.time), _BATCH):
        hashes, _ = hash_columns([stream.key.slice(start, _BATCH)])
        table.add(hashes)
    return table


def _ours(stream: _Stream) -> NDArray[np.float64]:
    """Hash, aggregate and answer in batches, each event a row and a request at once; return f8[n, reads]."""
    count = len(stream.time)
    history, table = History(_PLAN), KeyTable()
    out, reason = np.empty((count, len(_PLAN.reads))), np.empty((count, len(_PLAN.reads)), np.uint8)
    newest = -_SPAN_US
    for start in range(0, count, _BATCH):
        part = slice(start, start + _BATCH)
        times = stream.time[part]
        hashes, _ = hash_columns([stream.key.slice(start, _BATCH)])
        watermark = np.maximum.accumulate(np.maximum(times, newest))
        newest = int(watermark[-1])
        history.run(
            key=table.add(hashes),
            time=times,
            insert=np.ones(len(times), bool),
            read=np.arange(len(times)),
            lowest=watermark - (DAY_US + 5 * MINUTE_US),
            columns=[stream.value[part]],
            out=out[part],
            reason=reason[part],
        )
    return out


def _polars(frame: pl.DataFrame) -> NDArray[np.float64]:
    value = pl.col("value")

    def over(what: pl.Expr, name: str) -> pl.Expr:
        return what.over("key").alias(name)

    columns = []
    for size, extreme in (("1h", value.rolling_max_by), ("24h", value.rolling_min_by)):
        columns += [
            over(pl.col("one").rolling_sum_by("time", size, closed="left"), f"count {size}"),
            over(value.rolling_sum_by("time", size, closed="left"), f"sum {size}"),
            over(value.rolling_mean_by("time", size, closed="left"), f"mean {size}"),
            over(extreme("time", size, closed="left"), f"extreme {size}"),
        ]
    return frame.with_columns(one=pl.lit(1.0)).select(columns).to_numpy()


def _rows_that_differ(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> int:
    """Return in how many rows a column differs; a window without rows has no mean and no extreme in both."""
    equal = np.ones(len(ours), bool)
    for column, read in enumerate(_PLAN.reads):
        mine, other = ours[:, column], theirs[:, column]
        if read.operation in ("count", "sum"):
            other = np.nan_to_num(other, nan=0.0)  # Polars has no sum of nothing.
        same = (mine == other) | (np.isnan(mine) & np.isnan(other))
        if read.operation in ("sum", "mean"):
            same |= np.abs(mine - other) <= _RELATIVE * np.abs(mine)
        equal &= same
    return int(len(ours) - equal.sum())


def _median(job: Callable[[], _Result]) -> tuple[float, _Result]:
    """Return the median CPU seconds of some runs, and what the last gave."""
    result = job()  # Not counted: it makes the pages that later runs find.
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        result = job()
        seconds.append(time.process_time() - start)
    return sorted(seconds)[_REPEATS // 2], result
