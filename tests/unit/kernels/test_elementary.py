"""Our elementary functions lie within a few units in the last place of the system's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernels.elementary import exp, exp_wide, log, log1p, logistic, power, sin_quarters


@given(st.floats(-700, 700))
def test_exp_is_within_four_units_in_the_last_place(x: float) -> None:
    assert abs(exp(x) - math.exp(x)) <= 4 * math.ulp(math.exp(x))


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_log_is_within_four_units_in_the_last_place(x: float) -> None:
    assert abs(log(x) - math.log(x)) <= 4 * math.ulp(math.log(x)) + 1e-300


@given(st.floats(0.9, 1.1))
def test_log_loses_nothing_near_one(x: float) -> None:
    assert abs(log(x) - math.log(x)) <= 4 * math.ulp(math.log(x)) + 1e-300


@given(st.floats(-700, 700))
def test_logistic_and_its_mirror_add_up_to_one(x: float) -> None:
    assert logistic(x) + logistic(-x) == pytest.approx(1.0, abs=3e-16)


def test_the_edges_are_values_and_not_errors() -> None:
    assert exp(0.0) == 1.0
    assert logistic(0.0) == 0.5
    assert np.isnan(exp(np.nan))
    assert np.isfinite(exp(1e9))
    assert 0.0 < exp(-1e9) < 1e-300


@given(st.floats(-1.0, 1e300, exclude_min=True))
def test_log1p_is_within_four_units_in_the_last_place_also_where_it_is_small(x: float) -> None:
    assert abs(log1p(x) - math.log1p(x)) <= 4 * math.ulp(math.log1p(x)) + 5e-324


@given(st.floats(-1e-8, 1e-8))
def test_log1p_keeps_what_one_plus_x_would_lose(x: float) -> None:
    assert abs(log1p(x) - math.log1p(x)) <= 4 * math.ulp(math.log1p(x)) + 5e-324


@given(st.floats(-744.0, 709.7))
def test_exp_reaches_over_all_of_float64(x: float) -> None:
    assert abs(exp_wide(x) - math.exp(x)) <= 8 * math.ulp(math.exp(x))


def test_exp_leaves_float64_on_both_sides() -> None:
    with np.errstate(over="ignore", under="ignore"):
        assert exp_wide(710.0) == exp_wide(1e9) == math.inf
        assert exp_wide(-1e9) == 0.0
        assert np.isnan(exp_wide(np.nan))


@given(st.floats(-1e6, 1e6), st.integers(-6, 6))
def test_a_whole_power_is_repeated_multiplication(x: float, exponent: int) -> None:
    if x == 0.0 and exponent < 0:
        assert np.isnan(power(x, float(exponent)))
        return
    wanted = 1.0
    for _ in range(abs(exponent)):
        wanted *= x
    if exponent < 0:
        wanted = 1.0 / wanted if wanted else math.inf
    assert power(x, float(exponent)) == pytest.approx(wanted, rel=1e-14)


@given(st.floats(1e-6, 1e6), st.floats(-40.0, 40.0))
def test_any_other_power_of_a_positive_number_is_that_of_the_system(x: float, exponent: float) -> None:
    assert power(x, exponent) == pytest.approx(x**exponent, rel=2**-40)


def test_powers_that_are_not_defined_are_no_number() -> None:
    assert np.isnan(power(-2.0, 0.5))
    assert np.isnan(power(0.0, -0.5))
    assert np.isnan(power(0.0, -1.0))
    assert np.isnan(power(np.nan, 0.0))
    assert power(0.0, 0.5) == 0.0
    assert power(0.0, 0.0) == 1.0
    assert power(10.0, 400.0) == math.inf
    assert power(-2.0, 3.0) == -8.0


@given(st.floats(0.0, 4.0), st.sampled_from([0.0, 1.0]))
def test_sine_and_cosine_are_within_four_units_of_the_last_place_of_one(turned: float, more: float) -> None:
    wanted = math.sin(math.pi / 2 * turned) if more == 0.0 else math.cos(math.pi / 2 * turned)
    assert abs(sin_quarters(turned, more) - wanted) <= 4 * math.ulp(1.0)


def test_at_whole_quarters_the_sine_is_exact() -> None:
    assert [sin_quarters(float(quarter), 0.0) for quarter in range(-2, 6)] == [0, -1, 0, 1, 0, -1, 0, 1]
    assert [sin_quarters(float(quarter), 1.0) for quarter in range(4)] == [1, 0, -1, 0]
    assert np.isnan(sin_quarters(np.nan, 0.0))
