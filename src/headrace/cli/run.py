"""headrace run: one worker with some or all stages of a pipeline."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Final, final

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.run.clock import SystemClock
from headrace.run.deployment import STAGES
from headrace.run.latency import LatencyProbe
from headrace.run.project import Project
from headrace.run.running import Running, run
from headrace.run.sampling import Sampling
from headrace.run.summary import summary

__all__ = ["Progress", "command"]

_EVERY_US: Final = 200_000


@final
class Progress:
    """A line on a terminal: rows a second, how far arrival time has come, frames that wait. Nothing elsewhere."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._shown_us = self._start_us = clock.elapsed_us()
        self._terminal = sys.stderr.isatty()
        self.running: Running | None = None

    def __call__(self) -> None:
        """Show the line, a few times a second."""
        now_us = self._clock.elapsed_us()
        if not self._terminal or self.running is None or now_us - self._shown_us < _EVERY_US:
            return
        self._shown_us = now_us
        ingest = self.running.ingest
        given = sum(counts["received"] for counts in ingest.ledger.as_dict().values()) if ingest is not None else 0
        rate = given * 1e6 / (now_us - self._start_us)
        lag = sum(place.task.backlog for place in self.running.placed)
        click.echo(f"\r{given:>12,} events  {rate:>10,.0f}/s  {lag:>6,} frames wait ", nl=False, err=True)

    def done(self) -> None:
        """Clear the line."""
        if self._terminal:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)


@click.command("run")
@project_options
@click.option("--stages", default=",".join(STAGES), help="Which stages this worker runs; all if left out.")
@click.option("--rate", type=float, help="Play a history at this many events a second, live, and measure the latency.")
@click.option("--snapshot-every", "snapshot_s", type=float, default=10.0, show_default=True, help="Seconds.")
def command(
    *,
    file: Path,
    config: Path | None,
    name: str | None,
    json_: bool,
    stages: str,
    rate: float | None,
    snapshot_s: float,
) -> None:
    """Run the pipeline in FILE: its history to the end, then stop. A run that was cut off goes on where it was.

    If FILE declares several and none is chosen, all of them run over the one log; what they share is computed once.
    """
    clock = SystemClock()
    declared = [] if name is not None else Project.load_all(file, config)
    project, *beside = declared if len(declared) > 1 else [Project.load(file, config, name=name)]
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopping.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    progress = Progress(clock)
    probe = LatencyProbe(clock) if rate is not None else None

    def after_commit() -> None:
        progress()
        if probe is not None:
            probe()

    running = run(
        project,
        beside=beside,
        stages=tuple(stages.split(",")),
        rate=rate,
        clock=clock,
        snapshot_every_us=int(snapshot_s * 1e6),
        after_commit=after_commit,
        stop=lambda: bool(stopping),
    )
    progress.running = running
    if probe is not None:
        probe.watch(running.deployment.topic("predictions"))
    started_us = clock.elapsed_us()
    try:
        running.worker.run()
    finally:
        progress.done()
    seconds = (clock.elapsed_us() - started_us) / 1e6
    result: dict[str, object] = {"seconds": seconds, "stopped": bool(stopping)}
    if probe is not None:
        result["latency_ms"] = probe.percentiles()
    if set(stages.split(",")) == set(STAGES):
        result |= summary(running.deployment)
        if beside:
            every = (running.deployment, *running.beside)
            result["pipelines"] = {one.pipeline.name: summary(one) for one in every}
    verified = [place.task.checked.as_dict() for place in running.placed if isinstance(place.task, Sampling)]
    result |= {"verified": verified} if verified else {}
    running.log.close()
    if json_:
        as_json(result)
        return
    _show(result, running)


def _show(result: dict[str, object], running: Running) -> None:
    word = "stopped" if result["stopped"] else "ended"
    every = (running.deployment, *running.beside)
    names = [one.pipeline.name for one in every]
    click.echo(f"{', '.join(names)} {word} after {result['seconds']:.1f} s")
    found = result.get("pipelines")
    figures = [found[name] for name in names] if isinstance(found, dict) else [result]
    rows: list[tuple[object, ...]] = [
        (name, *(one[name] for one in figures))
        for name in ("events", "predictions", "labels", "log_loss", "baseline_log_loss", "auc", "versions", "alarms")
        if name in result
    ]
    latency = result.get("latency_ms")
    if isinstance(latency, dict):
        rows += [(f"latency {name}, ms", value, *("" for _ in figures[1:])) for name, value in latency.items()]
    if rows:
        click.echo()
        table(("what", *(names if len(figures) > 1 else ("figure",))), rows)
