"""Laws of lateness: the shares are exact, whoever is off is named, and parts of the log add up to the whole."""

import random
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.records import Batch, Verdict, strings
from headrace.core.source_settings import SourceSettings
from headrace.edge.lateness import Lateness, SourceLateness
from headrace.edge.verdicts import Verdicts
from headrace.topics.schemas import REJECTED, TICK, no_rows
from tests.oracle.lateness import kept
from tests.unit.edge.rows import PING, SECOND, settings

HOUR: Final = 3600 * SECOND
Sent = tuple[str, int, int]
"""Producer, event time, arrival; in order of arrival."""


def batch(records: Sequence[Sent], verdicts: Verdicts) -> Batch:
    """Return records as rows of [events], judged as ingest does."""
    names = strings([sender for sender, _, _ in records])
    times = [np.array([record[place] for record in records], np.int64) for place in (1, 2)]
    at = pa.array(times[0]).cast(pa.timestamp("us", tz="UTC"))
    count = len(records)
    payload = pa.RecordBatch.from_arrays(
        [names, pa.array(np.ones(count)), pa.nulls(count, pa.int64()), at, pa.nulls(count, at.type)],
        schema=PING.arrow,
    )
    payloads = (no_rows(TICK.schema), no_rows(REJECTED.schema), payload)
    nothing, stream = np.arange(count), np.full(count, 2, np.uint8)
    verdict = verdicts.of_rows(stream, *times, payloads)
    return Batch(nothing, nothing, stream, times[0], times[1], verdict, strings([""] * count), payloads)


def told(
    records: Sequence[Sent], source: SourceSettings, *, size: int = 1 << 20, keep: float = 0.999
) -> SourceLateness:
    """Return what is told of records that come in batches of a size, judged as ingest does."""
    found, verdicts = Lateness([source]), Verdicts([source])
    for start in range(0, len(records), size):
        found.add(batch(records[start : start + size], verdicts))
    return found.report(keep=keep)[0]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), min_size=1, max_size=40),
    st.sampled_from([None, "name"]),
    st.integers(1, 9),
)
@profile(max_examples=150, deadline=None)
def test_the_shares_are_those_of_the_definition(
    records: list[tuple[str, int]], producer: str | None, size: int
) -> None:
    source = settings(id=None, producer=producer, disorder_us=7 * SECOND, max_future_skew_us=HOUR)
    sent = [(sender, time * SECOND, 100 * SECOND + place) for place, (sender, time) in enumerate(records)]
    found = told(sent, source, size=size)
    mine = [(sender if producer else "", time) for sender, time in records]
    for one in found.disorders:
        count = kept(mine, int(one.adds_seconds)) if one.adds_seconds in (0, 1, 2, 5, 7, 10, 15) else None
        assert count is None or (one.late, one.kept) == (len(records) - count, count / len(records))
    assert found.declared.disorder == "7s"
    assert found == told(sent, source)


def test_the_recommended_disorder_is_the_shortest_that_keeps_enough() -> None:
    #  of 1,000 records 18 come 2 s behind the newest, 2 come 39 s behind it
    late = {place: (40 if place % 500 == 7 else 3) * SECOND for place in range(1000) if place % 50 == 7}
    records = [("a", (place + 50) * SECOND - late.get(place, 0), (place + 50) * SECOND) for place in range(1000)]
    found = told(records, settings(id=None, disorder_us=SECOND), keep=0.995)
    assert found.recommended is not None
    assert (found.recommended.disorder, found.recommended.kept) == ("2s", 0.998)
    assert (found.declared.disorder, found.declared.late) == ("1s", 20)
    assert told(records, settings(id=None), keep=0.999).recommended.disorder == "1min"  # type: ignore[union-attr]


def test_a_producer_an_hour_ahead_and_one_an_hour_behind_are_named_and_nobody_else() -> None:
    draw = random.Random(1)
    off = {"fast": HOUR, "slow": -HOUR}
    records = [
        (sender, time * SECOND + off.get(sender, 0), time * SECOND + draw.randrange(SECOND))
        for time in range(10_000, 12_000)
        for sender in [draw.choice(["s1", "s2", "s3", "fast", "slow"])]
    ]
    source = settings(id=None, producer="name", disorder_us=5 * SECOND)
    found = told(records, source)
    assert [one.producer for one in found.producers_ahead] == ["fast"]
    assert [one.producer for one in found.producers_behind] == ["slow"]
    fast, slow = found.producers_ahead[0], found.producers_behind[0]
    assert fast.offset_seconds == pytest.approx(-3600, rel=0.04)
    assert slow.offset_seconds == pytest.approx(3600, rel=0.04)
    # An hour is more than may be allowed for: what "fast" sends is put aside, what "slow" sends counts.
    assert (fast.future, fast.ahead) == (fast.records, fast.records)
    assert (slow.late, slow.future, found.declared.late, found.producers) == (0, 0, 0, 5)
    assert found.delay.p50 < 2 < found.delay.p90


def test_quantiles_of_the_delay_are_within_three_per_cent() -> None:
    draw = random.Random(2)
    delays = [int(draw.expovariate(1 / 30) * SECOND) for _ in range(3_000)]
    records = [("a", time * SECOND, time * SECOND + delay) for time, delay in enumerate(delays)]
    found = told(records, settings(id=None)).delay
    exact = sorted(delays)
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99), (0.999, found.p999)):
        assert value == pytest.approx(exact[max(0, -(-int(share * 3_000 * 1000) // 1000) - 1)] / SECOND, rel=0.04)
    assert found.longest == pytest.approx(exact[-1] / SECOND, rel=0.03)


def test_copies_tell_nothing_and_what_came_a_day_ahead_or_late_is_counted() -> None:
    day = 86_400 * SECOND
    records = [
        ("x", 10 * day, 10 * day),
        ("x", 10 * day, 11 * day),
        ("y", 11 * day, 10 * day),
        ("z", 9 * day, 12 * day),
    ]
    found = told(records, settings())
    assert (found.records, found.future, found.ahead, found.behind) == (3, 1, 1, 1)
    assert next(one.disorder for one in found.disorders if one.late == 0) == "1d"


def test_records_of_one_timestamp_are_never_late() -> None:
    found = told([("a", 5, 5 + place) for place in range(50)], settings(id=None))
    assert (found.declared.kept, found.behind, found.recommended.disorder) == (1.0, 0, "0s")  # type: ignore[union-attr]


def test_nothing_is_told_of_nothing() -> None:
    (found,) = Lateness([settings()]).report()
    assert (found.records, found.recommended, found.declared.kept) == (0, None, 1.0)


def test_verdicts_that_are_rejected_tell_nothing() -> None:
    source = settings(id=None, producer="name", max_producers=1)
    found = told([("a", 1, 1), ("b", 1, 1)], source)
    assert (found.records, found.producers) == (1, 1)
    assert Verdict.REJECTED > Verdict.FUTURE
