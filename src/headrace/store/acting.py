"""Which generation acts: said by whoever made [events], and moved by each `activate` that stands in it.

Every reader folds the same commands in the same order, so of all generations exactly one acts for each request.
"""

from collections.abc import Mapping
from typing import Any, Final, final

__all__ = ["ACTIVATE", "Acting"]

ACTIVATE: Final = "activate"


@final
class Acting:
    """The generation that acts, before the first command and after each.

    >>> acting = Acting("a")
    >>> acting.fold({"command": "activate", "goal": "b", "expected": "a"}), acting.generation
    (True, 'b')
    >>> acting.fold({"command": "activate", "goal": "c", "expected": "a"}), acting.generation
    (False, 'b')
    """

    def __init__(self, generation: str) -> None:
        self.generation = generation

    def fold(self, command: Mapping[str, Any]) -> bool:
        """Obey one command; return whether it moved anything. One whose precondition does not hold does nothing."""
        if command["command"] != ACTIVATE or command["expected"] != self.generation:
            return False
        self.generation = command["goal"]
        return True
