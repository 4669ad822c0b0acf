"""Prequential: no row is scored by a model that knows its label, or one that was not known yet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import ConfigError
from headrace.evaluate import prequential
from headrace.evaluate.metrics import auc, log_loss
from headrace.models import Logistic, NoChange, RunningMean

labels = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40)


@given(labels, st.integers(0, 5))
def test_with_a_delay_the_last_known_label_is_that_of_delay_plus_one_rows_ago(y: list[float], delay: int) -> None:
    report = prequential(NoChange(), np.zeros((len(y), 1)), np.array(y), delay=delay)
    assert report.score.tolist() == [
        min(max(y[row - delay - 1], 0.001), 0.999) if row > delay else 0.5 for row in range(len(y))
    ]


@given(labels, st.data())
def test_with_times_only_labels_that_were_known_are_in_the_mean(y: list[float], data: st.DataObject) -> None:
    times = sorted(data.draw(st.lists(st.integers(0, 20), min_size=len(y), max_size=len(y))))
    known = [time + data.draw(st.integers(0, 9)) for time in times]
    report = prequential(
        RunningMean(), np.zeros((len(y), 1)), np.array(y), times=np.array(times), label_times=np.array(known)
    )
    for row, time in enumerate(times):
        # A row that is asked later may share its time, and a label is never known to rows before its own.
        seen = [y[other] for other in range(row) if known[other] < time]
        assert report.score[row] == pytest.approx((sum(seen) + 0.5) / (len(seen) + 1))


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 5)), min_size=2, max_size=30))
def test_auc_counts_pairs(pairs: list[tuple[float, int]]) -> None:
    y, score = (np.array([pair[side] for pair in pairs], float) for side in (0, 1))
    good = sum(
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, up in zip(score, y, strict=True)
        for b, down in zip(score, y, strict=True)
        if up == 1 and down == 0
    )
    count = int(y.sum()) * int((1 - y).sum())
    found = auc(y, score)
    assert np.isnan(found) if count == 0 else found == pytest.approx(good / count)


def test_a_report_measures_windows_of_rows_and_names_a_metric_that_does_not_exist() -> None:
    y = np.array([0.0, 1.0] * 50)
    report = prequential(RunningMean(), np.zeros((100, 1)), y)
    assert report.metric("log_loss", over=10) == log_loss(y[-10:], report.score[-10:])
    assert [entry["rows"] for entry in report.by_window(30)] == [30, 30, 30, 10]
    with pytest.raises(ConfigError, match="did you mean 'log_loss'"):
        report.metric("logloss")


def test_a_model_learns_what_there_is_to_learn_from_arrays() -> None:
    draw = np.random.default_rng(1)
    X = draw.normal(size=(3_000, 2))  # noqa: N806 - the name of the argument
    report = prequential(Logistic(), X, (X[:, 0] > 0).astype(float), delay=10)
    assert report.metric("auc") > 0.95
    assert report.metric("log_loss") < report.metrics()["running_mean_log_loss"] / 2
