"""Memory under a stream of keys that each come once: flat, once `max_keys` is reached."""

import gc
import resource
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import headrace as hr
from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.features.engine import Engine

_PIECE = 1 << 16
_MB = 1e6


class Visit(hr.Event):
    """A visit of somebody who never comes again."""

    visitor: int
    size: float
    at: datetime


def eviction(*, quick: bool = False) -> dict[str, Any]:
    """Send keys that each come once against `max_keys`; return the memory at the bound and at the end.

    new_keys, max_keys, evicted. rss_mb_at_cap: resident memory when five times `max_keys` keys had come. rss_mb_end: at
    the end. bytes_per_new_key: the slope between the two, fitted. keys_per_cpu_second.
    """
    count, most = (600_000, 50_000) if quick else (10_000_000, 500_000)
    visits = hr.source("visits", Visit, time=Visit.at)
    seen = visits.by(Visit.visitor, max_keys=most)
    vector = visits.vector(
        "visits", seen.count("30d"), seen.sum(Visit.size, "7d"), seen.max(Visit.size, "7d", default=0.0)
    )
    source = visits.settings
    engine = Engine(vector, None, [StreamSchema(source.name, Kind.EVENT, source.schema.arrow)], [source])
    came: list[int] = []
    memory: list[float] = []
    started = time.process_time()
    for first in range(0, count, _PIECE):
        engine.run(_batch(first, min(_PIECE, count - first), source.schema.arrow))
        came.append(min(first + _PIECE, count))
        memory.append(_resident_bytes())
    seconds = time.process_time() - started
    gc.collect()
    (state,) = engine.state.values()
    full = [number for number, keys in enumerate(came) if keys >= 5 * most + 2 * _PIECE]
    slope = float(np.polyfit([came[number] for number in full], [memory[number] for number in full], 1)[0])
    return {
        "new_keys": count,
        "max_keys": most,
        "keys": state["keys"],
        "evicted": state["evicted"],
        "rows": state["rows"],
        "rss_mb_at_cap": memory[full[0]] / _MB,
        "rss_mb_end": memory[-1] / _MB,
        "bytes_per_new_key": slope,
        "keys_per_cpu_second": count / seconds,
    }


def _batch(first: int, count: int, schema: pa.Schema) -> Batch:
    numbers = np.arange(first, first + count)
    at = 1_700_000_000_000_000 + numbers * 1_000
    columns = {"visitor": numbers, "size": (numbers % 97).astype(np.float64), "at": at}
    fields = pa.RecordBatch.from_arrays(
        [pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names], schema=schema
    )
    return Batch(
        numbers,
        np.zeros(count, np.int64),
        np.zeros(count, np.uint8),
        at,
        at,
        np.zeros(count, np.uint8),
        strings([""] * count),
        (fields,),
    )


def _resident_bytes() -> float:
    """Return the resident memory now; where the system does not tell, the most there ever was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return float(status.read_text().split()[1]) * resource.getpagesize()
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
