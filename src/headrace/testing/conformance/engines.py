"""What an engine must look like to be judged: a way to begin, and a way to be fed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from headrace.testing.conformance.definitions import Definition, Feature, Late, Truth
from headrace.testing.conformance.events import Answer, Event

__all__ = ["Engine", "Run"]


class Run(ABC):
    """An engine at work on one definition."""

    @abstractmethod
    def feed(self, events: Sequence[Event]) -> list[Answer | None]:
        """Take more events, in the order in which they arrived; return one answer each, None for one not answered.

        Under the truth "complete" it is called once, with everything.
        """

    @abstractmethod
    def crash(self) -> None:
        """Lose everything but what was saved, and begin again from that. All that was fed has been saved."""


class Engine(ABC):
    """An engine as the kit sees it: its name, what it can do, and a way to begin.

    policies and truths: those that it has; the others are not asked of it.

    patience_us: how far behind the watermark, less the disorder, an event may stand whose answer must be whole. One
    further behind may be answered with the reason "truncated", since state is bounded; its values are not compared.
    """

    name: str
    policies: tuple[Late, ...] = ("update", "aside", "drop")
    truths: tuple[Truth, ...] = ("served", "complete")
    patience_us: int = 2**62

    def can(self, feature: Feature) -> bool:
        """Return whether it has such a feature; what it has not is left out, and counted."""
        return True

    @abstractmethod
    def start(self, definition: Definition) -> Run:
        """Return a fresh run."""
