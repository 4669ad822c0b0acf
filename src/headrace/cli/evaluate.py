"""headrace evaluate: how good the answers were."""

from pathlib import Path

import click

from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.time import instant_text
from headrace.run.evaluation import answered
from headrace.run.project import Project

__all__ = ["command"]

_SHOWN = ("rows", "positive", "log_loss", "running_mean_log_loss", "auc", "accuracy", "no_change_accuracy")


@click.command("evaluate")
@project_options
@click.option("--over", default="4w", show_default=True, help="The length of the windows, such as 1d or 4w.")
def command(*, file: Path, config: Path | None, name: str | None, json_: bool, over: str) -> None:
    """Show each score as it was served against the label that came back, by window, beside the baselines."""
    deployment = Project.load(file, config, name=name).deployment()
    found = answered(deployment.topic("predictions"), deployment.topic("examples"))
    deployment.log.close()
    windows = found.by_window(over)
    whole = found.metrics()
    if json_:
        as_json({"whole": whole, "coverage": found.coverage, "windows": windows})
        return
    click.echo(
        f"log loss {whole.get('log_loss', float('nan')):.4f} over {whole['rows']:,} answers with a label "
        f"({found.coverage:.1%} of {found.requests:,}); running mean {whole.get('running_mean_log_loss', 0):.4f}\n"
    )
    rows = [[instant_text(entry["start_us"])[:10], *(entry.get(column) for column in _SHOWN)] for entry in windows]
    table(("from", *_SHOWN), [*rows, ["all", *(whole.get(column) for column in _SHOWN)]])
