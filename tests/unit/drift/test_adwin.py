"""ADWIN follows the definition: the window's length and mean are compared, not only its alarms."""

import numpy as np
import pytest

from headrace.core.errors import ConfigError
from headrace.drift import ADWIN
from tests.oracle.adwin import Adwin


@pytest.mark.parametrize("seed", range(8))
def test_length_mean_and_rise_follow_the_definition(seed: int) -> None:
    draw = np.random.default_rng(seed)
    slow, fast = Adwin(0.01), ADWIN(delta=0.01).start()
    for item in range(150):
        level = 0.2 if item < 70 else draw.choice([0.2, 0.6])
        count = float(draw.integers(1, 30))
        values = draw.random(int(count)) < level
        mean = float(values.mean())
        m2 = float(((values - mean) ** 2).sum())
        assert fast.add(count, mean, m2) == pytest.approx(slow.add(count, mean, m2), abs=1e-9)
        assert fast.rows == slow.whole()[0]
        assert fast.mean == pytest.approx(slow.whole()[1], abs=1e-9)


def test_a_steady_error_raises_no_alarm_and_a_rise_shortens_the_window() -> None:
    draw = np.random.default_rng(3)
    window = ADWIN().start()
    quiet = [window.add(50, float((draw.random(50) < 0.2).mean()), 8.0) for _ in range(200)]
    assert quiet == [0.0] * 200
    before = window.rows
    rises = [window.add(50, float((draw.random(50) < 0.5).mean()), 12.5) for _ in range(20)]
    assert max(rises) > 0.1
    assert window.rows < before


def test_a_fall_is_a_change_but_no_rise() -> None:
    window = ADWIN().start()
    for _ in range(50):
        window.add(50, 0.5, 12.5)
    changes = [window.add(50, 0.1, 4.5) for _ in range(20)]
    assert min(changes) < 0
    assert max(changes) <= 0


def test_a_restored_window_goes_on_as_if_nothing_had_happened() -> None:
    one, other = ADWIN().start(), ADWIN().start()
    for item in range(30):
        one.add(10, item % 3 / 3, 1.0)
    other.restore(one.snapshot())
    assert [one.add(10, 0.9, 1.0) for _ in range(9)] == [other.add(10, 0.9, 1.0) for _ in range(9)]


def test_a_delta_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ConfigError, match="probability"):
        ADWIN(delta=1.0)
