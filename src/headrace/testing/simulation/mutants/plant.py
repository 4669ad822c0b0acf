"""What a planted mistake is, and how it is put into running code and taken out again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, final

from headrace.testing.simulation.faults import ALL_FAULTS, Faults
from headrace.testing.simulation.relay import Relay
from headrace.testing.simulation.scheduler import Outcome, simulate
from headrace.testing.simulation.world import World

__all__ = ["Mutant", "planted", "replaced"]

_INHERITED: Final = object()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted mistake: its number in the list of `docs/proof.md`, and the world and faults in which it shows.

    `sign` is what must stand among the violations of a run, where the planted code breaks another law by its mere
    being. A run that the real checks refuse has found the mistake too, unless its faults alone must be refused.
    """

    number: int
    name: str
    plant: Callable[[], AbstractContextManager[None]]
    world: Callable[[Random], World] = Relay
    faults: Faults = field(default=ALL_FAULTS)
    sign: str = ""
    refusal_counts: bool = True

    def found(self, outcome: Outcome) -> bool:
        """Return whether a run shows the mistake."""
        if outcome.refused is not None:
            return self.refusal_counts
        return any(self.sign in violation for violation in outcome.violations)

    def run(self, seed: int) -> Outcome:
        """Run one seed with the mistake planted."""
        world = self.world(Random(seed))  # What it compares with is made before the mistake is planted.
        with self.plant():
            return simulate(world, seed, faults=self.faults)


@contextmanager
def replaced(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Put other code in the place of some attributes, for a while."""
    before = [(owner, name, vars(owner).get(name, _INHERITED)) for owner, name, _ in changes]
    try:
        for owner, name, other in changes:
            setattr(owner, name, other)
        yield
    finally:
        for owner, name, real in before:
            if real is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, real)


def planted(*changes: tuple[Any, str, Any]) -> Callable[[], AbstractContextManager[None]]:
    """Return what plants these changes."""
    return lambda: replaced(*changes)
