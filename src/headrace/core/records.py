"""Records in columns: one spine, and one payload for each stream of the topic.

The spine holds what every record has (position, stream, times, id, verdict); row i of a stream's payload is the
i-th spine row of that stream. So requests, labels, ticks and commands keep their order in one batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.errors import StateError
from headrace.core.position import Position

__all__ = [
    "F8",
    "I4",
    "I8",
    "NO_ID",
    "U1",
    "Batch",
    "Kind",
    "StreamSchema",
    "Verdict",
    "below",
    "block",
    "flat_block",
    "strings",
]

I8: TypeAlias = NDArray[np.int64]
I4: TypeAlias = NDArray[np.int32]
U1: TypeAlias = NDArray[np.uint8]
F8: TypeAlias = NDArray[np.float64]
NO_ID: Final = ""


class Kind(IntEnum):
    """What a row is to the stage that reads it."""

    REQUEST = 0
    EVENT = 1
    LABEL = 2
    TICK = 3
    PROGRESS = 4
    COMMAND = 5
    CONTROL = 6


class Verdict(IntEnum):
    """What ingest said of a record, once and for ever."""

    OK = 0
    LATE = 1
    FUTURE = 2
    DUPLICATE = 3
    REJECTED = 4


@final
@dataclass(frozen=True, slots=True)
class StreamSchema:
    """One stream of a topic: its name, its kind and the columns of its payload."""

    name: str
    kind: Kind
    schema: pa.Schema


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """n rows of several streams in one order.

    offset, sub: i8[n], the position that names the row. stream: u1[n], an index into the topic's streams.
    event_time, arrival_time: i8[n], microseconds UTC. verdict: u1[n]. id: n strings, `NO_ID` where a row has none.
    payloads: one RecordBatch a stream, with as many rows as the spine has of it. reached: i8[n] or None, the
    watermark behind each row, where a reader was told whom to wait for (`topics.watermark`); it is no part of a frame.
    """

    offset: I8
    sub: I8
    stream: U1
    event_time: I8
    arrival_time: I8
    verdict: U1
    id: pa.StringArray
    payloads: tuple[pa.RecordBatch, ...]
    reached: I8 | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offset)

    def position(self, row: int) -> Position:
        """Return the position of one row."""
        return Position(int(self.offset[row]), int(self.sub[row]))

    def above(self, position: Position) -> "Batch":
        """Return the rows that stand above `position`; rows must rise by position."""
        if len(self) == 0 or self.position(0) > position:
            return self
        fresh = (self.offset > position.offset) | ((self.offset == position.offset) & (self.sub > position.sub))
        return self.slice(int(np.argmax(fresh)) if fresh.any() else len(self), len(self))

    def rows_of(self, stream: int) -> I8:
        """Return the spine rows of one stream: i8[number of its rows], rising."""
        return np.flatnonzero(self.stream == stream)

    def slice(self, start: int, stop: int) -> "Batch":
        """Return rows start <= row < stop without copying."""
        if start == 0 and stop >= len(self):
            return self
        payloads = []
        for stream, payload in enumerate(self.payloads):
            if payload.num_rows == 0:
                payloads.append(payload)
                continue
            first = int(np.count_nonzero(self.stream[:start] == stream))
            count = int(np.count_nonzero(self.stream[start:stop] == stream))
            payloads.append(payload.slice(first, count))
        return Batch(
            self.offset[start:stop],
            self.sub[start:stop],
            self.stream[start:stop],
            self.event_time[start:stop],
            self.arrival_time[start:stop],
            self.verdict[start:stop],
            self.id.slice(start, stop - start),
            tuple(payloads),
            None if self.reached is None else self.reached[start:stop],
        )

    def take(self, rows: I8) -> "Batch":
        """Return the given rows in the given order."""
        stream = self.stream[rows]
        payloads = []
        for number, payload in enumerate(self.payloads):
            if payload.num_rows == 0:
                payloads.append(payload)
                continue
            place = np.zeros(len(self), dtype=np.int64)
            own = self.stream == number
            place[own] = np.arange(payload.num_rows)
            payloads.append(payload.take(pa.array(place[rows[stream == number]])))
        return Batch(
            self.offset[rows],
            self.sub[rows],
            stream,
            self.event_time[rows],
            self.arrival_time[rows],
            self.verdict[rows],
            self.id.take(pa.array(rows)),
            tuple(payloads),
            None if self.reached is None else self.reached[rows],
        )

    def placed(self, offset: I8, sub: I8) -> "Batch":
        """Return the same rows under other positions."""
        return Batch(
            offset,
            sub,
            self.stream,
            self.event_time,
            self.arrival_time,
            self.verdict,
            self.id,
            self.payloads,
            self.reached,
        )

    @staticmethod
    def concat(batches: Sequence["Batch"]) -> "Batch":
        """Return the rows of all batches, in order. All must have the same streams; at least one is needed."""
        if len(batches) == 1:
            return batches[0]
        payloads = []
        for parts in zip(*(batch.payloads for batch in batches), strict=True):
            filled = [part for part in parts if part.num_rows] or [parts[0]]
            payloads.append(filled[0] if len(filled) == 1 else pa.concat_batches(filled))
        reached = [batch.reached for batch in batches if batch.reached is not None]
        joined: pa.StringArray = pa.concat_arrays([batch.id for batch in batches])
        return Batch(
            np.concatenate([batch.offset for batch in batches]),
            np.concatenate([batch.sub for batch in batches]),
            np.concatenate([batch.stream for batch in batches]),
            np.concatenate([batch.event_time for batch in batches]),
            np.concatenate([batch.arrival_time for batch in batches]),
            np.concatenate([batch.verdict for batch in batches]),
            joined,
            tuple(payloads),
            np.concatenate(reached) if len(reached) == len(batches) else None,
        )


def block(values: NDArray[Any], width: int) -> pa.FixedSizeListArray:
    """Return a 2-D array as one Arrow column of fixed-size lists, without copying.

    values: [n, width] in C order, float64, int32, int64 or uint8.

    >>> block(np.zeros((2, 3)), 3).type
    FixedSizeListType(fixed_size_list<item: double>[3])
    """
    contiguous = np.ascontiguousarray(values)
    if contiguous.ndim != 2 or contiguous.shape[1] != width:
        raise StateError("block", wanted=f"an array of {width} columns", got=contiguous.shape)
    if width == 0:
        buffers = [None]
        child = pa.array(contiguous.reshape(-1))
        return pa.Array.from_buffers(pa.list_(child.type, 0), len(contiguous), buffers, children=[child])
    return pa.FixedSizeListArray.from_arrays(pa.array(contiguous.reshape(-1)), width)


def flat_block(column: pa.Array, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a column of fixed-size lists as a 2-D array, without copying.

    >>> flat_block(block(np.ones((2, 3)), 3), np.float64).shape
    (2, 3)
    """
    width = column.type.list_size
    if width == 0 or len(column) == 0:
        return np.zeros((len(column), width), dtype=dtype)
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, width)


def strings(values: Sequence[str]) -> pa.StringArray:
    """Return texts as a column.

    >>> strings(["a", "b"]).to_pylist()
    ['a', 'b']
    """
    return pa.array(values, type=pa.string())


def below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return those of the arrays whose name has a prefix, without it.

    >>> sorted(below({"keys.ids": np.zeros(1), "keys.free": np.zeros(1), "time": np.zeros(1)}, "keys."))
    ['free', 'ids']
    """
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
