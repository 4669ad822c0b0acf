"""Verdicts by definition: each record looks back over all records of its source that arrived before it."""

from collections.abc import Sequence

OK, LATE, FUTURE, DUPLICATE, REJECTED = range(5)
Record = tuple[int, int, str | None]
"""Event time, arrival, id."""


def verdicts(
    records: Sequence[Record],
    *,
    disorder: int,
    skew: int,
    horizon: int,
    senders: Sequence[str] | None = None,
    most: int = 1,
) -> list[int]:
    """Return the verdict of each record of one source, given in order of arrival; `senders` sent them, else one did."""
    sent = ["" for _ in records] if senders is None else senders
    given: list[int] = []
    for number, (time, arrival, name) in enumerate(records):
        known = list(dict.fromkeys(sent[i] for i in range(number) if given[i] not in (FUTURE, REJECTED)))
        taken = [i for i in range(number) if given[i] in (OK, LATE)]
        same = [i for i in taken if name is not None and records[i][2] == name]
        last = max(same, key=lambda i: (records[i][0], -i), default=None)
        if time > arrival + skew:
            given.append(FUTURE)
        elif sent[number] not in known and len(known) >= most:
            given.append(REJECTED)
        elif last is not None and remembered(records, sent, taken, last, disorder + horizon, time, horizon):
            given.append(DUPLICATE)
        elif any(time < records[i][0] - disorder for i in taken if sent[i] == sent[number]):
            given.append(LATE)
        else:
            given.append(OK)
    return given


def remembered(
    records: Sequence[Record], sent: Sequence[str], taken: Sequence[int], last: int, reach: int, time: int, horizon: int
) -> bool:
    """Return whether a record's id, which was last seen with another one, is still known to whoever sent that."""
    newest = max(records[i][0] for i in taken if sent[i] == sent[last])
    return records[last][0] >= newest - reach and abs(time - records[last][0]) <= horizon
