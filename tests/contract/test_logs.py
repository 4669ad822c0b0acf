"""One suite for every log: order, offsets, cuts, and the rule by which readers take frames."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import StateError
from headrace.core.position import ALL, START, Position
from headrace.core.records import Kind, StreamSchema
from headrace.topics.contract import Log, Topic
from headrace.topics.cut import Cut
from headrace.topics.digest import value_digest
from headrace.topics.embedded import EmbeddedLog
from headrace.topics.frame import Frame
from headrace.topics.manifest import DEFAULT, Manifest
from headrace.topics.memory import MemoryLog
from headrace.topics.reader import Reader
from headrace.topics.writer import Writer
from tests.unit.topics.rows import STREAMS, manifest, rows

LOGS = {"memory": MemoryLog, "embedded": EmbeddedLog}


@pytest.fixture(params=sorted(LOGS))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made = MemoryLog() if request.param == "memory" else EmbeddedLog(tmp_path / "log.sqlite")
    yield made
    made.close()


def test_every_log_is_in_this_suite() -> None:
    known = {cls.__name__ for cls in Log.__subclasses__() if cls.__module__.startswith("headrace.topics.")}
    assert known == {cls.__name__ for cls in LOGS.values()}


def piece(after: Position, through: Position, *, producer: int = 0) -> Frame:
    places = [(offset, row) for offset in range(after.offset + 1, through.offset + 1) for row in range(2)]
    return Frame(producer, after, through, rows(places))


def test_frames_come_back_in_the_order_in_which_they_were_appended(log: Log) -> None:
    topic = log.create(manifest(digested=False))
    offsets = [topic.append(0, piece(Position(n - 1, ALL), Position(n, ALL))).offset for n in range(5)]
    assert offsets == sorted(offsets)
    assert topic.begin(0) == offsets[0] == 0
    read = topic.read(0, 0, 10)
    assert [offset for offset, _ in read] == offsets
    assert [frame.through.offset for _, frame in read] == [0, 1, 2, 3, 4]
    assert [offset for offset, _ in topic.read(0, offsets[2], 2)] == offsets[2:4]
    assert topic.read(0, topic.end(0), 10) in ((), [])


def test_trimming_moves_the_beginning_and_nothing_else(log: Log) -> None:
    topic = log.create(manifest(digested=False))
    for n in range(5):
        topic.append(0, piece(Position(n - 1, ALL), Position(n, ALL)))
    end = topic.end(0)
    topic.trim(0, Cut(3))
    assert (topic.begin(0), topic.end(0)) == (3, end)
    assert [offset for offset, _ in topic.read(0, 0, 10)] == [3, 4]
    topic.trim(0, Cut(5))
    assert topic.begin(0) == topic.end(0) == end


def trimmed(log: Log, at: int) -> tuple[Topic, Reader]:
    """Return a topic of six frames that was trimmed at the `at`-th, and a reader that stood at 0 before."""
    topic = log.create(manifest())
    writers = [Writer(topic, name) for name in ("a", "b")]
    for n in range(6):
        writers[n % 2].write(rows([(n, 0), (n, 1)]), Position(n, ALL))
    before, walker = Reader(topic), Reader(topic)
    for _ in range(at):
        list(walker.read(1))
    topic.trim(0, walker.cut())
    return topic, before


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_fresh_reader_begins_at_the_kept_cut_and_takes_the_rest(log: Log, at: int) -> None:
    topic, _ = trimmed(log, at)
    fresh = Reader(topic)
    assert (fresh.offset, topic.cut(0), topic.begin(0)) == (at, fresh.cut(), at)
    assert ids(fresh) == [f"id-{n}-{row}" for n in range(at, 6) for row in range(2)]
    log.commit()
    assert log.open("topic").cut(0).offset == at


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_writer_that_starts_on_a_trimmed_topic_appends_nothing_that_was_taken(log: Log, at: int) -> None:
    topic, _ = trimmed(log, at)
    again = Writer(topic, "a")
    again.start()
    for n in range(0, 8, 2):
        again.write(rows([(n, 0), (n, 1)]), Position(n, ALL))
    assert topic.end(0) == 7
    assert ids(Reader(topic))[-2:] == ["id-6-0", "id-6-1"]


def test_a_reader_that_stands_below_the_cut_stops_and_one_at_it_reads_on(log: Log) -> None:
    topic, before = trimmed(log, 3)
    with pytest.raises(StateError, match="start again"):
        ids(before)
    at_the_cut = Reader(topic)
    walker = Reader(topic)
    list(walker.read(9))
    assert ids(at_the_cut)[0] == "id-3-0"
    behind = Reader(topic)
    topic.trim(0, walker.cut())
    assert topic.read(0, 0, 9) in ((), [])
    with pytest.raises(StateError, match="start again"):
        ids(behind)


def test_a_cut_never_moves_back(log: Log) -> None:
    topic, _ = trimmed(log, 4)
    kept = topic.cut(0)
    topic.trim(0, Cut(2))
    assert topic.cut(0) == kept
    assert [offset for offset, _ in topic.read(0, 0, 9)] == [4, 5]


def test_what_one_process_trimmed_another_finds_trimmed_once_it_looks_again(tmp_path: Path) -> None:
    one, other = EmbeddedLog(tmp_path / "log.sqlite"), EmbeddedLog(tmp_path / "log.sqlite")
    topic, _ = trimmed(one, 0)
    one.commit()
    there = other.open("topic")
    slow = Reader(there)
    assert (there.begin(0), len(list(slow.read(1)))) == (0, 1)
    walker = Reader(topic)
    list(walker.read(4))
    topic.trim(0, walker.cut())
    one.commit()
    with pytest.raises(StateError, match="start again"):
        ids(slow)
    other.commit()
    there.trim(0, Cut(2))  # What it knows is older than what stands there.
    assert there.cut(0) == Reader(there).cut() == walker.cut()
    one.close()
    other.close()


def test_partitions_do_not_see_each_other(log: Log) -> None:
    topic = log.create(manifest(digested=False), partitions=2)
    topic.append(1, piece(START._replace(offset=-1), Position(0, ALL)))
    assert (topic.end(0), topic.end(1)) == (0, 1)


def test_a_topic_is_opened_again_under_the_same_manifest_only(log: Log) -> None:
    first = log.create(manifest())
    assert log.create(manifest()).manifest.incarnation == first.manifest.incarnation
    with pytest.raises(StateError, match=r"wanted producers a, b \(another definition is another generation"):
        log.create(manifest(producers=("a",)))
    with pytest.raises(StateError, match="did you mean 'topic'"):
        log.open("topik")
    assert list(log.names()) == ["topic"]


def growing(*more: StreamSchema, producers: tuple[str, ...] = ("a", "b")) -> Manifest:
    """Return the manifest of a topic that belongs to no generation."""
    return Manifest(topic="events", streams=(*STREAMS, *more), producers=producers, acting="0a")


def widened(name: str, *, nullable: bool, default: str | None = None) -> Manifest:
    """Return the manifest of that topic, whose first stream has one more column."""
    column = pa.field(name, pa.int64(), nullable=nullable, metadata={DEFAULT: default} if default else None)
    first = StreamSchema(STREAMS[0].name, STREAMS[0].kind, STREAMS[0].schema.append(column))
    return Manifest(topic="events", streams=(first, *STREAMS[1:]), producers=("a", "b"))


MORE = StreamSchema("more", Kind.EVENT, pa.schema([("x", pa.int64())]))


def test_a_topic_of_no_generation_gains_streams_columns_and_producers_by_numbered_revisions(log: Log) -> None:
    topic = log.create(growing())
    assert log.create(growing()).manifest.revision == topic.manifest.revision == 1
    log.create(growing(MORE))
    assert log.create(growing()).manifest.revision == 2  # Who knows less takes nothing away.
    log.create(widened("n", nullable=True))
    log.create(growing(producers=("b", "c")))
    manifest = log.open("events").manifest
    assert (manifest.revision, manifest.producers, manifest.acting) == (4, ("a", "b", "c"), "0a")
    assert [stream.name for stream in manifest.streams] == ["request", "progress", "more"]
    assert manifest.streams[0].schema.names[-1] == "n"
    assert topic.manifest == manifest


def test_frames_of_older_revisions_are_read_with_what_came_later(log: Log) -> None:
    topic = log.create(growing())
    topic.append(0, Frame(0, START, Position(0, ALL), rows([(0, 0), (0, 1)])))
    log.create(growing(MORE))
    log.create(widened("n", nullable=True))
    log.create(widened("m", nullable=False, default="7"))
    topic.append(0, Frame(1, START, Position(0, ALL), rows([(0, 0)])))  # From one who has not heard of it yet.
    for taken in Reader(topic).read(9):
        assert len(taken.batch.payloads) == 3
        request = taken.batch.payloads[0]
        assert request["n"].null_count == request.num_rows
        assert request["m"].to_pylist() == [7] * request.num_rows
        assert taken.batch.payloads[2].num_rows == 0


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (widened("n", nullable=False), "n int64 without one"),
        (Manifest(topic="events", streams=(MORE,), producers=("a",), digested=True), "digested False"),
        (
            Manifest(
                topic="events",
                streams=(StreamSchema("progress", Kind.PROGRESS, pa.schema([("until", pa.string())])),),
                producers=("a",),
            ),
            "column progress.until int64 | None",
        ),
        (
            Manifest(topic="events", streams=(StreamSchema("progress", Kind.TICK, STREAMS[1].schema),), producers=()),
            "got TICK",
        ),
    ],
)
def test_what_is_no_growth_is_refused_in_one_short_sentence(log: Log, wanted: Manifest, got: str) -> None:
    log.create(growing())
    with pytest.raises(StateError) as error:
        log.create(wanted)
    assert got in str(error.value)
    assert "a log of its own" in str(error.value)
    assert len(str(error.value)) < 400
    assert log.open("events").manifest.revision == 1


def test_a_retired_producer_stays_listed_and_is_taken_no_further(log: Log) -> None:
    topic = log.create(growing())
    topic.append(0, Frame(0, START, Position(0, ALL), rows([(0, 0)])))
    log.create(topic.manifest.retire("a", Position(0, ALL)))
    reader = Reader(topic)
    topic.append(0, Frame(0, START, Position(0, ALL), rows([(0, 0)])))  # A zombie sends again, and then goes on.
    topic.append(0, Frame(0, Position(0, ALL), Position(1, ALL), rows([(1, 0)])))
    topic.append(0, Frame(1, START, Position(0, ALL), rows([(0, 1)])))
    assert ids(reader) == ["id-0-0", "id-0-1"]
    assert reader.skipped == 2
    assert topic.manifest.left == {"a": (1,)}
    assert log.create(growing(MORE, producers=("b",))).manifest.ended == {"a": Position(0, ALL)}
    with pytest.raises(StateError, match="said once"):
        log.create(topic.manifest.retire("a", Position(1, ALL)))
    with pytest.raises(StateError, match="have not retired"):
        log.create(growing(producers=("a", "b")))


def test_another_object_of_the_embedded_log_takes_what_a_new_producer_writes(tmp_path: Path) -> None:
    here, there = EmbeddedLog(tmp_path / "log.sqlite"), EmbeddedLog(tmp_path / "log.sqlite")
    reader = Reader(here.create(growing()))
    topic = there.create(growing(MORE, producers=("c",)))
    topic.append(0, Frame(2, START, Position(0, ALL), rows([(0, 0)])))
    there.commit()
    here.commit()
    assert ids(reader) == ["id-0-0"]
    assert reader.topic.manifest.revision == 2
    here.close()
    there.close()


def write(log: Log, plan: list[tuple[Position, Position]]) -> Reader:
    topic = log.create(manifest(digested=False))
    for after, through in plan:
        topic.append(0, piece(after, through))
    return Reader(topic)


def ids(reader: Reader) -> list[str]:
    return [text for taken in reader.read(100) for text in taken.batch.id.to_pylist()]


def test_a_resent_frame_is_taken_once(log: Log) -> None:
    zero, one = (START._replace(offset=-1), Position(0, ALL)), (Position(0, ALL), Position(1, ALL))
    first = START, Position(0, ALL)
    del zero
    reader = write(log, [(Position(-1, 0), Position(0, ALL))])
    assert ids(reader) == []  # after lies above START: a gap
    topic = reader.topic
    topic.append(0, Frame(0, *first, rows([(0, 0), (0, 1)])))
    topic.append(0, Frame(0, *first, rows([(0, 0), (0, 1)])))
    topic.append(0, Frame(0, *one, rows([(1, 0)])))
    assert ids(reader) == ["id-0-0", "id-0-1", "id-1-0"]
    assert reader.skipped == 2


def test_a_frame_behind_a_gap_waits_for_the_frame_that_fills_it(log: Log) -> None:
    topic = log.create(manifest(digested=False))
    reader = Reader(topic)
    topic.append(0, Frame(0, Position(0, ALL), Position(1, ALL), rows([(1, 0)])))
    topic.append(0, Frame(0, START, Position(0, ALL), rows([(0, 0)])))
    topic.append(0, Frame(0, Position(0, ALL), Position(1, ALL), rows([(1, 0)])))
    assert ids(reader) == ["id-0-0", "id-1-0"]


def test_an_overlapping_frame_gives_only_its_new_rows(log: Log) -> None:
    topic = log.create(manifest(digested=False))
    reader = Reader(topic)
    topic.append(0, Frame(0, START, Position(1, ALL), rows([(0, 0), (1, 0)])))
    topic.append(0, Frame(0, Position(0, ALL), Position(2, ALL), rows([(1, 0), (2, 0)])))
    assert ids(reader) == ["id-0-0", "id-1-0", "id-2-0"]


def test_producers_are_counted_apart_and_an_unlisted_one_is_not_taken(log: Log) -> None:
    topic = log.create(manifest(digested=False))
    reader = Reader(topic)
    topic.append(0, Frame(0, START, Position(0, ALL), rows([(0, 0)])))
    topic.append(0, Frame(1, START, Position(0, ALL), rows([(0, 1)])))
    topic.append(0, Frame(2, START, Position(0, ALL), rows([(0, 3)])))
    assert ids(reader) == ["id-0-0", "id-0-1"]


def test_a_reader_restored_at_a_cut_takes_the_same_rest(log: Log) -> None:
    topic = log.create(manifest())
    writer = Writer(topic, "a")
    writer.start()
    for n in range(6):
        writer.write(rows([(n, 0), (n, 1)]), Position(n, ALL))
    whole, part = Reader(topic), Reader(topic)
    everything = ids(whole)
    start = [text for taken in part.read(3) for text in taken.batch.id.to_pylist()]
    late = Reader(topic)
    late.restore(part.snapshot())
    assert start + ids(late) == everything


def test_a_second_history_under_the_same_name_is_refused_by_its_digest(log: Log) -> None:
    topic = log.create(manifest())
    for seed in (1, 2):
        other = Writer(topic, "a")
        other.write(rows([(seed - 1, 0)], seed=seed), Position(seed - 1, ALL))
    # The second writer did not start from the tail, so that its frame stands at START again: a duplicate.
    third = Writer(topic, "a")
    third.restore({"through": [0, ALL], "digest": 99, "tail": Reader(topic).snapshot()})
    third.write(rows([(5, 0)]), Position(5, ALL))
    with pytest.raises(StateError, match="running digest"):
        ids(Reader(topic))


def test_a_writer_that_starts_again_appends_only_what_was_not_taken(log: Log) -> None:
    topic = log.create(manifest())
    first = Writer(topic, "a")
    first.start()
    for n in range(3):
        first.write(rows([(n, 0), (n, 1)]), Position(n, ALL))
    end = topic.end(0)
    again = Writer(topic, "a")
    again.start()
    for n in range(3):
        again.write(rows([(n, 0), (n, 1)]), Position(n, ALL))
    assert topic.end(0) == end
    again.write(rows([(3, 0)]), Position(3, ALL))
    assert ids(Reader(topic)) == [f"id-{n}-{row}" for n in range(3) for row in range(2)] + ["id-3-0"]


def test_a_writer_whose_snapshot_counts_more_than_the_log_holds_is_stopped(log: Log) -> None:
    topic = log.create(manifest())
    writer = Writer(topic, "a")
    writer.restore({"through": [7, ALL], "digest": 0, "tail": Reader(topic).snapshot()})
    with pytest.raises(StateError, match="older snapshot"):
        writer.start()


def test_a_reader_refuses_a_cut_of_another_topic_or_above_the_end(log: Log) -> None:
    topic = log.create(manifest())
    cut = Reader(topic).snapshot()
    with pytest.raises(StateError, match="new generation"):
        Reader(topic).restore({**cut, "incarnation": 12345})
    with pytest.raises(StateError, match="older snapshot"):
        Reader(topic).restore({**cut, "offset": 4})


def test_what_was_committed_survives_and_reads_the_same_in_another_object(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = EmbeddedLog(path)
    topic = log.create(manifest(digested=False))
    topic.append(0, Frame(0, START, Position(3, ALL), rows([(n, n) for n in range(4)])))
    log.sync()
    other = EmbeddedLog(path)
    here = [value_digest(taken.batch) for taken in Reader(topic).read(9)]
    there = [value_digest(taken.batch) for taken in Reader(other.open("topic")).read(9)]
    assert here == there
    assert len(here) == 1
    other.close()
    log.close()
