"""Features of tables: a finite history that is already in memory, in a notebook, without a log or a file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.errors import ConfigError, nearest
from headrace.core.records import F8, I4, I8, U1, Batch, Kind, StreamSchema, Verdict
from headrace.core.schema import NO_DEFAULT, FieldSchema
from headrace.core.source_settings import SourceSettings
from headrace.core.tokens import Tokens
from headrace.features.engine import Engine, Vectors
from headrace.features.labels import Label
from headrace.features.producers import Producers
from headrace.features.vector import Vector, aggregates_of

__all__ = ["Truth", "check_leak", "compute", "run_in_pieces", "typed_table"]

Truth: TypeAlias = Literal["served", "complete"]
_PIECE: Final = 65_536


def compute(vector: Vector[Any], label: Label[Any] | None, tables: Mapping[str, object], truth: Truth) -> pa.Table:
    """Return one row a request of `vector.of`, in the order of the table.

    Columns: `_event_time`, one a feature, and `_reason_<feature>` with the reason beside each value. `tables` are
    the sources by name, anything with `__arrow_c_stream__`. They are merged by arrival: the column that a source
    names as `arrived`, else the event time plus its delay.

    Raises ConfigError for a table that is missing or unknown, and for a record that ingest would reject.
    """
    if truth not in ("served", "complete"):
        raise ConfigError("truth", wanted="'served' or 'complete'", got=truth)
    if truth == "complete":
        check_leak(vector)
    sources = [stream.settings for stream in vector.streams()]
    for name in tables:
        if name not in {source.name for source in sources}:
            known = [source.name for source in sources]
            raise ConfigError("compute", wanted=f"tables of {', '.join(known)}", got=name + nearest(name, known))
    batch = _merged(sources, tables)
    streams = [StreamSchema(source.name, Kind.EVENT, source.schema.arrow) for source in sources]
    engine = Engine(vector, label, streams, sources)
    found = [(0, engine.run_complete(batch))] if truth == "complete" else run_in_pieces(engine, batch)
    return _table(vector, batch, found)


def run_in_pieces(engine: Engine, batch: Batch) -> list[tuple[int, Vectors]]:
    """Run an engine over a whole finite history; return what each piece gave, behind the row with which it began."""
    edges = [(start, min(start + _PIECE, len(batch))) for start in range(0, len(batch), _PIECE)]
    return [
        (start, engine.run(batch.slice(start, stop), end=stop - start - 1 if stop == len(batch) else None))
        for start, stop in edges
    ]


def check_leak(vector: Vector[Any]) -> None:
    """Refuse, for truth "complete", features of a label whose answers are back-dated.

    They come later than they happen, and "complete" would show them from the time at which they happened.

    Raises ConfigError, naming the feature, unless the answers arrive when they happen.
    """
    for name, feature in vector.features.items():
        for read in aggregates_of(feature):
            settings = None if read.label is None else read.label.events.settings
            if settings is not None and (settings.arrived is not None or settings.delay_us):
                wanted = "truth 'served': under 'complete' it would see answers before they had come"
                got = f"a label of {settings.name!r}, whose events arrive later than they happen"
                raise ConfigError(f"feature {name!r}", wanted=wanted, got=got)


def typed_table(source: SourceSettings, tables: Mapping[str, object]) -> pa.Table:
    """Return one source's table in the declared types, every record of which can be used.

    Raises ConfigError, with the field, for a table or column that is missing, mistyped, null or out of range.
    """
    where = f"table {source.name!r}"
    if source.name not in tables:
        raise ConfigError(where, wanted=f"{source.name}=<a table of {', '.join(source.schema.names)}>", got="none")
    given = tables[source.name]
    if not hasattr(given, "__arrow_c_stream__"):
        wanted = "a table of Arrow, pandas, polars or DuckDB (anything with __arrow_c_stream__)"
        raise ConfigError(where, wanted=wanted, got=type(given).__name__)
    table = pa.table(given)
    columns = []
    for field in source.schema.fields:
        if field.name in table.column_names:
            columns.append(_typed(f"{where}, column {field.name!r}", field, table[field.name]))
        elif field.default is not NO_DEFAULT:
            columns.append(pa.array([field.default] * len(table), field.arrow))
        else:
            got = f"none{nearest(field.name, table.column_names)}"
            raise ConfigError(where, wanted=f"a column {field.name!r}", got=got)
    return pa.table(columns, schema=source.schema.arrow)


def _typed(where: str, field: FieldSchema, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        typed = column.cast(field.arrow)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        wanted = f"{field.length} numbers" if field.length else f"a {field.kind}"
        raise ConfigError(where, wanted=wanted, got=str(error)) from error
    if field.kind == "number":
        typed = pc.if_else(pc.is_nan(typed), pa.scalar(None, field.arrow), typed)
        if pc.any(pc.is_inf(typed)).as_py():
            raise ConfigError(where, wanted="finite numbers", got="an infinite one")
    each = pa.chunked_array([chunk.flatten() for chunk in typed.chunks], pa.float64()) if field.length else typed
    if field.length and (each.null_count or not pc.all(pc.is_finite(each), min_count=0).as_py()):
        raise ConfigError(where, wanted=f"{field.length} finite numbers in every row", got="one that is not")
    if typed.null_count and not field.nullable:
        raise ConfigError(where, wanted="a value in every row", got=f"{typed.null_count} without one")
    for bound, outside in ((field.ge, pc.less), (field.le, pc.greater)):
        if bound is not None and pc.any(outside(each, bound)).as_py():
            raise ConfigError(where, wanted=f"values from {field.ge} to {field.le} {field.unit}", got="one outside")
    return typed


def _merged(sources: Sequence[SourceSettings], tables: Mapping[str, object]) -> Batch:
    """Return all records in order of arrival, ties by the order of the sources, then of the rows."""
    typed = [typed_table(source, tables) for source in sources]
    stream = np.repeat(np.arange(len(sources), dtype=np.uint8), [len(table) for table in typed])
    event = [_times(table[source.time]) for source, table in zip(sources, typed, strict=True)]
    arrival = [
        _times(table[source.arrived]) if source.arrived is not None else times + source.delay_us
        for source, table, times in zip(sources, typed, event, strict=True)
    ]
    arrived, happened = np.concatenate(arrival), np.concatenate(event)
    order = np.argsort(arrived, kind="stable")
    row = np.concatenate([np.arange(len(table)) for table in typed])[order]
    stream = stream[order]
    verdict = np.zeros(len(order), np.uint8)
    payloads = []
    for number, (source, table) in enumerate(zip(sources, typed, strict=True)):
        mine = np.flatnonzero(stream == number)
        times = happened[order][mine]
        whole = table.take(pa.array(row[mine])).combine_chunks()
        payloads.append((whole.to_batches() or [pa.RecordBatch.from_pylist([], whole.schema)])[0])
        newest = np.maximum.accumulate(times)
        if source.producer is not None:
            newest = np.maximum(Producers(source).speak(payloads[-1], times)[0], times)
        verdict[mine[times < newest - source.disorder_us]] = Verdict.LATE
    ids = pa.repeat(pa.scalar("", pa.string()), len(order))
    return Batch(arrived[order], row, stream, happened[order], arrived[order], verdict, ids, tuple(payloads))


def _times(column: pa.ChunkedArray) -> I8:
    times: I8 = column.cast(pa.int64()).to_numpy()
    return times


def _table(vector: Vector[Any], batch: Batch, found: Sequence[tuple[int, Vectors]]) -> pa.Table:
    """Return the vectors in the order of the table that asked: `sub` holds each record's row there."""
    row = np.concatenate([start + vectors.asked.origin for start, vectors in found])
    back = np.argsort(batch.sub[row], kind="stable")
    dense = np.concatenate([vectors.dense for _, vectors in found])[back]
    words = [vectors.tokens for _, vectors in found if vectors.tokens is not None]
    tokens = Tokens.joined(words).take(back) if words else None
    ids = np.concatenate([vectors.ids for _, vectors in found])[back]
    reason = np.concatenate([vectors.reasons for _, vectors in found])[back]
    return feature_table(vector, batch.event_time[row][back], dense, ids, reason, tokens)


def feature_table(
    vector: Vector[Any], time: I8, dense: F8, ids: I4, reason: U1, tokens: Tokens | None = None
) -> pa.Table:
    """Return n vectors as a table: `_event_time`, one column a feature, and `_reason_<feature>` for each.

    time: i8[n]. dense: f8[n, d]. ids: i4[n, c]. reason: u1[n, d + c + w] and tokens, as in `Vectors`.
    """
    blocks = vector.blocks()
    names = blocks.names
    values = blocks.columns(dense, ids, tokens)
    columns = {"_event_time": pa.array(time).cast(pa.timestamp("us", tz="UTC"))}
    columns |= {name: values[name] for name in vector.features}
    texts = pa.array(reasons.NAMES).take(pa.array(reason.T.reshape(-1)))  # At once: a call a feature costs more.
    for name in vector.features:
        columns[f"_reason_{name}"] = texts.slice(names.index(name) * len(time), len(time))
    return pa.table(columns)
