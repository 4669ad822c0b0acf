"""Power cuts and failing disks: what stands afterwards is a beginning of what was done, and all that was promised."""

import errno
import os
import resource
import shutil
import subprocess
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import apsw
import numpy as np
import pytest

from benchmarks.crash import command, config_file
from headrace.core.errors import HeadraceError, SurroundingsError
from headrace.core.position import ALL, Position
from headrace.run.running import run
from headrace.store.blobs import FolderBlobs
from headrace.store.snapshots import Snapshots
from headrace.topics import embedded
from headrace.topics.cut import Cut
from headrace.topics.embedded import EmbeddedLog
from headrace.topics.frame import Frame
from headrace.topics.manifest import Manifest
from tests.flow.comparing import differing, flights, records
from tests.flow.disks import (
    FATES,
    RecordedDisk,
    RecordedVFS,
    Tape,
    fates,
    image,
    put_back,
    recorded_fsync,
)
from tests.unit.topics.rows import STREAMS, rows

if TYPE_CHECKING:
    from collections.abc import Callable

SAVES = 6
TURNS = 14


def value(number: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    return {"w": np.full(50, float(number))}, {"number": number}


def save_some(snapshots: Snapshots, tape: Tape) -> None:
    for number in range(SAVES):
        snapshots.save(Position(number, ALL), *value(number))
        tape.note(number)


@pytest.mark.parametrize("fate", FATES)
def test_a_power_cut_leaves_each_snapshot_whole_or_not_there_and_the_newest_that_was_promised(
    tmp_path: Path, fate: str
) -> None:
    tape = Tape()
    save_some(Snapshots(FolderBlobs(tmp_path / "real", disk=RecordedDisk(tape))), tape)
    for stop in range(len(tape.done) + 1):
        folder = tmp_path / f"{stop}"
        put_back(image(tape.done[:stop], lambda place, one: fate), folder)
        found = [meta["number"] for arrays, meta in Snapshots(FolderBlobs(folder)).newest_first()]
        assert all(
            (arrays["w"] == meta["number"]).all() for arrays, meta in Snapshots(FolderBlobs(folder)).newest_first()
        )
        promised = [number for place, number in tape.notes if place <= stop]
        assert found == sorted(found, reverse=True)
        if promised:
            assert found[0] >= promised[-1], f"cut behind operation {stop}"
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["write", "force", "rename", "remove"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_told_and_takes_no_older_snapshot_away(tmp_path: Path, kind: str, code: int) -> None:
    left = [9]

    def fails(what: str) -> None:
        if what == kind:
            left[0] -= 1
            if left[0] <= 0:
                raise OSError(code, os.strerror(code))

    snapshots = Snapshots(FolderBlobs(tmp_path / "kept", disk=RecordedDisk(Tape(), fails)))
    saved = -1

    def save() -> None:
        nonlocal saved
        for number in range(30):
            snapshots.save(Position(number, ALL), *value(number))
            saved = number

    with pytest.raises(SurroundingsError, match=os.strerror(code)):
        save()
    assert 0 <= saved < 29
    found = [meta["number"] for _, meta in Snapshots(FolderBlobs(tmp_path / "kept")).newest_first()]
    assert found[0] >= saved


def manifest_of(topic: str) -> Manifest:
    return Manifest(topic=topic, streams=STREAMS, producers=("a", "b"), generation="00000000000000aa")


def work(log: EmbeddedLog, tape: Tape) -> list[list[tuple[str, int]]]:
    """Append in turns to two topics, now and then force, trim once; return what each turn appended."""
    draw = Random(3)
    topics = {name: log.create(manifest_of(name)) for name in ("one", "two")}
    turns: list[list[tuple[str, int]]] = []
    ends = dict.fromkeys(topics, 0)
    for turn in range(TURNS):
        mine = []
        for name in draw.choices(sorted(topics), k=draw.randint(1, 3)):
            number = ends[name]
            frame = Frame(
                0, Position(number - 1, ALL), Position(number, ALL), rows([(number, row) for row in range(40)])
            )
            topics[name].append(0, frame)
            ends[name] += 1
            mine.append((name, number))
        log.commit()
        turns.append(mine)
        tape.note(("committed", turn + 1))
        if draw.random() < 0.4:
            log.force()
            tape.note(("safe", turn + 1))
    topics["one"].trim(0, Cut(2))
    log.commit()
    tape.note(("trimmed", TURNS))
    return turns


def standing(folder: Path) -> dict[str, list[int]]:
    """Open the log as it stands and return the frames' own numbers, by topic."""
    log = EmbeddedLog(folder / "log.sqlite")
    try:
        found = {}
        for name in log.names():
            topic = log.open(name)
            frames = topic.read(0, topic.begin(0), 10_000)
            assert all(len(frame.batch) == 40 for _, frame in frames)
            found[name] = [frame.through.offset for _, frame in frames]
        return found
    finally:
        log.close()


def beginning(turns: list[list[tuple[str, int]]], count: int, trimmed: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"one": [], "two": []}
    for turn in turns[:count]:
        for name, number in turn:
            found[name].append(number)
    return {**found, "one": [number for number in found["one"] if number >= trimmed]}


def test_a_power_cut_leaves_a_beginning_of_all_topics_together_and_all_that_was_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape()
    vfs = RecordedVFS(tape, "recorded")
    monkeypatch.setattr(embedded, "_CHECKPOINT_PAGES", 12)
    monkeypatch.setattr(embedded.os, "fsync", recorded_fsync(tape))
    log = EmbeddedLog(tmp_path / "log.sqlite", vfs="recorded")
    turns = work(log, tape)
    monkeypatch.undo()
    done = list(tape.done)
    assert any(one.kind == "write" and one.name == "log.sqlite" for one in done[60:]), "nothing was checkpointed"
    draw = Random(5)
    ended = {count: [beginning(turns, count, trimmed) for trimmed in (0, 2)] for count in range(TURNS + 1)}
    tried = 0
    for stop in range(0, len(done) + 1, 2):
        safe = max((what[1] for place, what in tape.notes if place <= stop and what[0] == "safe"), default=0)  # type: ignore[index]
        for number, fate in enumerate(fates(draw)):
            folder = tmp_path / f"{stop}.{number}"
            put_back(image(done[:stop], fate), folder)
            try:
                found = standing(folder)
            except HeadraceError as error:
                # Before anything was safe there may be no file that SQLite knows.
                assert not safe, f"cut behind {stop}, fate {number}: {error}"
                continue
            finally:
                shutil.rmtree(folder)
            tried += 1
            whole = {"one": [], "two": [], **found}
            assert any(whole in ended[count] for count in range(safe, TURNS + 1)), f"cut behind {stop}, fate {number}"
    assert tried > 300
    log.close()
    vfs.unregister()


# SQLite may roll back on the way, which the disk refuses too: APSW tells of that beside the error that we get.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["write", "force"])
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
def test_a_log_on_a_disk_that_refuses_stops_and_holds_what_was_safe(
    tmp_path: Path, kind: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_CHECKPOINT_PAGES", 12)
    for after in (3, 20, 45, 70):
        tape, left = Tape(), [after]

        def fails(what: str, left: list[int] = left) -> None:
            if what == kind:
                left[0] -= 1
                if left[0] <= 0:
                    raise error("refused")

        name = f"failing-{kind}-{error.__name__}-{after}"
        vfs = RecordedVFS(tape, name, fails)
        folder = tmp_path / name
        log = None
        try:
            log = EmbeddedLog(folder / "log.sqlite", vfs=name)
            work(log, tape)
        except SurroundingsError:
            safe = max((what[1] for _, what in tape.notes if what[0] == "safe"), default=0)  # type: ignore[index]
            shutil.copytree(folder, tmp_path / f"{name}-left")
        finally:
            left[0] = 1_000_000  # The disk is well again, so that the refused log can let go.
            if log is not None:
                log._connection.close()
            vfs.unregister()
        turns = work(EmbeddedLog(tmp_path / f"{name}-well" / "log.sqlite"), Tape())
        found = {"one": [], "two": [], **standing(tmp_path / f"{name}-left")}
        ended = [beginning(turns, count, trimmed) for count in range(safe, TURNS + 1) for trimmed in (0, 2)]
        assert found in ended


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))


def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    running = run(flights(tmp_path / "quiet", 8_000))
    running.worker.run()
    wanted = records(running.deployment)
    running.log.close()
    project = flights(tmp_path / "full", 8_000)
    path = config_file(project)
    full = subprocess.run(command(path), preexec_fn=limited, capture_output=True, text=True, check=False)
    assert full.returncode == 3, full.stderr
    assert "Traceback" not in full.stderr
    assert "wanted" in full.stderr
    assert subprocess.run(command(path), stdout=subprocess.DEVNULL, check=False).returncode == 0
    deployment = project.deployment()
    assert differing(wanted, records(deployment)) == {}
    deployment.log.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    running = run(flights(tmp_path_factory.mktemp("undisturbed"), 8_000))
    running.worker.run()
    found = records(running.deployment)
    running.log.close()
    return found


@pytest.mark.parametrize("order", ["wal last", "wal first", "snapshots first"])
def test_a_folder_copied_while_running_goes_on_to_the_same_records_or_is_refused(
    tmp_path: Path, undisturbed: dict[str, list[int]], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_CHECKPOINT_PAGES", 200)
    project = flights(tmp_path / "real", 8_000)
    copies: list[Path] = []

    def copy() -> None:
        source = project.folder
        if len(copies) < 8 and source.exists():
            copies.append(copied(source, tmp_path / f"copy{len(copies)}" / "run", order))

    rounds = [0]

    def now_and_then() -> None:
        rounds[0] += 1
        if rounds[0] % 4 == 0:
            thread = threading.Thread(target=copy)
            thread.start()
            threads.append(thread)

    threads: list[threading.Thread] = []
    running = run(project, snapshot_every_us=50_000, after_commit=now_and_then)
    running.worker.run()
    running.log.close()
    for thread in threads:
        thread.join()
    assert len(copies) >= 3
    outcomes = []
    for folder in copies:
        again = flights(folder.parent, 8_000)
        try:
            resumed = run(again)
            resumed.worker.run()
        except HeadraceError as error:
            outcomes.append(f"refused: {error}")
            continue
        outcomes.append(str(differing(undisturbed, records(resumed.deployment))))
        resumed.log.close()
    assert all(outcome == "{}" or outcome.startswith("refused") for outcome in outcomes), outcomes
    assert "{}" in outcomes


def copied(source: Path, to: Path, order: str) -> Path:
    """Copy a folder file by file, the log's two files in an awkward order."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    first: Callable[[Path], bool] = {
        "wal last": lambda path: not path.name.endswith("-wal"),
        "wal first": lambda path: path.name.endswith("-wal"),
        "snapshots first": lambda path: "snapshots" in path.parts,
    }[order]
    for path in sorted(files, key=lambda path: not first(path)):
        target = to / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, target)
        except FileNotFoundError:
            continue
    return to
