from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.records import Verdict
from headrace.edge import verdicts
from headrace.edge.verdicts import Verdicts
from tests.oracle.verdicts import Record
from tests.oracle.verdicts import verdicts as by_definition
from tests.unit.edge.rows import settings


def judged(given_by: Verdicts, records: Sequence[Record], number: int = 0) -> list[int]:
    times = np.array([record[0] for record in records], np.int64)
    arrivals = np.array([record[1] for record in records], np.int64)
    ids = pa.array([record[2] for record in records], pa.string())
    return [int(verdict) for verdict in given_by.give(number, times, arrivals, ids)]


RECORDS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.one_of(st.none(), st.sampled_from("abcd"))), max_size=30
)
SMALL = st.integers(0, 8)


@given(RECORDS, SMALL, SMALL, SMALL)
@profile(max_examples=200, deadline=None)
def test_verdicts_follow_the_definition(records: list[Record], disorder: int, skew: int, horizon: int) -> None:
    source = settings(disorder_us=disorder, max_future_skew_us=skew, duplicate_horizon_us=horizon)
    assert judged(Verdicts([source]), records) == by_definition(records, disorder=disorder, skew=skew, horizon=horizon)


@given(RECORDS, SMALL, SMALL, SMALL, st.integers(1, 9))
@profile(max_examples=200, deadline=None)
def test_cuts_snapshots_and_the_moment_of_forgetting_change_no_verdict(
    records: list[Record], disorder: int, skew: int, horizon: int, size: int
) -> None:
    source = settings(disorder_us=disorder, max_future_skew_us=skew, duplicate_horizon_us=horizon)
    found: list[int] = []
    state = Verdicts([source])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "_LEAST", 0)  # So that memory is given back as early as it can be.
        for start in range(0, len(records), size):
            found += judged(state, records[start : start + size])
            fresh = Verdicts([source])
            fresh.restore(state.snapshot())
            state = fresh
    assert found == by_definition(records, disorder=disorder, skew=skew, horizon=horizon)


def test_late_is_strictly_behind_the_watermark_and_duplicates_end_at_the_horizon() -> None:
    #  at   10    7     6     10+5 (id a again, horizon 5)   16 (a, 6 after the first)
    #       a                  a: duplicate                  a: ok
    source = settings(disorder_us=3, duplicate_horizon_us=5)
    records: list[Record] = [(10, 10, "a"), (7, 11, "b"), (6, 12, "c"), (15, 15, "a"), (16, 16, "a")]
    assert judged(Verdicts([source]), records) == [Verdict.OK, Verdict.OK, Verdict.LATE, Verdict.DUPLICATE, Verdict.OK]


def test_a_future_or_duplicate_record_moves_no_watermark() -> None:
    source = settings(max_future_skew_us=5, duplicate_horizon_us=50)
    records: list[Record] = [(10, 10, "a"), (26, 20, "b"), (25, 20, "a"), (11, 21, "b"), (12, 22, "c")]
    expected = [Verdict.OK, Verdict.FUTURE, Verdict.DUPLICATE, Verdict.OK, Verdict.OK]
    assert judged(Verdicts([source]), records) == expected


def test_the_future_begins_strictly_after_the_allowed_skew() -> None:
    source = settings(max_future_skew_us=5)
    assert judged(Verdicts([source]), [(15, 10, "a"), (16, 10, "b")]) == [Verdict.OK, Verdict.FUTURE]


def test_an_empty_id_is_no_id() -> None:
    assert judged(Verdicts([settings()]), [(1, 1, ""), (1, 1, ""), (1, 1, None)]) == [Verdict.OK] * 3


def test_sources_have_their_own_watermarks_and_ids() -> None:
    given_by = Verdicts([settings("a"), settings("b")])
    assert judged(given_by, [(10, 10, "x")], 0) == [Verdict.OK]
    assert judged(given_by, [(5, 10, "x")], 1) == [Verdict.OK]


def test_ids_behind_the_horizon_are_forgotten() -> None:
    given_by = Verdicts([settings(duplicate_horizon_us=100, max_future_skew_us=0)])
    for start in range(0, 200_000, 10_000):
        times = np.arange(start, start + 10_000)
        ids = pa.array([str(time) for time in times.tolist()])
        assert not given_by.give(0, times, times, ids).any()
        assert given_by.remembered <= 20_000


def test_an_id_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    #  at    0 (30 ids)   100     | 200 (2 ids)               | 201 (20 ids)
    #        forgotten    kept    | the one at 100 forgotten  | each has a place of its own
    monkeypatch.setattr(verdicts, "_LEAST", 0)
    given_by = Verdicts([settings(duplicate_horizon_us=5)])
    judged(given_by, [*((0, 0, f"old{number}") for number in range(30)), (100, 100, "middle")])
    assert given_by.remembered == 1
    judged(given_by, [(200, 200, "a"), (200, 200, "b")])
    assert given_by.remembered == 2
    fresh: list[Record] = [(201, 201, f"new{number}") for number in range(20)]
    assert judged(given_by, fresh) == [Verdict.OK] * 20
    assert given_by.remembered == 22
    assert judged(given_by, fresh) == [Verdict.DUPLICATE] * 20


def test_an_id_is_remembered_over_the_disorder_and_the_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    #  newest 12, disorder 10, horizon 5: remembered from 12 - 10 - 5 = -3 on
    monkeypatch.setattr(verdicts, "_LEAST", 0)
    given_by = Verdicts([settings(disorder_us=10, duplicate_horizon_us=5)])
    assert judged(given_by, [(-3, 0, "a"), (-4, 0, "b"), (12, 12, "c")]) == [Verdict.OK] * 3
    assert given_by.remembered == 2
    assert judged(given_by, [(-3, 13, "a"), (-4, 13, "b")]) == [Verdict.DUPLICATE, Verdict.LATE]


def test_times_at_the_far_ends_do_not_wrap_around() -> None:
    far = 2**62 - 1
    source = settings(disorder_us=far, max_future_skew_us=far, duplicate_horizon_us=far)
    records: list[Record] = [(-far, -far, "a"), (far, far, "b"), (-far, far, "c"), (far, -far, "d"), (far, far, "b")]
    assert judged(Verdicts([source]), records) == by_definition(records, disorder=far, skew=far, horizon=far)
