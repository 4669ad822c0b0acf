"""headrace forget: drop what the features know of one key."""

from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json
from headrace.run.clock import SystemClock
from headrace.run.orders import forget
from headrace.run.project import Project

__all__ = ["command"]


@click.command("forget")
@project_options
@click.argument("source")
@click.argument("key", nargs=-1, required=True, metavar="KEY=VALUE...")
def command(
    *, file: Path, config: Path | None, name: str | None, json_: bool, source: str, key: tuple[str, ...]
) -> None:
    """Drop what the features of FILE know of one key of SOURCE: KEY=VALUE for each field by which they group it.

    Requests that stand behind the command see nothing of the key from before it.
    """
    deployment = Project.load(file, config, name=name).deployment()
    try:
        done = forget(deployment, source, key, clock=SystemClock())
    finally:
        deployment.log.close()
    if json_:
        as_json(done)
        return
    click.echo(f"forgot {' '.join(key)} of {source}: requests behind this command see nothing of it from before")
    click.echo("not forgotten: " + "; ".join(str(what) for what in done["kept"]))  # type: ignore[attr-defined]
