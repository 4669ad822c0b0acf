"""ADWIN against its definition: the window's length and mean are compared, not alarms alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import ConfigError
from headrace.drift import ADWIN
from tests.oracle.adwin import Adwin

# Pieces of a stream: how many items, the probability of an error, how many values an item stands for.
PIECES = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.1, 0.3, 0.8]), st.sampled_from([1, 7, 100])),
    min_size=1,
    max_size=4,
)


@given(PIECES, st.integers(0, 1000), st.sampled_from([0.002, 0.05, 0.5]))
def test_window_and_change_follow_the_definition(pieces: list[tuple[int, float, int]], seed: int, delta: float) -> None:
    draw = np.random.default_rng(seed)
    window, definition = ADWIN(delta=delta).start(), Adwin(delta)
    for items, rate, count in pieces:
        for _ in range(items):
            values = (draw.random(count) < rate).astype(np.float64)
            item = float(count), float(values.mean()), float(((values - values.mean()) ** 2).sum())
            change, expected = window.add(*item), definition.add(item)
            assert change == pytest.approx(expected, abs=1e-9)
            assert window.rows == definition.whole()[0]
            assert window.mean == pytest.approx(definition.whole()[1], abs=1e-9)


def test_a_rise_is_positive_and_a_fall_negative() -> None:
    for before, after, sign in ((0.1, 0.5, 1), (0.5, 0.1, -1)):
        window = ADWIN().start()
        for mean in [before] * 30:
            assert window.add(100, mean, 100 * mean * (1 - mean)) == 0
        changes = [window.add(100, after, 100 * after * (1 - after)) for _ in range(30)]
        assert {np.sign(change) for change in changes if change} == {sign}
        assert window.mean == pytest.approx(after, abs=0.05)


def test_a_steady_stream_raises_no_alarm_and_keeps_its_window() -> None:
    draw = np.random.default_rng(11)
    window = ADWIN().start()
    changes = 0
    for _ in range(2000):
        mean = float(draw.random(50).round().mean())
        changes += window.add(50, mean, 50 * mean * (1 - mean)) != 0
    assert changes == 0
    assert window.rows == 2000 * 50


@pytest.mark.parametrize("delta", [0.0, 1.0, float("nan")])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta"):
        ADWIN(delta=delta)
