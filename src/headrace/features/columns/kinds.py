"""Which kernel answers which aggregate."""

from typing import Final

from headrace.core.errors import ConfigError
from headrace.features.columns.at_extremes import AtExtremes
from headrace.features.columns.categories import Categories
from headrace.features.columns.contract import ColumnState, Plan, Read
from headrace.features.columns.decay import Decaying
from headrace.features.columns.folds import Folds
from headrace.features.columns.numbers import Numbers
from headrace.features.columns.power_sums import PowerSums
from headrace.features.columns.quantiles import Quantiles
from headrace.features.columns.tiles import Tiles

__all__ = ["KINDS", "states_of"]

KINDS: Final[tuple[type[ColumnState], ...]] = (
    Tiles,
    Numbers,
    Folds,
    Decaying,
    AtExtremes,
    PowerSums,
    Quantiles,
    Categories,
)
"""Each read is answered by the first that says so."""


def states_of(plan: Plan, column: int) -> tuple[ColumnState, ...]:
    """Return what is kept of one column, one kernel each; one of them at least keeps its values.

    Raises ConfigError for an aggregate that no kernel answers over its window.
    """
    reads: dict[type[ColumnState], list[int]] = {}
    for number, read in enumerate(plan.reads):
        if read.column == column:
            reads.setdefault(_kind_of(plan, read), []).append(number)
    states = [kind(plan, column, mine) for kind, mine in reads.items()]
    if not any(state.keeps_values for state in states):
        states.append(Numbers(plan, column, []))
    return tuple(states)


def _kind_of(plan: Plan, read: Read) -> type[ColumnState]:
    for kind in KINDS:
        if kind.answers(plan, read):
            return kind
    window = plan.windows[read.window]
    got = f"{read.operation} over a {'decay' if window.half_life_us else window.kind} window"
    raise ConfigError("aggregate", wanted="one that is defined over its window", got=got)
