"""Which keys had been seen before a part of a backfill, and since when: what a reason knows beyond its window.

Each part of the archive is asked for its keys by an engine of its own, with the windows taken away; then the parts
that follow are told. Labels are resolved on the way, since a label is a stream too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.core.functions import is_missing
from headrace.core.records import StreamSchema
from headrace.features.engine import Engine
from headrace.features.keys import KeyTable
from headrace.features.vector import Vector
from headrace.features.windows import Sliding

if TYPE_CHECKING:
    from headrace.features.aggregates import AggregateRead
    from headrace.run.pipeline import Pipeline
    from headrace.store.snapshots import Arrays

__all__ = ["keys_engine", "keys_of", "merged_keys", "tell"]

_SHORT = Sliding("1us")


def keys_engine(pipeline: "Pipeline[Any]", streams: Sequence[StreamSchema]) -> Engine | None:
    """Return an engine with the histories of a pipeline's and the shortest of windows; None if it has no history."""
    first: dict[str, AggregateRead] = {}
    for read in pipeline.features.aggregates():
        first.setdefault(read.history, replace(read, window=_SHORT, offset_us=0, include_current=False))
    if not first:
        return None
    asked = {f"history{number}": is_missing(read) for number, read in enumerate(first.values())}
    vector = Vector(pipeline.features.of, f"{pipeline.features.name}_keys", (), asked)
    return Engine(vector, pipeline.label, streams, pipeline.source_settings())


def keys_of(engine: Engine) -> "Arrays":
    """Return the keys of each history of an engine, the one written longest ago first, with their times."""
    arrays, _ = engine.snapshot()
    found: Arrays = {}
    for number in range(len(engine.state)):
        found[f"{number}.keys"] = arrays[f"{number}.keys.keys"]
        found[f"{number}.oldest"] = arrays[f"{number}.history.oldest"]
        found[f"{number}.newest"] = arrays[f"{number}.keys.newest"]
    return found


def merged_keys(parts: Sequence["Arrays"]) -> "Arrays":
    """Return the keys of several parts together, in the order in which one run would have written them last."""
    merged: Arrays = {}
    for name in (name for name in (parts[0] if parts else {}) if name.endswith(".keys")):
        stem = name.removesuffix(".keys")
        table = KeyTable()
        ids = [table.add(part[name]) for part in parts]
        limits = np.iinfo(np.int64)
        oldest, newest = np.full(table.top, limits.max, np.int64), np.full(table.top, limits.min, np.int64)
        written = np.zeros(table.top, np.int64)
        for number, (part, known) in enumerate(zip(parts, ids, strict=True)):
            np.minimum.at(oldest, known, part[f"{stem}.oldest"])
            np.maximum.at(newest, known, part[f"{stem}.newest"])
            written[known] = number * table.top + np.arange(len(known))
        order = np.argsort(written, kind="stable")
        merged[name] = table.snapshot()["keys"][order]
        merged[f"{stem}.oldest"], merged[f"{stem}.newest"] = oldest[order], newest[order]
    return merged


def tell(engine: Engine, keys: Mapping[str, Any]) -> None:
    """Let a fresh engine know keys that had been seen, without any of their records."""
    arrays, meta = engine.snapshot()
    for name in (name for name in keys if name.endswith(".keys")):
        number = name.removesuffix(".keys")
        arrays[f"{number}.keys.keys"] = keys[name]
        arrays[f"{number}.keys.newest"] = keys[f"{number}.newest"]
        arrays[f"{number}.history.length"] = np.zeros(len(keys[name]), np.int64)
        arrays[f"{number}.history.oldest"] = keys[f"{number}.oldest"]
    engine.restore(arrays, meta)
