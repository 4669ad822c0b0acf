"""headrace topics: what stands in the log."""

from pathlib import Path
from typing import Any

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError, nearest
from headrace.core.records import Batch, Verdict
from headrace.core.time import instant_text
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.project import Project
from headrace.run.taken import taken
from headrace.topics.entries import entries_of

__all__ = ["command"]


@click.command("topics")
@project_options
@click.argument("topic", required=False)
@click.option("--last", default=10, show_default=True, help="How many rows to show.")
@click.option("--verdict", type=click.Choice([verdict.name.lower() for verdict in Verdict]), help="Only such rows.")
def command(
    *, file: Path, config: Path | None, name: str | None, json_: bool, topic: str | None, last: int, verdict: str | None
) -> None:
    """List the topics of the pipeline in FILE, or the last rows of one; [late] and [dead] are --verdict of events."""
    deployment = Project.load(file, config, name=name).deployment()
    try:
        if topic is None:
            rows = [_described(deployment, known) for known in TOPICS]
        elif topic in TOPICS:
            rows = _last_rows(deployment, topic, last, verdict)
        else:
            raise ConfigError("topics", wanted=f"one of {', '.join(TOPICS)}", got=topic + nearest(topic, TOPICS))
    finally:
        deployment.log.close()
    if json_:
        as_json(rows)
    elif rows:
        table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        click.echo("no such rows")


def _described(deployment: Deployment, name: str) -> dict[str, Any]:
    topic = deployment.topic(name)
    manifest = topic.manifest
    return {
        "topic": name,
        "frames": topic.end(0) - topic.begin(0),
        "rows": sum(len(piece.batch) for piece in taken(topic)),
        "streams": " ".join(stream.name for stream in manifest.streams),
        "written by": " ".join(manifest.producers),
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
