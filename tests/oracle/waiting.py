"""A vector that waits, by definition: the row that lets each request go, and what it sees from there."""

from collections.abc import Sequence

Record = tuple[int, str, float]
"""Event time, key, value; in the order of the log."""


def released(records: Sequence[Record], wait: int) -> list[int]:
    """Return the row at which each record's request is computed."""
    rows = []
    for number, (time, _, _) in enumerate(records):
        come = (row for row in range(number, len(records)) if max(r[0] for r in records[: row + 1]) - wait >= time)
        rows.append(next(come, len(records) - 1))
    return rows


def seen(records: Sequence[Record], number: int, row: int, size: int) -> list[float]:
    """Return the values that the request of one record sees from a row, in a window, in the order of time."""
    time, key, _ = records[number]
    above = [(r[0], place, r[2]) for place, r in enumerate(records[: row + 1]) if r[1] == key]
    return [value for at, _, value in sorted(above) if time - size <= at < time]


def complete(records: Sequence[Record], number: int, size: int) -> list[float]:
    """Return the values that it would see if every record had come in time."""
    return seen(records, number, len(records) - 1, size)
