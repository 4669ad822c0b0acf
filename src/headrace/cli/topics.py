"""headrace topics: what stands in the log."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError, nearest
from headrace.core.records import Batch, Verdict
from headrace.core.time import instant_text
from headrace.run.clock import SystemClock
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.poison import find_poison
from headrace.run.poison import rehearse as _rehearse
from headrace.run.project import Project
from headrace.run.skipping import skip
from headrace.run.taken import taken
from headrace.run.trimming import trim
from headrace.topics.entries import entries_of

__all__ = ["command"]

_SKIP_TAKES: Final = 2


@click.command("topics")
@project_options
@click.argument("topic", required=False)
@click.argument("place", nargs=-1)
@click.option("--last", default=10, show_default=True, help="How many rows to show.")
@click.option("--verdict", type=click.Choice([verdict.name.lower() for verdict in Verdict]), help="Only such rows.")
@click.option("--why", default="", help="With skip: the reason, which stands in [control] for ever.")
@click.option("--rehearse", is_flag=True, hidden=True)
@click.option("--dry-run", is_flag=True, help="With trim: show what would go, and let it stand.")
def command(
    *,
    file: Path,
    config: Path | None,
    name: str | None,
    json_: bool,
    topic: str | None,
    last: int,
    verdict: str | None,
    place: tuple[str, ...],
    why: str,
    rehearse: bool,
    dry_run: bool,
) -> None:
    """List the topics of the pipeline in FILE, or the last rows of one; [late] and [dead] are --verdict of events.

    `headrace topics FILE trim` forgets what [retention] of headrace.toml no longer asks for and nobody needs.
    `headrace topics FILE skip TASK OFFSET/ROW` leaves a row that kills a task out of its input, for ever.
    `headrace topics FILE poison TASK` finds that row: in a process of its own, and without writing anything.
    """
    project = Project.load(file, config, name=name)
    if topic == "poison" and not rehearse:
        _find(file, config, name, place, json_=json_)
    deployment = project.deployment()
    try:
        if topic == "poison":
            _rehearse(deployment, _task(place), click.echo)
            return
        if topic == "skip":
            _skip(deployment, place, why, json_=json_)
        if topic == "trim":
            rows = _trimmed(project, deployment, dry_run=dry_run)
        elif topic is None:
            rows = [_described(deployment, one) for one in TOPICS]
        elif topic in TOPICS:
            rows = _last_rows(deployment, topic, last, verdict)
        else:
            known = (*TOPICS, "trim", "skip", "poison")
            raise ConfigError("topics", wanted=f"one of {', '.join(known)}", got=topic + nearest(topic, known))
    finally:
        deployment.log.close()
    if json_:
        as_json(rows)
    elif rows:
        table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        click.echo("no such rows")


def _skip(deployment: Deployment, place: tuple[str, ...], why: str, *, json_: bool) -> NoReturn:
    if len(place) != _SKIP_TAKES:
        wanted = "TASK OFFSET/ROW, such as featurize 12/3"
        raise ConfigError("topics skip", wanted=wanted, got=" ".join(place) or "none")
    done = skip(deployment, *place, why=why, clock=SystemClock())
    if json_:
        as_json(asdict(done))
    elif done.refused:
        click.echo(f"nothing is skipped: {done.refused}")
    else:
        click.echo(f"{done.task} leaves {done.offset}/{done.row} out from its next start on")
    sys.exit(1 if done.refused else 0)


def _task(place: tuple[str, ...]) -> str:
    if len(place) != 1:
        raise ConfigError("topics poison", wanted="TASK, such as featurize", got=" ".join(place) or "none")
    return place[0]


def _find(file: Path, config: Path | None, name: str | None, place: tuple[str, ...], *, json_: bool) -> NoReturn:
    task = _task(place)
    options = [*(("--config", str(config)) if config else ()), *(("--pipeline", name) if name else ())]
    found = find_poison(["topics", str(file), "poison", task, "--rehearse", *options])
    if json_:
        as_json(asdict(found))
    elif found.place:
        click.echo(f"{task} dies of {found.place}: {found.died_of}\n")
        click.echo(f"leave it out: headrace topics FILE skip {task} {found.place} --why ...")
    else:
        click.echo(f"{task} dies of none of the {found.rows:,} rows that wait for it {found.died_of}".rstrip())
    sys.exit(1 if found.place or found.died_of else 0)


def _trimmed(project: Project, deployment: Deployment, *, dry_run: bool) -> list[dict[str, Any]]:
    retention = project.config.retention_us
    if not retention:
        raise ConfigError("topics trim", wanted="[retention] in headrace.toml, such as features = '7d'", got="none")
    return [
        {"topic": one.topic, "frames": one.frames, "begins at": one.begin, "more is kept by": one.kept_by}
        for one in trim(deployment, retention, dry_run=dry_run)
    ]


def _described(deployment: Deployment, name: str) -> dict[str, Any]:
    topic = deployment.topic(name)
    manifest = topic.manifest
    return {
        "topic": name,
        "frames": topic.end(0) - topic.begin(0),
        "rows": sum(len(piece.batch) for piece in taken(topic)),
        "streams": " ".join(stream.name for stream in manifest.streams),
        "written by": " ".join(manifest.producers),
        "generation": manifest.generation[:8],
        "revision": manifest.revision,
    }


def _last_rows(deployment: Deployment, name: str, last: int, verdict: str | None) -> list[dict[str, Any]]:
    topic = deployment.topic(name)
    kept: list[Batch] = []
    for piece in taken(topic):
        batch = piece.batch
        if verdict is not None:
            batch = batch.take((batch.verdict == Verdict[verdict.upper()]).nonzero()[0])
        if len(batch):
            kept = [*kept[-last:], batch]
    rows = []
    for batch in kept:
        for entry in entries_of(batch, topic.manifest.streams):
            shown = {key: _short(value) for key, value in entry.columns.items()}
            rows.append(
                {
                    "position": f"{entry.offset}/{entry.sub >> 24}",
                    "stream": entry.stream,
                    "event_time": instant_text(entry.time_us),
                    "id": entry.id,
                    "columns": " ".join(f"{key}={value}" for key, value in shown.items()),
                }
            )
    return rows[-last:]


def _short(value: object) -> str:
    text = f"{len(value)} bytes" if isinstance(value, bytes) and len(value) > 40 else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
