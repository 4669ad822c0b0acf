"""A cut: the only place besides the beginning where reading may begin."""

import json
from dataclasses import dataclass, field
from typing import final

from headrace.core.position import Position
from headrace.core.time import UNSPOKEN_US

__all__ = ["Cut"]


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """An offset of one partition, and how far each producer (by its number) was taken there.

    `reached`, `idle` and `low_us` are the watermark (`topics.watermark`): the event time that each has reached, who
    rests, and how far all have come of those that the reader waits for.

    It is a function of the log below that offset, so any reader's cut serves every other reader.
    """

    offset: int = 0
    through: dict[int, Position] = field(default_factory=dict)
    digests: dict[int, int] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    idle: tuple[int, ...] = ()
    low_us: int = UNSPOKEN_US

    def to_json(self) -> str:
        """Return the cut as text.

        >>> cut = Cut(3, {0: Position(2, 5)}, {0: 7}, {0: 12}, (1,), 9)
        >>> Cut.from_json(cut.to_json()) == cut
        True
        """
        pairs = {name: list(getattr(self, name).items()) for name in ("through", "digests", "reached")}
        return json.dumps({"offset": self.offset, **pairs, "idle": self.idle, "low_us": self.low_us})

    @classmethod
    def from_json(cls, text: str) -> "Cut":
        """Return the cut that `to_json` wrote."""
        raw = json.loads(text)
        through = {number: Position(*place) for number, place in raw["through"]}
        return cls(
            raw["offset"], through, dict(raw["digests"]), dict(raw["reached"]), tuple(raw["idle"]), raw["low_us"]
        )
