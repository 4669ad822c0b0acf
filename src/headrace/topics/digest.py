"""Digests run over values: nulls masked, one NaN, never over the bytes of a file or a message."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core.errors import StateError
from headrace.core.records import Batch
from headrace.kernels import digest as kernel

__all__ = ["row_digests", "running_digest", "value_digest"]

_NULL: Final = 0x6E756C6C


def row_digests(batch: Batch) -> NDArray[np.uint64]:
    """Return a digest for each row, over its stream, times, verdict, id and payload; positions are left out.

    Positions depend on how frames were cut, values do not, so two runs may be compared row by row.
    """
    digests = np.zeros(len(batch), dtype=np.uint64)
    every = np.arange(len(batch))
    with np.errstate(over="ignore"):
        spine = np.stack(
            [batch.stream.astype(np.int64), batch.event_time, batch.arrival_time, batch.verdict.astype(np.int64)], axis=1
        )
        kernel.absorb_words(every, spine.view(np.uint64), digests)
        _absorb_column(every, batch.id, digests)
        for stream, payload in enumerate(batch.payloads):
            if payload.num_rows:
                rows = batch.rows_of(stream)
                for column in payload.columns:
                    _absorb_column(rows, column, digests)
    return digests


def running_digest(before: int, batch: Batch) -> int:
    """Return the digest that stands after `batch`, if `before` stood before it."""
    with np.errstate(over="ignore"):
        return int(kernel.chain(np.uint64(before), row_digests(batch)))


def value_digest(batch: Batch) -> str:
    """Return 16 hex digits over all values of a batch, for comparing two runs."""
    return f"{running_digest(0, batch):016x}"


def _absorb_column(rows: NDArray[np.int64], column: pa.Array, digests: NDArray[np.uint64]) -> None:
    kind = column.type
    if column.null_count:
        # Only the null rows absorb a mark: whether a piece of the column holds any must not be seen by the others.
        null = rows[column.is_null().to_numpy(zero_copy_only=False)]
        kernel.absorb_words(null, np.full((len(null), 1), _NULL, np.uint64), digests)
        column = _without_nulls(column)
    if pa.types.is_fixed_size_list(kind):
        flat = column.flatten()
        kernel.absorb_words(rows, _words(flat).reshape(len(column), kind.list_size), digests)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        offsets, data = _bytes_of(column)
        kernel.absorb_bytes(rows, offsets, data, digests)
    elif pa.types.is_list(kind):
        starts = column.offsets.to_numpy()
        words = _words(column.values)
        owner = np.repeat(rows, np.diff(starts))
        kernel.absorb_words(rows, np.diff(starts).astype(np.uint64).reshape(-1, 1), digests)
        kernel.absorb_words(owner, words[starts[0] : starts[-1]].reshape(-1, 1), digests)
    else:
        kernel.absorb_words(rows, _words(column).reshape(-1, 1), digests)


def _without_nulls(column: pa.Array) -> pa.Array:
    """Replace nulls by one value, so that what lies under them cannot be seen."""
    kind = column.type
    if pa.types.is_string(kind):
        return column.fill_null("")
    if pa.types.is_binary(kind):
        return column.fill_null(b"")
    if pa.types.is_nested(kind):
        raise StateError("digest", wanted="lists without nulls", got=str(kind))
    return column.fill_null(pa.scalar(0).cast(kind) if not pa.types.is_boolean(kind) else pa.scalar(value=False))


def _words(column: pa.Array) -> NDArray[np.uint64]:
    kind = column.type
    if pa.types.is_floating(kind):
        values = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, np.nan, values)
        return np.ascontiguousarray(values).view(np.uint64)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_boolean(kind):
        column = pc.cast(column, pa.uint8())
    values_as_int: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values_as_int.astype(np.int64).view(np.uint64)


def _bytes_of(column: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32, count=len(column) + 1 + column.offset)[column.offset :]
    if data is None or data.size == 0:
        return starts, np.zeros(1, dtype=np.uint8)
    return starts, np.frombuffer(data, dtype=np.uint8)
