"""headrace versions: list them, promote one, roll back; let another generation act."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError
from headrace.core.time import instant_text
from headrace.run.clock import SystemClock
from headrace.run.commands import move_champion
from headrace.run.deployment import Deployment
from headrace.run.orders import activate
from headrace.run.project import Project

__all__ = ["command"]

_SHOWN = 20


@click.command("versions")
@project_options
@click.argument("move", required=False, type=click.Choice(["promote", "rollback", "activate"]))
@click.argument("to", required=False)
def command(
    *, file: Path, config: Path | None, name: str | None, json_: bool, move: str | None, to: str | None
) -> None:
    """List the versions of the pipeline in FILE, `promote` one by name or number, or `rollback` to the one before.

    `activate` lets the generation of FILE act from here on, instead of the one that does.
    """
    deployment = Project.load(file, config, name=name).deployment()
    if move == "activate":
        _activate(deployment, json_=json_)
    if move is not None:
        if move == "promote" and to is None:
            raise ConfigError("versions promote", wanted="the name or number of a version", got="none")
        done = move_champion(deployment, "promote" if move == "promote" else "rollback", to=to, clock=SystemClock())
        deployment.log.close()
        if json_:
            as_json(done)
        else:
            word = "is" if done["moved"] else "stays"
            click.echo(
                f"champion {word} {done['champion']} (was {done['was']}); {'held' if done['held'] else 'following'}"
            )
        sys.exit(0 if done["moved"] else 1)
    control = deployment.control()
    control.follow()
    deployment.log.close()
    champion, previous = control.champion, control.previous
    rows = [
        {
            "version": version.name,
            "is": "champion" if version is champion else "previous" if version is previous else "",
            "in_force": instant_text(version.in_force),
            "examples": version.examples,
            "log_loss": version.metrics.get("prequential_log_loss"),
            "bytes": len(version.bundle) or "a blob",
        }
        for version in control.versions
    ]
    if json_:
        as_json({"versions": rows, "held": control.held, "champion": champion.name if champion else None})
        return
    held = ", held" if control.held else ""
    click.echo(f"{control.count('versions'):,} versions; champion {champion.name if champion else 'none'}{held}")
    if rows:
        click.echo()
        table(list(rows[0]), [list(row.values()) for row in rows[-_SHOWN:]])


def _activate(deployment: Deployment, *, json_: bool) -> NoReturn:
    try:
        done = activate(deployment, clock=SystemClock())
    finally:
        deployment.log.close()
    if json_:
        as_json(done)
    else:
        word = "acts" if done["moved"] else "stays"
        click.echo(f"generation {done['acting']} {word} (was {done['was']})")
    sys.exit(0 if done["moved"] else 1)
