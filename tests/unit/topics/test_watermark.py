"""The watermark of several producers: unspoken ones hold it, ticks are heeded where they stand, cuts change nothing."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.position import ALL, START, Position
from headrace.core.records import Batch, Kind, StreamSchema, strings
from headrace.core.time import UNSPOKEN_US
from headrace.topics.contract import Topic
from headrace.topics.frame import Frame, empty_batch
from headrace.topics.manifest import Manifest
from headrace.topics.memory import MemoryLog
from headrace.topics.reader import Reader
from headrace.topics.watermark import PACE_US, Watermark, crossings
from headrace.topics.writer import Writer

EVENT = StreamSchema("event", Kind.EVENT, pa.schema([("x", pa.int64())]))
BOTH = ("a", "b")


def topic(partitions: int = 1, producers: tuple[str, ...] = BOTH) -> Topic:
    return MemoryLog().create(Manifest(topic="events", streams=(EVENT,), producers=producers), partitions)


def rows(first: int, times: Sequence[int], verdict: int = 0) -> Batch:
    """Return records of these event times at the positions first, first + 1, ..."""
    count = len(times)
    offset = first + np.arange(count)
    payload = pa.RecordBatch.from_arrays([pa.array(np.arange(count))], schema=EVENT.schema)
    time = np.array(times, np.int64)
    nothing = np.zeros(count, np.int64)
    return Batch(
        offset,
        nothing,
        nothing.astype(np.uint8),
        time,
        time,
        np.full(count, verdict, np.uint8),
        strings([""] * count),
        (payload,),
    )


def frame(producer: int, first: int, times: Sequence[int]) -> Frame:
    after = Position(first - 1, ALL) if first else START
    return Frame(producer, after, Position(first + len(times) - 1, ALL), rows(first, times))


def tick(made: Topic, producer: int, at: Position) -> Frame:
    return Frame(producer, at, at, empty_batch(made.manifest), idle=True)


def watermarks(reader: Reader) -> list[int]:
    found: list[int] = []
    for taken in reader.read(1_000):
        assert taken.batch.reached is not None
        found += taken.batch.reached.tolist()
    return found


def test_a_producer_that_has_not_spoken_holds_the_watermark() -> None:
    #  a: 5 9          b: 7            until b speaks nothing is known; then the slower of the two
    made = topic()
    made.append(0, frame(0, 0, [5, 9]))
    made.append(0, frame(1, 0, [7]))
    assert watermarks(Reader(made, waited_for=BOTH)) == [UNSPOKEN_US, UNSPOKEN_US, 7]


def test_it_never_moves_back_when_a_resting_producer_speaks_again() -> None:
    #  a: 5     b: 9    a rests    b: 20 (20)     a: 6 (20, not 6)     a: 30, b holds it at 20
    made = topic()
    for one in (
        frame(0, 0, [5]),
        frame(1, 0, [9]),
        tick(made, 0, Position(0, ALL)),
        frame(1, 1, [20]),
        frame(0, 1, [6, 30]),
    ):
        made.append(0, one)
    assert watermarks(Reader(made, waited_for=BOTH)) == [UNSPOKEN_US, 5, 20, 20, 20]


def test_a_tick_is_heeded_exactly_where_the_reader_stands() -> None:
    #  a: 5 at 0, lost: 6 at 1, tick at 1.  Inside the gap it is not heeded, nor when it is stale; behind both it is.
    made = topic()
    zero, one = Position(0, ALL), Position(1, ALL)
    for each in (frame(0, 0, [5]), frame(1, 0, [90]), tick(made, 0, one), frame(1, 1, [91])):
        made.append(0, each)
    reader = Reader(made, waited_for=BOTH)
    assert watermarks(reader) == [UNSPOKEN_US, 5, 5]
    assert (reader.skipped, reader.watermark.idle) == (1, set())
    for each in (frame(0, 1, [6]), tick(made, 0, zero), frame(1, 2, [92])):
        made.append(0, each)
    assert watermarks(reader) == [6, 6]
    for each in (tick(made, 0, one), frame(1, 3, [93])):
        made.append(0, each)
    assert watermarks(reader) == [93]
    assert reader.skipped == 2


def test_one_that_has_retired_is_waited_for_no_more_and_what_it_sends_on_is_not_taken() -> None:
    log = MemoryLog()
    manifest = Manifest(topic="events", streams=(EVENT,), producers=BOTH)
    made = log.create(manifest)
    for one in (frame(0, 0, [5]), frame(1, 0, [9])):
        made.append(0, one)
    log.create(made.manifest.retire("a", Position(0, ALL)))
    for one in (frame(0, 0, [5]), frame(0, 1, [77]), frame(1, 1, [20])):
        made.append(0, one)
    reader = Reader(made, waited_for=BOTH)
    assert watermarks(reader) == [UNSPOKEN_US, 5, 20]
    assert reader.skipped == 2


def test_rows_that_cannot_be_used_say_nothing_of_the_time() -> None:
    made = topic()
    made.append(0, Frame(0, START, Position(0, ALL), rows(0, [500], verdict=2)))
    made.append(0, frame(1, 0, [7]))
    assert watermarks(Reader(made, waited_for=BOTH)) == [UNSPOKEN_US, UNSPOKEN_US]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0, 1]), st.lists(st.integers(0, 50), min_size=1, max_size=4)),
        st.tuples(st.sampled_from([0, 1]), st.none()),
    ),
    max_size=12,
)


def by_definition(steps: list[tuple[int, list[int] | None]]) -> list[int]:
    """Return the watermark behind each row: plain loops, from the top."""
    reached: list[int | None] = [None, None]
    idle = [False, False]
    low, found = UNSPOKEN_US, []

    def settle() -> int:
        waited = [UNSPOKEN_US if reached[one] is None else reached[one] for one in (0, 1) if not idle[one]]
        return max(low, min(waited)) if waited else low  # type: ignore[type-var]

    for producer, times in steps:
        if times is None:
            idle[producer] = True
            low = settle()
        for time in times or []:
            idle[producer] = False
            reached[producer] = max(time, reached[producer] if reached[producer] is not None else time)  # type: ignore[type-var]
            low = settle()
            found.append(low)
    return found


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(0, 12), st.booleans())
def test_it_follows_the_definition_however_frames_are_cut_and_readers_restored(
    steps: list[tuple[int, list[int] | None]], stop: int, single: bool
) -> None:
    made, at = topic(), [0, 0]
    for producer, times in steps:
        here = Position(at[producer] - 1, ALL) if at[producer] else START
        if times is None:
            made.append(0, tick(made, producer, here))
            continue
        for part in [[time] for time in times] if single else [times]:
            made.append(0, frame(producer, at[producer], part))
            at[producer] += len(part)
    first = Reader(made, waited_for=BOTH)
    found: list[int] = []
    for taken in first.read(stop):
        found += [] if taken.batch.reached is None else taken.batch.reached.tolist()
    later = Reader(made, waited_for=BOTH)
    later.restore(first.snapshot())
    assert found + watermarks(later) == by_definition(steps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8 * PACE_US), st.booleans()), min_size=1, max_size=12), st.integers(1, 12))
def test_announced_progress_lets_no_partition_wait_for_a_producer_that_is_busy_elsewhere(
    records: list[tuple[int, bool]], cut: int
) -> None:
    #  Each record goes to one of two partitions; its producer announces each second that it crosses to the other.
    made = topic(partitions=2, producers=("a",))
    writers = [Writer(made, "a", partition) for partition in (0, 1)]
    for writer in writers:
        writer.start()
    reached, sent = UNSPOKEN_US, 0
    for start in range(0, len(records), cut):  # However the producer cuts its batches.
        part = records[start : start + cut]
        times = np.array([time for time, _ in part], np.int64)
        crossed, said = crossings(times, reached)
        marks = dict(zip(crossed.tolist(), said.tolist(), strict=True))
        for row, (time, second) in enumerate(part):
            place = Position(sent, ALL)
            writers[second].write(rows(sent, [time]), place)
            if row in marks:
                writers[not second].progress(marks[row], place)
            sent += 1
        reached = max(reached, int(times.max()))
    for partition in (0, 1):
        reader = Reader(made, partition, waited_for=("a",))
        for _ in reader.read(1_000):
            pass
        assert reached - PACE_US < reader.watermark.low_us <= reached


def test_a_writer_that_starts_again_announces_and_rests_no_second_time() -> None:
    made = topic()
    for _ in range(2):
        writer = Writer(made, "a")
        writer.start()
        writer.write(rows(0, [5]), Position(0, ALL))
        writer.progress(9 * PACE_US, Position(1, ALL))
    assert made.end(0) == 2
    zombie = Writer(made, "a")
    zombie.start()
    zombie.tick()  # It stands at the beginning, behind what was taken: it says nothing.
    assert made.end(0) == 2
    writer.tick()
    reader = Reader(made, waited_for=BOTH)
    assert watermarks(reader) == [UNSPOKEN_US]
    assert reader.watermark.idle == {0}


def test_a_fold_of_nobody_stays_where_it_is() -> None:
    watermark = Watermark(low_us=5)
    watermark.rest(0, waited_for=(0,))
    assert watermark.speak(1, np.array([9]), waited_for=(0,)).tolist() == [5]
