"""The first record of every topic: which streams it carries, who writes it, and under which numbers.

A topic that belongs to no generation ([events]) outlives definitions, so its manifest may grow: each change is a
revision with the next number, and the frames of older revisions are read on. Nothing is ever taken away.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.position import Position
from headrace.core.records import Batch, Kind, StreamSchema

__all__ = ["DEFAULT", "ENGINE", "Manifest", "chosen", "conformed", "fingerprint"]

ENGINE: Final = 2
"""The engine number: raised whenever any output byte of any stage may change."""
DEFAULT: Final = b"default"
"""Under this word the metadata of a column says, as JSON, what stands in rows that are older than the column."""

_Streams: TypeAlias = tuple[StreamSchema, ...]
_REMEDY: Final = "another definition is another generation; another [events] needs a log of its own"


@final
@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a topic is, the same for all of its partitions.

    `producers` are the names of the tasks whose frames are taken; a frame names one by its number in this list.
    `ended` says of a producer that has retired how far it came: it stays in the list, so that what it sends again is
    a duplicate, and what it sends beyond is not taken. `timeless` are producers whose rows say nothing of the time of
    any source, so that nobody waits for them (`topics.watermark`).

    `left` says at which offset of each partition, so that every reader stops waiting for it in the same place.

    `digested` says that every producer is a deterministic function of its input, so that frames carry a running
    digest that readers check. `generation` is "" for a topic that belongs to none. `acting` is, in [events], the
    generation whose predictions are acted on before any `activate`; "" for every one.

    `earlier` are the streams as earlier revisions had them, where they differ from those of the next.
    """

    topic: str
    streams: _Streams
    producers: tuple[str, ...]
    generation: str = ""
    incarnation: int = 0
    digested: bool = False
    engine: int = field(default=ENGINE)
    revision: int = 1
    acting: str = ""
    timeless: tuple[str, ...] = ()
    ended: Mapping[str, Position] = field(default_factory=dict)
    earlier: tuple[_Streams, ...] = ()
    left: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def known(self) -> dict[int, _Streams]:
        """Return the streams of every revision, oldest first, by the fingerprint that its frames carry."""
        return {fingerprint(streams): streams for streams in (*self.earlier, self.streams)}

    @cached_property
    def newest(self) -> int:
        """Return the fingerprint of the streams as they are now."""
        return fingerprint(self.streams)

    @cached_property
    def last(self) -> dict[int, Position]:
        """Return how far each retired producer came, by its number."""
        return {self.producers.index(name): position for name, position in self.ended.items()}

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Return the producers that tell the time: all that are not timeless, retired ones among them."""
        return tuple(name for name in self.producers if name not in self.timeless)

    def number_of(self, stream: str) -> int:
        """Return a stream's number; StateError if the topic does not carry it."""
        names = [known.name for known in self.streams]
        if stream not in names:
            raise StateError(f"topic {self.topic!r}", wanted=f"one of its streams ({', '.join(names)})", got=stream)
        return names.index(stream)

    def revision_of(self, batch: Batch) -> int:
        """Return the fingerprint of the newest revision that a batch fits, payload by payload.

        Raises StateError if it fits none.
        """
        for number, streams in reversed(self.known.items()):
            if len(streams) == len(batch.payloads) and all(
                payload.num_rows == 0 or payload.schema.equals(stream.schema)
                for payload, stream in zip(batch.payloads, streams, strict=True)
            ):
                return number
        for payload, stream in zip(batch.payloads, self.streams, strict=False):
            if payload.num_rows and not payload.schema.equals(stream.schema):
                where = f"topic {self.topic!r}, stream {stream.name!r}"
                raise StateError(where, wanted=str(stream.schema), got=str(payload.schema))
        raise StateError(f"topic {self.topic!r}", wanted=f"{len(self.streams)} payloads", got=len(batch.payloads))

    def retire(self, producer: str, at: Position) -> "Manifest":
        """Return the manifest that says that a producer has written its last, `at` this position of its input."""
        return replace(self, ended={**self.ended, producer: at})

    def amended(self, wanted: "Manifest", ends: Sequence[int] = ()) -> "Manifest":
        """Return this manifest grown by what another asks for: itself, if that is nothing new.

        `ends` are the ends of the topic's partitions.

        A topic of no generation may gain streams, columns with a default (at the end of a stream), producers, and
        the ends of producers. `acting` is said once, by whoever makes the topic. Order of streams and columns, and
        which stream asks, are the definition's own business: a batch is brought into the topic's order (`conformed`).

        Raises StateError, naming what differs and the remedy, for anything else.
        """
        if self.generation or wanted.generation:
            self._check_same(wanted)
            return self
        for name in ("topic", "digested"):
            self._check_equal(name, getattr(wanted, name))
        streams = self._grown(wanted.streams)
        strangers = [name for name in wanted.ended if name not in self.producers]
        moved = [name for name, at in wanted.ended.items() if self.ended.get(name, at) != at]
        if strangers or moved:
            self._refuse(f"the end of a producer of {list(self.producers)}, said once", f"one of {strangers or moved}")
        back = [name for name in wanted.producers if name in self.ended and name not in wanted.ended]
        if back:
            self._refuse(f"producers that have not retired (all but {', '.join(self.ended)})", ", ".join(back))
        grown = replace(
            self,
            streams=streams,
            producers=_joined(self.producers, wanted.producers),
            timeless=_joined(self.timeless, [name for name in wanted.timeless if name not in self.producers]),
            ended={**self.ended, **wanted.ended},
            left={**{name: tuple(ends) for name in wanted.ended}, **self.left},
            earlier=self.earlier if streams == self.streams else (*self.earlier, self.streams),
        )
        return self if grown == self else replace(grown, revision=self.revision + 1)

    def to_json(self) -> bytes:
        """Return the manifest as it stands in the topic."""
        return json.dumps(
            {
                "topic": self.topic,
                "streams": _streams_json(self.streams),
                "producers": self.producers,
                "generation": self.generation,
                "incarnation": self.incarnation,
                "digested": self.digested,
                "engine": self.engine,
                "revision": self.revision,
                "acting": self.acting,
                "timeless": self.timeless,
                "ended": {name: list(position) for name, position in self.ended.items()},
                "left": self.left,
                "earlier": [_streams_json(streams) for streams in self.earlier],
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Return the manifest that `to_json` wrote."""
        raw = json.loads(text)
        return cls(
            topic=raw["topic"],
            streams=_streams_of(raw["streams"]),
            producers=tuple(raw["producers"]),
            generation=raw["generation"],
            incarnation=raw["incarnation"],
            digested=raw["digested"],
            engine=raw["engine"],
            revision=raw["revision"],
            acting=raw["acting"],
            timeless=tuple(raw["timeless"]),
            ended={name: Position(*position) for name, position in raw["ended"].items()},
            earlier=tuple(_streams_of(streams) for streams in raw["earlier"]),
            left={name: tuple(ends) for name, ends in raw["left"].items()},
        )

    def _check_same(self, other: "Manifest") -> None:
        """Refuse whatever is not the same; the incarnation is the log's to choose."""
        for name in ("topic", "generation", "digested", "engine", "producers"):
            self._check_equal(name, getattr(other, name))
        if self.streams != other.streams:
            names = [stream.name for stream in other.streams]
            if names != [stream.name for stream in self.streams]:
                self._refuse(f"the streams {', '.join(stream.name for stream in self.streams)}", ", ".join(names))
            for mine, asked in zip(self.streams, other.streams, strict=True):
                if mine != asked:
                    self._refuse(f"stream {mine.name!r} with {_columns(mine)}", _columns(asked))

    def _check_equal(self, name: str, got: object) -> None:
        here = getattr(self, name)
        if here != got:
            self._refuse(f"{name} {_text(here)}", _text(got))

    def _grown(self, wanted: _Streams) -> _Streams:
        """Return the streams with the columns and streams that are wanted as well."""
        asked = {stream.name: stream for stream in wanted}
        grown = [self._widened(stream, asked.pop(stream.name, stream)) for stream in self.streams]
        return (*grown, *asked.values())

    def _widened(self, mine: StreamSchema, asked: StreamSchema) -> StreamSchema:
        """Return a stream with the columns that are asked for as well; which stream asks may differ."""
        asks = {Kind.REQUEST, Kind.EVENT}
        if mine.kind != asked.kind and not asks >= {mine.kind, asked.kind}:
            self._refuse(f"stream {mine.name!r} of kind {mine.kind.name}", asked.kind.name)
        here = {column.name: column for column in mine.schema}
        for column in asked.schema:
            old = here.get(column.name)
            if old is None and not column.nullable and DEFAULT not in (column.metadata or {}):
                wanted = f"stream {mine.name!r} with {_columns(mine)}, or a new column that has a default"
                self._refuse(wanted, f"{column.name} {column.type} without one")
            if old is not None and (old.type, old.nullable) != (column.type, column.nullable):
                self._refuse(f"column {mine.name}.{_column(old)}", _column(column))
            here.setdefault(column.name, column)
        missing = [name for name in here if name not in asked.schema.names and not _may_lack(here[name])]
        if missing:
            self._refuse(f"stream {mine.name!r} with {_columns(mine)}", f"none of {', '.join(missing)}")
        schema = pa.schema(list(here.values()))
        return mine if schema.equals(mine.schema) else StreamSchema(mine.name, mine.kind, schema)

    def _refuse(self, wanted: str, got: str) -> None:
        raise StateError(f"topic {self.topic!r}", wanted=f"{wanted} ({_REMEDY})", got=got)


def conformed(batch: Batch, streams: Sequence[StreamSchema], into: Sequence[StreamSchema]) -> Batch:
    """Return a batch of some streams as one of a topic that has them too, by name: in its order, with its columns.

    A column that the batch lacks gets its default, else null; a stream that it lacks is empty. Nothing is copied
    where nothing differs. Raises StateError if the topic lacks a stream or a column.
    """
    if streams is into:
        return batch
    same = len(streams) == len(into) and all(
        mine.name == other.name and mine.schema.equals(other.schema) for mine, other in zip(streams, into, strict=False)
    )
    if same:
        return batch
    names = [stream.name for stream in into]
    by_name = dict(zip((stream.name for stream in streams), batch.payloads, strict=True))
    strange = [name for name in by_name if name not in names]
    if strange:
        raise StateError("batch", wanted=f"the streams {', '.join(names)}", got=", ".join(strange))
    payloads = tuple(_filled(by_name.get(stream.name), stream.schema) for stream in into)
    number = np.array([names.index(stream.name) for stream in streams], np.uint8)
    return replace(batch, stream=number[batch.stream], payloads=payloads)


def chosen(batch: Batch, streams: Sequence[StreamSchema], wanted: Sequence[StreamSchema]) -> Batch:
    """Return the rows of those streams of a batch that are wanted, in their order, with all of their columns."""
    if [stream.name for stream in streams] == [stream.name for stream in wanted]:
        return batch
    numbers = {stream.name: number for number, stream in enumerate(wanted)}
    number = np.array([numbers.get(stream.name, len(wanted)) for stream in streams], np.uint8)[batch.stream]
    kept = np.flatnonzero(number < len(wanted))
    rows = batch if len(kept) == len(batch) else batch.take(kept)
    payloads = dict(zip((stream.name for stream in streams), rows.payloads, strict=True))
    return replace(rows, stream=number[kept], payloads=tuple(payloads[stream.name] for stream in wanted))


def _filled(payload: pa.RecordBatch | None, schema: pa.Schema) -> pa.RecordBatch:
    """Return a payload with the columns of `schema`."""
    if payload is None:
        return pa.RecordBatch.from_pylist([], schema=schema)
    if payload.schema.equals(schema):
        return payload
    count = payload.num_rows
    have = payload.schema.names
    strange = [name for name in have if name not in schema.names]
    if strange:
        raise StateError("batch", wanted=f"the columns {', '.join(schema.names)}", got=", ".join(strange))
    columns = [payload[column.name] if column.name in have else _defaults(column, count) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _defaults(column: pa.Field, count: int) -> pa.Array:
    metadata = column.metadata or {}
    if DEFAULT not in metadata:
        return pa.nulls(count, column.type)
    return pa.repeat(pa.scalar(json.loads(metadata[DEFAULT]), column.type), count)


def _may_lack(column: pa.Field) -> bool:
    return bool(column.nullable or DEFAULT in (column.metadata or {}))


def _joined(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return (*one, *(name for name in other if name not in one))


def _columns(stream: StreamSchema) -> str:
    return f"the columns {', '.join(map(_column, stream.schema))}"


def _column(column: pa.Field) -> str:
    return f"{column.name} {column.type}{' | None' if column.nullable else ''}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else repr(value)


@cache
def fingerprint(streams: _Streams) -> int:
    """Return 64 bits that change when the streams or their columns do; defaults are not among them.

    >>> f"{fingerprint((StreamSchema('a', Kind.EVENT, pa.schema([('x', pa.int64())])),)):016x}"
    '491cc20cfe5ee8f7'
    """
    columns = [
        [stream.name, int(stream.kind), [[column.name, str(column.type), column.nullable] for column in stream.schema]]
        for stream in streams
    ]
    text = json.dumps(columns)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _streams_json(streams: _Streams) -> list[dict[str, object]]:
    return [
        {
            "name": stream.name,
            "kind": int(stream.kind),
            "schema": base64.b64encode(stream.schema.serialize().to_pybytes()).decode(),
        }
        for stream in streams
    ]


def _streams_of(raw: list[dict[str, Any]]) -> _Streams:
    return tuple(
        StreamSchema(
            entry["name"],
            Kind(entry["kind"]),
            pa.ipc.read_schema(pa.py_buffer(base64.b64decode(entry["schema"]))),
        )
        for entry in raw
    )
