"""Sketches: buckets keep the order of values, parts add up to the whole, nothing is left behind."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.drift.sketch import Counter, Sketch, bucket_value
from headrace.kernels.sketch import MISSING

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40)


def same(one: Sketch, two: Sketch) -> bool:
    return one.buckets.tolist() == two.buckets.tolist() and one.counts.tolist() == two.counts.tolist()


@given(VALUES, VALUES)
def test_the_sketches_of_parts_add_up_to_that_of_the_whole(one: list[float], two: list[float]) -> None:
    whole = Sketch.of(np.array([*one, *two], np.float64))
    parts = [Sketch.of(np.array(part, np.float64)) for part in (one, two)]
    assert same(Sketch.merged(parts), whole)
    assert same(Sketch.merged(parts[::-1]), whole)
    assert whole.rows == len(one) + len(two)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_buckets_keep_the_order_of_values(one: float, two: float) -> None:
    low, high = sorted([one, two])
    first, second = (int(Sketch.of(np.array([value])).buckets[0]) for value in (low, high))
    assert first <= second < MISSING


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_bucket_is_a_sixteenth_wide_at_most(x: float) -> None:
    for value in (x, -x):
        edge = bucket_value(int(Sketch.of(np.array([value])).buckets[0]))
        assert abs(edge) <= abs(value) <= abs(edge) * (1 + 1 / 16) * (1 + 1e-15)


def test_both_zeros_are_one_value_and_missing_ones_are_their_own() -> None:
    found = Sketch.of(np.array([0.0, -0.0, np.nan, np.nan]))
    assert found.counts.tolist() == [2, 2]
    assert found.buckets[1] == MISSING


def test_draining_leaves_nothing_behind() -> None:
    counter = Counter(numbers=1, categories=1)
    counter.add(np.array([[1.0], [2.0]]), np.array([[3], [3]], np.int32))
    assert [sketch.rows for sketch in counter.drain()] == [2, 2]
    assert [sketch.rows for sketch in counter.drain()] == [0, 0]
    # The same blocks are touched again: what was counted there before must not come back.
    counter.add(np.array([[1.0]]), np.array([[7]], np.int32))
    number, category = counter.drain()
    assert number.counts.tolist() == [1]
    assert (category.buckets.tolist(), category.counts.tolist()) == ([7], [1])


def test_tenths_hold_a_tenth_each() -> None:
    found = Sketch.of(np.random.default_rng(2).normal(size=20_000))
    share = found.grouped(found.edges(10)) / 20_000
    assert len(share) == 10
    assert np.abs(share - 0.1).max() < 0.03
