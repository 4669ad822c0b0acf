"""What a stage is to the task that runs it: batch in, outputs out; no broker, no clock, no thread in sight."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from headrace.core.records import Batch
from headrace.store.snapshots import Arrays, Meta

__all__ = ["Outputs", "Stage"]


@final
@dataclass(frozen=True, slots=True)
class Outputs:
    """What the first `consumed` rows of a batch gave: rows for each topic, named by (position of the row, k)."""

    consumed: int
    batches: Mapping[str, Batch] = field(default_factory=dict)


class Stage(ABC):
    """A deterministic function of one input partition, with a state that can always be written down.

    A stage imports no other stage; its rows rise by position in each output.
    """

    ended: bool = False
    """True once the input's end has been processed: a finite history is over."""
    repeatable: bool = True
    """False if another attempt may give other rows: then `process` stops behind each row that gives any, and goes on
    only after `adopt` has seen what the log took (a learner on a GPU)."""

    @abstractmethod
    def process(self, batch: Batch) -> Outputs:
        """Take rows from the start of `batch`, whose positions are their own places in the input topic.

        A stage that must wait consumes fewer rows, or none; it is offered the rest again.
        """

    def adopt(self, taken: Batch) -> None:  # noqa: B027 - who repeats himself has nothing to adopt
        """Stand where the rows stand that the log took for what was processed last, whoever wrote them."""

    @abstractmethod
    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the state, without aliasing it."""

    @abstractmethod
    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
