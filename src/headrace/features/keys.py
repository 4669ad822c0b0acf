"""Keys: 128-bit hashes of columns, and a table that gives each a dense id."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.errors import StateError
from headrace.core.records import I8
from headrace.kernels import key_table as kernel
from headrace.kernels import murmur

__all__ = ["Hashes", "KeyTable", "hash_columns"]

Hashes: TypeAlias = NDArray[np.uint64]
_LEAST: Final = 1024


def hash_columns(columns: Sequence["pa.Array[Any] | pa.ChunkedArray[Any]"]) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return the 128-bit hash of each row, and whether every column has a value there.

    columns: strings, numbers, bools or times of n rows, at least one. Result: u8[n, 2] and bool[n]. A key of one
    column is the hash of its value; of several, the hash of their hashes. An empty string is a value; both zeros are
    one value; whole numbers of any width are alike, and differ from floats.

    >>> hashes, valid = hash_columns([pa.array(["hello", None])])
    >>> f"{hashes[0, 0]:016x}{hashes[0, 1]:016x}", valid.tolist()
    ('cbd8a7b341bd9b025b1e906a48ae1d19', [True, False])

    Raises StateError for a column of another type.
    """
    arrays = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
    parts = [_hash_column(column) for column in arrays]
    valid = np.ones(len(arrays[0]), bool)
    for column in arrays:
        if column.null_count:
            valid &= column.is_valid().to_numpy(zero_copy_only=False)
    if len(parts) == 1:
        return parts[0], valid
    joined = np.empty_like(parts[0])
    with np.errstate(over="ignore"):
        murmur.hash_words(np.ascontiguousarray(np.concatenate(parts, axis=1)), joined)
    return joined, valid


def _hash_column(column: "pa.Array[Any]") -> Hashes:
    out = np.empty((len(column), 2), np.uint64)
    if pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        offsets, words = _words_of(column)
        with np.errstate(over="ignore"):
            murmur.hash_strings(offsets, words, out)
        return out
    if pa.types.is_floating(column.type):
        numbers = column.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        words = (numbers + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0: one key for both zeros.
    elif pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type):
        whole = column.cast(pa.int64(), safe=False)  # Unsigned numbers above the range of int64 wrap, and stay apart.
        words = whole.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        raise StateError("key", wanted="a text, a number, a bool or a time", got=str(column.type))
    with np.errstate(over="ignore"):
        murmur.hash_words(np.ascontiguousarray(words).reshape(-1, 1), out)
    return out


def _words_of(column: "pa.Array[Any]") -> tuple[NDArray[np.int32], Hashes]:
    """Return the offsets of a column of strings, and its bytes as aligned words with 16 bytes to spare."""
    _, offset_buffer, data = column.buffers()
    if len(column) == 0 or offset_buffer is None:
        return np.zeros(1, np.int32), np.zeros(2, np.uint64)
    offsets = np.frombuffer(memoryview(offset_buffer), np.int32, count=column.offset + len(column) + 1)[column.offset :]
    start, stop = int(offsets[0]), int(offsets[-1])
    padded = np.zeros((stop - start) // 8 + 3, np.uint64)
    if data is not None and stop > start:
        padded.view(np.uint8)[: stop - start] = np.frombuffer(
            memoryview(data), np.uint8, count=stop - start, offset=start
        )
    return offsets - np.int32(start), padded


@final
class KeyTable:
    """128-bit keys, each with a dense id from 0 on; the id of a removed key is used again.

    >>> table = KeyTable()
    >>> table.add(np.array([[1, 2], [3, 4], [1, 2]], np.uint64)).tolist()
    [0, 1, 0]
    >>> table.find(np.array([[3, 4], [9, 9]], np.uint64)).tolist()
    [1, -1]
    """

    def __init__(self) -> None:
        self._table = np.full(2 * _LEAST, kernel.EMPTY, np.int32)
        self._keys = np.zeros((_LEAST, 2), np.uint64)
        self._free = np.zeros(_LEAST, np.int32)
        self._counts = np.zeros(kernel.COUNTS, np.int64)

    def __len__(self) -> int:
        """Return how many keys are known."""
        return int(self._counts[kernel.USED] - self._counts[kernel.FREE])

    @property
    def top(self) -> int:
        """Return a number above every id in use."""
        return int(self._counts[kernel.USED])

    def add(self, keys: Hashes) -> I8:
        """Return the id of each key, giving new ones in order of first appearance. keys: u8[n, 2]."""
        self._reserve(len(keys))
        ids = np.empty(len(keys), np.int64)
        kernel.add(keys, self._table, self._keys, self._free, self._counts, ids)
        return ids

    def find(self, keys: Hashes) -> I8:
        """Return the id of each key, -1 if it is unknown; changes nothing. keys: u8[n, 2]."""
        ids = np.empty(len(keys), np.int64)
        kernel.find(keys, self._table, self._keys, ids)
        return ids

    def remove(self, ids: I8) -> None:
        """Forget keys by id. ids: i8[n].

        Raises StateError if an id is not in use or stands there twice; the others are forgotten all the same.
        """
        known = ids[(ids >= 0) & (ids < self.top)]
        strange = len(ids) - len(known) + kernel.remove(known, self._table, self._keys, self._free, self._counts)
        if strange:
            raise StateError("key", wanted="ids in use, each once", got=f"{strange} others")

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the keys by id and the ids that are free; the table is derived."""
        used, free = (int(count) for count in self._counts)
        return {"keys": self._keys[:used].copy(), "free": self._free[:free].copy()}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood, every key under its id."""
        used, free = len(arrays["keys"]), len(arrays["free"])
        size = max(_LEAST, 1 << int(used).bit_length())
        self._keys = np.zeros((size, 2), np.uint64)
        self._keys[:used] = arrays["keys"]
        self._free = np.zeros(size, np.int32)
        self._free[:free] = arrays["free"]
        self._counts = np.array([used, free], np.int64)
        self._rebuild(2 * size)

    def _reserve(self, more: int) -> None:
        need = self.top + max(0, more - int(self._counts[kernel.FREE]))
        size = len(self._keys)
        if need > size:
            while size < need:
                size *= 2
            keys, free = np.zeros((size, 2), np.uint64), np.zeros(size, np.int32)
            keys[: len(self._keys)] = self._keys
            free[: len(self._free)] = self._free
            self._keys, self._free = keys, free
            self._rebuild(2 * size)

    def _rebuild(self, size: int) -> None:
        """Enter every live key into a fresh table of `size` places, twice as many as there can be keys."""
        live = np.ones(int(self._counts[kernel.USED]), bool)
        live[self._free[: int(self._counts[kernel.FREE])]] = False
        self._table = np.full(size, kernel.EMPTY, np.int32)
        kernel.enter(np.flatnonzero(live), self._table, self._keys)
