"""What a pipeline comes to before it has run: how large its state may grow, what is slow or not exact, its defaults."""

import math
from typing import TYPE_CHECKING, Any

from headrace.core.records import Kind, StreamSchema
from headrace.core.source_settings import SourceSettings
from headrace.core.time import DAY_US, MINUTE_US, duration_text
from headrace.features.bounds import KEYS
from headrace.features.engine import Engine
from headrace.features.vector import aggregates_of
from headrace.features.windows import Session

if TYPE_CHECKING:
    from headrace.features.aggregates import AggregateRead
    from headrace.features.state_size import StateSize
    from headrace.run.pipeline import Pipeline

__all__ = ["bounds_of_state", "costs", "defaults", "errors"]


def bounds_of_state(pipeline: "Pipeline[Any]") -> list[dict[str, object]]:
    """Return one row a history: how many keys and rows of a key it keeps, and how many bytes that is at most.

    Bytes are an estimate, from the arrays that hold the rows. Where time alone bounds the rows of a key, their rate
    decides; where nothing does, `kept` says so, and how to bound it.
    """
    sources = pipeline.source_settings()
    streams = [StreamSchema(source.name, Kind.EVENT, source.schema.arrow) for source in sources]
    engine = Engine(pipeline.features, pipeline.label, streams, sources)
    return [
        {
            "keys at most": size.keys,
            "rows of a key": size.rows,
            "bytes a key": size.key_bytes,
            "bytes a row": round(size.row_bytes, 1),
            "bytes at most": size.most_bytes,
            "kept": _kept(size),
            "history": history,
        }
        for history, size in engine.sizes.items()
    ]


def defaults(pipeline: "Pipeline[Any]") -> list[dict[str, str]]:
    """Return one row for each setting that has its default, though another value would give other results."""
    rows: list[dict[str, str]] = []
    for source in pipeline.source_settings():
        rows += [{"setting": name, "default": text, "of": source.name} for name, text in _source_defaults(source)]
    for read in {read.history: read for read in pipeline.features.aggregates()}.values():
        rows += [{"setting": name, "default": text, "of": read.grouped} for name, text in _bound_defaults(read)]
    for window in dict.fromkeys(read.window for read in pipeline.features.aggregates()):
        if isinstance(window, Session) and window.longest == "12h":
            rows.append({"setting": "longest", "default": "12h", "of": repr(window)})
    return rows


def costs(pipeline: "Pipeline[Any]") -> list[dict[str, str]]:
    """Return one row for each feature whose read costs a step for every record of its window, and why."""
    return [
        {"feature": name, "cost": "a step for every record of its window: the merge is not exact, bit for bit"}
        for name, feature in pipeline.features.features.items()
        if any(read.operation == "agg" and not read.settings["exact"] for read in aggregates_of(feature))
    ]


def errors(pipeline: "Pipeline[Any]") -> list[dict[str, str]]:
    """Return one row for each aggregate that is not exact: the feature that reads it, and how far off it may be."""
    return [
        {"feature": name, "may be off by": error}
        for name, feature in pipeline.features.features.items()
        for error in dict.fromkeys(filter(None, map(_error_of, aggregates_of(feature))))
    ]


def _error_of(read: "AggregateRead") -> str:
    if read.resolution_us:
        share = f", {read.edge_error:.2%} of it" if read.edge_error else ""
        return f"at each edge of the window, {duration_text(read.resolution_us)}{share}"
    if read.operation == "distinct":
        cap = int(read.settings["cap"])
        return f"beyond {cap} values a standard error of {1.2 / math.sqrt(cap):.1%}"
    return "1/128 of the value" if read.operation == "quantile" else ""


def _kept(size: "StateSize") -> str:
    if size.grows:
        return "for ever: it grows with the log (bound it by max_events_per_key=, ttl= or max_bytes=)"
    if size.rows is not None:
        return f"the newest {size.rows} of a key"
    return f"for {duration_text(size.kept_us)}: their rate decides"


def _source_defaults(source: SourceSettings) -> list[tuple[str, str]]:
    found = [
        ("disorder", "0s", source.disorder_us == 0),
        ("late", "update", source.late == "update"),
        ("max_future_skew", "5min", source.max_future_skew_us == 5 * MINUTE_US),
        ("duplicates", "2d", source.id is not None and source.duplicate_horizon_us == 2 * DAY_US),
    ]
    return [(name, text) for name, text, holds in found if holds]


def _bound_defaults(read: "AggregateRead") -> list[tuple[str, str]]:
    limits = read.limits
    found = [
        ("max_keys", f"{KEYS:_}", limits.max_keys == KEYS),
        ("max_events_per_key", "none", not limits.max_events_per_key and not limits.max_bytes),
        ("ttl", "none", not limits.ttl_us),
    ]
    return [(name, text) for name, text, holds in found if holds]
