"""headrace backfill: a training set out of an archive, as one Parquet file."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError
from headrace.run.backfill import backfill, local
from headrace.run.backfill_live import go_live
from headrace.run.backfill_parts import check_cut
from headrace.run.project import Project

__all__ = ["command"]


@click.command("backfill")
@project_options
@click.option("--from", "archive", required=True, type=click.Path(path_type=Path), help="The archive to read.")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="The Parquet file to write.")
@click.option(
    "--truth",
    type=click.Choice(["served", "complete"]),
    default="served",
    show_default=True,
    help="What a request sees: what had come before it, or all that had happened before it.",
)
@click.option("--on", "engine", type=click.Choice(["local"]), default="local", show_default=True, help="What computes.")
@click.option("--processes", type=int, help="How many at once; one a core if left out.")
@click.option("--parts", type=int, help="Into how many the archive is cut by time; one a process if that is possible.")
@click.option("--memory-mb", default=512, show_default=True, help="What a sort may take; the rest lies on disk.")
@click.option("--live", is_flag=True, help="Let `headrace run FILE` go on behind the archive.")
def command(
    *,
    file: Path,
    config: Path | None,
    name: str | None,
    json_: bool,
    archive: Path,
    to: Path,
    truth: str,
    engine: str,
    processes: int | None,
    parts: int | None,
    memory_mb: int,
    live: bool,
) -> None:
    """Compute the vectors and labels of the pipeline in FILE over an archive, by the code that computes them live."""
    del engine  # There is one.
    project = Project.load(file, config, name=name)
    count = processes if processes is not None else len(os.sched_getaffinity(0))
    cut = parts if parts is not None else _possible(project, count)
    state = to.with_name(f"{to.name}.state") if live else None
    found = backfill(
        project.pipeline,
        archive,
        to,
        truth="complete" if truth == "complete" else "served",
        parts=cut,
        run=local(count),
        file=file,
        config=config,
        memory_mb=memory_mb,
        state=state,
    )
    if state is not None:
        deployment = project.deployment()
        go_live(deployment, archive, state)
        deployment.log.close()
        state.unlink()
    if json_:
        as_json({**asdict(found), "file": str(to), "live": live})
        return
    click.echo(f"{found.rows:,} rows in {to}, {found.labelled:,} of them with a label\n")
    table(("what", "figure"), [(key, value) for key, value in asdict(found).items() if key != "rows"])
    if live:
        click.echo(f"\nheadrace run {file} goes on behind the archive")


def _possible(project: Project, count: int) -> int:
    """Return one part a process, or one if the definition cannot be cut by time."""
    try:
        check_cut(project.pipeline)
    except ConfigError:
        return 1
    return max(count, 1)
