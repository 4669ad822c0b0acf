"""Variance, skewness and trend of a column, from exact sums of its powers.

Follows the script of `spans`. Before each row stand the sums of the values, their squares and cubes, of the times and
their squares, and of the products of the two, as whole numbers in two's complement with 64 fractional bits a factor
that is a value. The sum of a span is the difference of two of them, modulo their range; what lies off the grid of
`exact.fixed` is counted, and a span that holds such a value is summed row by row. Either way the sums are exact, and
so is what is made of them, up to the float64 nearest to it.
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels import wide
from headrace.kernels.exact import fixed
from headrace.kernels.spans import BEGIN, END, MOVE_FROM, MOVE_ROWS, MOVE_TO, NONE

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U8 = NDArray[np.uint64]

# aggregates
VAR = 0
STD = 1
SKEW = 2
TREND = 3

# columns of `reads`
CODE = 0
WINDOW = 1
TARGET = 2
READ_COLUMNS = 3

# sums
VALUES = 0
SQUARES = 1
CUBES = 2
TIMES = 3
SQUARED_TIMES = 4
PRODUCTS = 5
KINDS: Final = 6
WORDS: Final = (2, 4, 6, 2, 3, 4)
"""Words of each sum in `prefix`, if it is kept."""
NEEDED: Final = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 1, 1]], np.int64)
"""Which sums each aggregate needs."""
MOST_WORDS: Final = 6

# columns of `sums`. Tables are arguments: the compiler would unroll a loop over a constant, and compile for seconds.
START = 0  # its first word in `prefix`
STOP = 1  # behind its last one; the same if it is not kept
ONE = 2  # what a row adds to it is the product of what it adds to two others, -1 for the value or the time itself
OTHER = 3
POWER = 4  # of the value
TIMED = 5  # power of the time
ROOM = 6  # digits of the sum of values that lie off the grid
SUM_COLUMNS = 7
SUMS: Final = (
    (-1, -1, 1, 0, 72),
    (VALUES, VALUES, 2, 0, 138),
    (SQUARES, VALUES, 3, 0, 204),
    (-1, -1, 0, 1, 0),
    (TIMES, TIMES, 0, 2, 0),
    (TIMES, VALUES, 1, 1, 74),
)

# further numbers
COUNT = 6
SPREAD = 7  # n**2 times the variance of the values, or of the times
PART = 8
RESULT = 9
MILLION = 10
NUMBERS = 11

STEPS: Final = np.array(
    [
        [[SPREAD, COUNT, SQUARES, VALUES, VALUES, 1], [-1] * 6, [-1] * 6],
        [[SPREAD, COUNT, SQUARES, VALUES, VALUES, 1], [-1] * 6, [-1] * 6],
        [
            [SPREAD, COUNT, SQUARES, VALUES, VALUES, 1],
            [PART, COUNT, CUBES, VALUES, SQUARES, 1],
            [RESULT, COUNT, PART, VALUES, SPREAD, 2],
        ],
        [
            [SPREAD, COUNT, SQUARED_TIMES, TIMES, TIMES, 1],
            [PART, COUNT, PRODUCTS, TIMES, VALUES, 1],
            [RESULT, MILLION, PART, COUNT, COUNT, 0],
        ],
    ],
    np.int64,
)
"""For each aggregate up to three steps: a number becomes factor * of - times * one * other."""

DIGITS = wide.FIRST + 224
"""Columns of the numbers: the cube of a sum off the grid has 216 digits."""

_ON_GRID = -64  # exponents of the lowest bit
_OFF_GRID = -1074
_FEW = 1 << 23
"""Rows whose spread surely fits into 256 bits, as their values are below 2**40."""

_0 = np.uint64(0)
_1 = np.uint64(1)
_32 = np.uint64(32)
_52 = np.uint64(52)
_63 = np.uint64(63)
_DIGIT = np.uint64(0xFFFFFFFF)
_EXPONENT = np.uint64(0x7FF)
_MANTISSA = np.uint64((1 << 52) - 1)
_HIDDEN = np.uint64(1 << 52)


@njit(cache=True, nogil=True)
def _product(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the high and the low word of a product."""
    one_high = one >> _32
    one_low = one & _DIGIT
    other_high = other >> _32
    other_low = other & _DIGIT
    low = one_low * other_low
    middle = one_high * other_low + (low >> _32)
    cross = one_low * other_high + (middle & _DIGIT)
    return one_high * other_high + (middle >> _32) + (cross >> _32), (cross << _32) | (low & _DIGIT)


@njit(cache=True, nogil=True)
def _squared(high: np.uint64, low: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return the square of a number of two words, highest word first."""
    square_1, square_0 = _product(low, low)
    square_3, square_2 = _product(high, high)
    upper, lower = _product(high, low)  # It counts twice.
    square_3 += upper >> _63
    upper = (upper << _1) | (lower >> _63)
    lower = lower << _1
    square_1 += lower
    upper += _1 if square_1 < lower else _0  # This carries no further: twice a product is less than all ones.
    square_2 += upper
    square_3 += _1 if square_2 < upper else _0
    return square_3, square_2, square_1, square_0


@njit(cache=True, nogil=True)
def _multiply(words: U8, one: int, ones: int, other: int, others: int, target: int) -> None:
    """Multiply the first `ones` words of one sum by the first `others` of another."""
    for word in range(words.shape[1]):
        words[target, word] = _0
    for i in range(ones):
        carry = _0
        for j in range(others):
            high, low = _product(words[one, i], words[other, j])
            low += carry
            high += _1 if low < carry else _0
            total = words[target, i + j] + low
            high += _1 if total < low else _0
            words[target, i + j] = total
            carry = high
        words[target, i + others] = carry


@njit(cache=True, nogil=True)
def _multiply_out(time: int, size: int, sums: I8, words: U8) -> None:
    """Fill the magnitudes of what a row adds to each sum that is kept; its value stands in `size` words."""
    words[TIMES, 0] = np.uint64(abs(time))
    words[TIMES, 1] = _0
    for sum_ in range(SQUARES, sums.shape[0]):
        one = sums[sum_, ONE]
        other = sums[sum_, OTHER]
        if one < 0 or sums[sum_, STOP] == sums[sum_, START]:
            continue
        if sum_ == SQUARES and size == 2:
            words[SQUARES, 3], words[SQUARES, 2], words[SQUARES, 1], words[SQUARES, 0] = _squared(
                words[VALUES, 1], words[VALUES, 0]
            )
        else:
            ones = 1 if one == TIMES else size * sums[one, POWER]
            others = 1 if other == TIMES else size
            _multiply(words, one, ones, other, others, sum_)


@njit(cache=True, nogil=True)
def _contribution(bits: np.uint64, time: int, sums: I8, words: U8) -> bool:
    """Set what a row adds to each sum, in two's complement, and return whether its value lies off the grid.

    sums: i8[KINDS, SUM_COLUMNS]. words: u8[KINDS, MOST_WORDS]. A value off the grid adds
    nothing.
    """
    on_grid, high, low = fixed(bits)
    negative = high >> _63 != _0
    if negative:
        low = ~low + _1
        high = ~high + (_1 if low == _0 else _0)
    words[VALUES, 0] = low
    words[VALUES, 1] = high
    _multiply_out(time, 2, sums, words)
    for sum_ in range(sums.shape[0]):
        if (negative and sums[sum_, POWER] & 1) != (time < 0 and sums[sum_, TIMED] & 1):
            carry = _1
            for word in range(sums[sum_, STOP] - sums[sum_, START]):
                words[sum_, word] = ~words[sum_, word] + carry
                carry = _1 if carry != _0 and words[sum_, word] == _0 else _0
    return not on_grid


@njit(cache=True, nogil=True)
def _enter(prefix: U8, sums: I8, words: U8, at: int, last: int) -> None:
    """Move the sums behind a row that comes to `at`, and add it to each; the rows ended at `last` before."""
    for p in range(last, at - 1, -1):
        for sum_ in range(sums.shape[0]):
            carry = _0
            first = sums[sum_, START]
            for word in range(sums[sum_, STOP] - first):
                part = words[sum_, word] + carry
                total = prefix[p, first + word] + part
                carry = _1 if total < part or part < carry else _0
                prefix[p + 1, first + word] = total


@njit(cache=True, nogil=True)
def _take(prefix: U8, start: int, stop: int, first: int, last: int, numbers: I8, which: int) -> None:
    """Set a number to the difference of two sums, words first..last - 1, in two's complement."""
    wide.begin(numbers, which, 2 * (last - first) + 1)
    borrow = _0
    place = wide.FIRST
    for word in range(first, last):
        less = prefix[start, word] + borrow
        total = prefix[stop, word] - less
        borrow = _1 if prefix[stop, word] < less or less < borrow else _0
        numbers[which, place] = np.int64(total & _DIGIT)
        numbers[which, place + 1] = np.int64(total >> _32)
        place += 2
    if numbers[which, place - 1] >> 31:  # Negative: what is above the last word is all ones.
        numbers[which, place] = -1
    wide.finish(numbers, which)


@njit(cache=True, nogil=True)
def _take_anywhere(values: F8, times: I8, start: int, stop: int, sums: I8, words: U8, numbers: I8) -> None:
    """Set the numbers of the sums that hold values to those of a span, wherever its values lie."""
    for sum_ in range(sums.shape[0]):
        wide.begin(numbers, sum_, sums[sum_, ROOM])
    all_bits = values.view(np.uint64)
    for p in range(start, stop):
        bits = all_bits[p]
        exponent = np.int64((bits >> _52) & _EXPONENT)
        words[VALUES, 0] = bits & _MANTISSA
        if exponent > 0:
            words[VALUES, 0] |= _HIDDEN
            exponent -= 1
        time = int(times[p]) if times.shape[0] > 0 else 0
        _multiply_out(time, 1, sums, words)
        for sum_ in range(sums.shape[0]):
            power = sums[sum_, POWER]
            if power == 0 or sums[sum_, STOP] == sums[sum_, START]:
                continue
            negative = (bits >> _63 != _0 and power & 1) != (time < 0 and sums[sum_, TIMED] & 1)
            for word in range(power + sums[sum_, TIMED]):
                place = power * exponent + 64 * word
                wide.add_word(numbers, sum_, words[sum_, word], place, -1 if negative else 1)
    for sum_ in range(sums.shape[0]):
        wide.finish(numbers, sum_)


@njit(cache=True, nogil=True)
def _step(numbers: I8, target: int, factor: int, of: int, one: int, other: int, times: int) -> None:
    """Set a number to factor * of - times * one * other."""
    room = max(numbers[factor, wide.SIZE] + numbers[of, wide.SIZE], numbers[one, wide.SIZE] + numbers[other, wide.SIZE])
    wide.begin(numbers, target, room + 2)
    sign = 1
    for _ in range(times + 1):
        wide.add_product(numbers, target, factor, of, sign)
        sign = -1
        factor = one
        of = other
    wide.finish(numbers, target)


@njit(cache=True, nogil=True)
def _less(one: np.uint64, other: np.uint64, borrow: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return one - other - borrow, and what must be borrowed from the next word for it."""
    part = one - other
    return part - borrow, _1 if one < other or part < borrow else _0


@njit(cache=True, nogil=True)
def _times(word: np.uint64, factor: np.uint64, carry: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return word * factor + carry, and what must be carried into the next word."""
    high, low = _product(word, factor)
    low += carry
    return low, high + (_1 if low < carry else _0)


@njit(cache=True, nogil=True)
def _spread(prefix: U8, start: int, stop: int, at: int, squares: int, count: int) -> float:
    """Return the float64 nearest to n Q - S**2 of a span on the grid, at once in 256 bits: few reads are others.

    at, squares: the first words of both sums. It fits for up to `_FEW` rows.
    """
    low, borrow = _less(prefix[stop, at], prefix[start, at], _0)
    high, borrow = _less(prefix[stop, at + 1], prefix[start, at + 1], borrow)
    if high >> _63 != _0:
        low = ~low + _1
        high = ~high + (_1 if low == _0 else _0)
    square_3, square_2, square_1, square_0 = _squared(high, low)
    rows = np.uint64(count)
    part, borrow = _less(prefix[stop, squares], prefix[start, squares], _0)
    word_0, carry = _times(part, rows, _0)
    part, borrow = _less(prefix[stop, squares + 1], prefix[start, squares + 1], borrow)
    word_1, carry = _times(part, rows, carry)
    part, borrow = _less(prefix[stop, squares + 2], prefix[start, squares + 2], borrow)
    word_2, carry = _times(part, rows, carry)
    part, borrow = _less(prefix[stop, squares + 3], prefix[start, squares + 3], borrow)
    word_3, carry = _times(part, rows, carry)
    word_0, borrow = _less(word_0, square_0, _0)
    word_1, borrow = _less(word_1, square_1, borrow)
    word_2, borrow = _less(word_2, square_2, borrow)
    word_3, borrow = _less(word_3, square_3, borrow)
    exponent = 192 + 2 * _ON_GRID
    while word_3 == _0:
        if word_2 | word_1 | word_0 == _0:
            return 0.0
        word_3 = word_2
        word_2 = word_1
        word_1 = word_0
        word_0 = _0
        exponent -= 64
    # With the bit below the highest one cleared, rounding cannot carry into the next power of two.
    shift = 1086 - int(np.int64(np.float64(word_3 & ~(word_3 >> _1)).view(np.uint64) >> _52))
    if shift > 0:
        word_3 = (word_3 << np.uint64(shift)) | (word_2 >> np.uint64(64 - shift))
        word_2 = word_2 << np.uint64(shift)
    if word_2 | word_1 | word_0 != _0:
        word_3 |= _1  # Whatever is below decides a tie, and nothing else.
    return wide.scaled(float(np.float64(word_3)), exponent - shift)


@njit(cache=True, nogil=True)
def _answer(
    code: int,
    needed: I8,
    steps: I8,
    values: F8,
    times: I8,
    prefix: U8,
    stray: bool,  # noqa: FBT001 - kernels take what they are given by place
    sums: I8,
    start: int,
    stop: int,
    words: U8,
    numbers: I8,
) -> float:
    """Return one aggregate of a span that is not empty.

    With n, the sums S, Q, C of the values, their squares and cubes, and s = n Q - S**2, the variance is
    s / (n (n - 1)), and the skewness (n (n C - S Q) - 2 S s) / s**1.5. With the sums T, U, P of the times, of their
    squares and of the products, the trend is 10**6 (n P - T S) / (n U - T**2). Numerator and denominator are exact, and
    each is rounded once: to 53 bits whatever its exponent for the skewness, else to a float64. Then come one division,
    a root and a product at most.
    """
    count = stop - start
    if count == 1:
        return np.nan
    if code <= STD and not stray and count <= _FEW:
        at, squares = sums[VALUES, START], sums[SQUARES, START]
        variance = _spread(prefix, start, stop, at, squares, count) / (float(count) * float(count - 1))
        return variance if code == VAR else math.sqrt(variance)
    wide.put(numbers, COUNT, count)
    wide.put(numbers, MILLION, 1_000_000)
    unit = _ON_GRID
    if stray:
        unit = _OFF_GRID
        _take_anywhere(values, times, start, stop, sums, words, numbers)
    for sum_ in range(sums.shape[0]):
        if needed[code, sum_] and not (stray and sums[sum_, POWER] > 0):
            _take(prefix, start, stop, sums[sum_, START], sums[sum_, STOP], numbers, sum_)
    for step in range(steps.shape[1]):
        target = steps[code, step, 0]
        if target >= 0:
            factor, of = steps[code, step, 1], steps[code, step, 2]
            one, other = steps[code, step, 3], steps[code, step, 4]
            _step(numbers, target, factor, of, one, other, steps[code, step, 5])
    if numbers[SPREAD, wide.SIZE] == 0:
        return 0.0 if code <= STD else np.nan
    least = wide.ANY if code == SKEW else wide.LEAST
    below, below_exponent = wide.nearest(numbers, SPREAD, 2 * unit if code <= STD else 0, least)
    if code <= STD:
        variance = wide.scaled(below, below_exponent) / (float(count) * float(count - 1))
        return variance if code == VAR else math.sqrt(variance)
    above, above_exponent = wide.nearest(numbers, RESULT, unit if code == TREND else 0, least)
    if code == TREND:
        return wide.scaled(above, above_exponent) / wide.scaled(below, below_exponent)
    if below_exponent & 1:  # The root of a power of four is exact.
        below *= 2.0
        below_exponent -= 1
    return wide.scaled(above / (below * math.sqrt(below)), above_exponent - 3 * (below_exponent >> 1))


@njit(cache=True, nogil=True)
def derive(state: I8, values: F8, times: I8, prefix: U8, strays: I8, sums: I8, words: U8) -> None:
    """Compute the sums before the rows of every key anew. state: i8[K, ...], of `spans`."""
    bits = values.view(np.uint64)
    for k in range(state.shape[0]):
        begin = state[k, BEGIN]
        end = state[k, END]
        if begin == end:
            continue
        for word in range(prefix.shape[1]):
            prefix[begin, word] = _0
        if strays.shape[0] > 0:
            strays[begin] = 0
        for p in range(begin, end):
            off = _contribution(bits[p], times[p] if times.shape[0] > 0 else 0, sums, words)
            _enter(prefix, sums, words, p, p)
            if strays.shape[0] > 0:
                strays[p + 1] = strays[p] + off


@njit(cache=True, nogil=True)
def _move(moves: I8, made: int, values: F8, times: I8, prefix: U8, strays: I8) -> None:
    """Make the moves of `spans.plan`, in their order. Sums keep their values: only differences are ever read."""
    for m in range(made):
        source = moves[m, MOVE_FROM]
        target = moves[m, MOVE_TO]
        rows = moves[m, MOVE_ROWS]
        if rows == NONE:
            for word in range(prefix.shape[1]):
                prefix[target, word] = _0
            if strays.shape[0] > 0:
                strays[target] = 0
            continue
        for i in range(rows):
            values[target + i] = values[source + i]
            if times.shape[0] > 0:
                times[target + i] = times[source + i]
        for i in range(rows + 1):
            for word in range(prefix.shape[1]):
                prefix[target + i, word] = prefix[source + i, word]
            if strays.shape[0] > 0:
                strays[target + i] = strays[source + i]


@njit(cache=True, nogil=True)
def run(
    operations: int,
    order: I8,
    place: I8,
    ends: I8,
    read: I8,
    low: I8,
    high: I8,
    moves: I8,
    made: int,
    time: I8,
    column: F8,
    values: F8,
    times: I8,
    prefix: U8,
    strays: I8,
    sums: I8,
    words: U8,
    numbers: I8,
    needed: I8,
    steps: I8,
    reads: I8,
    out: F8,
) -> None:
    """Make the moves, then walk the script.

    time: i8[n] and column: f8[n], of each operation. values: f8[slab]. times: i8[slab], or none if no trend is read.
    prefix: u8[slab, words kept]. strays: i8[slab], how many values before a row lie off the grid, or none as long as
    none does. words: u8[KINDS, MOST_WORDS] and numbers: i8[NUMBERS, DIGITS], scratch. reads: i8[r, 3]. What is not
    defined, as the variance of one row or the trend of one moment, is NaN.
    """
    _move(moves, made, values, times, prefix, strays)
    bits = column.view(np.uint64)
    for q in range(operations):
        i = order[q]
        at = place[q]
        if at != NONE:
            last = ends[q]
            for p in range(last, at, -1):
                values[p] = values[p - 1]
                if times.shape[0] > 0:
                    times[p] = times[p - 1]
            values[at] = column[i] + 0.0
            if times.shape[0] > 0:
                times[at] = time[i]
            off = _contribution(bits[i], time[i], sums, words)
            _enter(prefix, sums, words, at, last)
            if strays.shape[0] > 0:
                for p in range(last, at - 1, -1):
                    strays[p + 1] = strays[p] + off
        row = read[i]
        if row < 0:
            continue
        for r in range(reads.shape[0]):
            start = low[q, reads[r, WINDOW]]
            stop = high[q, reads[r, WINDOW]]
            value = np.nan
            if stop > start:
                stray = strays.shape[0] > 0 and strays[stop] != strays[start]
                value = _answer(
                    reads[r, CODE], needed, steps, values, times, prefix, stray, sums, start, stop, words, numbers
                )
            out[row, reads[r, TARGET]] = value
