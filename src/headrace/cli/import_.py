"""headrace import: files of any order into an archive in the order of the log."""

from datetime import datetime
from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError
from headrace.core.time import instant_us
from headrace.edge.archive_import import import_archive
from headrace.edge.ledger import OUTCOMES
from headrace.run.deployment import event_streams
from headrace.run.project import Project
from headrace.run.running import source_files

__all__ = ["command"]


@click.command("import")
@project_options
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The folder of the archive.")
@click.option("--until", help="Take only what arrived before this instant, such as 2026-01-31T00:00:00Z.")
@click.option("--memory-mb", default=512, show_default=True, help="What a sort may take; the rest lies on disk.")
def command(
    *, file: Path, config: Path | None, name: str | None, json_: bool, into: Path, until: str | None, memory_mb: int
) -> None:
    """Check, sort and judge the records of the sources in FILE, as a run would, and keep all of them in an archive."""
    project = Project.load(file, config, name=name)
    found = import_archive(
        source_files(project),
        event_streams(project.pipeline),
        into,
        memory_mb=memory_mb,
        before_us=None if until is None else _instant_us(until),
    )
    if json_:
        as_json({"rows": found.rows, "ledger": found.ledger, "archive": str(into)})
        return
    click.echo(f"{found.rows:,} rows in {into}\n")
    rows = [
        [source, counts["received"], *(counts[name] for name in OUTCOMES)] for source, counts in found.ledger.items()
    ]
    table(["source", "received", *OUTCOMES], rows)


def _instant_us(text: str) -> int:
    try:
        return instant_us(datetime.fromisoformat(text))
    except ValueError as error:
        raise ConfigError("--until", wanted="an instant such as 2026-01-31T00:00:00Z", got=text) from error
