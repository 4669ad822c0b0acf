"""headrace explain: what one prediction was made of."""

from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.run.explanation import explain
from headrace.run.project import Project

__all__ = ["command"]


@click.command("explain")
@project_options
@click.argument("id_", metavar="ID")
def command(*, file: Path, config: Path | None, name: str | None, json_: bool, id_: str) -> None:
    """Show the request ID, each feature with its window and the records in it, the answer and the label."""
    deployment = Project.load(file, config, name=name).deployment()
    found = explain(deployment, id_)
    deployment.log.close()
    if json_:
        as_json(found.as_dict())
        return
    answer, label = found.prediction, found.label
    click.echo(f"{id_}: score {answer['score']:.4f} by {answer['version'] or 'no version'}", nl=False)
    click.echo(f" (fallback: {answer['fallback']})" if answer["fallback"] else "", nl=False)
    click.echo(f"; label {label['value']:g}, known {label['known']}" if label else "; no label yet")
    click.echo()
    table(("request", "value"), found.request.items())
    click.echo()
    table(
        ("feature", "value", "reason", "records", "window"),
        [
            (
                entry["feature"],
                entry["value"],
                entry["reason"],
                entry["windows"][0]["records"] if entry["windows"] else None,
                f"{entry['windows'][0]['since']} .. {entry['windows'][0]['until']}" if entry["windows"] else "",
            )
            for entry in found.features
        ],
    )
    for entry in found.features:
        for window in entry["windows"]:
            if window["newest"]:
                note = f" ({window['note']})" if window["note"] else ""
                click.echo(f"\n{entry['feature']}: the newest of {window['records']} records of {window['of']}{note}")
                titles = list(dict.fromkeys(title for record in window["newest"] for title in record))
                table(titles, [[record.get(title, "") for title in titles] for record in window["newest"]])
            elif window["note"]:
                click.echo(f"\n{entry['feature']}: {window['note']}")
