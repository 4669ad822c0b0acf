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
    with np.errstate(over="ignore"):
        spine = [batch.stream.astype(np.uint64), batch.event_time, batch.arrival_time, batch.verdict.astype(np.uint64)]
        _absorb(np.arange(len(batch)), [column.view(np.uint64).reshape(-1, 1) for column in spine], [batch.id], digests)
        for stream, payload in enumerate(batch.payloads):
            if payload.num_rows:
                _absorb_payload(batch.rows_of(stream), payload, digests)
    return digests


def running_digest(before: int, batch: Batch) -> int:
    """Return the digest that stands after `batch`, if `before` stood before it."""
    with np.errstate(over="ignore"):
        return int(kernel.chain(np.uint64(before), row_digests(batch)))


def value_digest(batch: Batch) -> str:
    """Return 16 hex digits over all values of a batch, for comparing two runs."""
    return f"{running_digest(0, batch):016x}"


def _absorb_payload(rows: NDArray[np.int64], payload: pa.RecordBatch, digests: NDArray[np.uint64]) -> None:
    words, texts = [], []
    for whole in payload.columns:
        column = whole
        if column.null_count:
            # Only the null rows absorb a mark: whether a piece of the column holds any must not be seen by the others.
            null = rows[column.is_null().to_numpy(zero_copy_only=False)]
            kernel.absorb_words(null, np.full((len(null), 1), _NULL, np.uint64), digests)
            column = _without_nulls(column)
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            texts.append(column)
        elif pa.types.is_list(kind):
            _absorb_lists(rows, column, digests)
        elif pa.types.is_fixed_size_list(kind):
            words.append(_words(column.flatten()).reshape(len(column), kind.list_size))
        else:
            words.append(_words(column).reshape(-1, 1))
    _absorb(rows, words, texts, digests)


def _absorb(
    rows: NDArray[np.int64], words: list[NDArray[np.uint64]], texts: list[pa.Array], digests: NDArray[np.uint64]
) -> None:
    """Absorb columns of a fixed width all at once, then texts one by one."""
    if words:
        kernel.absorb_words(rows, np.ascontiguousarray(np.concatenate(words, axis=1)), digests)
    for column in texts:
        kernel.absorb_bytes(rows, *_bytes_of(column), digests)


def _absorb_lists(rows: NDArray[np.int64], column: pa.Array, digests: NDArray[np.uint64]) -> None:
    starts = column.offsets.to_numpy()
    kernel.absorb_words(rows, np.diff(starts).astype(np.uint64).reshape(-1, 1), digests)
    owner = np.repeat(rows, np.diff(starts))
    kernel.absorb_words(owner, _words(column.values)[starts[0] : starts[-1]].reshape(-1, 1), digests)


def _without_nulls(column: pa.Array) -> pa.Array:
    """Replace nulls by one value, so that what lies under them cannot be seen."""
    kind = column.type
    if pa.types.is_string(kind):
        return column.fill_null("")
    if pa.types.is_binary(kind):
        return column.fill_null(b"")
    if pa.types.is_fixed_size_list(kind):
        return pc.if_else(column.is_null(), pa.scalar([0.0] * kind.list_size, kind), column)
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
