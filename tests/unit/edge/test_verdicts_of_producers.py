"""Laws of verdicts where a source names its producers: each record is measured by the clock of whoever sent it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.records import Verdict
from headrace.core.source_settings import SourceSettings
from headrace.edge import verdicts
from headrace.edge.verdicts import Verdicts
from tests.oracle.verdicts import verdicts as by_definition
from tests.unit.edge.rows import settings

Sent = tuple[int, int, str | None, str]
"""Event time, arrival, id, producer."""
HOUR = 3_600_000_000
MINUTE = 60_000_000
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 40), st.integers(0, 40), st.one_of(st.none(), st.sampled_from("vwxyz")), st.sampled_from("abc")
    ),
    max_size=30,
)
SMALL = st.integers(0, 8)


def judged(given_by: Verdicts, records: Sequence[Sent]) -> list[int]:
    times = np.array([record[0] for record in records], np.int64)
    arrivals = np.array([record[1] for record in records], np.int64)
    ids = pa.array([record[2] for record in records], pa.string())
    senders = pa.array([record[3] for record in records], pa.string())
    return [int(verdict) for verdict in given_by.give(0, times, arrivals, ids, senders)]


def defined(records: Sequence[Sent], source: SourceSettings) -> list[int]:
    return by_definition(
        [record[:3] for record in records],
        disorder=source.disorder_us,
        skew=source.max_future_skew_us,
        horizon=source.duplicate_horizon_us,
        senders=[record[3] for record in records],
        most=source.max_producers,
    )


def of_producers(disorder: int, skew: int, horizon: int, most: int = 10) -> SourceSettings:
    return settings(
        producer="name",
        disorder_us=disorder,
        max_future_skew_us=skew,
        duplicate_horizon_us=horizon,
        max_producers=most,
    )


@given(RECORDS, SMALL, SMALL, SMALL, st.integers(1, 4), st.integers(1, 9))
@profile(max_examples=300, deadline=None)
def test_verdicts_follow_the_definition_however_they_are_cut(
    records: list[Sent], disorder: int, skew: int, horizon: int, most: int, size: int
) -> None:
    source = of_producers(disorder, skew, horizon, most)
    found: list[int] = []
    state = Verdicts([source])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "_LEAST", 0)  # So that memory is given back as early as it can be.
        for start in range(0, len(records), size):
            found += judged(state, records[start : start + size])
            fresh = Verdicts([source])
            fresh.restore(state.snapshot())
            state = fresh
    assert found == defined(records, source)


@given(RECORDS, SMALL, SMALL, SMALL)
@profile(max_examples=100, deadline=None)
def test_a_producer_that_is_one_of_many_is_judged_as_if_it_were_alone(
    records: list[Sent], disorder: int, skew: int, horizon: int
) -> None:
    own = [(time, arrival, name and f"{sender}{name}", sender) for time, arrival, name, sender in records]
    source = of_producers(disorder, skew, horizon)
    together = judged(Verdicts([source]), own)
    for one in "abc":
        mine = [place for place, record in enumerate(own) if record[3] == one]
        assert [together[place] for place in mine] == judged(Verdicts([source]), [own[place] for place in mine])


def test_one_hour_ahead_and_one_hour_behind_make_nobody_late() -> None:
    #  of each minute: a says the hour after, b the hour before, c the minute itself
    records = [
        (minute * MINUTE + by, minute * MINUTE, None, sender)
        for minute in range(300)
        for sender, by in (("a", HOUR), ("b", -HOUR), ("c", 0))
    ]
    source = of_producers(0, 2 * HOUR, 0)
    assert judged(Verdicts([source]), records) == [Verdict.OK] * 900
    common = settings(disorder_us=0, max_future_skew_us=2 * HOUR)
    assert sum(judged_without(common, records)) > 500


def judged_without(source: SourceSettings, records: Sequence[Sent]) -> list[int]:
    times, arrivals = (np.array([record[place] for record in records], np.int64) for place in (0, 1))
    return [int(verdict) for verdict in Verdicts([source]).give(0, times, arrivals, None)]


def test_a_copy_is_known_whoever_sends_it_and_forgotten_by_the_clock_of_the_first_sender() -> None:
    #  a sends x at 10; b sends it again at 12: a copy. a goes on to 30: x is forgotten (horizon 5)
    source = of_producers(0, 100, 5)
    records: list[Sent] = [(10, 10, "x", "a"), (12, 12, "x", "b"), (30, 30, None, "a"), (11, 31, "x", "b")]
    assert judged(Verdicts([source]), records) == [Verdict.OK, Verdict.DUPLICATE, Verdict.OK, Verdict.OK]
    assert judged(Verdicts([source]), [*records[:2], (30, 30, None, "b"), (11, 31, "x", "b")])[-1] == Verdict.DUPLICATE


def test_producers_beyond_the_bound_are_rejected_and_those_before_it_are_not() -> None:
    source = of_producers(0, 5, 0, most=2)
    records: list[Sent] = [(99, 1, None, "z"), (1, 1, None, "a"), (2, 2, None, "b"), (3, 3, "x", "c"), (4, 4, "x", "a")]
    given_by = Verdicts([source])
    assert judged(given_by, records) == [Verdict.FUTURE, Verdict.OK, Verdict.OK, Verdict.REJECTED, Verdict.OK]
    assert judged(given_by, [(5, 5, None, sender) for sender in "zcba"]) == [Verdict.REJECTED] * 2 + [Verdict.OK] * 2
    assert given_by.remembered == 1


def test_producers_beyond_the_bound_take_no_memory() -> None:
    given_by = Verdicts([of_producers(0, 5, 0, most=3)])
    for start in range(0, 50_000, 5_000):
        judged(given_by, [(0, 0, None, f"p{number}") for number in range(start, start + 5_000)])
    arrays = given_by.snapshot()
    assert len(arrays["0.newest"]) <= 8
    assert len(arrays["0.producers.keys"]) <= 5_003
