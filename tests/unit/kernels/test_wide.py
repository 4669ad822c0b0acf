"""Numbers of any length are added and multiplied exactly, and rounded once."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.kernels import wide

FEW = settings(max_examples=60, deadline=None)
whole = st.one_of(st.integers(-(2**70), 2**70), st.integers(-(2**200), 2**200), st.integers(-3, 3))


def numbers_of(*values: int) -> NDArray[np.int64]:
    """Return those numbers, and room for one more."""
    numbers = np.full((len(values) + 1, wide.FIRST + 40), -77, np.int64)
    for which, value in enumerate(values):
        wide.begin(numbers, which, 10)
        for word in range(4):
            piece = np.uint64((abs(value) >> (64 * word)) & (2**64 - 1))
            wide.add_word(numbers, which, piece, 64 * word, -1 if value < 0 else 1)
        wide.finish(numbers, which)
    return numbers


def value_of(numbers: NDArray[np.int64], which: int) -> int:
    digits = numbers[which, wide.FIRST : wide.FIRST + numbers[which, wide.SIZE]].tolist()
    return int(numbers[which, wide.SIGN]) * sum(digit << (32 * place) for place, digit in enumerate(digits))


@FEW
@given(whole, whole, whole)
def test_products_are_exact(one: int, other: int, third: int) -> None:
    numbers = numbers_of(one, other, third)
    assert [value_of(numbers, which) for which in range(3)] == [one, other, third]
    wide.begin(numbers, 3, 20)
    wide.add_product(numbers, 3, 0, 1, 1)
    wide.add_product(numbers, 3, 2, 2, -1)
    wide.finish(numbers, 3)
    assert value_of(numbers, 3) == one * other - third * third


@FEW
@given(
    st.integers(0, 2**53 + 3), st.integers(0, 140), st.sampled_from([-1, 0, 1]), st.sampled_from([0, -64, -1074, -1200])
)
def test_it_is_the_nearest_float_however_small(mantissa: int, shift: int, more: int, unit: int) -> None:
    # Near ties, where the last bit of all decides.
    value = (mantissa << (shift + 1)) + (1 << shift) + more
    found = wide.scaled(*wide.nearest(numbers_of(value), 0, unit, wide.LEAST))
    assert found == float(Fraction(value) * Fraction(2) ** unit)


def test_beyond_the_range_is_infinite_and_there_is_one_zero() -> None:
    for value, unit, expected in ((1, 1024, np.inf), (-1, 1024, -np.inf), (-1, -1080, 0.0), (3, 1500, np.inf)):
        with np.errstate(over="ignore"):
            found = wide.scaled(*wide.nearest(numbers_of(value), 0, unit, wide.LEAST))
        assert found == expected
        assert not (found == 0.0 and np.signbit(found))
    with np.errstate(over="ignore"):
        assert wide.scaled(*wide.nearest(numbers_of(2**54 - 1), 0, 970, wide.LEAST)) == np.inf
