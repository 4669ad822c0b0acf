"""One suite for every learner: the laws of `models/contract.py`."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace.models
from headrace.core.errors import ConfigError
from headrace.models import Block, Columns, Learner, Recipe
from headrace.models.contract import check_accepts
from headrace.store.snapshots import packed, unpacked

RECIPES: dict[str, Recipe] = {
    name: getattr(headrace.models, name)() for name in ("Logistic", "NoChange", "RunningMean")
}
COLUMNS = Columns(dense=("x", "z"), categories=("c",), sizes=(8,))
every = pytest.mark.parametrize("name", sorted(RECIPES))


def stream(seed: int, n: int = 40) -> tuple[Block, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    dense = draw.normal(size=(n, 2))
    dense[draw.random((n, 2)) < 0.1] = np.nan
    ids = draw.integers(0, 8, (n, 1)).astype(np.int32)
    return Block(dense, ids), (draw.random(n) < 0.4).astype(np.float64), draw.choice([0.5, 1.0, 2.0], n)


def learnt(name: str, rows: tuple[Block, np.ndarray, np.ndarray], seed: int = 0) -> Learner:
    learner = RECIPES[name](COLUMNS, seed)
    learner.learn(*rows)
    return learner


def test_every_public_recipe_is_in_this_suite() -> None:
    contract = {"Block", "Columns", "Learner", "Recipe", "check_accepts"}
    assert set(headrace.models.__all__) - contract == set(RECIPES)


@every
def test_predict_changes_no_byte(name: str) -> None:
    rows = stream(1)
    learner = learnt(name, rows)
    before = packed(*learner.snapshot())
    one, two = learner.predict(rows[0]), learner.predict(rows[0])
    assert packed(*learner.snapshot()) == before
    assert one.tobytes() == two.tobytes()


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 40), max_size=5))
@every
def test_a_batch_equals_the_loop_bit_for_bit(name: str, seed: int, cuts: list[int]) -> None:
    block, y, w = stream(seed)
    whole = RECIPES[name](COLUMNS, 0)
    scores = whole.learn(block, y, w)
    parts = RECIPES[name](COLUMNS, 0)
    found = []
    borders = [0, *sorted(cuts), 40]
    for start, stop in pairwise(borders):
        found.append(parts.learn(block.rows(start, stop), y[start:stop], w[start:stop]))
    assert scores is not None
    assert np.concatenate(found).tobytes() == scores.tobytes()
    assert packed(*parts.snapshot()) == packed(*whole.snapshot())


@every
def test_learn_returns_what_predict_would_have_said_before(name: str) -> None:
    block, y, w = stream(2)
    learner = RECIPES[name](COLUMNS, 0)
    for row in range(len(block)):
        one = block.rows(row, row + 1)
        expected = learner.predict(one)
        scored = learner.learn(one, y[row : row + 1], w[row : row + 1])
        assert scored is None or scored.tobytes() == expected.tobytes()


@every
def test_a_restored_learner_goes_on_bit_for_bit(name: str) -> None:
    learner = learnt(name, stream(3))
    other = RECIPES[name](COLUMNS, 0)
    other.restore(*unpacked(packed(*learner.snapshot())))
    more = stream(4)
    assert other.predict(more[0]).tobytes() == learner.predict(more[0]).tobytes()
    learner.learn(*more)
    other.learn(*more)
    assert packed(*other.snapshot()) == packed(*learner.snapshot())


@every
def test_a_snapshot_is_not_changed_by_later_learning(name: str) -> None:
    learner = learnt(name, stream(5))
    arrays, meta = learner.snapshot()
    before = packed(arrays, meta)
    learner.learn(*stream(6))
    assert packed(arrays, meta) == before


@every
def test_what_was_restored_is_not_the_callers_array(name: str) -> None:
    arrays, meta = learnt(name, stream(5)).snapshot()
    other = RECIPES[name](COLUMNS, 0)
    other.restore(arrays, meta)
    before = packed(arrays, meta)
    other.learn(*stream(6))
    assert packed(arrays, meta) == before


@every
def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    assert packed(*learnt(name, stream(7)).snapshot()) == packed(*learnt(name, stream(7)).snapshot())


@every
def test_state_does_not_grow_with_rows(name: str) -> None:
    learner = learnt(name, stream(8))
    before = len(packed(*learner.snapshot()))
    for seed in range(5):
        learner.learn(*stream(seed))
    assert len(packed(*learner.snapshot())) == before


@every
def test_warming_up_changes_nothing(name: str) -> None:
    learner = learnt(name, stream(9))
    before = packed(*learner.snapshot())
    learner.warm_up()
    assert packed(*learner.snapshot()) == before


@every
def test_a_recipe_is_frozen_and_prints_as_the_code_that_makes_it(name: str) -> None:
    recipe = RECIPES[name]
    assert dataclasses.is_dataclass(recipe)
    assert eval(repr(recipe), vars(headrace.models)) == recipe


class Plain:
    """A learner that takes numbers only."""


def test_a_learner_of_numbers_refuses_categories() -> None:
    with pytest.raises(ConfigError, match="c"):
        check_accepts(Plain(), COLUMNS)
    check_accepts(Plain(), Columns(dense=("x",)))
