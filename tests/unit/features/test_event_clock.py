"""Laws of the clock of [events]: it rises, is held back by slow producers for so long and no longer, and can be cut."""

from typing import Final

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.core.time import UNSPOKEN_US
from headrace.features.event_clock import EventClock, Told
from headrace.topics.schemas import TICK
from tests.oracle.producers import reached
from tests.unit.edge.rows import PING, settings

SILENT: Final = 20
PLAIN, NAMED = settings("plain"), settings("named", producer="name", silent_us=SILENT)
STREAMS: Final = (TICK, *(StreamSchema(one.name, Kind.EVENT, PING.arrow) for one in (PLAIN, NAMED)))
Row = tuple[str, str, int]
"""Source ("plain", "named", or "ended" for the tick of "named"), producer, event time."""
ROWS = st.lists(
    st.tuples(st.sampled_from(["plain", "named", "named", "ended"]), st.sampled_from("abc"), st.integers(0, 60)),
    max_size=30,
)


def batch(rows: list[Row]) -> Batch:
    """Return rows of [events]."""
    stream = np.array([{"ended": 0, "plain": 1, "named": 2}[source] for source, _, _ in rows], np.uint8)
    times = np.array([time for _, _, time in rows], np.int64)
    ticks = int(np.count_nonzero(stream == 0))
    payloads = [
        pa.RecordBatch.from_arrays([strings(["named"] * ticks), strings(["ended"] * ticks)], schema=TICK.schema)
    ]
    payloads += [pings([row for row in rows if row[0] == source]) for source in ("plain", "named")]
    place, nothing = np.arange(len(rows)), np.zeros(len(rows), np.uint8)
    return Batch(place, place, stream, times, times, nothing, strings([""] * len(rows)), tuple(payloads))


def pings(rows: list[Row]) -> pa.RecordBatch:
    at = pa.array([time for _, _, time in rows], pa.timestamp("us", tz="UTC"))
    count = len(rows)
    columns = [strings([name for _, name, _ in rows]), pa.array(np.ones(count)), pa.nulls(count, pa.int64()), at, at]
    return pa.RecordBatch.from_arrays(columns, schema=PING.arrow)


def clock() -> EventClock:
    return EventClock(STREAMS, (PLAIN, NAMED))


def by_definition(rows: list[Row]) -> list[int]:
    """Return how far event time has come behind each row."""
    found: list[int] = []
    for number in range(1, len(rows) + 1):
        above = rows[:number]
        named = [(name, time) for source, name, time in above if source == "named"]
        lows = reached(named, silent=SILENT, step=max(1, SILENT // 8))[1]
        told = max([*(time for source, _, time in above if source == "plain"), *lows[-1:]], default=UNSPOKEN_US)
        spoke = [source for source, _, _ in above if source != "plain"]
        if spoke and spoke[-1] == "named":
            told = min(told, max(lows[-1], told - SILENT))
        found.append(max([told, *found[-1:]]))
    return found


@given(ROWS, st.integers(1, 9))
@profile(max_examples=200, deadline=None)
def test_event_time_has_come_as_far_as_the_definition_says_however_it_is_cut(rows: list[Row], size: int) -> None:
    found: list[int] = []
    state = clock()
    for start in range(0, len(rows), size):
        found += state.run(batch(rows[start : start + size])).newest.tolist()
        fresh = clock()
        fresh.restore(*state.snapshot())
        state = fresh
    assert found == by_definition(rows)


@given(ROWS, st.sampled_from(["plain", "named"]), st.sampled_from("abcd"), st.integers(0, 60))
@profile(max_examples=200, deadline=None)
def test_a_peek_tells_what_the_next_row_would(rows: list[Row], source: str, name: str, time: int) -> None:
    state = clock()
    state.run(batch(rows))
    row = (source, name, time)
    told = state.peek(source, pings([row]), np.array([time]), moves=True)
    still = state.peek(source, pings([row]), np.array([time]), moves=False)
    came = state.run(batch([row]))
    assert (told.newest.tolist(), told.own.tolist()) == (came.newest.tolist(), came.own.tolist())
    assert still.newest.tolist() == by_definition(rows)[-1:] or not rows


def test_a_source_without_producers_tells_of_its_own_time_and_others_of_nothing() -> None:
    told = clock().run(batch([("plain", "a", 5), ("ended", "", 9), ("plain", "b", 3)]))
    assert isinstance(told, Told)
    assert told.newest.tolist() == [5, 5, 5]
    assert told.source.tolist() == told.own.tolist() == [5, UNSPOKEN_US, 3]
