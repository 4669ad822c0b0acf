"""Verdicts by definition: each record looks back over all records of its source that arrived before it."""

from collections.abc import Sequence

OK, LATE, FUTURE, DUPLICATE = range(4)
Record = tuple[int, int, str | None]
"""Event time, arrival, id."""


def verdicts(records: Sequence[Record], *, disorder: int, skew: int, horizon: int) -> list[int]:
    """Return the verdict of each record of one source, given in order of arrival."""
    given: list[int] = []
    for number, (time, arrival, name) in enumerate(records):
        taken = [records[i] for i in range(number) if given[i] in (OK, LATE)]
        watermark = max((earlier[0] for earlier in taken), default=None)
        watermark = None if watermark is None else watermark - disorder
        same = [earlier[0] for earlier in taken if name is not None and earlier[2] == name]
        if time > arrival + skew:
            given.append(FUTURE)
        elif same and watermark is not None and max(same) >= watermark - horizon and abs(time - max(same)) <= horizon:
            given.append(DUPLICATE)
        elif watermark is not None and time < watermark:
            given.append(LATE)
        else:
            given.append(OK)
    return given
