"""What is asked of an engine: every aggregate over every kind of window, drawn into definitions."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.testing.conformance.definitions import (
    AGGREGATES,
    Decay,
    Definition,
    Feature,
    Forever,
    Hopping,
    LastN,
    Late,
    Session,
    Sliding,
    Truth,
    Tumbling,
    Window,
)
from headrace.testing.conformance.streams import HOUR_US, MINUTE_US

__all__ = ["FEATURES", "PLAIN", "definition"]

_WINDOWS: Final[tuple[Window, ...]] = (
    Sliding(10 * MINUTE_US),
    Sliding(HOUR_US),
    Sliding(24 * HOUR_US),
    Forever(),
    LastN(3),
    LastN(5, HOUR_US),
    Session(10 * MINUTE_US, 2 * HOUR_US),
    Session(HOUR_US, 12 * HOUR_US),
    Hopping(HOUR_US, 10 * MINUTE_US),
    Hopping(10 * MINUTE_US, HOUR_US),
    Tumbling(HOUR_US),
    Tumbling(24 * HOUR_US, "Europe/Berlin"),
    Decay(10 * MINUTE_US),
    Decay(24 * HOUR_US),
)
_SETTINGS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "mean": ({}, {"prior": 5.0, "default": 2.5}),
    "quantile": ({"q": 0.5}, {"q": 0.99}, {"q": 0.0}),
    "last_k": ({"rank": 2}, {"rank": 7}),
    "top": ({"rank": 1}, {"rank": 2}),
    "top_share": ({}, {"k": 2}),
    "counts": ({"of": "DE"},),
}
_BOUNDED: Final = 0.5
_SIZE: Final = 16


def _means_something(feature: Feature) -> bool:
    """Return whether the aggregate has a meaning over the window."""
    if isinstance(feature.window, Decay):
        return feature.aggregate in ("count", "sum", "mean") and not feature.parameters
    if feature.include_current and isinstance(feature.window, Hopping | Tumbling):
        return False  # A window that is closed does not hold the event.
    return feature.aggregate != "rate" or isinstance(feature.window, Sliding | Hopping)


_ALL: Final = tuple(
    Feature(
        aggregate=aggregate, window=window, offset_us=offset_us, include_current=current, parameters=dict(parameters)
    )
    for window in _WINDOWS
    for aggregate in AGGREGATES
    for parameters in _SETTINGS.get(aggregate, ({},))
    for offset_us, current in ((0, False), (0, True), (10 * MINUTE_US, False), (MINUTE_US, True))
)
FEATURES: Final = tuple(feature for feature in _ALL if _means_something(feature))
"""Every aggregate over every kind of window, with and without offset and the event itself."""
PLAIN: Final = tuple(
    Feature(aggregate=aggregate, window=Sliding(size_us))
    for aggregate in ("count", "sum", "mean", "var", "min", "max")
    for size_us in (10 * MINUTE_US, HOUR_US)
)
"""What every engine of windows should have."""


def definition(features: Sequence[Feature], policies: Sequence[Late], seed: int, truth: Truth) -> Definition:
    """Return a definition drawn from what an engine can do: a policy, a disorder, and sixteen of its features.

    In half of them every window has an end, so that an engine may forget.
    """
    draw = random.Random(seed)
    possible = list(features)
    if draw.random() < _BOUNDED:
        possible = [one for one in possible if not isinstance(one.window, Forever) and one.window != LastN(3)]
    late = draw.choice(policies)
    drawn = tuple(draw.sample(possible, min(_SIZE, len(possible))))
    asked = Definition(features=drawn, disorder_us=draw.choice((0, MINUTE_US, HOUR_US)), late=late)
    return replace(asked, truth=truth)
