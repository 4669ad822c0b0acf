"""A person's commands: what they move, what they hold, and that a copy or a late one moves nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import ConfigError
from headrace.core.position import ALL, Position
from headrace.run.clock import VirtualClock
from headrace.run.commands import move_champion
from headrace.run.deployment import Deployment
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.starter import write_starter
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.run.worker import Worker
from headrace.store.control import ControlView
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import INBOX
from headrace.topics.writer import Writer

CLOCK = VirtualClock(start_us=0)


def starter(folder: Path) -> Project:
    write_starter(folder)
    return Project.load(folder / "pipeline.py")


def run_rounds(project: Project, rounds: int | None = None) -> None:
    """Run a project to its end, or for so many rounds."""
    done: list[int] = []
    running = run(
        project,
        clock=VirtualClock(start_us=0),
        after_commit=lambda: done.append(1),
        stop=lambda: rounds is not None and len(done) >= rounds,
    )
    running.worker.run()
    running.log.close()


@pytest.fixture
def half_way(tmp_path: Path) -> Iterator[tuple[Project, Deployment]]:
    """Return a run that was stopped when some of its versions were published."""
    project = starter(tmp_path)
    run_rounds(project, 60)
    deployment = project.deployment(clock=CLOCK)
    yield project, deployment
    deployment.log.close()


def followed(deployment: Deployment) -> ControlView:
    control = deployment.control()
    control.follow()
    return control


def predicted(deployment: Deployment) -> list[int]:
    """Return the number of the version of each prediction, in the log's order."""
    numbers: list[int] = taken_rows(deployment.topic("predictions")).payloads[0]["version"].to_pylist()
    return numbers


def send(deployment: Deployment, columns: dict[str, object], id: str) -> None:
    """Put a command into the inbox as the command line does, and carry it out."""
    topic = deployment.topic("inbox")
    offset = topic.end(0)
    door = Writer(topic, "door")
    door.start()
    door.write(batch_of([Entry("command", offset, 0, 0, columns, id)], INBOX), Position(offset, ALL))
    worker = Worker(deployment.log, deployment.place(("command",)), clock=CLOCK)
    worker.start()
    worker.run()


def rollback(deployment: Deployment) -> dict[str, object]:
    return move_champion(deployment, "rollback", to=None, clock=CLOCK)


def test_a_rollback_moves_the_champion_to_the_version_before_and_holds(half_way: tuple[Project, Deployment]) -> None:
    _, deployment = half_way
    before = followed(deployment)
    assert before.champion is not None
    assert before.previous is not None
    found = rollback(deployment)
    after = followed(deployment)
    assert after.champion == before.previous
    assert after.previous == before.champion
    assert (before.held, after.held) == (False, True)
    assert after.refused == []
    assert found == {
        "command": found["command"],
        "moved": True,
        "champion": before.previous.name,
        "was": before.champion.name,
        "held": True,
    }


def test_a_second_copy_of_a_command_does_nothing(half_way: tuple[Project, Deployment]) -> None:
    _, deployment = half_way
    found = rollback(deployment)
    rows = taken_rows(deployment.topic("control"))
    columns = taken_rows(deployment.topic("inbox")).payloads[0].to_pylist()[0]
    send(deployment, columns, str(found["command"]))
    assert len(taken_rows(deployment.topic("inbox"))) == 2
    assert len(taken_rows(deployment.topic("control"))) == len(rows)


@pytest.mark.parametrize("broken", ["the champion has changed", "there is no such version"])
def test_a_command_whose_precondition_no_longer_holds_is_refused(
    half_way: tuple[Project, Deployment], broken: str
) -> None:
    _, deployment = half_way
    rollback(deployment)
    columns = taken_rows(deployment.topic("inbox")).payloads[0].to_pylist()[0]
    before = followed(deployment)
    assert before.champion is not None
    if broken == "there is no such version":
        columns |= {"expected": before.champion.name, "champion": "v999-000000000000"}
    send(deployment, columns | {"hold": False}, "another id")
    after = followed(deployment)
    assert [entry["champion"] for entry in after.refused] == [columns["champion"]]
    assert after.champion == before.champion
    assert after.held


def test_a_rollback_without_a_version_before_or_to_an_unknown_one_is_the_users_mistake(tmp_path: Path) -> None:
    deployment = starter(tmp_path).deployment(clock=CLOCK)
    with pytest.raises(ConfigError, match="none before the champion"):
        rollback(deployment)
    with pytest.raises(ConfigError, match="v77"):
        move_champion(deployment, "promote", to="v77", clock=CLOCK)
    assert deployment.topic("inbox").end(0) == 0
    deployment.log.close()


def test_versions_that_are_published_after_a_rollback_do_not_answer(half_way: tuple[Project, Deployment]) -> None:
    project, deployment = half_way
    rollback(deployment)
    before = followed(deployment)
    assert before.champion is not None
    done = len(predicted(deployment))
    run_rounds(project)
    after = followed(deployment)
    assert len(after.versions) > len(before.versions) + 100
    assert after.champion == before.champion
    numbers = predicted(deployment)
    assert (done > 0, len(numbers)) == (True, 5_000)
    assert set(numbers[done:]) == {before.champion.number}
    assert verify(deployment).differ == 0


def test_a_promotion_releases_the_hold(half_way: tuple[Project, Deployment]) -> None:
    project, deployment = half_way
    rollback(deployment)
    newest = followed(deployment).versions[-1]
    found = move_champion(deployment, "promote", to=str(newest.number), clock=CLOCK)
    assert (found["moved"], found["champion"], found["held"]) == (True, newest.name, False)
    done = len(predicted(deployment))
    run_rounds(project)
    after = followed(deployment)
    assert after.champion == after.versions[-1]
    later = np.array(predicted(deployment)[done:])
    assert (np.diff(later) >= 0).all()
    assert len(set(later.tolist())) > 100
    assert verify(deployment).differ == 0
