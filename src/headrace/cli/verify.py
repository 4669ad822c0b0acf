"""headrace verify: whether the log comes out again as it was written."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.run.project import Project
from headrace.run.verification import verify

__all__ = ["command"]


@click.command("verify")
@project_options
def command(*, file: Path, config: Path | None, name: str | None, json_: bool) -> None:
    """Recompute every logged vector and prediction; exit 1 and show the first differences if there are any."""
    deployment = Project.load(file, config, name=name).deployment()
    found = verify(deployment)
    deployment.log.close()
    if json_:
        first = [asdict(difference) for difference in found.first]
        counts = {"compared": found.compared, "vectors": found.vectors, "differ": found.differ}
        as_json({**counts, "first": first, "beyond": found.beyond})
    else:
        click.echo(f"{found.differ:,} of {found.compared:,} differ")
        for line in found.beyond:
            click.echo(f"cannot be compared any more: {line}")
        if found.first:
            click.echo()
            table(list(asdict(found.first[0])), [list(asdict(difference).values()) for difference in found.first])
            click.echo("\nwhat is behind one of them: headrace explain FILE ID")
    sys.exit(1 if found.differ else 0)
