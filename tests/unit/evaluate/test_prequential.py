"""Test-then-train by definition: who knows which label when."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluate import prequential
from headrace.models import Logistic, NoChange, RunningMean


def stream(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 2))
    return x, (x[:, 0] + draw.normal(size=n) > 0).astype(np.float64)


def last_known(y: np.ndarray, known: list[list[int]]) -> list[float]:
    """Return, for each row, the label learnt last; `known` has the labels in the order in which they were learnt."""
    return [float(y[labels[-1]]) if labels else 0.5 for labels in known]


@given(st.integers(0, 500), st.integers(0, 7))
def test_label_i_is_known_first_to_row_i_plus_delay_plus_one(seed: int, delay: int) -> None:
    x, y = stream(seed, 25)
    report = prequential(NoChange(), x, y, delay=delay)
    known = [list(range(max(0, row - delay))) for row in range(25)]
    assert np.round(report.score).tolist() == np.round(last_known(y, known)).tolist()
    assert report.score.tobytes() == report.no_change.tobytes()


def test_a_label_never_helps_its_own_row_nor_an_earlier_one() -> None:
    x, y = stream(1)
    for row in (0, 17, 59):
        other = y.copy()
        other[row] = 1 - y[row]
        for delay in (0, 3):
            one = prequential(Logistic(), x, y, delay=delay).score
            two = prequential(Logistic(), x, other, delay=delay).score
            same = row + delay + 1
            assert one[:same].tobytes() == two[:same].tobytes()
            assert len(one) <= same or one[same] != two[same]


def test_labels_come_by_their_own_times() -> None:
    #  asked   0    10   20   30        label of row 0 comes at 25, of row 1 at 15, of the others too late:
    #  label  25    15   99   99        row 2 knows row 1's, row 3 knows row 1's and then row 0's
    y = np.array([1.0, 0.0, 1.0, 1.0])
    report = prequential(
        RunningMean(), np.zeros((4, 1)), y, times=np.array([0, 10, 20, 30]), label_times=np.array([25, 15, 99, 99])
    )
    assert report.score[:2].tolist() == [0.5, 0.5]
    assert report.score[2] < 0.5
    assert report.score[3] == 0.5


def test_the_baselines_stand_beside_the_scores() -> None:
    x, y = stream(2)
    report = prequential(Logistic(), x, y)
    assert report.running_mean.tobytes() == prequential(RunningMean(), x, y).score.tobytes()
    assert report.no_change.tobytes() == prequential(NoChange(), x, y).score.tobytes()
