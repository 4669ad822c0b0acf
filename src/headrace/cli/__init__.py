"""The command line: one verb a file, loaded when it is asked for, so that `--help` answers at once.

Exit codes: 0 good, 1 the answer is no, 2 the user's mistake, 3 the surroundings.
"""

import sys
from importlib import import_module
from keyword import iskeyword
from typing import Final, final

import click

from headrace.core.errors import HeadraceError, SurroundingsError, nearest

__all__ = ["main"]

VERBS: Final = {
    "init": "Write a small pipeline, its data and headrace.toml into an empty folder.",
    "check": "Check a pipeline without running it; show features, defaults and sources.",
    "run": "Run a pipeline: a history to its end, or at a given rate.",
    "import": "Sort and check files of any order into an archive, in the order of the log.",
    "backfill": "Write a training set from an archive: vectors, reasons, labels.",
    "verify": "Recompute every logged vector and prediction from the log.",
    "explain": "Show what one prediction was made of.",
    "evaluate": "Show how good the answers were, beside the baselines.",
    "features": "List the features of a vector, get their values by key, or tell how late records come.",
    "versions": "List, promote or roll back versions of the model.",
    "forget": "Drop what the features know of one key.",
    "topics": "List topics, or show the last rows of one.",
    "status": "Show each topic, the ledger, the champion and the newest alarms.",
}


@final
class _Verbs(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            ctx.fail(f"no verb {cmd_name!r}{nearest(cmd_name, VERBS)}")
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"headrace.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs)
@click.version_option(package_name="headrace")
def headrace() -> None:
    """Events in, point-in-time features, predictions out; labels back, models learnt, drift watched."""


def main() -> None:
    """Run the command line, with our errors as one sentence and the exit code that says who must act."""
    try:
        headrace(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except HeadraceError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(3 if isinstance(error, SurroundingsError) else 2)
