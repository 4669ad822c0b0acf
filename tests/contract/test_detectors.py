"""One suite for every detector: a frozen setting, printed as its code, that says what it watches; and an audit."""

import dataclasses
from typing import Any

import pytest

from headrace import drift
from headrace.core.errors import ConfigError

DETECTORS = {"ADWIN": drift.ADWIN("error"), "PSI": drift.PSI("features")}


@pytest.fixture(params=sorted(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Any:
    return DETECTORS[request.param]


def test_every_public_detector_is_in_this_suite() -> None:
    assert set(drift.__all__) == set(DETECTORS)


def test_a_detector_is_frozen_and_says_what_it_watches(detector: Any) -> None:
    assert detector.of in {"features", "score", "error"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.of = "score"


def test_a_detector_prints_as_the_code_that_makes_it(detector: Any) -> None:
    assert eval(repr(detector), vars(drift)) == detector


def test_a_detector_refuses_to_watch_what_it_cannot(detector: Any) -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(detector, of="weather")
