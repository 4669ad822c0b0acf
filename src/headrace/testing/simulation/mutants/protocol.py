"""Mistakes in the reader, the writer, the task and the snapshots."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from headrace.core.errors import StateError
from headrace.core.position import START, Position
from headrace.core.records import Batch
from headrace.run.task import StageTask
from headrace.store.snapshots import Arrays, Meta, Snapshots, unpacked
from headrace.testing.simulation.faults import ALL_FAULTS
from headrace.testing.simulation.log import SimulatedTopic
from headrace.testing.simulation.mutants.plant import Mutant, planted
from headrace.testing.simulation.process import Process
from headrace.testing.simulation.relay import Relay, SourceInlet
from headrace.topics import writer as writing
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.frame import Frame
from headrace.topics.manifest import ENGINE
from headrace.topics.reader import Reader
from headrace.topics.writer import Outstanding, Writer

__all__ = ["PROTOCOL"]

_in_order = writing.in_order
_restore_task = StageTask._restore
_start_task = StageTask.start
_restore_reader = Reader.restore
_next = Reader._next
_waiting = Reader._waiting


def _take_everything(reader: Reader, frame: Frame, there: Position) -> bool:
    return True


def _jump_over_gaps(reader: Reader, frame: Frame, there: Position) -> bool:
    return there < frame.through


def _settled_at_once(outstanding: Outstanding) -> bool:
    return True


def _in_any_order(receipt: Any, last: int, topic: str) -> int:
    return _in_order(receipt, min(last, receipt.offset - 1), topic)


def _claim_all_of_the_input(task: StageTask, arrays: Any, meta: Any) -> None:
    _restore_task(task, arrays, meta)
    for writer in task._writers.values():
        writer._through = max(writer._through, task._done)


def _end_without_k(writer: Writer, piece: Batch) -> Position:
    return piece.position(len(piece) - 1).through_row()


def _trust_any_incarnation(reader: Reader, cut: dict[str, Any]) -> None:
    end = reader.topic.end(reader.partition)
    _restore_reader(
        reader, {**cut, "incarnation": reader.topic.manifest.incarnation, "offset": min(cut["offset"], end)}
    )


def _start_whatever_the_check_says(task: StageTask) -> None:
    try:
        _start_task(task)
    except StateError:
        for writer in task._writers.values():
            _start_without_looking(writer)


def _start_without_looking(writer: Writer) -> None:
    writer._read_tail()
    writer._taken = writer._tail.through.get(writer._number, START)


def _trust_any_digest(reader: Reader, frame: Frame, fresh: Batch, offset: int) -> None:
    reader.digests[frame.producer] = frame.digest_after


def _one_number(world: Relay, process: Process) -> int:
    return ENGINE


def _list_everybody(reader: Reader, producer: int) -> bool:
    return True


def _cut_without_counters(topic: SimulatedTopic, partition: int) -> Cut:
    return Cut(topic.begin(partition))


def _first_name_seen(reader: Reader, frame: Frame, there: Position) -> bool:
    return _next(reader, frame, there) or there == START


def _forget_retired(reader: Reader, frame: Frame, there: Position) -> bool:
    """Take what a retired producer sends again: nobody keeps a counter of it any more."""
    return _next(reader, frame, START if frame.producer in reader.topic.manifest.last else there)


def _one_name(world: Relay, name: str, generation: int) -> str:
    return name


def _one_fingerprint(world: Relay, generation: int) -> str:
    return f"{1:016x}"


def _heed_any(reader: Reader, frame: Frame, there: Position, offset: int) -> None:
    reader.watermark.rest(frame.producer, waited_for=reader._waiting(offset))


def _idle_if_empty(inlet: SourceInlet) -> bool:
    return not inlet._source.poll(inlet._at, 1)


def _only_speakers(reader: Reader, offset: int) -> tuple[int, ...]:
    return tuple(number for number in _waiting(reader, offset) if number in reader.watermark.reached)


def _all_of_it(world: Relay, name: str, topic: Topic, part: int, blobs: object) -> int:
    return topic.end(part)


def _by_age(snapshots: Snapshots) -> list[str]:
    return snapshots._blobs.by_age()  # type: ignore[attr-defined, no-any-return]


def _the_youngest(snapshots: Snapshots) -> Iterator[tuple[Arrays, Meta]]:
    """Take the one that was put last, wherever it stands: it is what a folder sorted by time shows first."""
    for name in snapshots._blobs.by_age()[:1]:  # type: ignore[attr-defined]
        yield unpacked(snapshots._blobs.get(name) or b"")


def _no_check(*_: object) -> None:
    """Check nothing."""


_UNCHECKED: Final = planted(
    (Reader, "restore", _trust_any_incarnation),
    (Writer, "start", _start_without_looking),
    (Writer, "_check_history", _no_check),
    (Reader, "_check_digest", _trust_any_digest),
    (StageTask, "_check_input", _no_check),
)
"""No start and no reader looks at what the log has become."""
_MUCH_TRIMMED: Final = replace(ALL_FAULTS, trim=0.15)
_LOSSY: Final = replace(ALL_FAULTS, lose=0.15)
_LOST: Final = replace(ALL_FAULTS, lose_suffix=0.01)
_MADE_ANEW: Final = replace(ALL_FAULTS, recreate=0.01)
_TWO_BUILDS: Final = replace(ALL_FAULTS, build=0.3)

PROTOCOL: Final = (
    Mutant(number=1, name="no filter", plant=planted((Reader, "_next", _take_everything))),
    Mutant(number=2, name="filter jumps gaps", plant=planted((Reader, "_next", _jump_over_gaps))),
    Mutant(number=3, name="snapshot before acknowledgement", plant=planted((Outstanding, "settled", _settled_at_once))),
    Mutant(number=4, name="acknowledgement without order", plant=planted((writing, "in_order", _in_any_order))),
    Mutant(
        number=5, name="through not in the snapshot", plant=planted((StageTask, "_restore", _claim_all_of_the_input))
    ),
    Mutant(number=6, name="cut inside a position without k", plant=planted((Writer, "_end", _end_without_k))),
    Mutant(
        number=10,
        name="recreated topic, old snapshot",
        plant=_UNCHECKED,
        faults=_MADE_ANEW,
        refusal_counts=False,
    ),
    Mutant(
        number=11,
        name="a lost suffix is not noticed",
        plant=_UNCHECKED,
        faults=_LOST,
        refusal_counts=False,
    ),
    Mutant(
        number=7,
        name="a reader starts at the first name it sees",
        plant=planted((SimulatedTopic, "cut", _cut_without_counters), (Reader, "_next", _first_name_seen)),
        faults=_MUCH_TRIMMED,
    ),
    Mutant(
        number=8,
        name="a trim above the newest cut",
        plant=planted((Relay, "_needed", _all_of_it)),
        faults=_MUCH_TRIMMED,
    ),
    Mutant(
        number=9,
        name="an empty start on trimmed input",
        plant=planted((StageTask, "start", _start_whatever_the_check_says)),
        faults=replace(_MUCH_TRIMMED, empty=0.02),
        refusal_counts=False,
    ),
    Mutant(
        number=27,
        name="a snapshot chosen by its age",
        plant=planted((Snapshots, "newest_first", _the_youngest), (Snapshots, "_newest_names", _by_age)),
        faults=replace(ALL_FAULTS, trim=0.4, crash=0.15, power=0, owners=6),
    ),
    Mutant(
        number=14,
        name="the counter of a retired producer is dropped",
        plant=planted((Reader, "_next", _forget_retired)),
    ),
    Mutant(
        number=15,
        name="a new generation under old names",
        plant=planted((Relay, "called", _one_name), (Relay, "fingerprint", _one_fingerprint)),
    ),
    Mutant(
        number=18,
        name="a tick heeded before its gap is filled",
        plant=planted((Reader, "_heed", _heed_any)),
        faults=_LOSSY,
    ),
    Mutant(
        number=19,
        name="a tick from an empty poll",
        plant=planted((SourceInlet, "idle", property(_idle_if_empty))),
        faults=replace(ALL_FAULTS, stall=0.3),
    ),
    Mutant(
        number=21,
        name="a producer that has not spoken is not waited for",
        plant=planted((Reader, "_waiting", _only_speakers)),
    ),
    Mutant(number=13, name="an unlisted producer is taken", plant=planted((Reader, "_listed", _list_everybody))),
    Mutant(
        number=12,
        name="two builds under one engine number",
        plant=planted((Relay, "engine", _one_number)),
        faults=_TWO_BUILDS,
    ),
)
