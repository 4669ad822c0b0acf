"""Features of tables: a finite history that is already in memory, in a notebook, without a log or a file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.errors import ConfigError, nearest
from headrace.core.records import I8, Batch, Kind, StreamSchema, Verdict
from headrace.core.schema import NO_DEFAULT, FieldSchema
from headrace.core.source_settings import SourceSettings
from headrace.features.engine import Engine, Vectors
from headrace.features.labels import Label
from headrace.features.vector import Vector

__all__ = ["Truth", "compute", "typed_table"]

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
    sources = [stream.settings for stream in vector.streams()]
    for name in tables:
        if name not in {source.name for source in sources}:
            known = [source.name for source in sources]
            raise ConfigError("compute", wanted=f"tables of {', '.join(known)}", got=name + nearest(name, known))
    batch = _merged(sources, tables)
    streams = [StreamSchema(source.name, Kind.EVENT, source.schema.arrow) for source in sources]
    engine = Engine(vector, label, streams, sources)
    if truth == "complete":
        found = [(0, engine.run_complete(batch))]
    else:
        found = [(start, engine.run(batch.slice(start, start + _PIECE))) for start in range(0, len(batch), _PIECE)]
    return _table(vector, batch, found)


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
        raise ConfigError(where, wanted=f"a {field.kind}", got=str(error)) from error
    if field.kind == "number":
        typed = pc.if_else(pc.is_nan(typed), pa.scalar(None, field.arrow), typed)
    if typed.null_count and not field.nullable:
        raise ConfigError(where, wanted="a value in every row", got=f"{typed.null_count} without one")
    for bound, outside in ((field.ge, pc.less), (field.le, pc.greater)):
        if bound is not None and pc.any(outside(typed, bound)).as_py():
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
        newest = np.maximum.accumulate(np.concatenate([times[:1], times[:-1]])) if len(times) else times
        verdict[mine[times < newest - source.disorder_us]] = Verdict.LATE
        whole = table.take(pa.array(row[mine])).combine_chunks()
        payloads.append((whole.to_batches() or [pa.RecordBatch.from_pylist([], whole.schema)])[0])
    ids = pa.repeat(pa.scalar("", pa.string()), len(order))
    return Batch(arrived[order], row, stream, happened[order], arrived[order], verdict, ids, tuple(payloads))


def _times(column: pa.ChunkedArray) -> I8:
    times: I8 = column.cast(pa.int64()).to_numpy()
    return times


def _table(vector: Vector[Any], batch: Batch, found: Sequence[tuple[int, Vectors]]) -> pa.Table:
    """Return the vectors in the order of the table that asked: `sub` holds each record's row there."""
    row = np.concatenate([start + vectors.row for start, vectors in found])
    back = np.argsort(batch.sub[row], kind="stable")
    blocks = vector.blocks()
    dense = np.concatenate([vectors.dense for _, vectors in found])[back]
    ids = np.concatenate([vectors.ids for _, vectors in found])[back]
    reason = np.concatenate([vectors.reasons for _, vectors in found])[back]
    names = (*blocks.dense, *blocks.categories)
    values = {
        **{name: dense[:, place] for place, name in enumerate(blocks.dense)},
        **{name: ids[:, place] for place, name in enumerate(blocks.categories)},
    }
    columns = {"_event_time": pa.array(batch.event_time[row][back]).cast(pa.timestamp("us", tz="UTC"))}
    columns |= {name: pa.array(values[name], from_pandas=True) for name in vector.features}
    texts = pa.array(reasons.NAMES)
    for name in vector.features:
        columns[f"_reason_{name}"] = texts.take(pa.array(reason[:, names.index(name)]))
    return pa.table(columns)
