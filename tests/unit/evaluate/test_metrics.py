"""Metrics against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.evaluate.metrics import accuracy, auc, brier, log_loss
from tests.oracle.auc import auc as definition

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, 1.0])), min_size=2, max_size=40
)


@given(PAIRS)
def test_auc_is_the_share_of_pairs_in_order_ties_half(pairs: list[tuple[float, float]]) -> None:
    y, score = (list(column) for column in zip(*pairs, strict=True))
    assume(0 < sum(y) < len(y))
    assert auc(np.array(y), np.array(score)) == pytest.approx(definition(y, score), abs=1e-12)


def test_auc_without_pairs_is_no_number() -> None:
    assert math.isnan(auc(np.ones(3), np.array([0.1, 0.2, 0.3])))


@given(PAIRS)
def test_log_loss_accuracy_and_brier_follow_their_definitions(pairs: list[tuple[float, float]]) -> None:
    y, score = (np.array(column) for column in zip(*pairs, strict=True))
    held = [min(max(s, 1e-15), 1 - 1e-15) for s in score]
    expected = [-math.log(s if label else 1 - s) for label, s in zip(y, held, strict=True)]
    assert log_loss(y, score) == pytest.approx(sum(expected) / len(y))
    assert accuracy(y, score) == pytest.approx(sum((s >= 0.5) == (label == 1) for label, s in pairs) / len(y))
    assert brier(y, score) == pytest.approx(sum((s - label) ** 2 for label, s in pairs) / len(y))
