"""headrace under its own conformance kit: every law, on every stream."""

import pytest

from headrace.testing.conformance import STREAMS, Feature, Headrace, scorecard
from headrace.testing.conformance.catalogue import FEATURES


@pytest.mark.parametrize("stream", STREAMS)
def test_headrace_keeps_every_law(stream: str) -> None:
    found = scorecard(Headrace(), seeds=[11], events=60, streams={stream: STREAMS[stream]})
    assert found.holds, str(found)


def test_headrace_has_every_feature_that_the_kit_knows() -> None:
    def has_none(feature: Feature) -> bool:
        return feature.aggregate == "seconds_since" and bool(feature.offset_us or feature.include_current)

    engine = Headrace()
    assert [feature for feature in FEATURES if not engine.can(feature)] == [one for one in FEATURES if has_none(one)]
