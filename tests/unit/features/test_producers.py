"""Laws of the clock of a source that several producers feed."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.time import UNSPOKEN_US
from headrace.features.producers import Producers
from headrace.kernels.producers import NEVER
from tests.oracle.producers import Record
from tests.oracle.producers import reached as by_definition
from tests.unit.edge.rows import settings

RECORDS = st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 60)), max_size=40)
SILENT = st.integers(0, 40)


def batch(records: list[Record]) -> tuple[pa.RecordBatch, np.ndarray]:
    names = pa.array([name for name, _ in records], pa.string())
    return pa.RecordBatch.from_arrays([names], names=["name"]), np.array([time for _, time in records], np.int64)


def spoken(producers: Producers, records: list[Record]) -> tuple[list[int | None], list[int]]:
    own, low = producers.speak(*batch(records))
    return [None if time == NEVER else time for time in own.tolist()], low.tolist()


@given(RECORDS, SILENT)
@profile(max_examples=200, deadline=None)
def test_the_source_has_come_as_far_as_the_definition_says(records: list[Record], silent: int) -> None:
    found = spoken(Producers(settings(producer="name", silent_us=silent)), records)
    assert found == by_definition(records, silent=silent, step=max(1, silent // 8))


@given(RECORDS, SILENT, st.integers(1, 9))
@profile(max_examples=100, deadline=None)
def test_cuts_and_snapshots_change_nothing(records: list[Record], silent: int, size: int) -> None:
    source = settings(producer="name", silent_us=silent)
    whole = spoken(Producers(source), records)
    state, own, low = Producers(source), list[int | None](), list[int]()
    for start in range(0, len(records), size):
        part = spoken(state, records[start : start + size])
        own, low = own + part[0], low + part[1]
        fresh = Producers(source)
        fresh.restore(state.snapshot())
        state = fresh
    assert (own, low) == whole


@given(RECORDS, RECORDS, SILENT)
@profile(max_examples=100, deadline=None)
def test_a_peek_tells_what_each_would_do_and_changes_nothing(
    records: list[Record], others: list[Record], silent: int
) -> None:
    source = settings(producer="name", silent_us=silent)
    state = Producers(source)
    spoken(state, records)
    own, low = state.peek(*batch(others))
    assert low.tolist() == [spoken_after(source, records, other) for other in others]
    assert own.tolist() == [max(time for name, time in [*records, other] if name == other[0]) for other in others]
    again = Producers(source)
    spoken(again, records)
    assert spoken(state, others) == spoken(again, others)


def spoken_after(source: object, records: list[Record], other: Record) -> int:
    state = Producers(source)  # type: ignore[arg-type]
    spoken(state, records)
    return spoken(state, [other])[1][0]


def test_the_source_has_come_as_far_as_the_slowest_and_never_goes_back() -> None:
    #  a  10          25
    #  b       5  12      20        c, new and further behind, holds the source where it is
    #  c                      3
    records = [("a", 10), ("b", 5), ("b", 12), ("a", 25), ("b", 20), ("c", 3)]
    low = spoken(Producers(settings(producer="name", silent_us=100)), records)[1]
    assert low == [10, 10, 10, 12, 20, 20]


def test_one_that_is_ahead_or_jumps_ahead_silences_nobody() -> None:
    #  a is an hour ahead of b from its second record on; both go on by one a record, silence is 80
    source = settings(producer="name", silent_us=80)
    records = [("b", 0), ("a", 0), *((name, time + 3600 * (name == "a")) for time in range(1, 50) for name in "ab")]
    assert spoken(Producers(source), records)[1][-1] == 49


def test_one_that_falls_silent_holds_the_others_up_for_no_longer_than_declared() -> None:
    #  b says 0 and then nothing; a goes on by one a record
    source = settings(producer="name", silent_us=80)
    records = [("b", 0), *(("a", time) for time in range(200))]
    low = spoken(Producers(source), records)[1]
    assert low[1:82] == [0] * 81
    assert low[82:] == list(range(81, 200))
    assert spoken(Producers(source), [*records, ("b", 100), ("a", 300)])[1][-2:] == [199, 199]


def test_before_its_first_record_a_source_has_come_nowhere() -> None:
    assert Producers(settings(producer="name")).low_us == UNSPOKEN_US
