"""Retention: what is trimmed, what stands in the way, and that everything that reads goes on and is right."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli.topics import command as topics
from headrace.cli.verify import command as verify_command
from headrace.core.errors import ConfigError, StateError
from headrace.core.time import DAY_US
from headrace.run.clock import VirtualClock
from headrace.run.deployment import INPUTS, STAGES, TOPICS, Deployment
from headrace.run.explanation import explain
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.starter import write_starter
from headrace.run.status import status
from headrace.run.summary import summary
from headrace.run.taken import taken, taken_rows
from headrace.run.task import StageTask
from headrace.run.trimming import check_retention, least_retention_us, trim
from headrace.run.verification import verify
from headrace.store.control import ControlView
from headrace.topics.digest import row_digests
from headrace.topics.reader import Reader

CLOCK = VirtualClock(start_us=0)
BUDGET = 100
LAST = {"features": 100, "examples": 100, "sketches": 5}
SHORT = dict.fromkeys(TOPICS, 3600000000) | {"events": 10 * DAY_US}


def run_rounds(project: Project, rounds: int | None = None, *, save_every: int = 8) -> None:
    """Give every task short turns, for so many rounds or to the end, and keep snapshots on the way."""
    running = run(project, clock=VirtualClock(start_us=0))
    done, moved = 0, True
    while moved and (rounds is None or done < rounds):
        moved = bool(sum([place.task.turn(BUDGET) for place in running.placed]))
        running.log.commit()
        done += 1
        if done % save_every == 0:
            running.worker.save()
    running.worker.save()
    running.log.close()


@pytest.fixture
def half_way(tmp_path: Path) -> Project:
    files = write_starter(tmp_path)
    files[1].write_text(files[1].read_text() + '\n[retention]\nevents = "10d"\n')
    project = Project.load(files[0])
    run_rounds(project, 80)
    return project


def opened(project: Project) -> Deployment:
    return project.deployment(clock=CLOCK)


def digests(deployment: Deployment, name: str) -> dict[tuple[int, str], list[int]]:
    """Return the digests of the rows of a topic as taken, by offset and producer."""
    topic = deployment.topic(name)
    found: dict[tuple[int, str], list[int]] = {}
    for piece in taken(topic):
        found[piece.offset, topic.manifest.producers[piece.producer]] = row_digests(piece.batch).tolist()
    return found


def last_values(project: Project) -> dict[str, list[int]]:
    """Return the last rows of each topic and writer by their values, and the last versions."""
    deployment = opened(project)
    found: dict[str, list[int]] = {}
    for name in ("features", "examples", "sketches"):
        for (_, producer), rows in digests(deployment, name).items():
            found[f"{name} by {producer}"] = [*found.get(f"{name} by {producer}", []), *rows][-LAST[name] :]
    found["versions"] = [int(version.name.rpartition("-")[2], 16) for version in followed(deployment).versions][-50:]
    deployment.log.close()
    return found


def followed(deployment: Deployment) -> ControlView:
    control = deployment.control()
    control.follow()
    return control


def test_the_inputs_that_trimming_knows_are_those_that_tasks_read(tmp_path: Path) -> None:
    deployment = opened(Project.load(write_starter(tmp_path)[0]))
    read = {
        place.task.name: place.task.reader.topic.manifest.topic
        for place in deployment.place(STAGES)
        if isinstance(place.task, StageTask)
    }
    known = {task: deployment.topic_name(INPUTS[task]) for task in read if task in INPUTS}
    assert read == known
    deployment.log.close()


def test_what_is_trimmed_is_older_than_the_retention_and_nothing_else_changes(half_way: Project) -> None:
    deployment = opened(half_way)
    before = {name: digests(deployment, name) for name in TOPICS}
    found = {one.topic: one for one in trim(deployment, SHORT)}
    assert sum(one.frames > 0 for one in found.values()) >= 4
    for name in TOPICS:
        begin = deployment.topic(name).begin(0)
        assert begin == found[name].begin
        assert digests(deployment, name) == {key: rows for key, rows in before[name].items() if key[0] >= begin}
    deployment.log.close()


@pytest.mark.parametrize("name", ["features", "predictions", "examples", "sketches", "control"])
def test_no_row_that_is_younger_than_the_retention_goes(half_way: Project, name: str) -> None:
    deployment = opened(half_way)
    topic = deployment.topic(name)
    kept_us = DAY_US
    newest_us = max(int(time) for piece in taken(topic) for time in piece.batch.arrival_time if time < 2**62)
    young = {piece.offset for piece in taken(topic) if int(piece.batch.arrival_time.max()) >= newest_us - kept_us}
    (found,) = trim(deployment, {name: kept_us})
    assert found.begin <= min(young)
    deployment.log.close()


def test_no_cut_lies_above_what_any_kept_snapshot_still_reads(half_way: Project) -> None:
    deployment = opened(half_way)
    trim(deployment, dict.fromkeys(TOPICS, 1) | {"events": 10 * DAY_US})
    begins = {name: deployment.topic(name).begin(0) for name in TOPICS}
    assert begins["features"] > 0
    for task, source in INPUTS.items():
        snapshots = deployment.snapshots(task)
        assert snapshots is not None
        metas = snapshots.metas()
        assert metas
        for meta in metas:
            assert meta["cut"]["offset"] >= begins[source]
            assert all(own["tail"]["offset"] >= begins[name] for name, own in meta["writers"].items())
        if task == "join":
            assert all((meta["stage"]["lowest_waiting"] or 10**9) >= begins["predictions"] for meta in metas)
    deployment.log.close()


def test_every_kept_snapshot_starts_after_a_trim_and_the_rest_comes_out_the_same(
    half_way: Project, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    other = Project.load(write_starter(whole)[0])
    run_rounds(other)
    deployment = opened(half_way)
    trim(deployment, SHORT)
    for task in INPUTS:  # Only the oldest snapshot of each task is left: the hardest start.
        for file in sorted((half_way.folder / "snapshots").glob(f"{task}*/*"))[1:]:
            file.unlink()
    deployment.log.close()
    run_rounds(half_way)
    assert last_values(half_way) == last_values(other)
    deployment = opened(half_way)
    assert followed(deployment).count("versions") == followed(opened(other)).count("versions")
    found = verify(deployment)
    assert found.differ == 0
    deployment.log.close()


def test_a_task_without_a_snapshot_forbids_trimming_its_input(half_way: Project) -> None:
    deployment = opened(half_way)
    place = half_way.folder / "snapshots" / f"act.{deployment.generation[:8]}"
    for file in place.iterdir():
        file.unlink()
    (found,) = trim(deployment, {"predictions": 1})
    assert (found.frames, found.begin) == (0, 0)
    assert "task act, of which there is no snapshot" in found.kept_by
    deployment.log.close()


def test_another_generation_in_the_log_that_reads_events_counts_too(half_way: Project) -> None:
    deployment = opened(half_way)
    text = (half_way.folder.parent / "pipeline.py").read_text().replace('every="1h"', 'every="2h"')
    (half_way.folder.parent / "other.py").write_text(text)
    other = Project.load(half_way.folder.parent / "other.py")
    assert other.pipeline.fingerprint != half_way.pipeline.fingerprint
    beside = dataclasses.replace(deployment, pipeline=other.pipeline)
    beside.topic("features")
    (found,) = trim(deployment, {"events": 10 * DAY_US}, dry_run=True)
    assert found.begin == 0
    assert f"featurize of generation {beside.generation_of('featurize')[:8]}" in found.kept_by
    deployment.log.close()


def test_a_dry_run_changes_nothing_and_says_what_would_go(half_way: Project) -> None:
    deployment = opened(half_way)
    before = {name: digests(deployment, name) for name in TOPICS}
    would = trim(deployment, SHORT, dry_run=True)
    assert {name: digests(deployment, name) for name in TOPICS} == before
    assert not (half_way.folder / "control").exists()
    assert trim(deployment, SHORT) == would
    deployment.log.close()


def test_a_reader_that_is_overtaken_by_a_trim_stops_and_a_fresh_one_begins_at_the_cut(half_way: Project) -> None:
    deployment = opened(half_way)
    slow = Reader(deployment.topic("features"))
    trim(deployment, SHORT)
    with pytest.raises(StateError, match="start again"):
        list(slow.read(1))
    assert Reader(deployment.topic("features")).offset == deployment.topic("features").begin(0)
    deployment.log.close()


def test_control_says_the_same_after_a_trim(half_way: Project) -> None:
    deployment = opened(half_way)
    before = followed(deployment)
    trim(deployment, SHORT)
    after = followed(deployment)
    assert deployment.topic("control").begin(0) > 0
    assert (after.champion, after.previous, after.held) == (before.champion, before.previous, before.held)
    assert after.offset == before.offset
    assert 0 < len(after.versions) < len(before.versions)
    assert after.versions == before.versions[-len(after.versions) :]
    for what in ("versions", "alarms", "decisions", "skips"):
        assert after.count(what) == before.count(what)
    first_us = int(taken_rows(deployment.topic("predictions")).arrival_time[0])
    for at_us in range(first_us, first_us + 5 * DAY_US, 1_800_000_000):
        assert after.champion_at(at_us) == before.champion_at(at_us)
        assert after.score_at(at_us) == before.score_at(at_us)
    deployment.log.close()


def test_a_view_that_is_overtaken_by_a_trim_begins_again_at_the_cut(half_way: Project) -> None:
    deployment = opened(half_way)
    slow = deployment.control()
    trim(deployment, SHORT)
    assert slow.follow()
    assert slow.champion == followed(deployment).champion
    deployment.log.close()


def test_control_that_was_trimmed_cannot_be_read_without_its_summary(half_way: Project) -> None:
    deployment = opened(half_way)
    trim(deployment, SHORT)
    for file in (half_way.folder / "control" / deployment.generation[:8]).iterdir():
        file.unlink()
    with pytest.raises(StateError, match="restore control/"):
        deployment.control()
    deployment.log.close()


def test_a_second_trim_of_control_keeps_the_counts(half_way: Project) -> None:
    deployment = opened(half_way)
    trim(deployment, SHORT)
    begin = deployment.topic("control").begin(0)
    deployment.log.close()
    run_rounds(half_way)
    deployment = opened(half_way)
    before = followed(deployment)
    trim(deployment, SHORT)
    after = followed(deployment)
    assert deployment.topic("control").begin(0) > begin
    assert after.champion == before.champion
    assert after.previous == before.previous
    assert after.count("versions") == before.count("versions") > len(after.versions)
    assert len(list((half_way.folder / "control" / deployment.generation[:8]).iterdir())) == 2
    deployment.log.close()


def test_verify_explain_status_and_summary_read_what_is_kept(half_way: Project) -> None:
    deployment = opened(half_way)
    whole = verify(deployment)
    trim(deployment, {name: kept for name, kept in SHORT.items() if name != "events"})
    found = verify(deployment)
    kept = sum(len(piece.batch.rows_of(0)) for piece in taken(deployment.topic("features")))
    assert (found.differ, whole.differ) == (0, 0)
    assert 0 < found.vectors == kept < whole.vectors
    assert found.beyond == []
    assert status(deployment)["versions"] == followed(deployment).count("versions")
    assert summary(deployment)["ledger_balances"]
    asked = taken_rows(deployment.topic("features"))
    id = asked.id[int(asked.rows_of(0)[0])].as_py()
    assert explain(deployment, id).prediction["version"] is not None
    deployment.log.close()


def test_verify_starts_from_a_snapshot_where_events_were_trimmed_and_says_what_is_beyond(half_way: Project) -> None:
    deployment = opened(half_way)
    snapshots = deployment.snapshots("featurize")
    assert snapshots is not None
    oldest = snapshots.metas()[-1]
    events = deployment.topic("events")
    reader = Reader(events)
    while reader.offset < oldest["cut"]["offset"]:
        list(reader.read(1))
    events.trim(0, reader.cut())
    vectors = sum(len(piece.batch.rows_of(0)) for piece in taken(deployment.topic("features")))
    found = verify(deployment)
    assert (found.differ, 0 < found.vectors < vectors) == (0, True)
    assert found.beyond == [
        f"{vectors - found.vectors:,} vectors of events that were trimmed, or that the oldest snapshot counts"
    ]
    with pytest.raises(ConfigError, match="what stood below was trimmed"):
        explain(deployment, "p0")
    for file in (half_way.folder / "snapshots" / f"featurize.{deployment.generation_of('featurize')[:8]}").iterdir():
        file.unlink()
    without = verify(deployment)
    assert without.vectors == 0
    assert "no vector" in without.beyond[0]
    deployment.log.close()


def test_a_task_that_lost_its_snapshots_is_stopped_on_trimmed_input(half_way: Project) -> None:
    deployment = opened(half_way)
    trim(deployment, SHORT)
    for file in (half_way.folder / "snapshots" / f"predict.{deployment.generation[:8]}").iterdir():
        file.unlink()
    deployment.log.close()
    with pytest.raises(StateError, match="no longer begins at 0"):
        run_rounds(half_way, 1)


def test_events_are_not_forgotten_before_their_records_have_done_their_work(half_way: Project) -> None:
    assert least_retention_us(half_way.pipeline) == 9 * DAY_US  # "7d" of windows, and "2d" within which labels come
    check_retention(half_way.pipeline, {"events": 9 * DAY_US})
    with pytest.raises(ConfigError, match="9d or more") as raised:
        check_retention(half_way.pipeline, {"events": 9 * DAY_US - 1})
    assert raised.value.where == "[retention] events"
    config = half_way.folder.parent / "headrace.toml"
    config.write_text(config.read_text().replace('"10d"', '"8d"'))
    with pytest.raises(ConfigError, match="9d or more"):
        run_rounds(Project.load(half_way.folder.parent / "pipeline.py"), 1)


def test_a_worker_with_retention_trims_after_it_has_kept_snapshots(tmp_path: Path) -> None:
    files = write_starter(tmp_path)
    files[1].write_text(files[1].read_text() + '\n[retention]\nfeatures = "1h"\nsketches = "1h"\ncontrol = "1d"\n')
    project = Project.load(files[0])
    run_rounds(project, 80)
    deployment = opened(project)
    assert deployment.topic("features").begin(0) > 0
    assert deployment.topic("predictions").begin(0) == 0
    deployment.log.close()
    run_rounds(project)
    deployment = opened(project)
    assert verify(deployment).differ == 0
    deployment.log.close()


def test_the_verbs_say_what_went_and_what_keeps_the_rest(half_way: Project) -> None:
    folder = half_way.folder.parent
    with (folder / "headrace.toml").open("a") as file:
        file.write('features = "1h"\ncontrol = "1h"\n')
    file_name = str(folder / "pipeline.py")
    dry = CliRunner().invoke(topics, [file_name, "trim", "--dry-run", "--json"], catch_exceptions=False)
    done = CliRunner().invoke(topics, [file_name, "trim", "--json"], catch_exceptions=False)
    rows = {row["topic"]: row for row in json.loads(done.output)}
    assert json.loads(dry.output) == json.loads(done.output)
    assert rows["features"]["frames"] > 0
    assert set(rows["features"]) == {"topic", "frames", "begins at", "more is kept by"}
    checked = CliRunner().invoke(verify_command, [file_name], catch_exceptions=False)
    assert checked.output.startswith("0 of ")


def test_large_bundles_stand_beside_the_log_and_are_kept_as_long_as_a_row_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.store.bundles.INLINE_BYTES", 16)
    project = Project.load(write_starter(tmp_path / "large")[0])
    run_rounds(project, 90)
    deployment = opened(project)
    place = project.folder / "bundles" / deployment.generation[:8]
    view = followed(deployment)
    assert {version.bundle for version in view.versions} == {b""}
    assert sorted(file.name for file in place.iterdir()) == sorted(version.name for version in view.versions)
    trim(deployment, SHORT)
    kept = followed(deployment)
    assert sorted(file.name for file in place.iterdir()) == sorted(kept.named())
    assert len(kept.named()) < len(view.versions)
    found = verify(deployment)
    assert (found.predictions > 0, found.differ) == (True, 0)
    for file in place.iterdir():
        file.unlink()
    with pytest.raises(StateError, match="restore bundles/"):
        verify(deployment)
    deployment.log.close()
