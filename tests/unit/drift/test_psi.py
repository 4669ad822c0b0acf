"""PSI against its definition, and its bound against drawn samples of one distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.drift.psi import psi, psi_threshold
from headrace.drift.sketch import Sketch
from tests.oracle.psi import psi as definition


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=12))
def test_the_index_follows_the_definition(counts: list[tuple[int, int]]) -> None:
    was, now = np.array(counts).T
    assert psi(was, now) == pytest.approx(definition(was.tolist(), now.tolist()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("freedom", "probability", "quantile"), [(9, 0.05, 16.919), (9, 0.01, 21.666), (4, 0.001, 18.467)]
)
def test_the_bound_is_the_tabled_quantile_within_a_percent(freedom: int, probability: float, quantile: float) -> None:
    assert psi_threshold(freedom + 1, 2, 2, probability) == pytest.approx(quantile, rel=0.01)


def test_the_bound_falls_with_either_sample() -> None:
    bounds = [psi_threshold(10, n, m, 1e-3) for n, m in ((100, 100), (1000, 100), (1000, 1000), (10_000, 10_000))]
    assert bounds == sorted(bounds, reverse=True)
    assert psi_threshold(10, 0, 5, 1e-3) == float("inf")


def test_samples_of_one_distribution_pass_the_bound_about_as_often_as_declared() -> None:
    draw = np.random.default_rng(5)
    shares = np.full(10, 0.1)
    passed = sum(
        psi(draw.multinomial(5000, shares), draw.multinomial(500, shares)) > psi_threshold(10, 5000, 500, 0.05)
        for _ in range(1000)
    )
    assert 25 <= passed <= 80


def test_a_shift_by_one_deviation_is_far_above_the_bound() -> None:
    draw = np.random.default_rng(6)
    reference, moved = Sketch.of(draw.normal(size=5000)), Sketch.of(draw.normal(size=500) + 1)
    edges = reference.edges(10)
    was, now = reference.grouped(edges), moved.grouped(edges)
    assert psi(was, now) > 3 * psi_threshold(len(was), 5000, 500, 1e-4)
