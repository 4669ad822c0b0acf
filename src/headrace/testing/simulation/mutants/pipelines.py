"""Mistakes in the stages and edges of the whole pipeline."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace
from random import Random
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.position import Position
from headrace.core.records import Batch
from headrace.core.time import UNSPOKEN_US
from headrace.edge import files as edge_files
from headrace.edge import history
from headrace.edge.json_rows import json_rows
from headrace.run import trimming
from headrace.stages.command import Command
from headrace.stages.contract import Outputs
from headrace.stages.learn import Learn
from headrace.store import bundles
from headrace.store.bundles import Bundles
from headrace.store.control import Champion, ControlView
from headrace.testing.simulation.faults import ALL_FAULTS
from headrace.testing.simulation.log import SimulatedLog
from headrace.testing.simulation.mutants.plant import Mutant, planted, replaced
from headrace.testing.simulation.pipelines import Pipelines, Told
from headrace.topics.contract import Topic

__all__ = ["PIPELINES"]

_reached = Learn._reached
_pass_on = Command.process
_collect = Bundles.collect
_TRIMMED: Final = replace(ALL_FAULTS, trim=0.1)
_COMMANDED: Final = replace(ALL_FAULTS, choose=0.2)
_STORM: Final = replace(ALL_FAULTS, power=0.03)


def _pace_by_a_clock() -> AbstractContextManager[None]:
    """Let `learn` publish when a clock says so, which has run on when the same example is learnt again."""
    clock = Random(0)

    def reached(stage: Learn, until_us: int, *more: Any) -> Any:
        return _reached(stage, until_us + clock.choice([0, 0, stage._every_us]), *more)

    return replaced((Learn, "_reached", reached))


def _told_by_place(sink: Told, rows: pa.Table, after: Position, through: Position) -> None:
    """Name what is told by its place in the log: places change when a lost suffix is written again."""
    for place, body in enumerate(json_rows(rows)):
        sink.receiver.bodies.setdefault(f"{after}/{place}", body)
    sink.receiver.reached = through


def _do_not_wait_for_the_disk(log: SimulatedLog) -> None:
    """Say that everything is on disk."""


def _move_whatever_stands(view: ControlView, entry: dict[str, Any]) -> None:
    wanted = view.version(entry["champion"])
    if wanted is not None:
        view.moves.append(Champion(UNSPOKEN_US, wanted))
        view.held = entry["hold"]


def _pass_on_every_copy(stage: Command, batch: Batch) -> Outputs:
    stage._seen.clear()
    return _pass_on(stage, batch)


def _its_end(topic: Topic, name: str, kept: trimming.Kept) -> tuple[int, str]:
    return topic.end(0), "nothing"


def _collect_all_but_the_newest(
    kept: Bundles, named: Collection[str], newest: int, *, dry_run: bool = False
) -> list[str]:
    return _collect(kept, [name for name in named if name.startswith(f"v{newest}-")], newest, dry_run=dry_run)


@final
class _Unstable:
    """NumPy, but for a sort that breaks ties as it likes."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def argsort(self, values: Any, kind: str) -> Any:
        del kind
        shuffled = np.array(self._draw.sample(range(len(values)), len(values)), np.int64)
        return shuffled[np.argsort(values[shuffled], kind="stable")]


def _sort_unstably() -> AbstractContextManager[None]:
    return replaced((history, "np", _Unstable(Random(0))))


PIPELINES: Final = (
    Mutant(number=25, name="pace by the clock", plant=_pace_by_a_clock, world=Pipelines),
    Mutant(
        number=26,
        name="a command without its precondition",
        plant=planted((ControlView, "_fold_pointer", _move_whatever_stands)),
        world=Pipelines,
        faults=_COMMANDED,
    ),
    Mutant(
        number=26,
        name="a command delivered twice",
        plant=planted((Command, "process", _pass_on_every_copy)),
        world=Pipelines,
        faults=_COMMANDED,
    ),
    Mutant(
        number=30,
        name="a receiver's key is a name, and a suffix is lost",
        plant=planted((Told, "write", _told_by_place), (SimulatedLog, "sync", _do_not_wait_for_the_disk)),
        world=Pipelines,
        faults=_STORM,
        sign="twice or never",
    ),
    Mutant(
        number=30,
        name="told before it is on disk",
        plant=planted((SimulatedLog, "sync", _do_not_wait_for_the_disk)),
        world=Pipelines,
        faults=_STORM,
    ),
    Mutant(
        number=8,
        name="retention that looks at no snapshot",
        plant=planted((trimming, "_limit", _its_end)),
        world=Pipelines,
        faults=_TRIMMED,
    ),
    Mutant(
        number=37,
        name="the blob of a version that is named is collected",
        plant=planted((bundles, "INLINE_BYTES", 0), (Bundles, "collect", _collect_all_but_the_newest)),
        world=Pipelines,
        faults=_TRIMMED,
        sign="the bundle of a version is gone",
    ),
    Mutant(number=36, name="an unstable sort on ties", plant=_sort_unstably, world=Pipelines),
    Mutant(
        number=38,
        name="an oversize record is tried for ever",
        plant=planted((edge_files, "RECORD_BYTES_MAX", 1 << 40)),
        world=Pipelines,
    ),
)
