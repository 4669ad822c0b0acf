"""MurmurHash3 x64 128 over columns: the same key everywhere, on every machine, in every process.

Source: A. Appleby, MurmurHash3 (public domain description), the x64 128-bit variant with seed 0.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint64]

_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_A1 = np.uint64(0x52DCE729)
_A2 = np.uint64(0x38495AB5)
_FIVE = np.uint64(5)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO = np.uint64(0)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S33 = np.uint64(33)
_S64 = np.uint64(64)
_EIGHT = np.uint64(8)


@njit(cache=True, nogil=True)
def _rotated(word: np.uint64, left: np.uint64) -> np.uint64:
    return (word << left) | (word >> (_S64 - left))


@njit(cache=True, nogil=True)
def finished(word: np.uint64) -> np.uint64:
    """Return the word with every bit depending on all: how a hash ends."""
    word ^= word >> _S33
    word *= _M1
    word ^= word >> _S33
    word *= _M2
    return word ^ (word >> _S33)


@njit(cache=True, nogil=True)
def _word(words: U8, place: np.int64) -> np.uint64:
    """Return the 8 bytes that start at byte `place` of the aligned words, little-endian."""
    shift = np.uint64(place & 7) * _EIGHT
    index = place >> 3
    word: np.uint64 = words[index]
    if shift != _ZERO:
        word = (word >> shift) | (words[index + 1] << (_S64 - shift))
    return word


@njit(cache=True, nogil=True)
def hash_strings(offsets: NDArray[np.int32], words: U8, out: U8) -> None:
    """Hash n strings.

    offsets: i4[n + 1], bytes. words: u8[m], the bytes as aligned words, with 16 bytes to spare. out: u8[n, 2].
    """
    for row in range(offsets.shape[0] - 1):
        start = np.int64(offsets[row])
        size = np.int64(offsets[row + 1]) - start
        one = _ZERO
        two = _ZERO
        place = start
        body = start + (size & ~np.int64(15))
        while place < body:
            first = _rotated(_word(words, place) * _C1, _S31) * _C2
            second = _rotated(_word(words, place + 8) * _C2, _S33) * _C1
            one = (_rotated(one ^ first, _S27) + two) * _FIVE + _A1
            two = (_rotated(two ^ second, _S31) + one) * _FIVE + _A2
            place += 16
        rest = size & np.int64(15)
        if rest > 8:
            tail = _word(words, place + 8) & (_FULL >> np.uint64(64 - 8 * (rest - 8)))
            two ^= _rotated(tail * _C2, _S33) * _C1
        if rest > 0:
            tail = _word(words, place)
            if rest < 8:
                tail &= _FULL >> np.uint64(64 - 8 * rest)
            one ^= _rotated(tail * _C1, _S31) * _C2
        one ^= np.uint64(size)
        two ^= np.uint64(size)
        one += two
        two += one
        one = finished(one)
        two = finished(two)
        one += two
        two += one
        out[row, 0] = one
        out[row, 1] = two


@njit(cache=True, nogil=True)
def hash_words(words: U8, out: U8) -> None:
    """Hash n rows of w words each, as if each row were a string of 8 * w bytes. words: u8[n, w]. out: u8[n, 2]."""
    width = words.shape[1]
    for row in range(words.shape[0]):
        one = _ZERO
        two = _ZERO
        for pair in range(width >> 1):
            first = _rotated(words[row, 2 * pair] * _C1, _S31) * _C2
            second = _rotated(words[row, 2 * pair + 1] * _C2, _S33) * _C1
            one = (_rotated(one ^ first, _S27) + two) * _FIVE + _A1
            two = (_rotated(two ^ second, _S31) + one) * _FIVE + _A2
        if width & 1:
            one ^= _rotated(words[row, width - 1] * _C1, _S31) * _C2
        size = np.uint64(8 * width)
        one ^= size
        two ^= size
        one += two
        two += one
        one = finished(one)
        two = finished(two)
        one += two
        two += one
        out[row, 0] = one
        out[row, 1] = two
