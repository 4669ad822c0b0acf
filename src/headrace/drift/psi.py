"""The population stability index: how far the values of a column have moved from a reference."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, final

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.records import I8
from headrace.core.time import DAY_US, Duration, duration_us

__all__ = ["GROUPS", "PSI", "psi", "psi_threshold"]

GROUPS: Final = 10
"""Tenths of the reference."""
_HALF: Final = 0.5


@final
@dataclass(frozen=True, slots=True)
class PSI:
    """Watch each feature, or the score, for a change of distribution.

    Compared are the values of the last `over` with those of the first `reference`, in tenths of the reference. An
    alarm sounds where the index passes `threshold` and, so that few rows raise none by chance, also the index that
    no change at all would pass with probability `false_alarm` (the bound of `psi_threshold`).

    Source: the index is the symmetrised Kullback-Leibler divergence (Jeffreys, 1946), as used in credit scoring;
    its distribution under no change: Yurdakul and Naranjo, Journal of Risk Model Validation 14, 2020.

    >>> PSI("score").threshold
    0.2

    Raises ConfigError for settings that cannot be.
    """

    of: Literal["features", "score"] = "features"
    threshold: float = 0.2
    reference: Duration = "28d"
    over: Duration = "7d"
    false_alarm: float = 1e-4

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.of not in {"features", "score"}:
            raise ConfigError("PSI of", wanted="'features' or 'score'", got=self.of)
        if not self.threshold > 0:
            raise ConfigError("PSI threshold", wanted="more than 0", got=self.threshold)
        if not 0 < self.false_alarm < _HALF:
            raise ConfigError("PSI false_alarm", wanted="a probability between 0 and 0.5", got=self.false_alarm)
        for name in ("reference", "over"):
            if duration_us(f"PSI {name}", getattr(self, name)) < DAY_US:
                raise ConfigError(f"PSI {name}", wanted="1d or more", got=getattr(self, name))


def psi(was: I8, now: I8) -> float:
    """Return the index of two groupings. was, now: i8[g], how many values lie in each group.

    Half a row is added to each group, so that an empty one is no infinity.

    >>> psi(np.array([10, 20]), np.array([10, 20]))
    0.0
    """
    before = (was + _HALF) / (was.sum() + _HALF * len(was))
    after = (now + _HALF) / (now.sum() + _HALF * len(now))
    return float(np.sum((after - before) * np.log(after / before)))


def psi_threshold(groups: int, reference_rows: int, current_rows: int, false_alarm: float) -> float:
    """Return what the index of two samples of one distribution passes with probability `false_alarm`.

    It is about chi-square with groups - 1 degrees of freedom, times (1 / n + 1 / m). The quantile is that of Wilson
    and Hilferty (1931): at 1e-4 it lies above the true one, by 1 % for ten groups and 7 % for two.
    """
    if groups < 2 or not reference_rows or not current_rows:
        return float("inf")
    freedom = groups - 1
    normal = NormalDist().inv_cdf(1 - false_alarm)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + normal * spread**0.5) ** 3
    return float(quantile * (1 / reference_rows + 1 / current_rows))
