"""Ten windowed features for each key, strictly before each event: ours against Polars and DuckDB, in one run.

Over the last hour count, sum, mean, max and variance; over the last day count, sum, mean, min and how many distinct
products: of 2,000,000 events of 100,000 keys, 5 % of which come up to a minute late.

`--windows 24h,7d,30d` takes other windows, `--hot 0.9` gives one key that share of the traffic: ours alone, against the
ten features of above in the same run.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.time import HOUR_US, MINUTE_US, duration_us
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.history import History
from headrace.features.keys import KeyTable, hash_columns

__all__ = ["NOTES", "run"]

_Result = TypeVar("_Result")

NOTES: Final = """\
Each figure is the median of three runs after one that is not counted (DuckDB's of one), in CPU seconds of all threads.
Ours starts from texts: keys are hashed, given dense ids, and only then aggregated. `events_per_cpu_second` is the truth
"complete": all three are given the same events sorted by time; that sort is not counted. Its twin `..._served` is the
stream as it arrives, each event answered at once. Rows are equal when counts, extremes and distinct counts are, and
sums, means and variances lie within 1e-9 of the size of what was summed: the others add and subtract floats, ours are
exact and rounded once. `bytes_a_row` is all that a history holds over the rows it keeps.
Polars counts distinct values of a moving window one window at a time, which a key with a tenth of the traffic forbids:
its figure is for nine features, DuckDB's for all ten."""

_BATCH: Final = 65_536
_REPEATS: Final = 3
_WINDOWS: Final = ("1h", "24h")
_PRODUCTS: Final = 1_000
_RELATIVE: Final = 1e-9
_FIRST: Final = ("count", "sum", "mean", "max", "var")
_LAST: Final = ("count", "sum", "mean", "min", "distinct")
_BETWEEN: Final = ("count", "sum", "mean")


@final
@dataclass(frozen=True, slots=True)
class _Stream:
    """n events: keys as texts, event times in microseconds, values in cents, products as numbers."""

    key: "pa.Array[Any]"
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    product: NDArray[np.float64]

    def sorted(self) -> "_Stream":
        """Return the events by (event time, log position)."""
        order = np.argsort(self.time, kind="stable")
        return _Stream(self.key.take(pa.array(order)), self.time[order], self.value[order], self.product[order])


def run(*, quick: bool, windows: str = ",".join(_WINDOWS), hot: float = 0.0) -> dict[str, object]:
    """Measure all, and compare every row; with `quick`, a twentieth of the events and keys."""
    events, keys = (100_000, 5_000) if quick else (2_000_000, 100_000)
    asked = tuple(windows.split(","))
    _ours(_stream(1_000, 100, _WINDOWS, 0.0), _plan(_WINDOWS))  # Kernels are compiled, or read from the cache.
    late = _stream(events, keys, _WINDOWS, 0.0)
    ordered = late.sorted()
    seconds, out, held = _measured(ordered, _WINDOWS)
    figures: dict[str, object] = {
        "events": events,
        "keys": keys,
        "batch": _BATCH,
        "events_per_cpu_second": round(events / seconds),
    }
    if asked != _WINDOWS or hot:
        other = _stream(events, keys, asked, hot).sorted()
        other_seconds, found, _ = _measured(other, asked)
        theirs = _duckdb(other, asked)
        differ = _rows_that_differ(asked, found, theirs, other.value)
        return figures | {
            "windows": windows,
            "hot": hot,
            "events_per_cpu_second_so": round(events / other_seconds),
            "slower_by": round(other_seconds / seconds, 2),
            "rows_compared": len(found),
            "rows_equal": differ == 0,
            "rows_differ": differ,
        }
    late_seconds, _, _ = _measured(late, _WINDOWS)
    hash_seconds, _ = _timed(lambda: _ids(ordered))
    frame = _frame(ordered)
    polars_seconds, nine = _timed(lambda: _polars(frame))
    start = time.process_time()
    ten = _duckdb(ordered, _WINDOWS)
    duckdb_seconds = time.process_time() - start
    differ = {
        "polars": _rows_that_differ(_WINDOWS, out[:, :-1], nine, ordered.value),
        "duckdb": _rows_that_differ(_WINDOWS, out, ten, ordered.value),
    }
    return figures | {
        "events_per_cpu_second_served": round(events / late_seconds),
        "key_hashing_ns": round(hash_seconds / events * 1e9, 1),
        "bytes_a_row": round(_bytes_of(held) / held.rows, 1),
        "rows_kept": held.rows,
        "polars": {"events_per_cpu_second": round(events / polars_seconds), "features": 9},
        "duckdb": {"events_per_cpu_second": round(events / duckdb_seconds), "features": 10},
        "ratio": round(min(polars_seconds, duckdb_seconds) / seconds, 2),
        "ratio_polars": round(polars_seconds / seconds, 2),
        "ratio_duckdb": round(duckdb_seconds / seconds, 2),
        "rows_compared": len(out),
        "rows_differ": differ,
        "rows_equal": not any(differ.values()),
    }


def _plan(windows: Sequence[str]) -> Plan:
    """Return the plan: five features of the first window, five of the last, three of those between."""
    reads = []
    for number, _ in enumerate(windows):
        names = _FIRST if number == 0 else _LAST if number == len(windows) - 1 else _BETWEEN
        for name in names:
            column = {"count": -1, "distinct": 1}.get(name, 0)
            parameters = {"cap": 10_000} if name == "distinct" else {}
            reads.append(Read(operation=name, window=number, column=column, parameters=parameters))
    spans = tuple(Span(size_us=duration_us("window", window)) for window in windows)
    return Plan(windows=spans, columns=2, reads=tuple(reads))


def _stream(events: int, keys: int, windows: Sequence[str], hot: float) -> _Stream:
    """Draw events with Zipf(1.1) keys over three times the longest window, in order of arrival; 5 % come late.

    With `hot` one key has that share of them.
    """
    draw = np.random.default_rng(20_260_101)
    span_us = 3 * max(duration_us("window", window) for window in windows)
    weight = 1.0 / np.arange(1, keys + 1) ** 1.1
    place = np.searchsorted(np.cumsum(weight), draw.random(events) * weight.sum())
    number = draw.permutation(keys)[np.minimum(place, keys - 1)]
    arrival = np.sort(draw.integers(0, span_us, events))
    delay = np.where(draw.random(events) < 0.05, draw.integers(0, MINUTE_US, events), 0)
    value = np.round(np.exp(draw.normal(3.0, 1.0, events)), 2)
    product = draw.integers(0, _PRODUCTS, events).astype(np.float64)
    if hot:
        number = np.where(draw.random(events) < hot, 0, number)
    names = pa.array([f"k{one:07d}" for one in range(keys)])
    return _Stream(names.take(pa.array(number)), arrival - delay, value, product)


def _ids(stream: _Stream) -> KeyTable:
    table = KeyTable()
    for start in range(0, len(stream.time), _BATCH):
        hashes, _ = hash_columns([stream.key.slice(start, _BATCH)])
        table.add(hashes)
    return table


def _ours(stream: _Stream, plan: Plan) -> tuple[NDArray[np.float64], History]:
    """Hash, aggregate and answer in batches, each event a row and a request at once; return f8[n, reads]."""
    count = len(stream.time)
    history, table = History(plan), KeyTable()
    out, reason = np.empty((count, len(plan.reads))), np.empty((count, len(plan.reads)), np.uint8)
    reach_us = max(window.size_us for window in plan.windows) + 5 * MINUTE_US
    newest = -reach_us - HOUR_US
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
            lowest=watermark - reach_us,
            columns=[stream.value[part], stream.product[part]],
            out=out[part],
            reason=reason[part],
        )
    return out, history


def _measured(stream: _Stream, windows: Sequence[str]) -> tuple[float, NDArray[np.float64], History]:
    plan = _plan(windows)
    seconds, (out, history) = _timed(lambda: _ours(stream, plan))
    return seconds, out, history


def _frame(stream: _Stream) -> pl.DataFrame:
    times = pl.Series(stream.time).cast(pl.Datetime("us"))
    return pl.DataFrame({"key": pl.Series(stream.key), "time": times, "value": stream.value})


def _polars(frame: pl.DataFrame) -> NDArray[np.float64]:
    value = pl.col("value")
    hour: dict[str, Any] = {"window_size": "1h", "closed": "left"}
    day: dict[str, Any] = {"window_size": "24h", "closed": "left"}
    columns = [
        pl.col("one").rolling_sum_by("time", **hour),
        value.rolling_sum_by("time", **hour),
        value.rolling_mean_by("time", **hour),
        value.rolling_max_by("time", **hour),
        value.rolling_var_by("time", **hour),
        pl.col("one").rolling_sum_by("time", **day),
        value.rolling_sum_by("time", **day),
        value.rolling_mean_by("time", **day),
        value.rolling_min_by("time", **day),
    ]
    named = [column.over("key").alias(f"f{number}") for number, column in enumerate(columns)]
    return frame.with_columns(one=pl.lit(1.0)).select(named).to_numpy()


def _duckdb(stream: _Stream, windows: Sequence[str]) -> NDArray[np.float64]:
    """Compute the same in SQL; a window is a range of whole microseconds that ends one before the row."""
    table = pa.table(
        {
            "i": np.arange(len(stream.time)),
            "key": stream.key,
            "t": stream.time,
            "value": stream.value,
            "product": stream.product,
        }
    )
    calls = {"count": "count(*)", "distinct": "count(DISTINCT product)", "var": "var_samp(value)", "mean": "avg(value)"}
    reads = _plan(windows).reads
    selected = ", ".join(
        f"{calls.get(read.operation, f'{read.operation}(value)')} OVER w{read.window} AS f{place}"
        for place, read in enumerate(reads)
    )
    named = ", ".join(
        f"w{number} AS (PARTITION BY key ORDER BY t RANGE BETWEEN {duration_us('window', window)} PRECEDING "
        "AND 1 PRECEDING)"
        for number, window in enumerate(windows)
    )
    with duckdb.connect() as connection:
        connection.register("events", table)
        found = connection.sql(f"SELECT {selected} FROM events WINDOW {named} ORDER BY i").to_arrow_table()
    columns = [column.cast(pa.float64()).fill_null(float("nan")).to_numpy() for column in found.columns]
    return np.column_stack(columns)


def _rows_that_differ(
    windows: Sequence[str], ours: NDArray[np.float64], theirs: NDArray[np.float64], value: NDArray[np.float64]
) -> int:
    """Return in how many rows a column differs; a window without rows has no mean and no extreme in all."""
    equal = np.ones(len(ours), bool)
    size = float(np.max(np.abs(value)))
    for column, read in enumerate(_plan(windows).reads[: ours.shape[1]]):
        mine, other = ours[:, column], theirs[:, column]
        if read.operation in ("count", "sum", "distinct"):
            other = np.nan_to_num(other, nan=0.0)  # The others have no sum of nothing.
        same = (mine == other) | (np.isnan(mine) & np.isnan(other))
        if read.operation in ("sum", "mean"):
            same |= np.abs(mine - other) <= _RELATIVE * np.maximum(np.abs(mine), size)
        if read.operation == "var":
            same |= np.abs(mine - other) <= _RELATIVE * np.maximum(np.abs(mine), size * size)
        equal &= same
    return int(len(ours) - equal.sum())


def _bytes_of(thing: object) -> int:
    """Return the bytes of all arrays that a history holds."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, list | tuple):
        return sum(_bytes_of(item) for item in thing)
    return sum(_bytes_of(item) for item in vars(thing).values()) if hasattr(thing, "__dict__") else 0


def _timed(job: Callable[[], _Result]) -> tuple[float, _Result]:
    """Return the median CPU seconds of some runs, and what the last gave."""
    result = job()  # Not counted: it makes the pages that later runs find.
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        result = job()
        seconds.append(time.process_time() - start)
    return sorted(seconds)[_REPEATS // 2], result
