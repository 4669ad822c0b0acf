"""Exact sums of float64, rounded once: the same value whatever way the sum was reached.

Values on the grid (|x| < 2**40, no bit below 2**-64) are added as 128-bit integers with 64 fractional bits, so that
the sum of a span is the difference of two prefixes, modulo 2**128. What lies off the grid is summed by an
accumulator that holds the whole range of a float64 (U. Kulisch, "Computer Arithmetic and Validity", 2008, ch. 8).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
I8 = NDArray[np.int64]
F8 = NDArray[np.float64]

LIMBS = 72
"""32-bit limbs of the accumulator, kept in int64: 2,098 bits of a float64, and room for 2**31 carries."""

# columns of `prefix`, a 128-bit number with 64 fractional bits for each row: the sum of what lies before it
LOW = 0
HIGH = 1

_0 = np.uint64(0)
_1 = np.uint64(1)
_32 = np.uint64(32)
_52 = np.uint64(52)
_63 = np.uint64(63)
_EXPONENT = np.uint64(0x7FF)
_MANTISSA = np.uint64((1 << 52) - 1)
_HIDDEN = np.uint64(1 << 52)
_LOW32 = np.uint64(0xFFFFFFFF)
_INFINITE = np.uint64(0x7FF0000000000000)
_GRID_EXPONENT = 1011  # biased exponent at which a mantissa's lowest bit is 2**-64
_GRID_SHIFT_MAX = 51  # beyond it |x| >= 2**40


@njit(cache=True, nogil=True)
def fixed(bits: np.uint64) -> tuple[bool, np.uint64, np.uint64]:
    """Return whether a float64, as bits, lies on the grid, and its (high, low) words in two's complement if so."""
    exponent = np.int64((bits >> _52) & _EXPONENT)
    mantissa = bits & _MANTISSA
    if exponent == 0:
        return mantissa == _0, _0, _0
    mantissa |= _HIDDEN
    shift = exponent - _GRID_EXPONENT
    high = _0
    if shift < 0:
        if shift <= -53 or mantissa & ((_1 << np.uint64(-shift)) - _1) != _0:
            return False, _0, _0
        low = mantissa >> np.uint64(-shift)
    elif shift > _GRID_SHIFT_MAX:
        return False, _0, _0
    else:
        low = mantissa << np.uint64(shift)
        if shift > 0:
            high = mantissa >> np.uint64(64 - shift)
    if bits >> _63 != _0:
        low = ~low + _1
        high = ~high + (_1 if low == _0 else _0)
    return True, high, low


@njit(cache=True, nogil=True)
def strays_in(column: F8, chosen: NDArray[np.bool_]) -> bool:
    """Return whether one of the chosen values lies off the grid. column: f8[n]. chosen: bool[n]."""
    bits = column.view(np.uint64)
    for i in range(column.shape[0]):
        if chosen[i] and not fixed(bits[i])[0]:
            return True
    return False


@njit(cache=True, nogil=True)
def _power_of_two(exponent: np.int64) -> np.float64:
    """Return 2.0**exponent for -1022 <= exponent <= 1023."""
    return np.int64((exponent + 1023) << 52).view(np.float64)


@njit(cache=True, nogil=True)
def _rounded(high: np.uint64, low: np.uint64) -> float:
    """Return the float64 nearest to the unsigned number high:low, in units of 2**-64; ties to even."""
    scale = np.int64(-64)
    if high == _0:
        if low == _0:
            return 0.0
        high = low
        low = _0
        scale = np.int64(-128)
    # The place of the highest one is the exponent of the number as a float; with the bit below it cleared, rounding
    # cannot carry into the next power of two.
    bit = np.int64(np.float64(high & ~(high >> _1)).view(np.uint64) >> _52) - 1023
    shift = 63 - bit
    if shift > 0:
        high = (high << np.uint64(shift)) | (low >> np.uint64(64 - shift))
        low = low << np.uint64(shift)
    if low != _0:
        high |= _1  # Whatever is below decides a tie, and nothing else.
    return float(np.float64(high) * _power_of_two(scale + 64 - shift))


@njit(cache=True, nogil=True)
def from_fixed(high: np.uint64, low: np.uint64) -> float:
    """Return the float64 nearest to a 128-bit number with 64 fractional bits."""
    if high >> _63 != _0:
        low = ~low + _1
        high = ~high + (_1 if low == _0 else _0)
        return -_rounded(high, low)
    return _rounded(high, low)


@njit(cache=True, nogil=True)
def add_before(prefix: U8, source: int, target: int, high: np.uint64, low: np.uint64) -> None:
    """Set the sum before one row to the sum before another, and a number more. prefix: u8[slab, HIGH + 1 or more]."""
    total = prefix[source, LOW] + low
    prefix[target, HIGH] = prefix[source, HIGH] + high + (_1 if total < low else _0)
    prefix[target, LOW] = total


@njit(cache=True, nogil=True)
def between(prefix: U8, start: int, stop: int) -> tuple[np.uint64, np.uint64]:
    """Return the sum of the rows [start, stop) as (high, low) words: the sum before one less that before the other."""
    borrow = _1 if prefix[stop, LOW] < prefix[start, LOW] else _0
    return prefix[stop, HIGH] - prefix[start, HIGH] - borrow, prefix[stop, LOW] - prefix[start, LOW]


@njit(cache=True, nogil=True)
def sum_anywhere(values: F8, start: int, stop: int, limbs: I8) -> float:
    """Return the correctly rounded sum of values[start:stop], wherever they lie. limbs: i8[LIMBS], scratch.

    A sum beyond the range of a float64 is an infinity of its sign.
    """
    limbs[:] = 0
    bits_of = values.view(np.uint64)
    for i in range(start, stop):
        bits = bits_of[i]
        exponent = np.int64((bits >> _52) & _EXPONENT)
        mantissa = bits & _MANTISSA
        if exponent > 0:
            mantissa |= _HIDDEN
        place = exponent - 1 if exponent > 0 else np.int64(0)  # The mantissa's lowest bit is 2**(place - 1074).
        limb = place >> 5
        shift = np.uint64(place & 31)
        low = (mantissa & _LOW32) << shift
        high = (mantissa >> _32) << shift
        middle = (low >> _32) + (high & _LOW32)
        sign = np.int64(-1) if bits >> _63 != _0 else np.int64(1)
        limbs[limb] += sign * np.int64(low & _LOW32)
        limbs[limb + 1] += sign * np.int64(middle & _LOW32)
        limbs[limb + 2] += sign * np.int64((middle >> _32) + (high >> _32))
    carry = np.int64(0)
    for i in range(LIMBS):
        total = limbs[i] + carry
        limbs[i] = total & np.int64(0xFFFFFFFF)
        carry = total >> np.int64(32)
    negative = carry < 0
    if negative:
        borrow = np.int64(1)
        for i in range(LIMBS):
            total = (limbs[i] ^ np.int64(0xFFFFFFFF)) + borrow
            limbs[i] = total & np.int64(0xFFFFFFFF)
            borrow = total >> np.int64(32)
    top = LIMBS - 1
    while top > 0 and limbs[top] == 0:
        top -= 1
    if limbs[top] == 0:
        return 0.0
    head = np.uint64(limbs[top])
    bit = 32 * top - 1
    while head != _0:
        head >>= _1
        bit += 1
    # `bit` is the place of the highest one; a float64 keeps 53 bits from there on, none below place 0.
    lowest = max(bit - 52, 0)
    mantissa = _0
    for one in range(bit, lowest - 1, -1):
        mantissa = (mantissa << _1) | np.uint64((limbs[one >> 5] >> np.int64(one & 31)) & np.int64(1))
    if lowest > 0:
        half = (limbs[(lowest - 1) >> 5] >> np.int64((lowest - 1) & 31)) & np.int64(1)
        below = False
        for one in range(lowest - 2, -1, -1):
            if (limbs[one >> 5] >> np.int64(one & 31)) & np.int64(1):
                below = True
                break
        if half == 1 and (below or mantissa & _1 != _0):
            mantissa += _1
    # A float64's bits are (exponent << 52) + mantissa, which a carry into the next power of two leaves right.
    packed = np.uint64(min((np.uint64(lowest) << _52) + mantissa, _INFINITE))
    value = np.uint64(packed).view(np.float64)
    return -value if negative else value
