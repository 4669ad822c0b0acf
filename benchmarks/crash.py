"""kill -9 of real processes at random moments of a slice of the flights, half of the runs with two owners of each task.

A run is one or two processes with all stages over one folder. At a drawn moment one of them is killed (or both), and
started again at once, until the run comes to its end; runs go on until there were `kills` kills. Then the records as
taken are compared with those of a run in which nothing happened: `differ` counts the rows of features, predictions
and versions (their weights) that are not the same, or are missing, or too many.

`recovery` is the time from the start of the new process until the log holds a frame more than it held when the old
one died, where no other owner was there to go on; the interpreter's start and the imports are in it (`start_s`).
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from benchmarks._flights import flights_project
from headrace.run.project import Project
from headrace.run.running import run as start
from headrace.run.taken import taken
from headrace.testing.comparison import without_columns
from headrace.topics.digest import row_digests

NOTES: Final = """
Nothing of a killed process is cleaned up: what it had not committed is gone, what it had is taken, and a snapshot that
was half written is not there. Most of a recovery is the interpreter, its imports and compiled kernels being loaded; the
replay from a snapshot of a few tenths of a second ago is a fraction of it.
"""

_COMPARED: Final = {"features": "features", "predictions": "predictions", "weights": "control"}
_HEADRACE: Final = (sys.executable, "-c", "from headrace.cli import main; main()")
_SNAPSHOT_S: Final = "0.1"
_EARLY: Final = 0.2
_PATIENCE_S: Final = 60
_DATA: Final = Path(".demo/data")


def run(*, quick: bool, kills: int = 100, events: int = 50_000, seed: int = 0) -> dict[str, Any]:
    """Return the figures."""
    if quick:
        kills, events = 6, 20_000
    draw = random.Random(seed)
    found = {"kills": 0, "doubled": 0, "runs": 0}
    differ, recoveries = dict.fromkeys(_COMPARED, 0), []
    with tempfile.TemporaryDirectory() as base:
        quiet = flights_project(Path(base) / "quiet", data=_DATA, events=events)
        running = start(quiet)
        running.worker.run()
        wanted = _digests(quiet)
        running.log.close()
        for name in ("cold", "timed"):
            span = _seconds(flights_project(Path(base) / name, data=_DATA, events=events))
        while found["kills"] < kills:
            project = flights_project(Path(base) / str(found["runs"]), data=_DATA, events=events)
            doubled = 2 * found["doubled"] < found["kills"]
            died, recovered = _killed_until_done(project, draw, owners=2 if doubled else 1, span=span)
            found["kills"] += died
            found["doubled"] += died if doubled else 0
            found["runs"] += 1
            recoveries += recovered
            for name, rows in _digests(project).items():
                differ[name] += _differing(rows, wanted[name])
    return {
        "events": events,
        **found,
        "differ": sum(differ.values()),
        **{f"differ_{name}": count for name, count in differ.items()},
        "rows_compared": sum(map(len, wanted.values())) * found["runs"],
        "recovery_p50_s": round(statistics.median(recoveries), 2) if recoveries else None,
        "recovery_max_s": round(max(recoveries), 2) if recoveries else None,
        "start_s": round(span[0], 2),
        "whole_s": round(span[1], 2),
    }


def config_file(project: Project) -> Path:
    """Write the project's configuration where the command line can read it."""
    sources = "".join(f'[sources.{name}]\npath = "{one.path}"\n' for name, one in project.config.sources.items())
    path = Path(project.config.base) / "headrace.toml"
    path.write_text(f'[run]\nfolder = "run"\n{sources}[sinks.holds]\nkind = "file"\npath = "holds"\n')
    return path


def command(config: Path, *more: str) -> list[str]:
    """Return the command line that runs the flights under a configuration."""
    return [*_HEADRACE, "run", "examples/flights/pipeline.py", "--config", str(config), *more]


def _command(project: Project) -> list[str]:
    return command(config_file(project), "--snapshot-every", _SNAPSHOT_S)


def _killed_until_done(
    project: Project, draw: random.Random, *, owners: int, span: tuple[float, float]
) -> tuple[int, list[float]]:
    """Run, kill and start again until a process ends by itself; return how many were killed, and the recoveries."""
    line = _command(project)
    kills, recoveries = 0, []
    workers = [subprocess.Popen(line, stdout=subprocess.DEVNULL) for _ in range(owners)]
    watch: float | None = None
    try:
        while True:
            # Now and then while it still starts; else some time after it has brought the log further.
            early = draw.random() < _EARLY
            until = time.monotonic() + span[0] * draw.uniform(0.3, 1.0) if early else None
            began, before = time.monotonic(), _frames(project)
            while until is None or time.monotonic() < until:
                if any(worker.poll() is not None for worker in workers):
                    break
                if _frames(project) > before:
                    if watch is not None:
                        recoveries.append(time.monotonic() - watch)
                        watch = None
                    if until is None:
                        until = time.monotonic() + draw.uniform(0, 0.5 * (span[1] - span[0]))
                if time.monotonic() - began > _PATIENCE_S:
                    raise RuntimeError(f"no progress in {_PATIENCE_S} seconds")
                time.sleep(0.005)
            ended = [worker.poll() for worker in workers]
            if any(code not in (None, 0) for code in ended):
                raise RuntimeError(f"a worker ended with {ended}")
            if 0 in ended:
                for worker in workers:
                    worker.wait()
                return kills, recoveries
            victims = workers if draw.random() < 0.5 else [draw.choice(workers)]
            for worker in list(victims):
                worker.kill()
                worker.wait()
                kills += 1
            alone = len(victims) == len(workers)
            workers = [worker for worker in workers if worker.returncode is None]
            watch = time.monotonic() if alone else None
            workers += [subprocess.Popen(line, stdout=subprocess.DEVNULL) for _ in range(owners - len(workers))]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _frames(project: Project) -> int:
    """Return how many frames the log holds."""
    if not project.config.log_path.exists():
        return 0
    connection = apsw.Connection(str(project.config.log_path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        ((count,),) = connection.execute("SELECT coalesce(sum(seq), 0) FROM sqlite_sequence WHERE name != 'topics'")
        return int(count)
    except apsw.Error:
        return 0  # The tables are not there yet, or somebody is just opening it.
    finally:
        connection.close()


def _digests(project: Project) -> dict[str, list[int]]:
    """Return the digests of the compared rows: features, predictions less how far [control] was read, versions."""
    deployment = project.deployment()
    found: dict[str, list[int]] = {}
    for name, topic_name in _COMPARED.items():
        topic = deployment.topic(topic_name)
        rows: list[int] = []
        for piece in taken(topic):
            batch = piece.batch
            if name == "weights" and topic.manifest.producers[piece.producer] != "learn":
                continue
            if name == "predictions":
                batch = without_columns(batch, {"control"})
            rows += row_digests(batch).tolist()
        found[name] = rows
    deployment.log.close()
    return found


def _differing(rows: Sequence[int], wanted: Sequence[int]) -> int:
    return sum(one != other for one, other in zip(rows, wanted, strict=False)) + abs(len(rows) - len(wanted))


def _seconds(project: Project) -> tuple[float, float]:
    """Return how long a process takes until its first frame stands in the log, and until it ends."""
    began = time.monotonic()
    worker = subprocess.Popen(_command(project), stdout=subprocess.DEVNULL)
    while worker.poll() is None and not _frames(project):
        time.sleep(0.005)
    first_s = time.monotonic() - began
    worker.wait()
    return first_s, time.monotonic() - began
