"""The baseline that answers with the mean of the labels so far."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from headrace.core.records import F8
from headrace.models.contract import Arrays, Block, Columns, Meta, Snapshot

__all__ = ["RunningMean", "RunningMeanLearner"]

_PRIOR: Final = 0.5


@final
@dataclass(frozen=True, slots=True)
class RunningMean:
    """The recipe of the running mean: (sum of labels + 0.5) / (labels + 1).

    >>> learner = RunningMean()(Columns(dense=("x",)), 0)
    >>> block = Block(np.zeros((3, 1)), np.zeros((3, 0), np.int32))
    >>> learner.learn(block, np.array([1.0, 0.0, 1.0]), np.ones(3)).tolist()
    [0.5, 0.75, 0.5]
    """

    accepts: ClassVar = "tokens"

    def __call__(self, columns: Columns, seed: int, /) -> "RunningMeanLearner":
        """Return a fresh learner."""
        del columns, seed
        return RunningMeanLearner()


@final
class RunningMeanLearner:
    """The weighted count and sum of the labels so far."""

    accepts: Final = "tokens"

    def __init__(self) -> None:
        self._seen = np.zeros(2)

    def predict(self, X: Block, /) -> F8:  # noqa: N803 - the field's name for it
        """Return the mean for every row."""
        return np.full(len(X), (self._seen[1] + _PRIOR) / (self._seen[0] + 1))

    def learn(self, X: Block, y: F8, w: F8, /) -> F8:  # noqa: N803
        """Add labels with their weights; return the mean before each row."""
        del X
        # `cumsum` adds one after another, so a batch gives the bits of the loop.
        w = np.where(np.isnan(y), 0.0, w)
        counts = np.cumsum(np.concatenate([self._seen[:1], w]))
        sums = np.cumsum(np.concatenate([self._seen[1:], np.where(w > 0, w * y, 0.0)]))
        self._seen = np.array([counts[-1], sums[-1]])
        scores: F8 = (sums[:-1] + _PRIOR) / (counts[:-1] + 1)
        return scores

    def snapshot(self) -> Snapshot:
        """Return count and sum."""
        return {"seen": self._seen.copy()}, {"model": "running_mean"}

    def restore(self, arrays: Arrays, meta: Meta, /) -> None:
        """Stand where a snapshot stood."""
        del meta
        self._seen = arrays["seen"].copy()

    def warm_up(self) -> None:
        """Do nothing: nothing is compiled."""
