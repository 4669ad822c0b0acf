"""How large a history may grow: from the arrays of its kernels and the bounds that were declared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.time import ENDED_US
from headrace.features.aggregates import AggregateRead
from headrace.features.bounds import KEY_BYTES, Bounds
from headrace.features.columns.contract import Plan
from headrace.features.columns.kinds import states_of
from headrace.features.windows import LastN

__all__ = ["StateSize", "bounded", "row_bytes", "state_size"]

_SLAB: Final = 1 << 12
_LEAST_PLACES: Final = 4
_DEPTH: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StateSize:
    """How much a history keeps at most.

    keys: at most. rows: of a key, at most; None where only time bounds them, or nothing. kept_us: for how long rows are
    kept, `ENDED_US` for ever. key_bytes: what a key costs beside its rows. row_bytes: what the place of a row costs.
    """

    keys: int
    rows: int | None
    kept_us: int
    key_bytes: int
    row_bytes: float

    @property
    def grows(self) -> bool:
        """Return whether nothing bounds the rows of a key, so that they grow with the log for ever."""
        return self.rows is None and self.kept_us >= ENDED_US

    @property
    def most_bytes(self) -> int | None:
        """Return the bytes at most; None where the rate of the records decides."""
        if self.rows is None:
            return None
        return self.keys * (self.key_bytes + int(_places(self.rows) * self.row_bytes))


def row_bytes(plan: Plan) -> float:
    """Return the bytes of one place of a row in all arrays of a history, found by growing them."""
    gaps = {window.gap_us for window in plan.windows if window.kind == "session"}
    total = 8.0 * (1 + len(gaps))
    for column in range(plan.columns):
        for state in states_of(plan, column):
            state.grow(_SLAB)
            small = _array_bytes(state, _DEPTH)
            state.grow(2 * _SLAB)
            total += (_array_bytes(state, _DEPTH) - small) / _SLAB
    return total


def bounded(bounds: Bounds, place_bytes: float, where: str) -> Bounds:
    """Return the bounds with a budget of bytes turned into rows of a key, or keys where those are bounded already.

    So what is dropped depends on counts alone, never on how much memory there is.

    Raises ConfigError if the budget holds not one key, or not one row of each.
    """
    if not bounds.max_bytes:
        return bounds
    if bounds.max_events_per_key:
        each = KEY_BYTES + int(_places(bounds.max_events_per_key) * place_bytes)
        keys = min(bounds.max_keys, bounds.max_bytes // each)
        if keys < 1:
            wanted = f"at least {each}, for one key of {bounds.max_events_per_key} rows"
            raise ConfigError(f"{where} max_bytes", wanted=wanted, got=bounds.max_bytes)
        return replace(bounds, max_keys=keys)
    places = _LEAST_PLACES
    room = bounds.max_bytes // bounds.max_keys - KEY_BYTES
    if places * place_bytes > room:
        wanted = f"at least {int(bounds.max_keys * (KEY_BYTES + places * place_bytes))} for {bounds.max_keys} keys"
        raise ConfigError(f"{where} max_bytes", wanted=f"{wanted} (or fewer max_keys)", got=bounds.max_bytes)
    while 2 * places * place_bytes <= room:
        places *= 2
    return replace(bounds, max_events_per_key=3 * places // 4 - 2)


def state_size(plan: Plan, bounds: Bounds, reads: Sequence[AggregateRead], kept_us: int) -> StateSize:
    """Return how much a history keeps; `bounds` are those of `bounded`."""
    rows = bounds.max_events_per_key or None
    if rows is None and kept_us >= ENDED_US and all(isinstance(read.window, LastN) for read in reads):
        rows = plan.keep
    return StateSize(keys=bounds.max_keys, rows=rows, kept_us=kept_us, key_bytes=KEY_BYTES, row_bytes=row_bytes(plan))


def _places(rows: int) -> int:
    """Return how many places the block of a key with that many rows has."""
    places = _LEAST_PLACES
    while places < (rows + 2) * 4 // 3:
        places *= 2
    return places


def _array_bytes(thing: object, depth: int) -> int:
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if depth == 0:
        return 0
    if isinstance(thing, dict):
        return sum(_array_bytes(value, depth - 1) for value in thing.values())
    if isinstance(thing, list | tuple):
        return sum(_array_bytes(value, depth - 1) for value in thing)
    return sum(_array_bytes(value, depth - 1) for value in getattr(thing, "__dict__", {}).values())
