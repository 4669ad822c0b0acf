"""The logistic learner against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import ConfigError
from headrace.models import Block, Columns, Logistic
from headrace.store.snapshots import packed
from tests.oracle.logistic import Logistic as Definition

COLUMNS = Columns(dense=("x", "z"), categories=("c",), sizes=(4,))
NUMBERS = st.sampled_from([-3.0, -1.0, -0.25, 0.0, 0.5, 2.0, 40.0, float("nan")])
ROWS = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=60,
)


def arrays(rows: list[tuple[float, float, int, bool, float]]) -> tuple[Block, np.ndarray, np.ndarray]:
    block = Block(np.array([row[:2] for row in rows]), np.array([[row[2]] for row in rows], np.int32))
    return block, np.array([float(row[3]) for row in rows]), np.array([row[4] for row in rows])


@given(ROWS)
def test_scores_follow_the_definition(rows: list[tuple[float, float, int, bool, float]]) -> None:
    recipe = Logistic()
    by_definition = Definition(recipe.rate, recipe.clip, recipe.bins, recipe.categories)
    expected = [by_definition.learn([row[0], row[1]], [row[2]], float(row[3]), row[4]) for row in rows]
    learner = recipe(COLUMNS, 0)
    block, y, w = arrays(rows)
    np.testing.assert_allclose(learner.learn(block, y, w), expected, rtol=1e-7)
    again = [by_definition.predict([row[0], row[1]], [row[2]]) for row in rows]
    np.testing.assert_allclose(learner.predict(block), again, rtol=1e-7)


def test_an_untrained_model_answers_one_half() -> None:
    block, _, _ = arrays([(1.0, float("nan"), 2, True, 1.0)])
    assert Logistic()(COLUMNS, 0).predict(block).tolist() == [0.5]


def test_a_number_out_of_all_range_is_missing() -> None:
    block, y, w = arrays([(1.0, 0.0, 0, True, 1.0), (2.0, 1.0, 1, False, 1.0)])
    one, two = Logistic()(COLUMNS, 0), Logistic()(COLUMNS, 0)
    for learner, far in ((one, np.nan), (two, np.inf)):
        learner.learn(block, y, w)
        learner.learn(Block(np.array([[far, 1e200]]), np.array([[1]], np.int32)), np.ones(1), np.ones(1))
    assert np.isfinite(one.predict(block)).all()
    assert one.predict(block).tolist() == two.predict(block).tolist()


def test_the_bundle_of_a_flights_vector_is_small() -> None:
    columns = Columns(dense=tuple(f"x{n}" for n in range(13)), categories=("a", "b"), sizes=(64, 1024))
    assert len(packed(*Logistic()(columns, 0).snapshot())) < 32 * 1024


def test_shuffled_labels_teach_nothing_more_than_their_mean() -> None:
    draw = np.random.default_rng(3)
    n = 400
    block = Block(draw.normal(size=(n, 2)), draw.integers(0, 4, (n, 1)).astype(np.int32))
    y = (block.dense[:, 0] > 0).astype(np.float64)
    true = Logistic()(COLUMNS, 0).learn(block, y, np.ones(n))
    shuffled = Logistic()(COLUMNS, 0).learn(block, draw.permutation(y), np.ones(n))
    assert np.mean((true[200:] > 0.5) == y[200:]) > 0.9
    assert abs(np.mean((shuffled[200:] > 0.5) == y[200:]) - 0.5) < 0.25


@pytest.mark.parametrize("name", ["rate", "clip", "bins", "categories"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_setting_that_cannot_be_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Logistic(**{name: value})
