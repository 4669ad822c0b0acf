"""A run over history gives the same records every time: whatever the turns, the crashes, or the processes."""

import random
import subprocess
from pathlib import Path

import pytest

from benchmarks import crash
from benchmarks.crash import command, config_file
from headrace.run.clock import SystemClock, VirtualClock
from headrace.run.deployment import STAGES, Deployment
from headrace.run.project import Project
from headrace.run.running import open_ingest, open_outlets, run
from headrace.run.worker import Worker
from tests.flow.comparing import differing, flights, records

EVENTS = 20_000


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    running = run(flights(tmp_path_factory.mktemp("undisturbed"), EVENTS))
    running.worker.run()
    found = records(running.deployment)
    running.log.close()
    assert len(found["predictions by predict"]) > 9_000
    assert len(found["control by learn"]) > 50
    assert len(found["sketches by watch.examples"]) > 10
    return found


def test_fifty_kills_at_random_moments_half_of_them_with_two_owners_change_no_record_and_no_weight() -> None:
    found = crash.run(quick=False, kills=50, events=8_000, seed=5)
    assert found["kills"] >= 50
    assert found["doubled"] >= 20
    assert found["differ"] == 0
    assert found["rows_compared"] > 50_000


def crash_often(project: Project, draw: random.Random) -> Deployment:
    """Run in turns of drawn length, and drop everything but log and snapshots at drawn moments."""
    clock = VirtualClock(start_us=0)
    for _ in range(200):
        deployment = project.deployment(clock=clock)
        placed = deployment.place(STAGES, ingest=open_ingest(project), outlets=lambda: open_outlets(project, clock))
        worker = Worker(deployment.log, placed, clock=clock, budget=draw.choice([100, 1_000, 10_000]))
        worker.start()
        for _ in range(draw.randrange(1, 60)):
            if not worker.round() and all(place.task.ended for place in placed):
                return deployment
            if draw.random() < 0.1:
                worker.save()
        deployment.log.close()
    raise AssertionError("the run did not come to its end")


@pytest.mark.parametrize("seed", range(4))
def test_crashes_at_any_turn_and_any_size_of_turns_change_no_record(
    tmp_path: Path, undisturbed: dict[str, list[int]], seed: int
) -> None:
    deployment = crash_often(flights(tmp_path, EVENTS), random.Random(seed))
    assert differing(undisturbed, records(deployment)) == {}
    deployment.log.close()


def test_every_stage_in_a_process_of_its_own_gives_the_records_of_one_process(
    tmp_path: Path, undisturbed: dict[str, list[int]]
) -> None:
    project = flights(tmp_path, EVENTS)
    path = config_file(project)
    stages = [stage for stage in STAGES if stage != "command"]
    workers = [subprocess.Popen(command(path, "--stages", stage), stdout=subprocess.DEVNULL) for stage in stages]
    try:
        for worker in workers:
            assert worker.wait(timeout=240) == 0
    finally:
        for worker in workers:
            worker.kill()
    deployment = project.deployment()
    assert differing(undisturbed, records(deployment)) == {}
    deployment.log.close()


def test_a_second_owner_of_every_task_changes_no_record(tmp_path: Path, undisturbed: dict[str, list[int]]) -> None:
    project = flights(tmp_path, EVENTS)
    path = config_file(project)
    workers = [subprocess.Popen(command(path), stdout=subprocess.DEVNULL) for _ in range(2)]
    codes = [worker.wait(timeout=240) for worker in workers]
    assert codes == [0, 0]
    deployment = project.deployment()
    assert differing(undisturbed, records(deployment)) == {}
    deployment.log.close()


def test_a_run_that_had_ended_adds_nothing_when_it_is_started_again(tmp_path: Path) -> None:
    project = flights(tmp_path, 3_000)
    ends = []
    for _ in range(2):
        running = run(project, clock=SystemClock())
        running.worker.run()
        ends.append({name: running.deployment.topic(name).end(0) for name in ("events", "features", "control")})
        running.log.close()
    assert ends[0] == ends[1]
