"""A running digest over the values of records: the same values give the same digest, however they were framed."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint64]

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(32)
_BYTE = np.uint64(8)


@njit(cache=True, nogil=True)
def absorb(digest: np.uint64, word: np.uint64) -> np.uint64:
    """Return the digest after one more 64-bit word."""
    mixed = (digest ^ word) * _PRIME
    mixed ^= mixed >> _SHIFT
    return mixed * _ODD


@njit(cache=True, nogil=True)
def absorb_words(rows: NDArray[np.int64], words: U8, digests: U8) -> None:
    """Absorb words[i, :] into digests[rows[i]].

    rows: i8[n]. words: u8[n, w]. digests: u8[m], changed in place.
    """
    for i in range(rows.shape[0]):
        digest = digests[rows[i]]
        for j in range(words.shape[1]):
            digest = absorb(digest, words[i, j])
        digests[rows[i]] = digest


@njit(cache=True, nogil=True)
def absorb_bytes(rows: NDArray[np.int64], offsets: NDArray[np.int32], data: NDArray[np.uint8], digests: U8) -> None:
    """Absorb the bytes data[offsets[i]:offsets[i + 1]] and their count into digests[rows[i]].

    rows: i8[n]. offsets: i4[n + 1]. data: u1[any]. digests: u8[m], changed in place.
    """
    for i in range(rows.shape[0]):
        start = offsets[i]
        stop = offsets[i + 1]
        digest = absorb(digests[rows[i]], np.uint64(stop - start))
        word = np.uint64(0)
        count = 0
        for place in range(start, stop):
            word = (word << _BYTE) | np.uint64(data[place])
            count += 1
            if count == 8:
                digest = absorb(digest, word)
                word = np.uint64(0)
                count = 0
        if count > 0:
            digest = absorb(digest, word)
        digests[rows[i]] = digest


@njit(cache=True, nogil=True)
def chain(digest: np.uint64, digests: U8) -> np.uint64:
    """Return the running digest after n rows. digests: u8[n], one a row."""
    for i in range(digests.shape[0]):
        digest = absorb(digest, digests[i])
    return digest
