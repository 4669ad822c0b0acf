"""Keys of a history: at most so many live, and the one that was written longest ago makes room for a new one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.records import I8
from headrace.features.columns.contract import longer
from headrace.features.keys import Hashes
from headrace.kernels import bounded_keys as kernel
from headrace.kernels import key_table

__all__ = ["Assigned", "BoundedKeys"]

_LEAST: Final = 1024
_LARGEST_FILTER: Final = 1 << 20
"""Places of the filter of evicted keys, 8 bytes each: as many as keys may live, within these bounds."""


@final
@dataclass(frozen=True, slots=True)
class Assigned:
    """The keys of n operations.

    ids: i8[n], -1 without a key or for one that is not known. gone: i8[n], of keys that enter here the time before
    which rows of theirs were evicted, and of keys that are not known, if a window reaches it; the least int64 for none.
    entered: i8[m], the operations that entered a key. evicted: i8[e], ids, to be released once the operations are done.
    """

    ids: I8
    gone: I8
    entered: I8
    evicted: I8


@final
class BoundedKeys:
    """128-bit keys with dense ids, at most `most` at a time; evicted in log order, least recently written first.

    What was evicted is remembered in a filter of fixed size, so that a later operation of the key can be told; a key
    that never was may be told the same, by chance.

    >>> keys = BoundedKeys(most=1)
    >>> told = keys.assign(
    ...     np.array([[1, 1], [2, 2], [1, 1]], np.uint64), np.ones(3, bool), np.array([True, True, False]),
    ...     np.array([10, 20, 30]), np.zeros(3, np.int64),
    ... )
    >>> told.ids.tolist(), told.gone[2].item(), told.evicted.tolist()
    ([0, 1, -1], 11, [0])
    """

    def __init__(self, most: int) -> None:
        self.evicted = 0
        self._most = most
        self._lost: I8 = np.zeros(0, np.int64)
        self._clear(_LEAST)

    def __len__(self) -> int:
        """Return how many keys live."""
        return int(self._counts[kernel.LIVE])

    def assign(
        self, hashes: Hashes, valid: NDArray[np.bool_], insert: NDArray[np.bool_], time: I8, lowest: I8
    ) -> Assigned:
        """Take n operations in log order; those that insert write their keys.

        hashes: u8[n, 2]. valid, insert: bool[n]. time, lowest: i8[n]; no window of an operation reaches to
        before its `lowest`.
        """
        count = len(hashes)
        inserts = int(np.count_nonzero(insert & valid))
        self._reserve(inserts)
        if len(self) + inserts > self._most:
            self._remember()
        ids, gone = np.empty(count, np.int64), np.empty(count, np.int64)
        entered, evicted = np.empty(inserts, np.int64), np.empty(inserts, np.int64)
        came, went = kernel.assign(
            hashes,
            valid,
            insert,
            time,
            lowest,
            self._most,
            self._table,
            self._keys,
            self._queue,
            self._marks,
            self._lost,
            self._free,
            self._counts,
            ids,
            gone,
            entered,
            evicted,
        )
        self.evicted += int(went)
        return Assigned(ids, gone, entered[:came], evicted[:went])

    def release(self, evicted: I8) -> None:
        """Let ids of evicted keys be given again."""
        kernel.release(evicted, self._free, self._counts)

    def find(self, hashes: Hashes, valid: NDArray[np.bool_], lowest: I8) -> Assigned:
        """Look up n keys, and change nothing. hashes: u8[n, 2]. valid: bool[n]. lowest: i8[n]."""
        ids, gone = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
        key_table.find(hashes, self._table, self._keys, ids)
        kernel.look_up(hashes, ids, lowest, self._lost, gone)
        ids[~valid], gone[~valid] = kernel.NONE, kernel.ALWAYS
        nothing = np.zeros(0, np.int64)
        return Assigned(ids, gone, nothing, nothing)

    def forget(self, id_: int) -> None:
        """Take out one key that lives; its id may then be another's."""
        kernel.drop(id_, self._table, self._keys, self._marks, self._free, self._counts)

    def order(self) -> I8:
        """Return the ids of the keys that live, the one written longest ago first."""
        ids = np.empty(len(self), np.int64)
        kernel.order(self._queue, self._marks, self._counts, ids)
        return ids

    def snapshot(self, order: I8) -> dict[str, NDArray[Any]]:
        """Return the keys in the order of their last writing, which is theirs after a restore; no id is free."""
        place = np.flatnonzero(self._lost != kernel.ALWAYS)
        return {
            "keys": self._keys[order],
            "newest": self._marks[order, kernel.NEWEST],
            "lost_place": place,
            "lost": self._lost[place],
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood; the keys have ids in its order."""
        count = len(arrays["keys"])
        self._clear(max(_LEAST, 1 << count.bit_length()))
        self._keys[:count] = arrays["keys"]
        self._marks[:count, kernel.NEWEST] = arrays["newest"]
        self._marks[:count, kernel.WRITTEN] = self._queue[:count] = np.arange(count)
        self._counts[key_table.USED] = self._counts[kernel.LIVE] = self._counts[kernel.TAIL] = count
        key_table.enter(np.arange(count), self._table, self._keys)
        self._lost = np.zeros(0, np.int64)
        if len(arrays["lost"]):
            self._remember()
            self._lost[arrays["lost_place"]] = arrays["lost"]

    def _clear(self, size: int) -> None:
        self._table = np.full(2 * size, key_table.EMPTY, np.int32)
        self._keys = np.zeros((size, 2), np.uint64)
        self._marks: I8 = np.full((size, kernel.MARK_COLUMNS), kernel.NONE)
        self._queue = np.zeros(4 * size, np.int32)
        self._free = np.zeros(size, np.int32)
        self._counts = np.zeros(kernel.COUNTS, np.int64)

    def _remember(self) -> None:
        """Have a filter of evicted keys."""
        if not len(self._lost):
            size = min(max(_LEAST, 1 << (self._most - 1).bit_length()), _LARGEST_FILTER)
            self._lost = np.full(size, kernel.ALWAYS, np.int64)

    def _reserve(self, inserts: int) -> None:
        """Have room for as many writes, and new keys in a table that is at most half full."""
        if int(self._counts[kernel.TAIL]) + inserts > len(self._queue):
            kernel.compact(self._queue, self._marks, self._counts)
            need = 2 * len(self) + inserts  # So that it is compacted once for as many writes as there are keys.
            if need > len(self._queue):
                self._queue = longer(self._queue, 1 << need.bit_length())
        need = int(self._counts[key_table.USED]) + max(0, inserts - int(self._counts[key_table.FREE]))
        size = len(self._keys)
        if need <= size:
            return
        old, live = size, self.order()
        while size < need:
            size *= 2
        self._keys, self._free = longer(self._keys, size), longer(self._free, size)
        self._marks = longer(self._marks, size)
        self._marks[old:] = kernel.NONE
        self._table = np.full(2 * size, key_table.EMPTY, np.int32)
        key_table.enter(live, self._table, self._keys)
