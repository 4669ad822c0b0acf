"""Which row kills a task: a rehearsal in a process of its own, row by row, that writes nothing.

The process may die of the row in whatever way (an exception, a segmentation fault, kill -9); the last row that it
named is the one.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from headrace.core.errors import ConfigError, nearest
from headrace.run.deployment import INPUTS, Deployment
from headrace.run.task import StageTask

__all__ = ["Poison", "find_poison", "rehearse"]

_REHEARSED: Final = tuple(task for task in INPUTS if task != "act")
"""`act` is not rehearsed: what it does leaves the machine."""
_COMMAND_LINE: Final = "from headrace.cli import main; main()"


@final
@dataclass(frozen=True, slots=True)
class Poison:
    """How many rows a task worked on in a rehearsal; the place ("OFFSET/ROW") of the one of which it died, or ""."""

    rows: int
    place: str
    died_of: str


def rehearse(deployment: Deployment, task: str, say: Callable[[str], None]) -> None:
    """Work on what waits for a task from its newest snapshot on, row by row; write nothing.

    Raises ConfigError if there is no such task, or it must not be rehearsed.
    """
    if task not in _REHEARSED:
        wanted = f"one of {', '.join(_REHEARSED)}"
        raise ConfigError("topics poison", wanted=wanted, got=task + nearest(task, _REHEARSED))
    for place in deployment.place((task.partition(".")[0].removeprefix("events_"),)):
        if place.task.name == task and isinstance(place.task, StageTask):
            place.task.start()
            place.task.rehearse(say)


def find_poison(command: Sequence[str]) -> Poison:
    """Run a command that rehearses, and return of which row it died, if it did.

    `command` are the arguments of the command line that names each row on a line of its own.
    """
    done = subprocess.run(  # noqa: S603 - the command is our own
        [sys.executable, "-c", _COMMAND_LINE, *command], capture_output=True, text=True, check=False
    )
    named = done.stdout.split()
    if done.returncode == 0:
        return Poison(len(named), "", "")
    last = done.stderr.strip().splitlines()[-1:] or [f"signal {-done.returncode}"]
    return Poison(max(0, len(named) - 1), named[-1] if named else "", last[0])
