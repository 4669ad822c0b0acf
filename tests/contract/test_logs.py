"""One suite for every log: order, offsets, cuts, and the rule by which readers take frames."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.core.errors import StateError
from headrace.core.position import ALL, START, Position
from headrace.topics.contract import Log
from headrace.topics.digest import value_digest
from headrace.topics.embedded import EmbeddedLog
from headrace.topics.frame import Frame
from headrace.topics.memory import MemoryLog
from headrace.topics.cut import Cut
from headrace.topics.reader import Reader
from headrace.topics.writer import Writer
from tests.unit.topics.rows import manifest, rows

LOGS = {"memory": MemoryLog, "embedded": EmbeddedLog}


@pytest.fixture(params=sorted(LOGS))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made = MemoryLog() if request.param == "memory" else EmbeddedLog(tmp_path / "log.sqlite")
    yield made
    made.close()


def test_every_log_is_in_this_suite() -> None:
    known = {cls.__name__ for cls in Log.__subclasses__()}
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


def test_partitions_do_not_see_each_other(log: Log) -> None:
    topic = log.create(manifest(digested=False), partitions=2)
    topic.append(1, piece(START._replace(offset=-1), Position(0, ALL)))
    assert (topic.end(0), topic.end(1)) == (0, 1)


def test_a_topic_is_opened_again_under_the_same_manifest_only(log: Log) -> None:
    first = log.create(manifest())
    assert log.create(manifest()).manifest.incarnation == first.manifest.incarnation
    with pytest.raises(StateError, match="the manifest with which it was made"):
        log.create(manifest(producers=("a",)))
    with pytest.raises(StateError, match="did you mean 'topic'"):
        log.open("topik")
    assert list(log.names()) == ["topic"]


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
