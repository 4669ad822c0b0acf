"""Our exp and log lie within a few units in the last place of the system's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernels.elementary import exp, log, logistic


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
