"""Where a row stands: two int64 of which only the order matters, never the density.

`offset` is the log's (or, for a merged history, the arrival time). `sub` is `row << 24 | k`: the row inside of
that offset, and the number of the output that this row caused.
"""

from typing import Final, NamedTuple, final

__all__ = ["ALL", "K_BITS", "START", "Position", "place_text", "sub_of"]

K_BITS: Final = 24
ALL: Final = 2**63 - 1
"""The `sub` that stands for "all of this offset"."""
_LAST_K: Final = (1 << K_BITS) - 1


@final
class Position(NamedTuple):
    """A place in a topic partition or in a source; tuples compare as positions do.

    >>> Position(4, sub_of(2, 1)) < Position(4, ALL) < Position(5, 0)
    True
    """

    offset: int
    sub: int

    def through_row(self) -> "Position":
        """Return the position that covers everything this row can cause.

        >>> Position(4, sub_of(2, 1)).through_row() > Position(4, sub_of(2, 9))
        True
        """
        return Position(self.offset, self.sub | _LAST_K)


START: Final = Position(-(2**63), -1)
"""Before every position."""


def sub_of(row: int, k: int = 0) -> int:
    """Return the `sub` of output `k` of row `row`.

    >>> sub_of(3, 2) >> K_BITS
    3
    """
    return row << K_BITS | k


def place_text(position: Position) -> str:
    """Return where a row stands, as the command line shows it.

    >>> place_text(Position(12, sub_of(3)))
    '12/3'
    """
    return f"{position.offset}/{position.sub >> K_BITS}"
