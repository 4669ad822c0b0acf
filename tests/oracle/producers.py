"""How far a source has come, by definition: at each record, all earlier ones are looked at again."""

from collections.abc import Sequence

Record = tuple[str, int]
"""Who sent it, and its event time."""


def reached(records: Sequence[Record], *, silent: int, step: int) -> tuple[list[int | None], list[int]]:
    """Return, for each record, what its producer had reached before it, and how far the source has come behind it."""
    progress, spoke = 0, dict[str, int]()
    own: list[int | None] = []
    low: list[int] = []
    for number, (sender, time) in enumerate(records):
        before = [earlier for name, earlier in records[:number] if name == sender]
        own.append(max(before, default=None))
        if before:
            progress = max(progress, spoke[sender] + min(max(time - max(before), 0), step))
        spoke[sender] = progress
        waited_for = [name for name, clock in spoke.items() if progress - clock <= silent]
        so_far = records[: number + 1]
        lowest = min(max(earlier for name, earlier in so_far if name == one) for one in waited_for)
        low.append(max([lowest, *low[-1:]]))
    return own, low
