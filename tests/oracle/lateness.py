"""Lateness by definition: each record looks back over those of its producer that came before it."""

from collections.abc import Sequence

Record = tuple[str, int]
"""Who sent it, and its event time; in order of arrival."""


def kept(records: Sequence[Record], disorder: int) -> int:
    """Return how many records are not late under a disorder."""
    count = 0
    for number, (sender, time) in enumerate(records):
        before = [earlier for name, earlier in records[:number] if name == sender]
        count += not before or time >= max(before) - disorder
    return count
