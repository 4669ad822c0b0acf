"""make demo: a year of flights through every stage, checked and summed up in .demo/summary.json."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from examples.flights.prepare import prepare
from headrace.cli.run import Progress
from headrace.run.clock import SystemClock
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.summary import summary
from headrace.run.verification import verify

FOLDER = Path(".demo")
PIPELINE = Path(__file__).with_name("pipeline.py")


def main() -> int:
    """Prepare the flights, run the pipeline to the end, verify it, and say where everything lies."""
    started = time.monotonic()
    print("preparing the flights of 2013 ...", flush=True)
    prepare(FOLDER / "data")
    _forget_last_run()
    project = Project.load(PIPELINE)
    clock = SystemClock()
    progress = Progress(clock)
    print("running the pipeline (the first time, kernels are compiled: about half a minute) ...", flush=True)
    running = run(project, clock=clock, after_commit=progress)
    progress.running = running
    begun = time.monotonic()
    running.worker.run()
    seconds = time.monotonic() - begun
    progress.done()
    print("verifying every vector and prediction from the log ...", flush=True)
    checked = verify(running.deployment)
    found: dict[str, Any] = summary(running.deployment)
    found |= {
        "seconds": round(seconds, 3),
        "events_per_second": round(found["events"] / seconds),
        "verify": {"compared": checked.compared, "differ": checked.differ},
    }
    running.log.close()
    (FOLDER / "summary.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _show(found, time.monotonic() - started)
    wrong = checked.differ or found["missing_without_reason"] or not found["ledger_balances"]
    return 1 if wrong else 0


def _forget_last_run() -> None:
    """Begin anew: a run that had ended would have nothing left to show."""
    for file in FOLDER.glob("log.sqlite*"):
        file.unlink()
    for folder in ("snapshots", "holds"):
        shutil.rmtree(FOLDER / folder, ignore_errors=True)


def _some_flight() -> str:
    """Return the id of a flight in the middle of the year, to look at."""
    ids = pq.read_table(FOLDER / "data" / "departures.parquet", columns=["flight_id"])["flight_id"]
    return str(ids[len(ids) // 2])


def _show(found: dict[str, Any], seconds: float) -> None:
    print(
        f"""
{found["events"]:,} events, {found["predictions"]:,} predictions, {found["labels"]:,} labels that came back
  log loss {found["log_loss"]:.4f}   (running mean of the labels: {found["baseline_log_loss"]:.4f})
  AUC      {found["auc"]:.4f}
  versions {found["versions"]:,}, alarms {found["alarms"]}, rejected {found["dead"]} (a wind of 1,048 mph)
  verify   {found["verify"]["differ"]} of {found["verify"]["compared"]:,} differ
  {found["events_per_second"]:,} events a second; {seconds:.0f} s in all

The figures lie in {FOLDER / "summary.json"}, the log in {FOLDER / "log.sqlite"},
the flights to hold in {FOLDER / "holds"}.
Next:
  .venv/bin/headrace status examples/flights/pipeline.py
  .venv/bin/headrace evaluate examples/flights/pipeline.py
  .venv/bin/headrace explain examples/flights/pipeline.py {_some_flight()}
  .venv/bin/headrace topics examples/flights/pipeline.py events --verdict rejected
  .venv/bin/headrace versions examples/flights/pipeline.py rollback"""
    )


if __name__ == "__main__":
    raise SystemExit(main())
