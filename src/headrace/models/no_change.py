"""The baseline that answers with the last label that came back."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from headrace.core.records import F8
from headrace.models.contract import Arrays, Block, Columns, Meta, Snapshot

__all__ = ["NoChange", "NoChangeLearner"]

_UNKNOWN: Final = 0.5
_LEAST: Final = 1e-3
"""How far an answer stays from 0 and 1, where one mistake would cost an infinite log loss."""


@final
@dataclass(frozen=True, slots=True)
class NoChange:
    """The recipe of the no-change baseline: what was true last is true now (Bifet and others, ECML 2013).

    >>> learner = NoChange()(Columns(dense=("x",)), 0)
    >>> block = Block(np.zeros((3, 1)), np.zeros((3, 0), np.int32))
    >>> learner.learn(block, np.array([1.0, 0.0, 1.0]), np.ones(3)).tolist()
    [0.5, 0.999, 0.001]
    """

    accepts: ClassVar = "tokens"

    def __call__(self, columns: Columns, seed: int, /) -> "NoChangeLearner":
        """Return a fresh learner."""
        del columns, seed
        return NoChangeLearner()


@final
class NoChangeLearner:
    """The last label, held 0.001 from 0 and 1; 0.5 before the first."""

    accepts: Final = "tokens"

    def __init__(self) -> None:
        self._last = np.array([_UNKNOWN])

    def predict(self, X: Block, /) -> F8:  # noqa: N803 - the field's name for it
        """Return the last label for every row."""
        return np.full(len(X), self._last[0])

    def learn(self, X: Block, y: F8, w: F8, /) -> F8:  # noqa: N803
        """Remember the last label of positive weight; return what was remembered before each row."""
        del X
        held = np.clip(np.concatenate([self._last, y]), _LEAST, 1 - _LEAST)
        counts = np.concatenate([[True], (w > 0) & ~np.isnan(y)])
        last = np.maximum.accumulate(np.where(counts, np.arange(len(held)), 0))
        scores: F8 = held[last[:-1]]
        self._last[0] = held[last[-1]]
        return scores

    def snapshot(self) -> Snapshot:
        """Return the last label."""
        return {"last": self._last.copy()}, {"model": "no_change"}

    def restore(self, arrays: Arrays, meta: Meta, /) -> None:
        """Stand where a snapshot stood."""
        del meta
        self._last = arrays["last"].copy()

    def warm_up(self) -> None:
        """Do nothing: nothing is compiled."""
