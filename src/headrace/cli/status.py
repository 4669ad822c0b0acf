"""headrace status: where everything stands."""

from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.time import instant_text
from headrace.run.project import Project
from headrace.run.status import status

__all__ = ["command"]


@click.command("status")
@project_options
def command(*, file: Path, config: Path | None, name: str | None, json_: bool) -> None:
    """Show each topic and its readers, the ledger of each source, the champion, and the newest alarms."""
    deployment = Project.load(file, config, name=name).deployment()
    found = status(deployment)
    deployment.log.close()
    if json_:
        as_json(found)
        return
    click.echo(
        f"{found['pipeline']}: champion {found['champion'] or 'none'}, {found['versions']:,} versions, "
        f"{found['alarms']:,} alarms, ledger {'balances' if found['ledger_balances'] else 'DOES NOT BALANCE'}\n"
    )
    if found["skips"]:
        click.echo(f"{found['skips']:,} rows left out by command: headrace topics FILE control\n")
    if found["verified"]:
        checked = found["verified"]
        click.echo(
            f"verify: {checked['differ']:,} of {checked['values']:,} sampled values differ, in {checked['vectors']:,} "
            f"vectors ({checked['beyond']:,} values could not be recomputed)\n"
        )
    table(list(found["topics"][0]), [list(row.values()) for row in found["topics"]])
    click.echo()
    table(list(found["generations"][0]), [list(row.values()) for row in found["generations"]])
    click.echo()
    sources = [{"source": name, **dict(counts.items())} for name, counts in found["ledger"].items()]
    table(list(sources[0]), [list(row.values()) for row in sources])
    if found["verified"] and found["verified"]["first"]:
        click.echo()
        first = found["verified"]["first"]
        table(list(first[0]), [list(one.values()) for one in first])
    if found["newest_alarms"]:
        click.echo()
        table(("when", "alarm"), [(instant_text(alarm["time"]), alarm["text"]) for alarm in found["newest_alarms"]])
