"""Mistakes that the simulation must find: each is planted in the real code, one decision of it, and taken out again."""

from headrace.testing.simulation.mutants.pipelines import PIPELINES
from headrace.testing.simulation.mutants.plant import Mutant
from headrace.testing.simulation.mutants.protocol import PROTOCOL
from headrace.testing.simulation.mutants.stages import STAGES

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = (*PROTOCOL, *STAGES, *PIPELINES)
