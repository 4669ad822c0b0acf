"""Texts as numbers, so that a history keeps them in the columns that it keeps numbers in."""

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.records import F8, I8, strings
from headrace.features.columns.contract import longer
from headrace.features.keys import KeyTable, hash_columns

__all__ = ["Texts"]

_LEAST: Final = 1024
_LEVEL_BITS: Final = 6
_LEVELS: Final = 40


@final
class Texts:
    """A number for each text that some row still has; which one depends on the past, and is never seen.

    Its last 6 bits depend on the text alone: how many zeros its hash ends in. So texts can be sampled by their numbers.

    >>> texts = Texts()
    >>> codes = texts.codes(pa.array(["b", "a", "b"]))
    >>> bool(codes[0] == codes[2]), texts.texts(np.append(codes[:2], np.nan)).to_pylist()
    (True, ['b', 'a', None])
    """

    def __init__(self) -> None:
        self._table = KeyTable()
        self._texts = np.zeros(_LEAST, object)
        self._kept = 0

    @property
    def crowded(self) -> bool:
        """Return whether there may be as many forgotten texts as others, so that it is time to `collect`."""
        return len(self._table) > 2 * self._kept + _LEAST

    def codes(self, column: pa.StringArray) -> F8:
        """Return the number of each of n texts, none of them null."""
        hashes, _ = hash_columns([column])
        new = np.flatnonzero(self._table.find(hashes) < 0)
        ids = self._table.add(hashes)
        if len(new):
            if self._table.top > len(self._texts):
                self._texts = longer(self._texts, 1 << (self._table.top - 1).bit_length())
            self._texts[ids[new]] = column.take(pa.array(new)).to_pylist()
        below = (hashes[:, 0] & (~hashes[:, 0] + np.uint64(1))) - np.uint64(1)  # Ones in place of the last zeros.
        levels = np.minimum(np.bitwise_count(below), _LEVELS)
        return ((ids << _LEVEL_BITS) + levels).astype(np.float64)

    def texts(self, codes: F8) -> pa.StringArray:
        """Return the text of each of n numbers, null for NaN."""
        missing = np.isnan(codes)
        if missing.all():
            return pa.nulls(len(codes), pa.string())
        used, place = np.unique(np.where(missing, codes[~missing][0], codes), return_inverse=True)
        known = pa.array(self._texts[_ids_of(used)], pa.string())
        return known.take(pa.array(place, mask=missing))

    def collect(self, live: F8) -> None:
        """Forget every text but those of the numbers given: f8[n], with repetitions."""
        gone = np.setdiff1d(self._ids(), _ids_of(live))
        self._table.remove(gone)
        self._texts[gone] = 0
        self._kept = len(self._table)

    def packed(self, codes: F8) -> tuple[F8, dict[str, NDArray[Any]]]:
        """Return numbers and texts that depend on the texts of n rows alone: numbered by first appearance."""
        used, first, place = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(used), np.float64)
        rank[order] = np.arange(len(used))
        encoded = [text.encode() for text in self._texts[_ids_of(used[order])]]
        sizes = np.array([len(text) for text in encoded], np.int64)
        return rank[place], {"sizes": sizes, "bytes": np.frombuffer(b"".join(encoded), np.uint8).copy()}

    def unpacked(self, codes: F8, arrays: Mapping[str, NDArray[Any]]) -> F8:
        """Take what `packed` gave into a fresh instance; return the numbers of the rows here."""
        content, ends = arrays["bytes"].tobytes(), np.cumsum(arrays["sizes"]).tolist()
        starts = [0, *ends][: len(ends)]
        given = strings([content[start:end].decode() for start, end in zip(starts, ends, strict=True)])
        known = self.codes(given)
        self._kept = len(self._table)
        return known[codes.astype(np.int64)] if len(codes) else codes

    def _ids(self) -> I8:
        """Return the numbers in use."""
        used: I8 = np.flatnonzero([isinstance(text, str) for text in self._texts[: self._table.top]])
        return used


def _ids_of(codes: F8) -> I8:
    """Return the numbers without what they say of the hash."""
    ids: I8 = codes.astype(np.int64) >> _LEVEL_BITS
    return ids
