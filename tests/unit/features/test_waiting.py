"""Laws of vectors that wait: where each is computed, what it sees, and that batches and restarts change nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.core.time import SECOND_US
from headrace.features.engine import Engine, Vectors
from tests.oracle import waiting as oracle
from tests.oracle.waiting import Record


class Reading(hr.Event):
    name: str
    key: str
    heat: float
    at: datetime


class Answer(hr.Event):
    name: str
    good: bool
    at: datetime


readings = hr.source("readings", Reading, time=Reading.at, id=Reading.name, disorder="4s")
answers = hr.source("answers", Answer, time=Answer.at)
good = readings.label(answers, Answer.good, on="name", within="50s", otherwise=hr.DROP)
key = readings.by(Reading.key)
features = (key.count("10s"), key.last(Reading.heat, "10s", default=-1.0))
waiting = readings.vector("waiting", Reading.heat, *features, wait="7s")
STREAMS = [StreamSchema(one.name, Kind.EVENT, one.settings.schema.arrow) for one in (readings, answers)]
SOURCES = [readings.settings, answers.settings]
RECORDS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.integers(0, 99).map(float)), min_size=1, max_size=30
)


def engine_of() -> Engine:
    return Engine(waiting, good, STREAMS, SOURCES)


def batch_of(records: list[Record], answered: dict[int, int] | None = None) -> Batch:
    """Return records as rows of [events]; `answered` names the rows that are the answer to an earlier row instead."""
    told = answered or {}
    count = len(records)
    times = np.array([record[0] for record in records], np.int64) * SECOND_US
    stream = np.array([int(row in told) for row in range(count)], np.uint8)
    at = pa.array(times).cast(pa.timestamp("us", tz="UTC"))
    mine, others = np.flatnonzero(stream == 0), np.flatnonzero(stream == 1)
    asked = pa.RecordBatch.from_arrays(
        [
            strings([f"r{row}" for row in mine.tolist()]),
            strings([records[row][1] for row in mine.tolist()]),
            pa.array([records[row][2] for row in mine.tolist()], pa.float64()),
            at.take(pa.array(mine)),
        ],
        schema=readings.settings.schema.arrow,
    )
    said = pa.RecordBatch.from_arrays(
        [
            strings([f"r{told[row]}" for row in others.tolist()]),
            pa.array([True] * len(others)),
            at.take(pa.array(others)),
        ],
        schema=answers.settings.schema.arrow,
    )
    place, nothing = np.arange(count), np.zeros(count, np.int64)
    ids = strings([f"r{row}" if row not in told else "" for row in range(count)])
    return Batch(place, nothing, stream, times, place * 10, nothing.astype(np.uint8), ids, (asked, said))


def told(start: int, found: Vectors) -> list[tuple[Any, ...]]:
    """Return the vectors of a batch that began with a row: where each was computed, whose it is, and its values."""
    asked = found.asked
    return [
        (start + row, start + origin, name, time // SECOND_US, arrival, values)
        for row, origin, name, time, arrival, values in zip(
            found.row.tolist(),
            asked.origin.tolist(),
            asked.id.to_pylist(),
            asked.usable.time.tolist(),
            asked.arrival.tolist(),
            found.dense.tolist(),
            strict=True,
        )
    ]


def run(batch: Batch, size: int, engine: Engine | None = None) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the vectors and the labels of a whole log that comes in batches of a size, with a restart after each."""
    engine = engine_of() if engine is None else engine
    found, labels = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for start in range(0, len(batch), size):
        stop = min(start + size, len(batch))
        came = engine.run(batch.slice(start, stop), end=stop - start - 1 if stop == len(batch) else None)
        found += told(start, came)
        decided = came.labels
        rows, values = (start + decided.row).tolist(), decided.value.tolist()
        labels += zip(rows, decided.id.to_pylist(), values, decided.known.tolist(), strict=True)
        fresh = engine_of()
        fresh.restore(*engine.snapshot())
        engine = fresh
    return found, labels


@given(RECORDS, st.integers(1, 9))
@profile(max_examples=150, deadline=None)
def test_each_request_is_computed_where_the_watermark_has_passed_its_time_and_sees_what_stands_there(
    records: list[Record], size: int
) -> None:
    found, _ = run(batch_of(records), size)
    rows = oracle.released(records, 7)
    assert sorted(entry[1] for entry in found) == list(range(len(records)))
    assert found == sorted(found)  # By the row that let them go, then in the order in which they were asked.
    for row, origin, name, time, arrival, values in found:
        seen = oracle.seen(records, origin, rows[origin], 10)
        assert (row, name, time, arrival) == (rows[origin], f"r{origin}", records[origin][0], 10 * origin)
        assert values == [records[origin][2], float(len(seen)), seen[-1] if seen else -1.0]


@given(RECORDS)
@profile(max_examples=100, deadline=None)
def test_the_two_truths_agree_for_all_that_is_no_later_than_the_wait(records: list[Record]) -> None:
    newest = np.maximum.accumulate([record[0] for record in records])
    in_time = [record for record, high in zip(records, newest.tolist(), strict=True) if record[0] >= high - 7]
    batch = batch_of(in_time)
    served = {entry[1]: entry[5] for entry in run(batch, 5)[0]}
    found = engine_of().run_complete(batch)
    assert {entry[1]: entry[5] for entry in told(0, found)} == served
    for place, values in served.items():
        assert values[1] == len(oracle.complete(in_time, place, 10))


def test_a_request_is_let_go_by_the_first_row_that_is_as_far_as_the_wait() -> None:
    #  s   10 (asks)   16   8 (late for 10, in its window; 15 had been reached)   17: the first with 10 + 7   9   40
    records = [(10, "a", 1.0), (16, "b", 2.0), (8, "a", 3.0), (17, "b", 4.0), (9, "a", 5.0), (40, "b", 6.0)]
    found, _ = run(batch_of(records), 2)
    assert [entry[:2] for entry in found] == [(2, 2), (3, 0), (4, 4), (5, 1), (5, 3), (5, 5)]
    assert found[1][2:] == ("r0", 10, 0, [1.0, 1.0, 3.0])


def test_what_waits_at_the_end_is_computed_there() -> None:
    records = [(10, "a", 1.0), (11, "a", 2.0), (12, "a", 3.0)]
    found, _ = run(batch_of(records), 2)
    assert [entry[:3] for entry in found] == [(2, 0, "r0"), (2, 1, "r1"), (2, 2, "r2")]
    assert [entry[5][1] for entry in found] == [0.0, 1.0, 2.0]


def test_rows_that_a_waiting_request_needs_are_kept_however_far_the_log_jumps() -> None:
    #  days later one row lets the request go; by then its window has long been out of reach of anybody else
    records = [(90, "a", 1.0), (95, "a", 2.0), (96, "a", 3.0), (900_000, "a", 4.0), (1_900_000, "a", 5.0)]
    for size in (1, 2, 5):
        found, _ = run(batch_of(records), size)
        assert [entry[5][1] for entry in found] == [0.0, 1.0, 2.0, 0.0, 0.0]


@given(RECORDS, st.sets(st.integers(1, 29), max_size=10), st.integers(1, 9), st.randoms(use_true_random=False))
@profile(max_examples=100, deadline=None)
def test_a_label_comes_no_earlier_than_its_vector(
    records: list[Record], chosen: set[int], size: int, draw: Any
) -> None:
    asks = [row for row in range(len(records)) if row not in chosen]
    answered = {row: draw.choice([a for a in asks if a < row] or [0]) for row in chosen if row < len(records) and row}
    batch = batch_of(records, answered)
    found, labels = run(batch, size)
    at_once = Engine(readings.vector("v", Reading.heat), good, STREAMS, SOURCES)
    expected = at_once.run(batch).labels
    computed = {entry[2]: entry[0] for entry in found}
    decided = list(
        zip(
            expected.row.tolist(),
            expected.id.to_pylist(),
            expected.value.tolist(),
            expected.known.tolist(),
            strict=True,
        )
    )
    later = [(max(row, computed[name]), name, str(value), known) for row, name, value, known in decided]
    assert [(*entry[:2], str(entry[2]), entry[3]) for entry in labels] == sorted(later, key=lambda entry: entry[0])
    assert str(run(batch, len(records))) == str((found, labels))


def test_a_vector_that_waits_is_another_definition() -> None:
    at_once = readings.vector("waiting", Reading.heat, *features)
    assert at_once.fingerprint != waiting.fingerprint
    assert (at_once.wait_us, waiting.wait_us) == (None, 7 * SECOND_US)
    assert repr(waiting).endswith(", wait='7s')")


@pytest.mark.parametrize("wait", ["0s", timedelta(0), "soon", timedelta(-1)])
def test_a_wait_is_a_duration_above_zero(wait: Any) -> None:
    with pytest.raises(ConfigError, match="wait"):
        readings.vector("v", Reading.heat, wait=wait)


def test_what_would_see_its_own_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="include_current"):
        readings.vector("v", key.count("10s", include_current=True), wait="7s")
    with pytest.raises(ConfigError, match="resolution"):
        readings.vector("v", key.count("10h", resolution="1h"), wait="7s")


def test_tables_give_the_features_of_waiting_requests_in_their_own_order() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    seconds = [10, 16, 8, 17, 9, 40]
    table = pa.table(
        {
            "name": [f"r{row}" for row in range(6)],
            "key": ["a", "b", "a", "b", "a", "b"],
            "heat": [float(row) for row in range(6)],
            "at": [start + timedelta(seconds=second) for second in seconds],
        }
    )
    late = hr.source("readings", Reading, time=Reading.at, id=Reading.name, disorder="4s", delay="0s")
    vector = late.vector("v", Reading.heat, late.by(Reading.key).count("10s"), wait="7s")
    found = vector.compute(readings=table).to_pydict()
    assert found["heat"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert found["_event_time"] == table["at"].to_pylist()
    assert found == vector.compute(readings=table, truth="complete").to_pydict()
