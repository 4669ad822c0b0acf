"""A frame is one message of a topic: a fixed header, one spine and one payload for each stream that has rows.

It says which input positions of its producer it covers, (after, through], also those that gave nothing. The body is
Arrow IPC record batches without schema (the schemas stand in the manifest), compressed as one lz4 block.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, final

import google_crc32c
import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.position import Position
from headrace.core.records import Batch, strings
from headrace.topics.manifest import Manifest, conformed
from headrace.topics.schemas import no_rows

__all__ = ["FRAME_BYTES_MAX", "Frame", "cut", "decode", "empty_batch", "encode", "generation_number"]

FRAME_BYTES_MAX: Final = 512 * 1024
"""The size of a frame's body before compression, beyond which it is cut between two rows, unless its log says less."""

_MAGIC: Final = b"HRF1"
_HEADER: Final = struct.Struct("<4sHHQQIIqqqqQQqQII")
_PART: Final = struct.Struct("<II")
_CHECK: Final = struct.Struct("<I")
_SPINE: Final = pa.schema(
    [
        ("offset", pa.int64()),
        ("sub", pa.int64()),
        ("stream", pa.uint8()),
        ("event_time", pa.int64()),
        ("arrival_time", pa.int64()),
        ("verdict", pa.uint8()),
        ("id", pa.string()),
    ]
)
_SPINE_PART: Final = 0xFFFFFFFF
_CODEC: Final = pa.Codec("lz4_raw")
_SPINE_BYTES: Final = 34
_IDLE: Final = 1
_REACHED: Final = 2
"""Flags of a header; with `_REACHED` its time is meant."""


@final
@dataclass(frozen=True, slots=True)
class Frame:
    """What one task wrote to one partition for the input positions (after, through].

    `producer` is its number in the manifest. The batch's positions are those of the input rows that caused its rows.

    A *tick* is an empty frame with after == through: it takes no place, and says that its producer's source was idle
    when it stood there. An empty frame with `reached_us` announces how far event time has come at `through`; see
    `topics.watermark`.
    """

    producer: int
    after: Position
    through: Position
    batch: Batch
    digest_before: int = 0
    digest_after: int = 0
    idle: bool = False
    reached_us: int | None = None


def empty_batch(manifest: Manifest) -> Batch:
    """Return a batch of no rows with the topic's streams."""
    nothing = np.zeros(0, np.int64)
    payloads = tuple(no_rows(stream.schema) for stream in manifest.streams)
    return Batch(
        nothing, nothing, np.zeros(0, np.uint8), nothing, nothing, np.zeros(0, np.uint8), strings([]), payloads
    )


def encode(frame: Frame, manifest: Manifest) -> bytes:
    """Return a frame as bytes.

    Raises StateError if the payloads do not have the columns of any of the manifest's revisions.
    """
    batch = frame.batch
    spine = pa.RecordBatch.from_arrays(
        [
            pa.array(batch.offset),
            pa.array(batch.sub),
            pa.array(batch.stream),
            pa.array(batch.event_time),
            pa.array(batch.arrival_time),
            pa.array(batch.verdict),
            batch.id,
        ],
        schema=_SPINE,
    )
    parts = [(_SPINE_PART, spine.serialize())]
    revision = manifest.revision_of(batch)
    parts += [(number, payload.serialize()) for number, payload in enumerate(batch.payloads) if payload.num_rows]
    body = b"".join(piece for number, part in parts for piece in (_PART.pack(number, part.size), part))
    packed = _CODEC.compress(body, asbytes=True)
    announces = frame.reached_us is not None
    header = _HEADER.pack(
        _MAGIC,
        manifest.engine,
        _IDLE * frame.idle + _REACHED * announces,
        manifest.incarnation,
        revision,
        frame.producer,
        len(batch),
        *frame.after,
        *frame.through,
        frame.digest_before,
        frame.digest_after,
        frame.reached_us or 0,
        generation_number(manifest.generation),
        len(body),
        len(packed),
    )
    check = google_crc32c.extend(google_crc32c.value(header), packed)
    return b"".join((header, _CHECK.pack(check), packed))


def decode(raw: bytes, manifest: Manifest) -> Frame:
    """Return the frame that `encode` wrote.

    One of an older revision is brought into the newest: its streams get the columns that came later.

    Raises StateError if the bytes are damaged, or belong to another engine, generation, incarnation or schema.
    """
    where = f"topic {manifest.topic!r}, frame"
    if len(raw) < _HEADER.size + _CHECK.size:
        raise StateError(where, wanted=f"at least {_HEADER.size + _CHECK.size} bytes", got=f"{len(raw)} bytes")
    header = raw[: _HEADER.size]
    fields = _HEADER.unpack(header)
    packed = memoryview(raw)[_HEADER.size + _CHECK.size :]
    (check,) = _CHECK.unpack_from(raw, _HEADER.size)
    if fields[0] != _MAGIC or check != google_crc32c.extend(google_crc32c.value(header), bytes(packed)):
        raise StateError(where, wanted="its own check sum", got="damaged bytes")
    wanted = (manifest.engine, manifest.incarnation, generation_number(manifest.generation))
    got = (fields[1], fields[3], fields[14])
    if got != wanted:
        raise StateError(where, wanted=f"(engine, incarnation, generation) = {wanted}", got=got)
    streams = manifest.known.get(fields[4])
    if streams is None:
        raise StateError(where, wanted=f"the streams of one of revisions 1 to {manifest.revision}", got="others")
    body = _CODEC.decompress(packed, decompressed_size=fields[15])
    spine = None
    payloads = [no_rows(stream.schema) for stream in streams]
    place = 0
    while place < body.size:
        number, size = _PART.unpack_from(body, place)
        place += _PART.size
        part = body.slice(place, size)
        if number == _SPINE_PART:
            spine = pa.ipc.read_record_batch(part, _SPINE)
        else:
            payloads[number] = pa.ipc.read_record_batch(part, streams[number].schema)
        place += size
    if spine is None:
        raise StateError(where, wanted="a spine", got="none")
    offset, sub, stream, event_time, arrival_time, verdict = (
        spine.column(number).to_numpy() for number in range(len(_SPINE) - 1)
    )
    ids = spine.column(len(_SPINE) - 1)
    batch = Batch(offset, sub, stream, event_time, arrival_time, verdict, ids, tuple(payloads))
    return Frame(
        producer=fields[5],
        after=Position(fields[7], fields[8]),
        through=Position(fields[9], fields[10]),
        batch=batch if streams is manifest.streams else conformed(batch, streams, manifest.streams),
        digest_before=fields[11],
        digest_after=fields[12],
        idle=bool(fields[2] & _IDLE),
        reached_us=fields[13] if fields[2] & _REACHED else None,
    )


def generation_number(generation: str) -> int:
    """Return a generation (16 hex digits, or "" for none) as the 64 bits that stand in a header.

    >>> generation_number(""), generation_number("00000000000000ff")
    (0, 255)
    """
    return int(generation, 16) if generation else 0


def cut(batch: Batch, size_bytes: int) -> Iterator[Batch]:
    """Cut a batch between rows into pieces whose bodies stay below `size_bytes`, unless one row is larger."""
    if len(batch) <= 1 or _size_bytes(batch) <= size_bytes:
        yield batch
        return
    middle = len(batch) // 2
    yield from cut(batch.slice(0, middle), size_bytes)
    yield from cut(batch.slice(middle, len(batch)), size_bytes)


def _size_bytes(batch: Batch) -> int:
    """Return about how many bytes a batch takes as a frame's body."""
    size = len(batch) * _SPINE_BYTES + _text_bytes(batch.id)
    for payload in batch.payloads:
        if payload.num_rows:
            width, loose = _widths(payload.schema)
            size += payload.num_rows * width + sum(_text_bytes(payload.column(place)) for place in loose)
    return size


@cache
def _widths(schema: pa.Schema) -> tuple[int, tuple[int, ...]]:
    """Return the bytes a row of a schema's columns of fixed width, and which columns have none."""
    width, loose = 0, []
    for place, kind in enumerate(schema.types):
        if pa.types.is_fixed_size_list(kind):
            width += kind.list_size * kind.value_type.bit_width // 8
        elif pa.types.is_primitive(kind):
            width += max(1, kind.bit_width // 8)
        else:
            loose.append(place)
    return width, tuple(loose)


def _text_bytes(column: pa.Array) -> int:
    """Return the bytes of a column of strings or binaries; Arrow's own count looks at every buffer of the parent."""
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        return int(column.nbytes)
    offsets = column.buffers()[1]
    if offsets is None or len(column) == 0:
        return 0
    places = np.frombuffer(offsets, np.int32)
    return int(places[column.offset + len(column)] - places[column.offset]) + 4 * len(column)
