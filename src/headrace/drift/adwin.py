"""ADWIN on a stream of errors: an alarm when their mean has risen."""

from dataclasses import dataclass
from math import log
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.errors import ConfigError
from headrace.kernels import adwin as kernel

__all__ = ["ADWIN", "AdaptiveWindow"]


@final
@dataclass(frozen=True, slots=True)
class ADWIN:
    """Watch the error of the served scores: the window over it shrinks when its mean changes.

    `delta` bounds the probability of a false change at any one time.
    Source: Bifet and Gavalda, SDM 2007.

    >>> window = ADWIN("error").start()
    >>> [window.add(100, 0.1, 9.0) > 0 for _ in range(20)].count(True)
    0
    >>> any(window.add(100, 0.4, 24.0) > 0 for _ in range(20))
    True

    Raises ConfigError unless 0 < delta < 1.
    """

    of: Literal["error"] = "error"
    delta: float = 0.002

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.of != "error":
            raise ConfigError("ADWIN of", wanted="'error'", got=self.of)
        if not 0 < self.delta < 1:
            raise ConfigError("ADWIN delta", wanted="a probability between 0 and 1", got=self.delta)

    def start(self) -> "AdaptiveWindow":
        """Return an empty window."""
        return AdaptiveWindow(self.delta)


@final
class AdaptiveWindow:
    """The window and its buckets."""

    def __init__(self, delta: float) -> None:
        self._log_delta = log(2 / delta)
        self._buckets = np.zeros((kernel.LEVELS, kernel.PER_LEVEL + 1, 3))
        self._sizes = np.zeros(kernel.LEVELS, np.int64)
        self._scratch = np.zeros((2, 3))

    @property
    def rows(self) -> int:
        """Return how many values the window spans."""
        return int(self._whole()[kernel.COUNT])

    @property
    def mean(self) -> float:
        """Return the mean of the window; 0 for an empty one."""
        return float(self._whole()[kernel.MEAN])

    def add(self, count: float, mean: float, m2: float) -> float:
        """Take in `count` values given by mean and summed squared deviation; return by how much the mean changed.

        0 means no change; a positive number is a rise.
        """
        kernel.insert(self._buckets, self._sizes, float(count), float(mean), float(m2))
        return float(kernel.shrink(self._buckets, self._sizes, self._log_delta, *self._scratch))

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the buckets."""
        return {"buckets": self._buckets.copy(), "sizes": self._sizes.copy()}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood."""
        self._buckets, self._sizes = arrays["buckets"].copy(), arrays["sizes"].copy()

    def _whole(self) -> NDArray[np.float64]:
        kernel.total(self._buckets, self._sizes, self._scratch[0])
        whole: NDArray[np.float64] = self._scratch[0]
        return whole
