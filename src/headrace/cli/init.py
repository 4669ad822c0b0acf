"""headrace init: a small pipeline to begin with."""

from pathlib import Path

import click

from headrace.core.errors import ConfigError
from headrace.run.starter import write_starter

__all__ = ["command"]


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write a pipeline, made-up data and headrace.toml into FOLDER, ready to run."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("init", wanted="a folder that is empty or not there", got=str(folder))
    for path in write_starter(folder):
        click.echo(f"wrote {path}")
    click.echo(f"\nnext: headrace run {folder / 'pipeline.py'}")
