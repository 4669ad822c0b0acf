"""headrace check: whether a pipeline is possible, and what it comes to."""

from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.time import duration_text
from headrace.run.assumptions import bounds_of_state, costs, defaults, errors
from headrace.run.project import Project

__all__ = ["command"]


@click.command("check")
@project_options
def command(*, file: Path, config: Path | None, name: str | None, json_: bool) -> None:
    """Check the pipeline in FILE without running it; show features, defaults, sources and the size of its state."""
    project = Project.load(file, config, name=name)
    pipeline = project.pipeline
    features = pipeline.describe()
    sources = [
        {
            "source": settings.name,
            "files": len(project.config.files(settings.name)),
            "time": settings.time,
            "id": settings.id,
            "disorder": duration_text(settings.disorder_us),
            "late": settings.late,
            "max_future_skew": duration_text(settings.max_future_skew_us),
            "duplicates": duration_text(settings.duplicate_horizon_us),
            "producer": settings.producer,
            "silent": duration_text(settings.silent_us) if settings.producer is not None else None,
        }
        for settings in pipeline.source_settings()
    ]
    state, assumed, slow = bounds_of_state(pipeline), defaults(pipeline), costs(pipeline)
    inexact = errors(pipeline)
    for entry in pipeline.act:
        project.config.sink(entry.name)
    if json_:
        as_json(
            {
                "pipeline": pipeline.name,
                "generation": pipeline.fingerprint,
                "features": features,
                "sources": sources,
                "state": state,
                "defaults": assumed,
                "costs": slow,
                "errors": inexact,
            }
        )
        return
    click.echo(f"{pipeline.name} is possible: {len(features)} features, generation {pipeline.fingerprint}\n")
    table(list(features[0]), [list(row.values()) for row in features])
    click.echo()
    table(list(sources[0]), [list(row.values()) for row in sources])
    for rows in (state, assumed, slow, inexact):
        if rows:
            click.echo()
            table(list(rows[0]), [list(row.values()) for row in rows])
    learn, serve = pipeline.learn, pipeline.serve
    click.echo(
        f"\nlearn every {learn.every}, deadline {serve.deadline}, fallback {serve.constant}, seed {pipeline.seed}"
    )
