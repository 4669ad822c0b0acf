"""skip position: leave one row of a task's input out, by a command that stands in [control] for ever.

For a record that kills the process that works on it. The decision is read when a task starts, so every later
attempt leaves the row out, and so do `verify` and `explain`.
"""

from dataclasses import replace

from headrace.core.errors import ConfigError, nearest
from headrace.run.clock import Clock
from headrace.run.deployment import INPUTS, Deployment
from headrace.run.door import send
from headrace.store.control import Skip
from headrace.topics.schemas import INBOX

__all__ = ["read_position", "skip"]


def read_position(text: str) -> tuple[int, int]:
    """Return the offset and the row of a position as `headrace topics` shows it.

    >>> read_position("12/3")
    (12, 3)

    Raises ConfigError if it is none.
    """
    offset, slash, row = text.partition("/")
    if not (slash and offset.isdecimal() and row.isdecimal()):
        raise ConfigError("topics skip", wanted="OFFSET/ROW, such as 12/3 (headrace topics FILE events)", got=text)
    return int(offset), int(row)


def skip(deployment: Deployment, task: str, position: str, *, why: str, clock: Clock) -> Skip:
    """Leave out the row at `position` ("OFFSET/ROW") of what `task` reads; return what became of the command.

    Stop the worker that runs the task first: it reads what to leave out when it starts. A command that is a second
    copy, or that comes when the task has passed the row, does nothing, and `Skip.refused` says why.

    Raises ConfigError if there is no such task, or no such row in its input.
    """
    if task not in INPUTS:
        wanted = f"a task that reads a topic: {', '.join(INPUTS)}"
        raise ConfigError("topics skip", wanted=wanted, got=task + nearest(task, INPUTS))
    offset, row = read_position(position)
    _check_there(deployment, task, offset, row)
    told = deployment.recorded(task)
    columns = {"task": told, "offset": offset, "row": row, "why": why}
    text = f"skip {task} {offset}/{row}"
    send(deployment, "inbox", INBOX, stream="skip", columns=columns, text=text, clock=clock)
    control = deployment.control()
    control.follow()
    found = next(one for one in reversed(control.skips) if (one.task, one.offset, one.row) == (told, offset, row))
    return replace(found, task=task)


def _check_there(deployment: Deployment, task: str, offset: int, row: int) -> None:
    topic = deployment.topic(INPUTS[task])
    found = topic.read(0, offset, 1)
    rows = len(found[0][1].batch) if found and found[0][0] == offset else 0
    if row >= rows:
        wanted = f"a row of [{INPUTS[task]}] (offsets {topic.begin(0)} to {topic.end(0) - 1}"
        raise ConfigError("topics skip", wanted=f"{wanted}; offset {offset} has {rows} rows)", got=f"{offset}/{row}")
