"""A cut: the only place besides the beginning where reading may begin."""

import json
from dataclasses import dataclass, field
from typing import final

from headrace.core.position import Position

__all__ = ["Cut"]


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """An offset of one partition, and how far each producer (by its number) was taken there.

    It is a function of the log below that offset, so any reader's cut serves every other reader.
    """

    offset: int = 0
    through: dict[int, Position] = field(default_factory=dict)
    digests: dict[int, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the cut as text.

        >>> Cut.from_json(Cut(3, {0: Position(2, 5)}, {0: 7}).to_json())
        Cut(offset=3, through={0: Position(offset=2, sub=5)}, digests={0: 7})
        """
        through, digests = list(self.through.items()), list(self.digests.items())
        return json.dumps({"offset": self.offset, "through": through, "digests": digests})

    @classmethod
    def from_json(cls, text: str) -> "Cut":
        """Return the cut that `to_json` wrote."""
        raw = json.loads(text)
        return cls(raw["offset"], {number: Position(*place) for number, place in raw["through"]}, dict(raw["digests"]))
