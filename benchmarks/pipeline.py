"""The whole pipeline of the flights: one worker, embedded log, every stage; then live at a tenth of that rate."""

import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks._flights import flights_project
from headrace.run.clock import SystemClock
from headrace.run.latency import LatencyProbe
from headrace.run.project import Project
from headrace.run.running import run as start
from headrace.run.summary import summary

NOTES: Final = """
`events_per_cpu_second` is over the worker's whole run, reading the files and both snapshots of every task included;
kernels were compiled and imports done before. `latency_ms` is from the moment at which an event was due (its creation)
to the moment at which its prediction was committed and readable, with every stage in one thread of one process.

Where the time goes, of 7.1 CPU-seconds in one run without a profiler: join 1.2, featurize 1.2, predict 1.1, learn 0.9,
watch, judge and respond 1.1, act 0.4, ingest 0.2, commits and the last snapshot 0.6. Across them, encoding and
compressing frames 0.9, SQLite 0.5, running digests 0.4. Each of the 1,460 versions is a round through predict, join and
learn, and a round costs about as much for 20 rows as for 400: so the pace (`every="6h"`) sets the speed more than the
rows do, and the aim of 150,000 events a CPU-second is not reached. What helped, in this order: patient tasks that wait
for large batches, frames just written kept decoded, a collector that does not look at what stays, digests over columns
at once. What did not: caching the texts of expressions.

Live, a round takes 4 to 5 ms, of which featurize is 2.4 for some 45 events (Python around six histories). p99 was 57 ms
until SQLite's checkpoint left the turn, 14 until predictions were committed before join and learn have their turns, and
is 11 to 13 since patient tasks have short turns; what is left are rounds with a collection or with `act` on the disk.
"""

_DATA: Final = Path(".demo/data")
_WARM_EVENTS: Final = 4_000


def run(*, quick: bool, live_seconds: float = 12.0) -> dict[str, object]:
    """Return the figures of one history run, and of one live run at a tenth of its rate."""
    with tempfile.TemporaryDirectory() as folder:
        _history(flights_project(Path(folder) / "warm", data=_DATA, events=_WARM_EVENTS))
        events = 40_000 if quick else None
        figures = _history(flights_project(Path(folder) / "whole", data=_DATA, events=events))
        rate = float(str(figures["events_per_second"])) / 10
        seconds = 3.0 if quick else live_seconds
        live = _live(flights_project(Path(folder) / "live", data=_DATA, events=int(rate * seconds)), rate, seconds)
    return {**figures, "live_rate": round(rate), "latency_ms": live}


def _history(project: Project) -> dict[str, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    running = start(project)
    running.worker.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = summary(running.deployment)
    running.log.close()
    return {
        "events": found["events"],
        "predictions": found["predictions"],
        "versions": found["versions"],
        "log_loss": found["log_loss"],
        "events_per_second": round(found["events"] / wall),
        "events_per_cpu_second": round(found["events"] / cpu),
    }


def _live(project: Project, rate: float, seconds: float) -> dict[str, float]:
    clock = SystemClock()
    probe = LatencyProbe(clock)
    until_us = clock.elapsed_us() + int(seconds * 1.5 * 1e6)
    running = start(project, rate=rate, clock=clock, after_commit=probe, stop=lambda: clock.elapsed_us() > until_us)
    probe.watch(running.deployment.topic("predictions"))
    running.worker.run()
    running.log.close()
    return probe.percentiles()
