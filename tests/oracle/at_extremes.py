"""The value of one column at the extreme of another, by definition. Imports nothing of ours."""

import math
from collections.abc import Sequence


def at_extreme(values: Sequence[float], others: Sequence[float], *, greatest: bool) -> float:
    """Return the value of the newest record whose other value is the extreme; NaN of none. Oldest first."""
    found = math.nan
    extreme = math.nan
    for value, other in zip(values, others, strict=True):
        if math.isnan(extreme) or (other >= extreme if greatest else other <= extreme):
            found, extreme = value, other
    return found
