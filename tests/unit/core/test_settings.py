"""Settings are frozen, print as code, and compare by it."""

from dataclasses import FrozenInstanceError

import pytest

import headrace as hr


def test_serve_keeps_its_chain_from_changes_to_the_list_it_was_given() -> None:
    chain = [hr.Constant(0.2)]
    serve = hr.Serve(deadline="20ms", fallback=chain)
    chain.append(hr.Constant(0.9))
    assert serve.constant == 0.2
    assert serve == hr.Serve(deadline="20ms", fallback=(hr.Constant(0.2),))


def test_a_setting_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        hr.Learn(every="6h").every = "1h"  # type: ignore[misc]


def test_sinks_are_equal_if_their_conditions_print_alike() -> None:
    one, two = (hr.sink("holds", when=hr.Prediction.score > 0.8) for _ in range(2))
    assert one == two
    assert one != hr.sink("holds", when=hr.Prediction.score > 0.9)
    assert one != hr.sink("others", when=hr.Prediction.score > 0.8)
    assert one != hr.sink("holds")
    assert repr(one) == "hr.sink('holds', when=(Prediction.score > 0.8))"
