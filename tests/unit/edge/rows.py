"""Small sources in all three formats, for the tests of the edge."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.records import Batch, Kind
from headrace.core.schema import EventSchema, FieldSchema
from headrace.core.source_settings import SourceSettings
from headrace.core.time import instant_text
from headrace.edge.files import Format, SourceFiles
from headrace.edge.inlet import Inlet
from headrace.topics.digest import value_digest

FORMATS: Final[tuple[Format, ...]] = ("parquet", "csv", "jsonl")
SECOND: Final = 1_000_000
PING: Final = EventSchema(
    name="Ping",
    fields=(
        FieldSchema(name="name", kind="text"),
        FieldSchema(name="ms", kind="number", ge=0, le=1000, unit="ms"),
        FieldSchema(name="hops", kind="integer", nullable=True),
        FieldSchema(name="at", kind="time"),
        FieldSchema(name="came", kind="time", nullable=True),
    ),
)
_TYPES: Final = {
    "name": pa.string(),
    "ms": pa.float64(),
    "hops": pa.int64(),
    "at": pa.timestamp("us", tz="UTC"),
    "came": pa.timestamp("us", tz="UTC"),
}
Row = dict[str, Any]


def settings(name: str = "pings", **changes: Any) -> SourceSettings:
    """Return the settings of a source of pings with ids."""
    given: Row = {"time": "at", "id": "name", "arrived": "came", "kind": Kind.EVENT, "schema": PING, **changes}
    return SourceSettings(name=name, **given)


def ping(name: str, at: int, *, came: int | None = None, ms: Any = 1.0, hops: Any = None) -> Row:
    """Return one row; times are whole seconds after 1970."""
    came_us = None if came is None else came * SECOND
    return {"name": name, "ms": ms, "hops": hops, "at": at * SECOND, "came": came_us}


def written(folder: Path, name: str, kind: Format, rows: Sequence[Row]) -> Path:
    """Write rows (times as microseconds) in one format, and return the file."""
    file = folder / f"{name}.{kind}"
    if kind == "parquet":
        columns = {field: pa.array([row.get(field) for row in rows], typed) for field, typed in _TYPES.items()}
        pq.write_table(pa.table(columns), file)
    else:
        file.write_bytes(b"".join(line + b"\n" for line in lines(kind, rows)))
    return file


def lines(kind: Format, rows: Sequence[Row]) -> list[bytes]:
    """Return rows as lines of text; CSV begins with its header."""
    told = [
        {
            field: instant_text(row[field]) if field in ("at", "came") and isinstance(row[field], int) else row[field]
            for field in row
        }
        for row in rows
    ]
    if kind == "jsonl":
        return [json.dumps(row).encode() for row in told]
    cells = [["" if row.get(field) is None else str(row[field]) for field in PING.names] for row in told]
    return [",".join(PING.names).encode(), *(",".join(row).encode() for row in cells)]


def files(kind: Format, *paths: Path) -> SourceFiles:
    """Return a list of files."""
    return SourceFiles(paths=paths, format=kind)


def drained(inlet: Inlet, limit: int = 7) -> list[Batch]:
    """Return all that an inlet still gives."""
    batches = []
    while (batch := inlet.next(limit)) is not None:
        assert 0 < len(batch) <= limit
        batches.append(batch)
    return batches


def content(batches: Sequence[Batch]) -> tuple[list[tuple[int, int]], str]:
    """Return the positions and the digest of the values of some batches as one."""
    whole = Batch.concat(batches)
    return list(zip(whole.offset.tolist(), whole.sub.tolist(), strict=True)), value_digest(whole)
