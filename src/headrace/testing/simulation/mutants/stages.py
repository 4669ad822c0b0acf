"""Mistakes in what a stage or a source does: planted in the relay's stages, found by the laws of its records."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, final

from headrace.core.records import Batch
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.testing.simulation.faults import ALL_FAULTS
from headrace.testing.simulation.mutants.plant import Mutant, planted
from headrace.testing.simulation.process import Process
from headrace.testing.simulation.relay import (
    PARTS,
    Choose,
    Guess,
    Relay,
    Source,
    Taken,
    Tally,
    folded,
    rows_batch,
    values_of,
)

__all__ = ["STAGES"]

_choose = Choose.process
_tally = Tally.process
_outputs = Relay.outputs
_stage = Relay.stage


def _answer_twice(stage: Choose, batch: Batch) -> Outputs:
    """Write one choice to two partitions."""
    rows = _choose(stage, batch).batches["choices"]
    return Outputs(len(batch), {"choices": rows, "answers": rows})


def _do_not_answer(stage: Tally, batch: Batch) -> Outputs:
    return Outputs(len(batch), {"totals": _tally(stage, batch).batches["totals"]})


def _outputs_of_twice(world: Relay, kind: str) -> dict[str, tuple[str, int]]:
    more = {"answers": ("answers", 0)} if kind == "choose" else {}
    return {**_outputs(world, kind), **more}


@final
class _OneSequence(Inlet):
    """Both sources under one numbering, in the order in which they happened to answer."""

    ended = False
    ledger = Ledger([])

    def __init__(self, sources: Sequence[Source], draw: Random) -> None:
        self._sources = tuple(sources)
        self._draw = draw
        self._at = [-1 for _ in sources]
        self._given = 0

    def next(self, limit: int) -> Batch | None:
        first = self._draw.randrange(len(self._sources))
        for number in (first, 1 - first):
            records = self._sources[number].poll(self._at[number], limit)
            if records:
                break
        else:
            return None
        self._at[number] = records[-1][0]
        offsets = list(range(self._given, self._given + len(records)))
        self._given += len(records)
        return rows_batch(offsets, [0] * len(records), [[key, value, place] for place, key, value in records])

    def snapshot(self) -> tuple[Arrays, Meta]:
        return {}, {"at": list(self._at), "given": self._given}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        self._at, self._given = list(meta["at"]), meta["given"]


@final
class _Nothing(Inlet):
    """A source without records."""

    ended = False
    ledger = Ledger([])

    def next(self, limit: int) -> Batch | None:
        return None

    def snapshot(self) -> tuple[Arrays, Meta]:
        return {}, {}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Do nothing."""


def _inlet_of_both(world: Relay, number: int, process: Process) -> Inlet:
    return _Nothing() if number else _OneSequence(world.sources, process.draw)


def _each_record_once(world: Relay, events: Sequence[Taken]) -> list[str]:
    found = sorted(tuple(row) for _, row in events)
    wanted = sorted((key, value, place) for source in world.sources for place, key, value in source.records)
    gone = sum(len(source.gone) for source in world.sources)
    missing = [row for row in wanted if row not in found]
    return ["a record is lost or doubled"] if len(set(found)) < len(found) or len(missing) > gone else []


def _routed_by(way: Any) -> Any:
    """Return what makes stages of which fold sends a row where the process likes."""

    def stage(world: Relay, kind: str, process: Process) -> Stage:
        made = _stage(world, kind, process)
        return _Routed(made, process, way) if kind == "fold" else made

    return stage


@final
class _Routed(Stage):
    """Fold, with another way to choose the partition."""

    def __init__(self, fold: Any, process: Process, way: Any) -> None:
        self._fold = fold
        fold.route = lambda key, state: way(process, key)

    def process(self, batch: Batch) -> Outputs:
        return self._fold.process(batch)  # type: ignore[no-any-return]

    def snapshot(self) -> tuple[Arrays, Meta]:
        return self._fold.snapshot()  # type: ignore[no-any-return]

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        self._fold.restore(arrays, meta)


def _by_the_clock(process: Process, key: int) -> int:
    return int(process.draw.random() < 0.2)


def _by_a_salted_hash(process: Process, key: int) -> int:
    return (process.number * 7 + key) % PARTS  # As `hash` of a text would have it: another one in each process.


@final
class _ChooseFromMemory(Stage):
    """Choose, with its last choice as part of its state: what the log kept may be another one."""

    def __init__(self, world: Relay, process: Process) -> None:
        self._world = world
        self._process = process
        self._memory = 1

    def process(self, batch: Batch) -> Outputs:
        rows = []
        for _, state, k in values_of(batch):
            version = self._world.seen(self._process)
            rows.append([self._memory, k, version])
            self._memory = folded(self._memory, state, version)
        return Outputs(len(batch), {"choices": rows_batch(batch.offset, batch.sub, rows)})

    def snapshot(self) -> tuple[Arrays, Meta]:
        return {}, {"memory": self._memory}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        self._memory = meta["memory"]


def _with_memory(world: Relay, kind: str, process: Process) -> Stage:
    return _ChooseFromMemory(world, process) if kind == "choose" else _stage(world, kind, process)


def _memory_is_what_was_taken(world: Relay, hops: Sequence[Sequence[Taken]], choices: Sequence[Taken]) -> list[str]:
    wrong = []
    for part in range(PARTS):
        memory = 1
        mine = [row for producer, row in choices if producer == f"choose.{part}"]
        for (_, (_, state, _)), (shown, _, version) in zip(hops[part], mine, strict=False):
            if shown != memory:
                wrong.append(f"a choice of part {part} rests on one that nobody took")
                break
            memory = folded(memory, state, version)
    return wrong


def _with_a_shadow(stage: Choose, batch: Batch) -> Outputs:
    """Write a second row while the version is odd: a shadow that exists only while somebody runs it."""
    offsets, subs, rows = [], [], []
    for place, (state, k, chosen) in enumerate(values_of(_choose(stage, batch).batches["choices"])):
        for more in range(_rows_of(chosen)):
            offsets.append(int(batch.offset[place]))
            subs.append(int(batch.sub[place]) + more)
            rows.append([state, k, chosen + 1_000_000 * more])
    return Outputs(len(batch), {"choices": rows_batch(offsets, subs, rows)})


def _rows_of(chosen: int) -> int:
    return 1 + (chosen > 0 and chosen % 2)


def _each_has_its_shadow(world: Relay, hops: Sequence[Sequence[Taken]], choices: Sequence[Taken]) -> list[str]:
    wrong = []
    for part in range(PARTS):
        mine = [row for producer, row in choices if producer == f"choose.{part}"]
        wanted = []
        for state, k, chosen in mine:
            if chosen < 1_000_000:
                wanted += [[state, k, chosen + 1_000_000 * more] for more in range(_rows_of(chosen))]
        if mine != wanted:
            wrong.append(f"a row of part {part} has lost its shadow, or a shadow its row")
    return wrong


def _keep_its_own(stage: Guess, taken: Batch) -> None:
    """Go on from what this process made, whatever the log took."""


STAGES: Final = (
    Mutant(
        number=0,
        name="a recorded choice written to two partitions",
        plant=planted(
            (Choose, "process", _answer_twice),
            (Tally, "process", _do_not_answer),
            (Relay, "outputs", _outputs_of_twice),
        ),
    ),
    Mutant(
        number=16,
        name="one sequence for two sources",
        plant=planted((Relay, "inlet", _inlet_of_both), (Relay, "of_events", _each_record_once)),
    ),
    Mutant(
        number=17,
        name="a verdict by the clock that picks the partition",
        plant=planted((Relay, "stage", _routed_by(_by_the_clock))),
        sign="lost or doubled",
    ),
    Mutant(
        number=22,
        name="the last choice is part of the state",
        plant=planted((Relay, "stage", _with_memory), (Relay, "of_choices", _memory_is_what_was_taken)),
    ),
    Mutant(
        number=23,
        name="shadow rows by budget",
        plant=planted((Choose, "process", _with_a_shadow), (Relay, "of_choices", _each_has_its_shadow)),
        faults=replace(ALL_FAULTS, choose=0.2, crash=0.06),
    ),
    Mutant(number=24, name="a learner that does not read back", plant=planted((Guess, "adopt", _keep_its_own))),
    Mutant(
        number=35,
        name="routing by a hash that is salted",
        plant=planted((Relay, "stage", _routed_by(_by_a_salted_hash))),
        sign="lost or doubled",
    ),
)
