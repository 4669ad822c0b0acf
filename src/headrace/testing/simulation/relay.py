"""The relay: the smallest pipeline that has everything which the protocol must bear. Its stages are a few sums.

two sources -> ingest.0, ingest.1 -> [events] -> fold -> [hops], two partitions -> choose.0, choose.1 -> [choices]
                                                    guess <- [totals] <- tally <- [choices]

Two producers merge into [events] and into [choices]; fold has a state and gives 0 to 2 rows for each of its input, into
either partition; choose writes down what it saw on the side; tally sends on what was chosen, in [answers]; guess cannot
repeat itself, and goes on from what the log took. Every task is the real one, over the real reader, writer, snapshots.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from random import Random
from typing import Final, TypeAlias, final

import numpy as np
import pyarrow as pa

from headrace.core.position import Position
from headrace.core.records import I8, Batch, Kind, StreamSchema
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.run.task import IngestTask, StageTask, Task
from headrace.stages.contract import Outputs, Stage
from headrace.stages.ingest import Ingest
from headrace.store.blobs import Blobs
from headrace.store.snapshots import Arrays, Meta, Snapshots
from headrace.testing.simulation.faults import Faults
from headrace.testing.simulation.log import SharedLog, SimulatedLog
from headrace.testing.simulation.process import Process
from headrace.testing.simulation.world import World, frames_as_taken
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.manifest import ENGINE, Manifest
from headrace.topics.reader import Reader
from headrace.topics.writer import Writer

__all__ = [
    "Choose",
    "Fold",
    "Guess",
    "Relay",
    "Source",
    "SourceInlet",
    "Taken",
    "Tally",
    "folded",
    "rows_batch",
    "values_of",
]

SOURCES: Final = 2
PARTS: Final = 2
_EPOCH: Final = 1_000_000_000
_PACE: Final = 600_000
"""When records happened, microseconds: those of a source in order."""
RETIRING: Final = "ingest.0"
_GUESS_EVERY: Final = 3
_MODULUS: Final = (1 << 61) - 1
_FACTORS: Final = (7_919, 7_907)
"""What fold multiplies a key by, in one build and in another."""
_COLUMNS: Final = ("a", "b", "c")
_STREAMS: Final = (StreamSchema("row", Kind.EVENT, pa.schema([(column, pa.int64()) for column in _COLUMNS])),)
_NOTHING: Final = -1
Taken: TypeAlias = tuple[str, list[int]]
"""A row as taken: its producer and its three numbers."""


def rows_batch(
    offset: Sequence[int] | I8,
    sub: Sequence[int] | I8,
    rows: Sequence[Sequence[int]],
    time: Sequence[int] | None = None,
) -> Batch:
    """Return rows of three numbers as a batch, at their event times, else at 0."""
    count = len(rows)
    columns = np.array(rows, np.int64).reshape(count, len(_COLUMNS))
    at = np.zeros(count, np.int64) if time is None else np.array(time, np.int64)
    payload = pa.RecordBatch.from_arrays(
        [pa.array(columns[:, place]) for place in range(len(_COLUMNS))], schema=_STREAMS[0].schema
    )
    return Batch(
        np.array(offset, np.int64),
        np.array(sub, np.int64),
        np.zeros(count, np.uint8),
        at,
        at,
        np.zeros(count, np.uint8),
        pa.array([""] * count, pa.string()),
        (payload,),
    )


def values_of(batch: Batch) -> list[list[int]]:
    """Return the three numbers of each row."""
    payload = batch.payloads[0]
    return [list(row) for row in zip(*(payload.column(place).to_pylist() for place in range(3)), strict=True)]


@final
class Source:
    """A partition outside: records (offset, key, value), some of which may be compacted away, and empty polls."""

    def __init__(self, draw: Random, *, count: int) -> None:
        self.records: Final = [(2 * place, draw.randrange(6), draw.randrange(1_000)) for place in range(count)]
        self.gone: Final[set[int]] = set()
        self.stalls = 0

    def compact(self, draw: Random) -> int | None:
        """Drop one record that a later one of its key replaces; return its offset."""
        offset, key, _ = draw.choice(self.records)
        if offset in self.gone or not any(later > offset and other == key for later, other, _ in self.records):
            return None
        self.gone.add(offset)
        return offset

    def at_end(self, at: int) -> bool:
        """Return whether a fetch that succeeds finds nothing above an offset."""
        return not self.stalls and not self.poll(at, 1)

    def poll(self, above: int, limit: int) -> list[tuple[int, int, int]]:
        """Return the next records above an offset. An empty answer says nothing: the source may have stalled."""
        if self.stalls:
            self.stalls -= 1
            return []
        return [record for record in self.records if record[0] > above and record[0] not in self.gone][:limit]


@final
class SourceInlet(Inlet):
    """Reads one source; its position is the source's own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = _NOTHING

    @property
    def ended(self) -> bool:
        """Return False: the source may have more at any time."""
        return False

    @property
    def idle(self) -> bool:
        """Return whether the source itself says that it has no more: an empty poll says no such thing."""
        return self._source.at_end(self._at)

    @property
    def ledger(self) -> Ledger:
        """Return an empty ledger."""
        return Ledger([])

    def next(self, limit: int) -> Batch | None:
        """Return the next records."""
        records = self._source.poll(self._at, limit)
        if not records:
            return None
        self._at = records[-1][0]
        offsets = [record[0] for record in records]
        rows = [[record[1], record[2], record[0]] for record in records]
        return rows_batch(offsets, [0] * len(records), rows, [_EPOCH + _PACE * offset for offset in offsets])

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return where it stands."""
        return {}, {"at": self._at}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._at = meta["at"]


@final
class Fold(Stage):
    """Fold [events] into one number, which says how many rows each event gives, and into which partition.

    An event behind the watermark counts otherwise. Each source is in order, so that none ever is.
    """

    def __init__(self, *, factor: int, outputs: Sequence[str]) -> None:
        self._factor = factor
        self._outputs = tuple(outputs)
        self._state = 1

    def process(self, batch: Batch) -> Outputs:
        """Give 0 to 2 rows for each."""
        rows: dict[str, list[tuple[int, int, list[int]]]] = {name: [] for name in self._outputs}
        late = np.zeros(len(batch), bool) if batch.reached is None else batch.event_time < batch.reached
        for place, (key, value, _) in enumerate(values_of(batch)):
            self._state = folded(self._state, key, value + bool(late[place]), self._factor)
            for k in range(self._state % 3):
                row = [key, self._state, k]
                name = self._outputs[self.route(key, self._state >> k)]
                rows[name].append((int(batch.offset[place]), int(batch.sub[place]) + k, row))
        return Outputs(len(batch), {name: rows_batch(*zip(*made, strict=True)) for name, made in rows.items() if made})

    def route(self, key: int, state: int) -> int:
        """Return the output partition of a row."""
        return state % PARTS

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the number."""
        return {}, {"state": self._state}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._state = meta["state"]


def folded(state: int, key: int, value: int, factor: int = _FACTORS[0]) -> int:
    """Return the next state of `Fold`, as the stage and the oracle count it."""
    return (state * 1_000_003 + key * factor + value * 31) % _MODULUS


@final
class Choose(Stage):
    """Write beside each row what stood on the side just then: a recorded choice. It keeps no state."""

    def __init__(self, *, side: Callable[[], int], output: str) -> None:
        self._side = side
        self._output = output

    def process(self, batch: Batch) -> Outputs:
        """Give one row for each."""
        rows = [[state, k, self.chosen(state)] for _, state, k in values_of(batch)]
        return Outputs(len(batch), {self._output: rows_batch(batch.offset, batch.sub, rows)})

    def chosen(self, state: int) -> int:
        """Return what stands on the side now."""
        return self._side()

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return nothing: no choice outlives its row."""
        return {}, {}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Do nothing."""


@final
class Tally(Stage):
    """Fold [choices], whose order only the log knows, into one number; send each choice on."""

    def __init__(self, *, totals: str, answers: str) -> None:
        self._totals = totals
        self._answers = answers
        self._total = 1

    def process(self, batch: Batch) -> Outputs:
        """Give one row for each, in either topic."""
        totals, answers = [], values_of(batch)
        for state, k, chosen in answers:
            self._total = folded(self._total, state + k, chosen)
            totals.append([self._total, chosen, 0])
        made = {self._totals: totals, self._answers: answers}
        return Outputs(len(batch), {name: rows_batch(batch.offset, batch.sub, rows) for name, rows in made.items()})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the number."""
        return {}, {"total": self._total}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._total = meta["total"]


@final
class Guess(Stage):
    """Draw a version for every third total, from the one before it: a learner that cannot repeat itself."""

    repeatable = False

    def __init__(self, *, draw: Random, output: str) -> None:
        self._draw = draw
        self._output = output
        self._seen = 0
        self._parent = 0

    def process(self, batch: Batch) -> Outputs:
        """Stop behind the first row that gives a version."""
        for place in range(len(batch)):
            self._seen += 1
            if self._seen % _GUESS_EVERY == 0:
                row = [self._seen // _GUESS_EVERY, self._parent, self._draw.randrange(1, _MODULUS)]
                self._parent = row[2]
                version = rows_batch(batch.offset[place : place + 1], batch.sub[place : place + 1], [row])
                return Outputs(place + 1, {self._output: version})
        return Outputs(len(batch))

    def adopt(self, taken: Batch) -> None:
        """Go on from the version that the log took."""
        self._parent = values_of(taken)[-1][2]

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return where it stands."""
        return {}, {"seen": self._seen, "parent": self._parent}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._seen, self._parent = meta["seen"], meta["parent"]


_TOPICS: Final[dict[str, tuple[int, tuple[str, ...], bool]]] = {
    "events": (1, ("ingest.0", "ingest.1"), False),
    "hops": (PARTS, ("fold",), True),
    "choices": (1, ("choose.0", "choose.1"), False),
    "totals": (1, ("tally",), True),
    "answers": (1, ("tally", "choose.0", "choose.1"), False),
    "versions": (1, ("guess",), False),
}


_READERS: Final[dict[str, tuple[str, ...]]] = {
    "events": ("fold",),
    "hops": ("choose.0", "choose.1"),
    "choices": ("tally",),
    "totals": ("guess",),
    "answers": (),
    "versions": (),
}


@final
class Relay(World):
    """The relay over sources that are drawn."""

    groups: Sequence[tuple[str, ...]] = (
        ("ingest.0",),
        ("ingest.1",),
        ("fold",),
        ("choose.0",),
        ("choose.1",),
        ("tally",),
        ("guess",),
    )

    def __init__(self, draw: Random) -> None:
        self.shared = SharedLog(frame_bytes=draw.choice([60, 150, 100_000]))
        self.sources: Final = [Source(draw, count=draw.randint(5, 25)) for _ in range(SOURCES)]
        self.version = 0
        self.generation = 1
        self._generations: dict[int, int] = {}

    def tasks(self, names: Sequence[str], process: Process, blobs: Callable[[str], Blobs]) -> list[Task]:
        """Return fresh tasks. All topics are made at once, as a deployment makes them."""
        self._generations[process.number] = self.generation
        for topic in _TOPICS:
            self._topic(process, topic)
        return [self._task(name, process, blobs(self.called(name, self.generation))) for name in names]

    def called(self, name: str, generation: int) -> str:
        """Return the full name of a topic or a task: all but [events] and its writers belong to a generation."""
        return name if name == "events" or name.startswith("ingest") else f"{generation}.{name}"

    def fingerprint(self, generation: int) -> str:
        """Return the fingerprint of a generation's definition."""
        return f"{generation:016x}"

    def _task(self, name: str, process: Process, blobs: Blobs) -> Task:
        kind, _, number = name.partition(".")
        if kind == "ingest":
            writer = Writer(self._topic(process, "events"), name)
            return IngestTask(name, Ingest(self.inlet(int(number), process)), writer, Snapshots(blobs))
        stage = self.stage(kind, process)
        writers = {
            key: Writer(self._topic(process, topic), name, part, reads_back=not stage.repeatable)
            for key, (topic, part) in self.outputs(kind).items()
        }
        source = {"fold": "events", "choose": "hops", "tally": "choices", "guess": "totals"}[kind]
        part = int(number or 0)
        waited_for = ("ingest.0", "ingest.1") if kind == "fold" else ()
        reader = Reader(self._topic(process, source), part, waited_for=waited_for)
        return StageTask(name, stage, reader, writers, Snapshots(blobs))

    def outputs(self, kind: str) -> dict[str, tuple[str, int]]:
        """Return the topics and partitions that a kind of stage writes to, by the stage's own names for them."""
        return {
            "fold": {f"hops/{part}": ("hops", part) for part in range(PARTS)},
            "choose": {"choices": ("choices", 0)},
            "tally": {"totals": ("totals", 0), "answers": ("answers", 0)},
            "guess": {"versions": ("versions", 0)},
        }[kind]

    def engine(self, process: Process) -> int:
        """Return the engine number of the code that a process runs."""
        return ENGINE + process.build

    def made_by(self) -> int:
        """Return the build by which the log was made."""
        hops = self.shared.topics.get(self.called("hops", self.generation))
        return hops.manifest.engine - ENGINE if hops is not None else 0

    def inlet(self, number: int, process: Process) -> Inlet:
        """Return the inlet of one source."""
        return SourceInlet(self.sources[number])

    def stage(self, kind: str, process: Process) -> Stage:
        """Return a fresh stage. `choose` looks aside at the version in force, and now and then is too late for it."""
        match kind:
            case "fold":
                factor = self.factor(process.build, self._generations[process.number])
                return Fold(factor=factor, outputs=[f"hops/{part}" for part in range(PARTS)])
            case "choose":
                return Choose(side=lambda: self.seen(process), output="choices")
            case "tally":
                return Tally(totals="totals", answers="answers")
            case _:
                return Guess(draw=process.draw, output="versions")

    def factor(self, build: int, generation: int) -> int:
        """Return what fold multiplies a key by: another number in another build, and in another generation."""
        return _FACTORS[build] + 2 * generation

    def seen(self, process: Process) -> int:
        """Return what stands on the side just now, as a process sees it: the version, or that it was too late."""
        return self.version if process.draw.random() < 0.9 else _NOTHING

    def _topic(self, process: Process, name: str) -> Topic:
        partitions, producers, digested = _TOPICS[name]
        generation = self._generations[process.number]
        known = self.shared.topics.get(name)
        manifest = Manifest(
            topic=self.called(name, generation),
            streams=_STREAMS,
            producers=producers,
            digested=digested,
            generation="" if name == "events" else self.fingerprint(generation),
            engine=self.engine(process),
            ended=known.manifest.ended if known is not None else {},
        )
        return process.session.create(manifest, partitions)

    def disturb(self, draw: Random, faults: Faults) -> str | None:
        """Compact a source, stall one, or change what choose sees."""
        if draw.random() < 0.1:
            return self._retire()
        events = self.shared.topics.get("events")
        if self.generation == 1 and events is not None and not events.cuts[0].offset and draw.random() < 0.02:
            self.generation = 2
            return "another definition is deployed: generation 2"
        number = draw.randrange(SOURCES)
        happens = draw.random() * (faults.compact + faults.stall + faults.choose)
        if happens < faults.compact:
            gone = self.sources[number].compact(draw)
            return None if gone is None else f"source {number} compacts record {gone}"
        if happens < faults.compact + faults.stall:
            self.sources[number].stalls += 2
            return f"source {number} stalls"
        self.version += 1
        return f"version {self.version} is in force"

    def _retire(self) -> str | None:
        """Let source 0 end for good, once all that it has stands in [events]: its task is written out of the list."""
        kept = self.shared.topics.get("events")
        if kept is None or RETIRING in kept.manifest.ended:
            return None
        taken = [row[2] for producer, row in self.taken("events") if producer == RETIRING]
        source = self.sources[0]
        if not set(taken) >= {offset for offset, _, _ in source.records} - source.gone:
            return None
        kept.manifest = kept.manifest.amended(
            kept.manifest.retire(RETIRING, Position(max(taken, default=0), 0)), [len(frames) for frames in kept.frames]
        )
        self.groups = [group for group in self.groups if group != (RETIRING,)]
        self.shared.force()
        return f"{RETIRING} has retired"

    def calm(self) -> None:
        """Let the sources answer."""
        for source in self.sources:
            source.stalls = 0

    def trim(self, draw: Random, blobs: Callable[[str], Blobs]) -> str | None:
        """Trim one partition up to the highest cut below which no kept snapshot reads on or knows its tail."""
        name, part = draw.choice([(name, part) for name, (parts, _, _) in _TOPICS.items() for part in range(parts)])
        if self.called(name, self.generation) not in self.shared.topics:
            return None
        topic = SimulatedLog(self.shared).open(self.called(name, self.generation))
        cut = self.cut(topic, part, self._needed(name, topic, part, blobs))
        if cut.offset <= topic.begin(part):
            return None
        self.shared.force()  # A log trims what is safe, or loses the trim with what it lost.
        topic.trim(part, cut)
        return f"[{name}/{part}] is trimmed up to {cut.offset}"

    def _needed(self, name: str, topic: Topic, part: int, blobs: Callable[[str], Blobs]) -> int:
        """Return the lowest offset that a kept snapshot of a reader or a writer of a partition names."""
        kept = {
            task: Snapshots(blobs(self.called(task, self.generation))).metas()
            for group in type(self).groups
            for task in group
        }
        places = [topic.end(part)]
        for task in _READERS[name][part : part + 1]:
            places += [meta["cut"]["offset"] for meta in kept[task]] or [topic.begin(part)]
        for task in topic.manifest.producers:
            for meta in kept.get(task, []):
                written = meta["writers"] if "writers" in meta else {name: meta["writer"]}
                key = f"{name}/{part}" if name == "hops" else name
                places += [written[key]["tail"]["offset"]] if key in written else []
        if name == "versions" and not kept["guess"]:
            return topic.begin(part)  # Whoever reads back what was taken needs all of it.
        return min(places)

    def cut(self, topic: Topic, part: int, needed: int) -> Cut:
        """Return the cut at an offset."""
        reader = Reader(topic, part)
        while reader.offset < needed:
            list(reader.read(1))
        return reader.cut()

    def current(self, process: Process) -> bool:
        """Return whether a process runs the newest generation."""
        return self._generations[process.number] == self.generation

    def violations(self) -> list[str]:
        """Compare the records as taken with plain sums over what their input, as taken, holds."""
        events = self.taken("events")
        hops = [self.taken("hops", part) for part in range(PARTS)]
        choices, totals = self.taken("choices"), self.taken("totals")
        return [
            *self.of_events(events),
            *_of_hops(events, hops, self.factor(self.made_by(), self.generation)),
            *self.of_choices(hops, choices),
            *_of_totals(choices, totals),
            *_of_answers(choices, self.taken("answers")),
            *_of_versions(totals, self.taken("versions")),
            *self._of_late_readers(),
        ]

    def _of_late_readers(self) -> list[str]:
        """Let somebody begin to read each partition where reading may begin, and compare with what was taken there."""
        wrong = []
        for name in _TOPICS:
            kept = self.shared.topics[self.called(name, self.generation)]
            for part, cut in enumerate(kept.cuts):
                reader = Reader(SimulatedLog(self.shared).open(kept.manifest.topic), part)
                try:
                    read = [row for taken in reader.read(len(kept.frames[part])) for row in values_of(taken.batch)]
                except Exception as error:  # noqa: BLE001 - whatever ends a reader is told
                    wrong.append(f"who begins to read [{name}/{part}] at its cut dies of {error!r}")
                    continue
                all_of_it, below = self.taken(name, part), self.taken(name, part, below=cut.offset)
                if read != [row for _, row in all_of_it[len(below) :]]:
                    wrong.append(f"who begins to read [{name}/{part}] at its cut reads something else")
        return wrong

    def of_choices(self, hops: Sequence[Sequence[Taken]], choices: Sequence[Taken]) -> list[str]:
        """Return what is wrong with [choices]: each row of [hops] has one answer, in order."""
        return [
            f"[choices] does not answer each row of [hops/{part}] once"
            for part in range(PARTS)
            if [row[:2] for producer, row in choices if producer == f"choose.{part}"]
            != [row[1:] for _, row in hops[part]]
        ]

    def taken(self, topic: str, partition: int = 0, *, below: int | None = None) -> list[Taken]:
        """Return the rows of a partition as everybody takes them; none if nobody has made the topic."""
        full = self.called(topic, self.generation)
        if full not in self.shared.topics:
            return []
        frames = frames_as_taken(self.shared, full, partition, below=below)
        return [(producer, row) for producer, _, batch in frames for row in values_of(batch)]

    def of_events(self, events: Sequence[Taken]) -> list[str]:
        """Return what is wrong with [events]: each source's records stand there once, in order."""
        wrong = []
        for number, source in enumerate(self.sources):
            taken = [row for producer, row in events if producer == f"ingest.{number}"]
            offsets = [offset for _, _, offset in taken]
            wanted = {(key, value, offset) for offset, key, value in source.records}
            if len(set(offsets)) < len(offsets):
                wrong.append(f"a record of source {number} stands twice in [events]")
            if {offset for _, _, offset in wanted} - source.gone - set(offsets):
                wrong.append(f"a record of source {number} is not in [events]")
            if offsets != sorted(offsets) or not {tuple(row) for row in taken} <= wanted:
                wrong.append(f"[events] has records of source {number} out of order or changed")
        return wrong


def _of_hops(events: Sequence[Taken], hops: Sequence[Sequence[Taken]], factor: int) -> list[str]:
    wanted: list[list[list[int]]] = [[] for _ in range(PARTS)]
    state = 1
    for _, (key, value, _) in events:
        state = folded(state, key, value, factor)
        for k in range(state % 3):
            wanted[(state >> k) % PARTS].append([key, state, k])
    found = [[row for _, row in rows] for rows in hops]
    wrong = [f"[hops/{part}] is not what [events] says" for part in range(PARTS) if found[part] != wanted[part]]
    if sorted(chain.from_iterable(found)) != sorted(chain.from_iterable(wanted)):
        wrong.append("a row of [hops] is lost or doubled")
    return wrong


def _of_totals(choices: Sequence[Taken], totals: Sequence[Taken]) -> list[str]:
    total, wanted = 1, []
    for _, (state, k, chosen) in choices:
        total = folded(total, state + k, chosen)
        wanted.append([total, chosen, 0])
    return [] if [row for _, row in totals] == wanted else ["[totals] is not what [choices] says"]


def _of_answers(choices: Sequence[Taken], answers: Sequence[Taken]) -> list[str]:
    same = sorted(row for _, row in answers) == sorted(row for _, row in choices)
    return [] if same else ["[answers] tells something else than [choices]"]


def _of_versions(totals: Sequence[Taken], versions: Sequence[Taken]) -> list[str]:
    rows = [row for _, row in versions]
    wrong = []
    if [row[0] for row in rows] != list(range(1, len(totals) // _GUESS_EVERY + 1)):
        wrong.append("a version is missing or doubled")
    if [row[1] for row in rows] != [0, *(row[2] for row in rows)][: len(rows)]:
        wrong.append("a version has a parent that was never taken")
    return wrong
