"""The compiled learner follows the definition, and learns what can be learnt."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import ConfigError, StateError
from headrace.core.tokens import Tokens
from headrace.kernels.elementary import exp, log
from headrace.models import Block, Columns, Logistic
from tests.oracle import logistic as oracle

COLUMNS = Columns(dense=("a", "b"), categories=("c",), sizes=(4,), tokens=("w", "v"), token_sizes=(4, 2))
number = st.one_of(st.just(math.nan), st.floats(-100, 100).map(lambda x: round(x, 2)))
words = st.lists(st.integers(0, 5), max_size=4)
rows = st.lists(
    st.tuples(number, number, st.integers(0, 3), words, st.sampled_from([0.0, 1.0])), min_size=1, max_size=30
)


@given(rows)
def test_scores_follow_the_definition(drawn: list[tuple[float, float, int, list[int], float]]) -> None:
    settings = Logistic()
    slow = oracle.Logistic(settings.rate, settings.clip, settings.bins, settings.categories, settings.words)
    expected = []
    for a, b, c, w, y in drawn:
        expected.append(slow.predict([a, b], [c], w))
        slow.learn([a, b], [c], w, y, 1.0)
    offsets = np.concatenate([[0], np.cumsum([len(w) for *_, w, _ in drawn])]).astype(np.int64)
    tokens = Tokens(offsets, np.array([one for *_, w, _ in drawn for one in w], np.int32))
    ids = np.array([[c] for _, _, c, *_ in drawn], np.int32)
    block = Block(np.array([[a, b] for a, b, *_ in drawn]), ids, tokens)
    scores = settings(COLUMNS, 0).learn(block, np.array([y for *_, y in drawn]), np.ones(len(drawn)))
    # A value on the edge of two bins may fall to either side by rounding; such rows are few and small.
    assert scores[:2].tolist() == pytest.approx(expected[:2], abs=1e-9)
    assert np.mean(np.abs(scores - np.array(expected)) < 1e-6) > 0.7


@given(st.floats(-700, 700))
def test_exp_is_within_two_units_in_the_last_place(x: float) -> None:
    assert abs(exp(x) - math.exp(x)) <= 2 * math.ulp(math.exp(x))


@given(st.floats(1e-300, 1e300))
def test_log_is_within_two_units_in_the_last_place(x: float) -> None:
    assert abs(log(x) - math.log(x)) <= 2 * math.ulp(max(abs(math.log(x)), 1e-3))


def test_a_curve_is_learnt_by_its_bins() -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(4_000, 1))
    y = (np.abs(x[:, 0]) > 1.25).astype(float)  # on the edge of two bins, half a deviation wide
    learner = Logistic(rate=0.3)(Columns(dense=("x",)), 0)
    scores = learner.learn(Block(x, np.zeros((4_000, 0), np.int32)), y, np.ones(4_000))
    assert np.mean((scores[2_000:] > 0.5) == (y[2_000:] > 0.5)) > 0.95


def test_a_block_of_another_vector_is_refused() -> None:
    learner = Logistic()(COLUMNS, 0)
    dense, ids = np.zeros((2, 2)), np.zeros((2, 1), np.int32)
    with pytest.raises(StateError, match="wanted words"):
        learner.predict(Block(dense, ids))
    with pytest.raises(StateError, match="each below 6"):
        learner.predict(Block(dense, ids, Tokens(np.array([0, 1, 1]), np.array([6], np.int32))))
    with pytest.raises(StateError, match="words of 2 rows"):
        learner.predict(Block(dense, ids, Tokens.nothing(3)))
    plain = Logistic()(Columns(dense=("a", "b"), categories=("c",), sizes=(4,)), 0)
    with pytest.raises(StateError, match="no words"):
        plain.predict(Block(dense, ids, Tokens.nothing(2)))


@pytest.mark.parametrize("setting", [{"rate": 0.0}, {"clip": -1.0}, {"bins": math.nan}, {"words": 0.0}])
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="more than 0"):
        Logistic(**setting)
