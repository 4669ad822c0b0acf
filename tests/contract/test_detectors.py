"""One suite for every detector: a frozen setting that says what it watches, and an audit that none escapes."""

import dataclasses

import numpy as np
import pytest

import headrace.drift
from headrace.core.errors import ConfigError
from headrace.drift import ADWIN, PSI

DETECTORS = {"ADWIN": ADWIN, "PSI": PSI}
WATCHES = {"ADWIN": ("error",), "PSI": ("features", "score")}
every = pytest.mark.parametrize("name", sorted(DETECTORS))


def test_every_public_detector_is_in_this_suite() -> None:
    assert set(headrace.drift.__all__) == set(DETECTORS)


@every
def test_a_detector_says_what_it_watches(name: str) -> None:
    assert [DETECTORS[name](of).of for of in WATCHES[name]] == list(WATCHES[name])
    with pytest.raises(ConfigError, match=f"{name} of"):
        DETECTORS[name]("weather")


@every
def test_a_detector_is_a_frozen_setting_that_prints_as_its_code(name: str) -> None:
    detector = DETECTORS[name]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.of = "score"
    assert eval(repr(detector), dict(DETECTORS)) == detector


def test_a_restored_window_goes_on_bit_for_bit() -> None:
    draw = np.random.default_rng(1)
    one, two = ADWIN().start(), ADWIN().start()
    for _ in range(50):
        one.add(10, float(draw.random()), 1.0)
    two.restore(one.snapshot())
    for _ in range(50):
        mean = float(draw.random())
        assert one.add(10, mean, 1.0) == two.add(10, mean, 1.0)
    assert one.snapshot()["buckets"].tobytes() == two.snapshot()["buckets"].tobytes()
