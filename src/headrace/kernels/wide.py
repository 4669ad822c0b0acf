"""Whole numbers of any length, and the float64 nearest to one.

A number is a row of `numbers`, i8[n, columns]: how many digits it has, its sign, and its digits of 32 bits, lowest
first. Between `begin` and `finish` the digits may be anything that fits: words and products are added to them without
a carry (U. Kulisch, "Computer Arithmetic and Validity", 2008, ch. 8).
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8 = NDArray[np.int64]

# columns of `numbers`
SIZE = 0
SIGN = 1  # 1 or -1
FIRST = 2

ANY: Final = -(1 << 40)
"""A bound for the exponent that bounds nothing."""
LEAST: Final = -1074
"""The exponent of the least float64."""

_0 = np.uint64(0)
_1 = np.uint64(1)
_32 = np.uint64(32)
_52 = np.uint64(52)
_63 = np.uint64(63)
_DIGIT = np.uint64(0xFFFFFFFF)
_LOW = np.int64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def begin(numbers: I8, which: int, size: int) -> None:
    """Set a number to zero that shall have room for `size` digits."""
    numbers[which, SIZE] = size
    numbers[which, SIGN] = 1
    for place in range(FIRST, FIRST + size):
        numbers[which, place] = 0


@njit(cache=True, nogil=True)
def put(numbers: I8, which: int, value: int) -> None:
    """Set a number to one below 2**62 that is not negative."""
    begin(numbers, which, 2)
    numbers[which, FIRST] = value & _LOW
    numbers[which, FIRST + 1] = value >> 32


@njit(cache=True, nogil=True)
def add_word(numbers: I8, which: int, word: np.uint64, place: int, sign: int) -> None:
    """Add sign * word * 2**place."""
    digit = FIRST + (place >> 5)
    shift = np.uint64(place & 31)
    low = (word & _DIGIT) << shift
    high = (word >> _32) << shift
    numbers[which, digit] += sign * np.int64(low & _DIGIT)
    numbers[which, digit + 1] += sign * (np.int64(low >> _32) + np.int64(high & _DIGIT))
    numbers[which, digit + 2] += sign * np.int64(high >> _32)


@njit(cache=True, nogil=True)
def add_product(numbers: I8, which: int, one: int, other: int, sign: int) -> None:
    """Add sign * one * other, which are two finished numbers; the room must be that of both together."""
    sign *= numbers[one, SIGN] * numbers[other, SIGN]
    for i in range(numbers[one, SIZE]):
        factor = np.uint64(numbers[one, FIRST + i])
        for j in range(numbers[other, SIZE]):
            product = factor * np.uint64(numbers[other, FIRST + j])
            numbers[which, FIRST + i + j] += sign * np.int64(product & _DIGIT)
            numbers[which, FIRST + i + j + 1] += sign * np.int64(product >> _32)


@njit(cache=True, nogil=True)
def finish(numbers: I8, which: int) -> None:
    """Carry what was added: from here on the digits are those of the magnitude, the last one is not 0."""
    size = numbers[which, SIZE]
    negative = False
    while True:
        carry = np.int64(0)
        for place in range(FIRST, FIRST + size):
            total = numbers[which, place] + carry
            numbers[which, place] = total & _LOW
            carry = total >> np.int64(32)
        if carry == 0 or negative:
            break
        # What is left over is negative: a second turn carries the digits of the magnitude.
        negative = True
        numbers[which, SIGN] = -1
        for place in range(FIRST, FIRST + size):
            numbers[which, place] = -numbers[which, place]
    while size > 0 and numbers[which, FIRST + size - 1] == 0:
        size -= 1
    numbers[which, SIZE] = size


@njit(cache=True, nogil=True)
def nearest(numbers: I8, which: int, unit: int, least: int) -> tuple[float, int]:
    """Return m and e so that m * 2**e is nearest to a finished number times 2**unit; ties to even.

    m has 53 bits, or fewer if there would else be bits below 2**least.
    """
    size = numbers[which, SIZE]
    if size == 0:
        return 0.0, 0
    last = FIRST + size - 1
    head = numbers[which, last]
    bits = np.int64(np.float64(head).view(np.uint64) >> _52) - 1022
    next_digit = numbers[which, last - 1] if size > 1 else np.int64(0)
    third = numbers[which, last - 2] if size > 2 else np.int64(0)
    top = (
        (np.uint64(head) << np.uint64(64 - bits))
        | (np.uint64(next_digit) << np.uint64(32 - bits))
        | (np.uint64(third) >> np.uint64(bits))
    )
    below = third & ((np.int64(1) << bits) - 1)
    place = last - 3
    while below == 0 and place >= FIRST:
        below = numbers[which, place]
        place -= 1
    if below != 0:
        top |= _1  # Whatever is below decides a tie, and nothing else.
    exponent = 32 * (size - 3) + bits + unit
    surplus = least - exponent
    sign = float(numbers[which, SIGN])
    if surplus <= 11:
        return sign * np.float64(top), exponent
    whole = _0
    rest = _0
    if surplus <= 64:
        rest = top << np.uint64(64 - surplus) if surplus < 64 else top
        whole = top >> np.uint64(surplus) if surplus < 64 else _0
    half = _1 << _63
    if rest > half or (rest == half and whole & _1 != _0):
        whole += _1
    return sign * np.float64(whole), least


@njit(cache=True, nogil=True)
def _power_of_two(exponent: int) -> float:
    """Return 2.0**exponent for -1022 <= exponent <= 1023."""
    value: float = np.int64((exponent + 1023) << 52).view(np.float64)
    return value


@njit(cache=True, nogil=True)
def scaled(mantissa: float, exponent: int) -> float:
    """Return mantissa * 2**exponent, an infinity beyond the range; |mantissa| is 0, or from 2**-64 to 2**65."""
    if mantissa == 0.0 or exponent < -1200:
        return 0.0
    if exponent > 1100:
        return np.inf if mantissa > 0.0 else -np.inf
    first = exponent >> 1
    return mantissa * _power_of_two(first) * _power_of_two(exponent - first) + 0.0  # There is one zero.
