"""One suite for every learner: what `models.contract` promises, and an audit that none has escaped it."""

from typing import Any

import numpy as np
import pytest

from headrace import models
from headrace.core.errors import ConfigError
from headrace.core.tokens import Tokens
from headrace.models.contract import Block, Columns, Learner, check_accepts

RECIPES = {"Logistic": models.Logistic(), "NoChange": models.NoChange(), "RunningMean": models.RunningMean()}
COLUMNS = Columns(dense=("a", "b", "c"), categories=("d", "e"), sizes=(8, 16), tokens=("f", "g"), token_sizes=(32, 4))
ROWS = 300


@pytest.fixture(params=sorted(RECIPES))
def recipe(request: pytest.FixtureRequest) -> Any:
    return RECIPES[request.param]


def stream(seed: int = 1) -> tuple[Block, Any, Any]:
    draw = np.random.default_rng(seed)
    dense = draw.normal(size=(ROWS, 3)) * [1.0, 1e3, 1e-3]
    y = (dense[:, 0] + draw.normal(size=ROWS) > 0).astype(np.float64)
    dense[draw.random((ROWS, 3)) < 0.1] = np.nan
    ids = draw.integers(0, 8, size=(ROWS, 2)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(draw.integers(0, 6, size=ROWS))]).astype(np.int64)
    tokens = Tokens(offsets, draw.integers(0, 36, size=offsets[-1]).astype(np.int32))
    return Block(dense, ids, tokens), y, draw.choice([0.0, 0.5, 1.0, 2.0], size=ROWS)


def state(learner: Learner) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in learner.snapshot()[0].items()}


def test_every_public_learner_is_in_this_suite() -> None:
    kinds = {name for name in models.__all__ if callable(getattr(models, name)) and name[0].isupper()}
    assert kinds - {"Block", "Columns", "Learner", "Recipe"} == set(RECIPES)


def test_predict_changes_no_byte(recipe: Any) -> None:
    block, y, w = stream()
    learner = recipe(COLUMNS, 0)
    learner.learn(block, y, w)
    before = state(learner)
    first, again = learner.predict(block), learner.predict(block)
    assert state(learner) == before
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_learning_from_a_batch_equals_the_loop_bit_for_bit(recipe: Any, size: int) -> None:
    block, y, w = stream()
    whole, cut = recipe(COLUMNS, 0), recipe(COLUMNS, 0)
    scores = whole.learn(block, y, w)
    parts = [
        cut.learn(block.rows(start, start + size), y[start : start + size], w[start : start + size])
        for start in range(0, ROWS, size)
    ]
    assert state(whole) == state(cut)
    assert np.concatenate(parts).tobytes() == scores.tobytes()


def test_a_learnt_row_is_scored_as_the_model_stood_before_it(recipe: Any) -> None:
    block, y, w = stream()
    whole, step = recipe(COLUMNS, 0), recipe(COLUMNS, 0)
    scores = whole.learn(block, y, w)
    for row in range(40):
        one = block.rows(row, row + 1)
        assert step.predict(one)[0] == scores[row]
        step.learn(one, y[row : row + 1], w[row : row + 1])


def test_a_restored_learner_goes_on_as_if_nothing_had_happened(recipe: Any) -> None:
    block, y, w = stream()
    whole, late = recipe(COLUMNS, 0), recipe(COLUMNS, 0)
    whole.learn(block.rows(0, 150), y[:150], w[:150])
    arrays, meta = whole.snapshot()
    late.restore(arrays, meta)
    for array in arrays.values():
        array[...] = 0  # What was handed out is nobody's state.
    for learner in (whole, late):
        learner.learn(block.rows(150, ROWS), y[150:], w[150:])
    assert state(whole) == state(late)


def test_the_same_seed_and_rows_give_the_same_bytes_and_warming_up_changes_none(recipe: Any) -> None:
    block, y, w = stream()
    one, other = recipe(COLUMNS, 7), recipe(COLUMNS, 7)
    other.warm_up()
    one.learn(block, y, w)
    other.learn(block, y, w)
    assert state(one) == state(other)


def test_memory_does_not_grow_with_rows(recipe: Any) -> None:
    block, y, w = stream()
    learner = recipe(COLUMNS, 0)
    learner.learn(block, y, w)
    size = sum(len(raw) for raw in state(learner).values())
    for _ in range(20):
        learner.learn(block, y, w)
    assert sum(len(raw) for raw in state(learner).values()) == size


def test_scores_are_probabilities_even_for_absurd_numbers(recipe: Any) -> None:
    learner = recipe(COLUMNS, 0)
    block, y, w = stream()
    learner.learn(block, y, w)
    absurd = Block(np.array([[1e300, -1e300, 5e-324], [np.nan] * 3]), np.zeros((2, 2), np.int32), Tokens.nothing(2))
    learner.learn(absurd, np.ones(2), np.ones(2))
    scores = learner.predict(block)
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


class OnlyNumbers:
    """A user's own model, which knows nothing of categories."""


class OnlyBlocks:
    """A user's own model, which knows nothing of words."""

    accepts = "block"


def test_a_model_that_takes_numbers_only_is_refused_categories_by_name() -> None:
    with pytest.raises(ConfigError, match="d, e"):
        check_accepts(OnlyNumbers(), COLUMNS)  # type: ignore[arg-type] # the check looks at `accepts` alone
    check_accepts(OnlyNumbers(), Columns(dense=("a",)))  # type: ignore[arg-type]


def test_a_model_that_takes_no_words_is_refused_them_by_name() -> None:
    with pytest.raises(ConfigError, match="f, g"):
        check_accepts(OnlyBlocks(), COLUMNS)  # type: ignore[arg-type] # the check looks at `accepts` alone
    check_accepts(OnlyBlocks(), Columns(dense=("a",), categories=("d",), sizes=(8,)))  # type: ignore[arg-type]


def test_rows_of_weight_0_and_rows_without_a_label_teach_nothing(recipe: Any) -> None:
    block, y, w = stream()
    learner = recipe(COLUMNS, 0)
    learner.learn(block, y, w)
    before = state(learner)
    learner.learn(block, 1 - y, np.zeros(ROWS))
    learner.learn(block, np.full(ROWS, np.nan), np.ones(ROWS))
    assert state(learner) == before
