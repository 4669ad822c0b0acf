"""A stream that is cut anywhere between a backfill and a live run gives the records of one run."""

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.cli import main
from headrace.core.errors import StateError
from headrace.core.records import flat_block
from headrace.edge.archive_import import import_archive
from headrace.run.backfill import backfill
from headrace.run.backfill_live import go_live
from headrace.run.deployment import STAGES, event_streams
from headrace.run.project import Project
from headrace.run.running import run, source_files
from headrace.run.starter import write_starter
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.topics.digest import row_digests

FIRST = ("ingest", "featurize")
PROGRESS = 2


def project_in(folder: Path) -> Project:
    """Return the starter with a tenth of its payments, and one of them below 0."""
    files = write_starter(folder)
    for file in files[2:]:
        rows = file.read_text(encoding="utf-8").splitlines()
        if file.name == "payments.csv":
            rows[100] = rows[100].replace(rows[100].split(",")[3], "-1.0")
        file.write_text("\n".join(rows[:500]) + "\n", encoding="utf-8")
    return Project.load(files[0])


def feature_rows(project: Project, stages: tuple[str, ...] = FIRST) -> Any:
    """Run to the end; return all rows of [features] as taken."""
    running = run(project, stages=stages)
    running.worker.run()
    rows = taken_rows(running.deployment.topic("features"))
    running.log.close()
    return rows


def behind_the_seam(project: Project, stages: tuple[str, ...] = FIRST) -> Any:
    """Return the rows of [features] without the first, which says how far arrival time had come before."""
    rows = feature_rows(project, stages)
    assert rows.stream[0] == PROGRESS
    return rows.slice(1, len(rows))


def events_in(project: Project) -> int:
    running = run(project, stages=())
    count = len(taken_rows(running.deployment.topic("events")))
    running.log.close()
    return count


def prepared(folder: Path, rows: int, *, parts: int = 1) -> tuple[Project, pa.Table]:
    """Import the first rows, backfill them, and let the log stand behind them."""
    project = project_in(folder)
    import_archive(
        source_files(project), event_streams(project.pipeline), folder / "archive", rows=rows, group_rows=100
    )
    to, state = folder / "rows.parquet", folder / "state"
    backfill(project.pipeline, folder / "archive", to, state=state, parts=parts)
    deployment = project.deployment()
    go_live(deployment, folder / "archive", state)
    deployment.log.close()
    return project, pq.read_table(to)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, int]:
    """Return the rows of [features] of one run, and how many events it had."""
    project = project_in(tmp_path_factory.mktemp("whole"))
    rows = feature_rows(project)
    return rows, events_in(project)


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_anywhere_gives_the_records_of_one_run(tmp_path: Path, whole: tuple[Any, int], seed: int) -> None:
    one, events = whole
    draw = random.Random(seed)
    project, before = prepared(tmp_path, draw.randrange(1, events), parts=draw.choice([1, 3]))
    after = behind_the_seam(project)
    digests = row_digests(one)
    assert row_digests(after).tolist() == digests[len(one) - len(after) :].tolist()
    # What is left of the one run was backfilled: the same vectors in the same order.
    asked = one.take(one.rows_of(0)).slice(0, len(before))
    dense = flat_block(asked.payloads[0]["dense"], np.float64)
    for place, name in enumerate(project.pipeline.features.blocks().dense):
        assert np.array_equal(before[name].to_numpy(), dense[:, place], equal_nan=True)
    assert before["_id"].to_pylist() == asked.id.to_pylist()
    assert len(before) + len(after.rows_of(0)) == len(one.rows_of(0))


def test_all_stages_go_on_behind_the_seam_and_what_they_write_can_be_verified(
    tmp_path: Path, whole: tuple[Any, int]
) -> None:
    project, _ = prepared(tmp_path, whole[1] // 2)
    feature_rows(project, STAGES)
    deployment = project.deployment()
    found = verify(deployment)
    deployment.log.close()
    assert found.vectors > 100
    assert found.predictions > 100
    assert (found.differ, found.beyond) == (0, [])


def test_a_start_without_the_state_is_refused_and_nothing_is_put_over_a_run(
    tmp_path: Path, whole: tuple[Any, int]
) -> None:
    project, _ = prepared(tmp_path, whole[1] // 2)
    deployment = project.deployment()
    with pytest.raises(StateError, match="a project that has not run"):
        go_live(deployment, tmp_path / "archive", tmp_path / "state")
    deployment.log.close()
    for snapshots in (project.folder / "snapshots").glob("featurize*"):
        shutil.rmtree(snapshots)
    with pytest.raises(StateError, match="no longer begins at 0"):
        run(project, stages=FIRST)


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> Any:
    monkeypatch.setattr(sys, "argv", ["headrace", *map(str, words), "--json"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    code = 0
    try:
        main()
    except SystemExit as done:
        code = int(done.code or 0)
    out, err = capsys.readouterr()
    return json.loads(out) if code == 0 else (code, err)


def test_the_command_line_imports_backfills_and_goes_on(
    tmp_path: Path, whole: tuple[Any, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project_in(tmp_path).config.base + "/pipeline.py"
    archive, to = tmp_path / "archive", tmp_path / "rows.parquet"
    imported = call(capsys, monkeypatch, "import", file, "--into", archive, "--until", "2026-01-02T00:00:00Z")
    assert imported["ledger"]["payments"]["rejected"] == 1
    made = call(capsys, monkeypatch, "backfill", file, "--from", archive, "--to", to, "--processes", "1", "--live")
    assert (made["parts"], made["truth"], made["live"]) == (1, "served", True)
    assert made["rows"] == pq.read_table(to).num_rows > 100
    assert sorted(path.name for path in tmp_path.glob("rows*")) == ["rows.parquet"]
    call(capsys, monkeypatch, "run", file)
    after = behind_the_seam(Project.load(Path(file)))
    assert row_digests(after).tolist() == row_digests(whole[0])[len(whole[0]) - len(after) :].tolist()
    assert len(after.rows_of(0)) + made["rows"] == len(whole[0].rows_of(0))
    code, err = call(capsys, monkeypatch, "import", file, "--into", archive, "--until", "yesterday")
    assert (code, "2026-01-31T00:00:00Z" in err) == (2, True)
    code, err = call(capsys, monkeypatch, "backfill", file, "--from", tmp_path, "--to", to)
    assert (code, "headrace import FILE" in err) == (2, True)
