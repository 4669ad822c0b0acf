"""What leaves the machine goes through a sink, which knows by itself how far the outside world has taken it."""

from abc import ABC, abstractmethod

import pyarrow as pa

from headrace.core.position import Position

__all__ = ["Sink"]


class Sink(ABC):
    """Rows in, in rising order of position. Whoever writes has made sure that these positions are on disk."""

    @abstractmethod
    def reached(self) -> Position | None:
        """Return up to where the outside world has taken rows, or None if it has taken none."""

    @abstractmethod
    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        """Hand over the rows of the positions `(after, through]`; none of them may stand at or below `reached()`.

        Raises SurroundingsError if the outside world does not take them, StateError if somebody else has handed
        over a part of them meanwhile: start again from `reached()`.
        """
