"""Many seeds: most run the relay, which is quick, every twentieth the whole pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, final

from headrace.testing.simulation.faults import ALL_FAULTS, Faults
from headrace.testing.simulation.pipelines import Pipelines
from headrace.testing.simulation.relay import Relay
from headrace.testing.simulation.scheduler import Outcome, simulate, steps_of
from headrace.testing.simulation.shortening import shortened
from headrace.testing.simulation.world import World

__all__ = ["Tally", "explain", "run_seed", "run_seeds", "world_of"]

_WHOLE_EVERY: Final = 20


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """What some seeds gave: how many ran, how often a process died, and the seeds that were wrong or refused."""

    seeds: int
    crashes: int
    bad: tuple[int, ...]
    refused: tuple[int, ...]


def world_of(seed: int) -> World:
    """Return the fresh world of a seed."""
    kind = Pipelines if seed % _WHOLE_EVERY == 0 else Relay
    return kind(Random(seed))


def run_seed(seed: int, faults: Faults = ALL_FAULTS, steps: Sequence[int] | None = None) -> Outcome:
    """Run one seed.

    >>> run_seed(3).bad
    False
    """
    return simulate(world_of(seed), seed, faults=faults, steps=steps)


def run_seeds(first: int, count: int, faults: Faults = ALL_FAULTS) -> Tally:
    """Run the seeds first .. first + count - 1."""
    outcomes = [run_seed(seed, faults) for seed in range(first, first + count)]
    return Tally(
        count,
        sum(outcome.crashes for outcome in outcomes),
        tuple(outcome.seed for outcome in outcomes if outcome.bad),
        tuple(outcome.seed for outcome in outcomes if outcome.refused is not None),
    )


def explain(seed: int, faults: Faults = ALL_FAULTS) -> str:
    """Return what is wrong with a seed, and the shortest run found that is wrong in some way."""

    def fails(steps: Sequence[int]) -> bool:
        outcome = run_seed(seed, faults, steps)
        return outcome.bad or outcome.refused is not None

    steps = steps_of(seed)
    if not fails(steps):
        return f"seed {seed}: nothing is wrong"
    outcome = run_seed(seed, faults, shortened(steps, fails))
    wrong = [outcome.refused] if outcome.refused is not None else list(outcome.violations)
    return "\n".join(
        [f"seed {seed}:", *(f"  wrong: {text}" for text in wrong), *(f"  {line}" for line in outcome.trace)]
    )
