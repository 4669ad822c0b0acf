"""skip position: a record that kills the process is left out by command, everywhere and for ever, and is counted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli.topics import command as topics
from headrace.core.errors import ConfigError, StateError
from headrace.features.engine import Engine
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment
from headrace.run.explanation import explain
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.skipping import read_position, skip
from headrace.run.starter import write_starter
from headrace.run.status import status
from headrace.run.taken import taken, taken_rows
from headrace.run.verification import verify
from headrace.store.control import ControlView

CLOCK = VirtualClock(start_us=0)
POISON = "p123"
FUNCTION = """

import os
from headrace.features.engine import Engine

_run = Engine.run


def _poisoned(self, batch, *, end=None):
    if "p123" in batch.id.to_pylist():
        {death}
    return _run(self, batch, end=end)


Engine.run = _poisoned
"""
DEATHS = {"killed": "os.kill(os.getpid(), 9)", "raised": 'raise ValueError("no such amount")'}


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mend the engine after each test."""
    monkeypatch.setattr(Engine, "run", Engine.run)


def poisoned(folder: Path, death: str) -> Project:
    """Return a project one of whose payments kills whoever computes its features, as a function of a user might."""
    files = write_starter(folder)
    with files[0].open("a") as file:
        file.write(FUNCTION.format(death=DEATHS[death]))
    for file_ in files[2:]:
        file_.write_text("".join(file_.read_text().splitlines(keepends=True)[:400]))
    return Project.load(files[0])


def run_in_a_process(project: Project) -> subprocess.CompletedProcess[str]:
    file = str(project.folder.parent / "pipeline.py")
    command = [sys.executable, "-c", "from headrace.cli import main; main()", "run", file, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))


def opened(project: Project) -> Deployment:
    return project.deployment(clock=CLOCK)


def place_of(deployment: Deployment, id: str) -> str:
    """Return where a request stands in [events], as `headrace topics FILE events` shows it."""
    for piece in taken(deployment.topic("events")):
        for row, known in enumerate(piece.batch.id.to_pylist()):
            if known == id:
                return f"{piece.batch.offset[row]}/{piece.batch.sub[row] >> 24}"
    raise LookupError(id)


def followed(deployment: Deployment) -> ControlView:
    control = deployment.control()
    control.follow()
    return control


def invoked(project: Project, *arguments: str) -> tuple[int, dict[str, object]]:
    file = str(project.folder.parent / "pipeline.py")
    done = CliRunner().invoke(topics, [file, *arguments, "--json"], catch_exceptions=False)
    return done.exit_code, json.loads(done.output)


def test_a_record_that_kills_the_process_is_left_out_by_command_and_the_run_goes_on(tmp_path: Path) -> None:
    project = poisoned(tmp_path, "killed")
    assert run_in_a_process(project).returncode == -signal.SIGKILL
    assert run_in_a_process(project).returncode == -signal.SIGKILL
    deployment = opened(project)
    place = place_of(deployment, POISON)
    deployment.log.close()

    code, told = invoked(project, "poison", "featurize")
    assert (code, told["place"], told["died_of"]) == (1, place, "signal 9")
    code, told = invoked(project, "skip", "featurize", place, "--why", "666 kills")
    assert (code, told["refused"]) == (0, "")
    assert invoked(project, "poison", "featurize")[0] == 0
    ended = run_in_a_process(project)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["predictions"] == 398

    deployment = opened(project)
    requests = taken_rows(deployment.topic("features"))
    assert POISON not in requests.id.to_pylist()
    assert (status(deployment)["skips"], [skip.why for skip in followed(deployment).done]) == (1, ["666 kills"])
    with pytest.raises(ConfigError, match="explain"):
        explain(deployment, POISON)
    deployment.log.close()

    code, told = invoked(project, "skip", "featurize", place)
    assert (code, told["refused"]) == (1, "featurize has kept a snapshot that counts it")


def run_here(project: Project) -> Deployment:
    running = run(project, clock=VirtualClock(start_us=0))
    try:
        running.worker.run()
    finally:
        running.log.close()
    return opened(project)


def test_an_exception_names_the_task_and_the_rows_and_how_to_go_on(tmp_path: Path) -> None:
    project = poisoned(tmp_path, "raised")
    with pytest.raises(StateError) as raised:
        run_here(project)
    deployment = opened(project)
    assert raised.value.where.startswith("task featurize, rows ")
    assert "headrace topics FILE poison featurize" in raised.value.wanted
    assert "no such amount" in str(raised.value.got)
    deployment.log.close()


def test_verify_and_explain_leave_a_skipped_row_out_as_every_run_does(tmp_path: Path) -> None:
    project = poisoned(tmp_path, "raised")
    with pytest.raises(StateError):
        run_here(project)
    deployment = opened(project)
    skip(deployment, "featurize", place_of(deployment, POISON), why="", clock=CLOCK)
    deployment.log.close()
    deployment = run_here(project)
    found = verify(deployment)
    assert (found.vectors, found.differ) == (398, 0)
    windows = [
        explain(deployment, str(id)).features[3]["windows"][0]["newest"]
        for id in taken_rows(deployment.topic("predictions")).id.to_pylist()
        if id and 123 < int(str(id)[1:]) < 160
    ]
    assert not [entry for newest in windows for entry in newest if entry["payment_id"] == POISON]
    deployment.log.close()


def test_a_skip_that_comes_too_late_or_twice_does_nothing_and_says_so(tmp_path: Path) -> None:
    project = poisoned(tmp_path, "raised")
    with pytest.raises(StateError):
        run_here(project)
    deployment = opened(project)
    place = place_of(deployment, POISON)
    assert skip(deployment, "featurize", place, why="", clock=CLOCK).refused == ""
    second = skip(deployment, "featurize", place, why="again", clock=CLOCK)
    assert second.refused == "it is skipped already"
    assert len(followed(deployment).done) == 1
    deployment.log.close()
    deployment = run_here(project)
    late = skip(deployment, "featurize", place_of(deployment, "p7"), why="", clock=CLOCK)
    assert late.refused
    assert len(followed(deployment).done) == 1
    assert verify(deployment).differ == 0
    for file in (project.folder / "snapshots" / f"featurize.{deployment.generation_of('featurize')[:8]}").iterdir():
        file.unlink()
    again = skip(deployment, "featurize", place_of(deployment, "p8"), why="", clock=CLOCK)
    assert again.refused == "featurize has written what comes behind it"
    deployment.log.close()


@pytest.mark.parametrize(
    ("task", "place", "message"),
    [
        ("featurise", "0/1", "did you mean 'featurize'"),
        ("ingest", "0/1", "a task that reads a topic"),
        ("featurize", "0", "OFFSET/ROW"),
        ("featurize", "7/1", "offset 7 has 0 rows"),
        ("featurize", "0/99999999", "rows"),
    ],
)
def test_a_skip_of_nothing_is_the_users_mistake(tmp_path: Path, task: str, place: str, message: str) -> None:
    project = poisoned(tmp_path, "raised")
    with pytest.raises(StateError):
        run_here(project)
    deployment = opened(project)
    with pytest.raises(ConfigError, match=message):
        skip(deployment, task, place, why="", clock=CLOCK)
    assert deployment.topic("inbox").end(0) == 0
    deployment.log.close()


def test_a_position_reads_as_it_is_shown() -> None:
    assert read_position("12/3") == (12, 3)
