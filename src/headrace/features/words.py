"""Texts into ids of their words and n-grams: whole columns at once, the same for a record whatever stands beside it."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.records import I8
from headrace.core.tokens import Tokens
from headrace.core.words import TOKENS_MAX
from headrace.features.keys import Hashes, hash_columns
from headrace.kernels import murmur

__all__ = ["tokens_of"]

_BETWEEN_WORDS: Final = r"[^\pL\pM\pN_]+"


def tokens_of(texts: pa.StringArray, bits: int, ngrams: int) -> Tokens:
    """Return the ids of each text: first of its words in order, then of its pairs of words, and so on.

    texts: n strings, null for none. Result: n rows of ids in [0, 2**bits).

    >>> found = tokens_of(pa.array(["To be or not to be", None, "..."]), 16, 1).lists()
    >>> len(found[0]), found[0][0] == found[0][4], found[1:]
    (6, True, [[], []])
    """
    lists = pc.split_pattern_regex(pc.utf8_lower(texts.fill_null("")), pattern=_BETWEEN_WORDS)
    row = np.repeat(np.arange(len(texts)), np.diff(lists.offsets.to_numpy()))
    parts = lists.flatten()
    # At its ends a text leaves empty pieces, which are no words.
    word = pc.greater(pc.binary_length(parts), 0).to_numpy(zero_copy_only=False)
    row, parts = row[word], parts.filter(pa.array(word))
    first = np.searchsorted(row, row, side="left")
    kept = np.arange(len(row)) - first < TOKENS_MAX // ngrams
    row = row[kept]
    hashes, _ = hash_columns([parts.filter(pa.array(kept))]) if len(row) else (np.zeros((0, 2), np.uint64), None)
    rows, found = [row], [hashes]
    for size in range(2, ngrams + 1):
        begins = np.flatnonzero(row[size - 1 :] == row[: len(row) - size + 1]) if len(row) >= size else row[:0]
        rows.append(row[begins])
        found.append(_joined(hashes, begins, size))
    row = np.concatenate(rows)
    ids = (np.concatenate(found)[:, 0] & np.uint64((1 << bits) - 1)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(texts)))]).astype(np.int64)
    return Tokens(offsets, ids[np.argsort(row, kind="stable")])


def _joined(hashes: Hashes, begins: I8, size: int) -> Hashes:
    """Return the hash of the hashes of `size` words in a row, for each place where such a row begins."""
    joined = np.empty((len(begins), 2), np.uint64)
    if len(begins):
        with np.errstate(over="ignore"):
            words = hashes[begins[:, np.newaxis] + np.arange(size)].reshape(len(begins), -1)
            murmur.hash_words(np.ascontiguousarray(words), joined)
    return joined
