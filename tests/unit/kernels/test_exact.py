"""Sums are the float64 nearest to the true sum: by 128-bit prefixes on the grid, by the accumulator anywhere."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernels.exact import LIMBS, fixed, from_fixed, strays_in, sum_anywhere
from tests.oracle.windows import exact_sum

UNIT = 2**64
finite = st.floats(allow_nan=False, allow_infinity=False)
near = st.floats(-1e4, 1e4).map(lambda value: round(value, 2))
anywhere = st.lists(st.one_of(finite, near, st.sampled_from([5e-324, -1e-310, 1.7e308, 2.0**-1022, -0.0])), max_size=12)


def words(number: int) -> tuple[np.uint64, np.uint64]:
    number %= 2**128
    return np.uint64(number >> 64), np.uint64(number & (2**64 - 1))


def bits(value: float) -> np.uint64:
    return np.float64(value).view(np.uint64)


def summed(values: list[float]) -> float:
    # The values stand between others, which must not count.
    column = np.array([3.0, *values, 7.0])
    with np.errstate(over="ignore"):
        return float(sum_anywhere(column, 1, len(column) - 1, np.full(LIMBS, 5, np.int64)))


@given(st.one_of(finite, near, st.integers(-(2**53), 2**53).map(lambda number: number * 2.0**-13)))
def test_a_value_is_on_the_grid_exactly_when_its_fixed_point_is_whole(value: float) -> None:
    exact = Fraction(value) * UNIT
    expected = exact.denominator == 1 and abs(value) < 2.0**40
    with np.errstate(over="ignore"):
        on_grid, high, low = fixed(bits(value))
    assert bool(on_grid) is expected
    if expected:
        assert (high, low) == words(int(exact))
    with np.errstate(over="ignore"):
        assert bool(strays_in(np.array([value, value]), np.array([False, True]))) is not expected
        assert not strays_in(np.array([value]), np.array([False]))


@given(st.one_of(st.integers(-(2**127), 2**127 - 1), st.integers(0, 126).map(lambda bit: 3 << bit - 1 if bit else 1)))
def test_a_128_bit_number_becomes_the_nearest_float(number: int) -> None:
    with np.errstate(over="ignore"):
        assert from_fixed(*words(number)) == float(Fraction(number, UNIT))


def test_a_tie_goes_to_even_and_one_bit_far_below_decides_it() -> None:
    # 2**53 + 1 lies half-way between two floats; the smallest bit there is, 53 + 64 places down, breaks the tie.
    for number in ((2**53 + 1) * UNIT, (2**53 + 1) * UNIT + 1, (2**53 + 3) * UNIT, (2**53 + 1) * UNIT - 1):
        for signed in (number, -number):
            with np.errstate(over="ignore"):
                assert from_fixed(*words(signed)) == float(Fraction(signed, UNIT))


@given(anywhere)
def test_the_accumulator_gives_the_nearest_float_of_any_sum(values: list[float]) -> None:
    assert summed(values) == exact_sum(values)


@given(anywhere, st.integers(0, 12))
def test_what_cancels_leaves_no_trace(values: list[float], place: int) -> None:
    rest = values[place:]
    assert summed(values + [-value for value in values] + rest) == exact_sum(rest)


def test_the_accumulator_rounds_ties_and_edges_as_a_float_does() -> None:
    largest = np.finfo(np.float64).max
    half = 2.0**970  # Half of the last place of the largest float.
    cases = [
        [2.0**53, 1.0],
        [2.0**53, 1.0, 5e-324],
        [2.0**53, 3.0],
        [2.0**53, 1.0, -5e-324],
        [largest, half],
        [largest, half, -5e-324],
        [-largest, -largest],
        [5e-324, 5e-324],
        [2.0**-1022, -5e-324],
        [1.0, -1.0],
        [],
    ]
    for values in cases:
        assert summed(values) == exact_sum(values)
    assert summed([largest, half]) == math.inf
