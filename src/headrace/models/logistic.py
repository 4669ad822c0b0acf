"""Logistic regression that learns one row at a time."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from headrace.core.errors import ConfigError, StateError
from headrace.core.records import F8
from headrace.core.tokens import Tokens
from headrace.kernels import logistic as kernel
from headrace.models.contract import Arrays, Block, Columns, Meta, Snapshot

__all__ = ["Logistic", "LogisticLearner"]

_FIRST: Final = 1e-8
"""Where the sums of squared gradients begin, so that the first step is no division by 0."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """The recipe of a logistic regression over scaled numbers, their bins, hashed categories and words.

    `rate` is the length of a weight's first step. `clip` holds a scaled number, in deviations. `bins`, `categories`
    and `words` are what a row's bins, categories and words weigh beside its numbers; its words share what they weigh,
    so that their squares add up to that of one category.

    >>> learner = Logistic()(Columns(dense=("x",)), 0)
    >>> block = Block(np.array([[-1.0], [1.0]] * 50), np.zeros((100, 0), np.int32))
    >>> _ = learner.learn(block, np.array([0.0, 1.0] * 50), np.ones(100))
    >>> (learner.predict(block.rows(0, 2)) > 0.5).tolist()
    [False, True]

    Raises ConfigError unless all five are positive.
    """

    accepts: ClassVar = "tokens"

    rate: float = 0.03
    clip: float = 4.0
    bins: float = 0.7
    categories: float = 0.7
    words: float = 0.7

    def __post_init__(self) -> None:
        """Check the settings; said positively, so that NaN fails too."""
        for name in ("rate", "clip", "bins", "categories", "words"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Logistic {name}", wanted="more than 0", got=getattr(self, name))

    def __call__(self, columns: Columns, seed: int, /) -> "LogisticLearner":
        """Return a fresh learner; nothing in it is drawn, so the seed changes nothing."""
        del seed
        return LogisticLearner(self, columns)


@final
class LogisticLearner:
    """A logistic regression and its state: weights, squared gradients, and the running scaler."""

    accepts: Final = "tokens"

    def __init__(self, settings: Logistic, columns: Columns) -> None:
        self._settings = settings
        numbers = len(columns.dense)
        sizes = [1 + numbers + numbers * kernel.BINS, *columns.sizes, sum(columns.token_sizes)]
        self._starts = np.cumsum(sizes[:-1]).astype(np.int64)
        self._sizes = np.array(columns.sizes, np.int64)
        self._words = sum(columns.token_sizes)
        self._weights = np.zeros(sum(sizes))
        self._sums = np.full(sum(sizes), _FIRST)
        self._scaler = np.zeros((kernel.MOMENTS, numbers))
        self._most = 1 + 2 * numbers + len(columns.categories)
        self._scales, self._places, self._values = np.zeros(numbers), np.zeros(0, np.int64), np.zeros(0)

    def predict(self, X: Block, /) -> F8:  # noqa: N803 - the field's name for it
        """Return the probability of a positive label, f8[n]; 0.5 before anything was learnt."""
        words = self._checked(X)
        scores = np.empty(len(X))
        settings = self._settings
        kernel.predict(
            X.dense,
            X.ids,
            words.offsets,
            words.ids,
            self._starts,
            self._scaler,
            self._weights,
            settings.clip,
            settings.bins,
            settings.categories,
            settings.words,
            self._scales,
            self._places,
            self._values,
            scores,
        )
        return scores

    def learn(self, X: Block, y: F8, w: F8, /) -> F8:  # noqa: N803
        """Learn from rows in order; return each row's probability as the model stood before it."""
        words = self._checked(X)
        scores = np.empty(len(X))
        settings = self._settings
        kernel.learn(
            X.dense,
            X.ids,
            words.offsets,
            words.ids,
            y,
            w,
            self._starts,
            self._scaler,
            self._weights,
            self._sums,
            settings.rate,
            settings.clip,
            settings.bins,
            settings.categories,
            settings.words,
            self._scales,
            self._places,
            self._values,
            scores,
        )
        return scores

    def _checked(self, X: Block) -> Tokens:  # noqa: N803
        """Return the words of a block, and make room for its longest row.

        Raises StateError unless the block is of the vector that the learner was made for.
        """
        width = (self._scaler.shape[1], len(self._sizes))
        if (X.dense.shape[1], X.ids.shape[1]) != width:
            raise StateError("logistic", wanted=f"{width} numbers and categories", got=(X.dense.shape, X.ids.shape))
        if len(X) and bool(np.any((X.ids < 0) | (X.ids >= self._sizes))):
            raise StateError("logistic", wanted=f"ids below {self._sizes.tolist()}", got=X.ids.max(axis=0).tolist())
        if (X.tokens is None) != (self._words == 0) and len(X):
            raise StateError("logistic", wanted="words" if self._words else "no words", got=X.tokens)
        words = (X.tokens or Tokens.nothing(len(X))).packed
        if len(words) != len(X) or bool(np.any((words.ids < 0) | (words.ids >= self._words))):
            raise StateError("logistic", wanted=f"words of {len(X)} rows, each below {self._words}", got=words)
        most = self._most + words.most
        if most > len(self._places):
            self._places, self._values = np.empty(most, np.int64), np.empty(most)
        return words

    def snapshot(self) -> Snapshot:
        """Return weights, squared gradients and scaler."""
        arrays = {"weights": self._weights.copy(), "sums": self._sums.copy(), "scaler": self._scaler.copy()}
        return arrays, {"model": "logistic"}

    def restore(self, arrays: Arrays, meta: Meta, /) -> None:
        """Stand where a snapshot stood. Raises StateError if it is that of another model or another vector."""
        own, _ = self.snapshot()
        for name, array in own.items():
            found = arrays.get(name)
            if (
                meta.get("model") != "logistic"
                or found is None
                or (found.shape, found.dtype) != (array.shape, array.dtype)
            ):
                got = "nothing" if found is None else f"{found.dtype}{list(found.shape)} of {meta.get('model')}"
                raise StateError(f"logistic {name}", wanted=f"{array.dtype}{list(array.shape)} of logistic", got=got)
        self._weights, self._sums = arrays["weights"].copy(), arrays["sums"].copy()
        self._scaler = arrays["scaler"].copy()

    def warm_up(self) -> None:
        """Compile both kernels, on no rows."""
        nothing = Block(np.zeros((0, self._scaler.shape[1])), np.zeros((0, len(self._sizes)), np.int32))
        self.predict(nothing)
        self.learn(nothing, np.zeros(0), np.zeros(0))
