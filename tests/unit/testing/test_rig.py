"""A crash is a real one: tasks are new, stand where their own snapshots stood, and read the rest again."""

from typing import Any

import numpy as np

from headrace.core.time import HOUR_US
from headrace.run.taken import taken
from headrace.run.task import StageTask
from headrace.testing.rig import Rig
from headrace.testing.sent import read_records
from tests.unit.testing.payments import pipeline, started, txn


def worked(seed: int | None) -> Rig:
    """Return a rig to which some hours of payments were sent, the last of them not yet worked on."""
    d = started()
    rig = Rig(pipeline, start_us=0, drawn=None if seed is None else np.random.default_rng(seed))
    for number in range(12):
        rig.settle()
        rig.clock.sleep_us(HOUR_US)
        records: list[Any] = [txn(d, f"{number}.{place}", at="1970-01-01T00:00:00Z") for place in range(3)]
        rig.sent.put(0, rig.clock.now_us(), read_records(rig.sent.sources[0], records))
    return rig


def places(rig: Rig) -> dict[str, tuple[int, int]]:
    """Return how far each stage has read, and how far it could."""
    stages = [task for task in rig.tasks if isinstance(task, StageTask)]
    return {task.name: (task.reader.offset, task.reader.topic.end(0)) for task in stages}


def test_tasks_start_from_snapshots_of_different_places_and_replay_a_tail() -> None:
    restored: set[str] = set()
    behind: set[str] = set()
    apart = 0
    for seed in range(8):
        rig = worked(seed)
        old = rig.tasks
        rig.crash(keep_snapshots=True)
        assert not set(old) & set(rig.tasks)
        found = places(rig)
        restored |= {name for name, (offset, _) in found.items() if offset > 0}
        behind |= {name for name, (offset, end) in found.items() if 0 < offset < end}
        apart += len({end - offset for offset, end in found.values()}) > 1
    assert {"featurize", "predict", "join", "learn"} <= restored
    assert {"featurize", "predict", "join", "learn"} <= behind
    assert apart > 4


def test_some_snapshots_are_lost_so_that_a_task_starts_from_an_older_one_than_its_neighbours() -> None:
    lost = 0
    for seed in range(4):
        rig = worked(seed)
        for _ in range(20):
            rig.settle()  # Some of these keep a snapshot of all tasks at rest; nothing is left to be worked on.
        rig.crash(keep_snapshots=True)
        lost += sum(0 < offset < end for offset, end in places(rig).values())
        assert any(offset == end for offset, end in places(rig).values())
    assert lost > 4


def test_what_was_sent_together_stays_together_wherever_a_crash_comes() -> None:
    for seed in range(12):
        rig = worked(seed)
        rig.crash(keep_snapshots=seed % 2 == 0)
        assert {len(piece.batch) for piece in taken(rig.deployment.topic("events"))} == {3}


def test_without_snapshots_every_task_starts_from_the_beginning() -> None:
    rig = worked(0)
    rig.crash(keep_snapshots=False)
    assert {offset for offset, _ in places(rig).values()} == {0}
    assert rig.ingest.ledger.as_dict()["txns"]["received"] == 0


def test_a_rig_without_draws_keeps_no_snapshot() -> None:
    rig = worked(None)
    rig.crash(keep_snapshots=True)
    assert {offset for offset, _ in places(rig).values()} == {0}


def test_a_crash_comes_in_the_middle_of_the_work() -> None:
    #  Of the last payment, which nobody had worked on, some crashes find its frame in [events] and others do not,
    #  and where they do, some find its answer and others do not.
    states: set[tuple[int, ...]] = set()
    for seed in range(12):
        rig = worked(seed)
        rig.crash(keep_snapshots=True)
        states.add(tuple(rig.deployment.topic(name).end(0) for name in ("events", "features", "predictions")))
    assert {state[0] for state in states} == {11, 12}
    assert len(states) > 2


def test_a_crash_takes_snapshots_along_and_nothing_else_that_is_kept() -> None:
    rig = worked(0)
    for _ in range(20):
        rig.settle()
    places = rig.deployment.blobs
    assert places is not None
    kept, snapshots = places("bundles"), places(f"snapshots/learn.{rig.deployment.generation[:8]}")
    kept.put("v1", b"1")
    assert snapshots.names() != []
    rig.crash(keep_snapshots=False)
    assert snapshots.names() == []
    assert kept.names() == ["v1"]
