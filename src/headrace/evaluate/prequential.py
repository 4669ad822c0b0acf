"""Test, then train, on arrays: each row is scored by the model as it stood with the labels known by then."""

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.records import F8, I8
from headrace.evaluate.report import Report
from headrace.models.contract import Block, Columns, Learner, Recipe, check_accepts, rows_for
from headrace.models.no_change import NoChange
from headrace.models.running_mean import RunningMean

__all__ = ["prequential"]


def prequential(
    model: Recipe,
    X: F8 | Block,  # noqa: N803 - the field's name for it
    y: F8,
    *,
    delay: int = 0,
    times: I8 | None = None,
    label_times: I8 | None = None,
    columns: Columns | None = None,
    seed: int = 0,
) -> Report:
    """Score each row, then learn its label when it is known.

    X: f8[n, d], or a Block with categories or words (then `columns` says their sizes). y: f8[n]. Without
    `label_times`, the label of row i is known before row i + delay + 1 is scored. With `times` (rising) and
    `label_times` (i8[n], microseconds), it is known to rows that are asked strictly after its time, and never to its
    own. Labels that become known together are learnt in the order of their times, ties in the order of the rows.

    >>> X = np.array([[0.0], [1.0]] * 100)
    >>> prequential(RunningMean(), X, X[:, 0]).metric("accuracy") < 0.6
    True

    Raises ConfigError if the arrays do not fit, or the model does not accept them.
    """
    block = X if isinstance(X, Block) else Block(np.ascontiguousarray(X, np.float64), np.zeros((len(X), 0), np.int32))
    count = len(block)
    known_as = columns or Columns(dense=tuple(f"x{number}" for number in range(block.dense.shape[1])))
    if len(y) != count or block.ids.shape[1] != len(known_as.categories):
        raise ConfigError(
            "prequential", wanted=f"{count} labels, and sizes of {block.ids.shape[1]} categories", got=len(y)
        )
    if np.isnan(np.asarray(y, np.float64)).any():
        raise ConfigError("prequential y", wanted="a label in every row", got="NaN")
    if (times is None) != (label_times is None):
        raise ConfigError("prequential", wanted="times and label_times together", got="one of them")
    learner = model(known_as, seed)
    check_accepts(learner, known_as)
    known = _known_before(count, delay, times, label_times)
    order = np.lexsort((np.arange(count), known if label_times is None else label_times, known))
    labels = np.asarray(y, np.float64)
    score, mean, last = (
        _scores(each, block, labels, known, order)
        for each in (learner, RunningMean()(known_as, seed), NoChange()(known_as, seed))
    )
    asked = np.arange(count) if times is None else np.asarray(times, np.int64)
    return Report(asked, labels, score, mean, last, count)


def _known_before(count: int, delay: int, times: I8 | None, label_times: I8 | None) -> I8:
    """Return, for each row, the first row that is scored with its label known."""
    own = np.arange(count)
    if times is None or label_times is None:
        return own + delay + 1
    return np.maximum(np.searchsorted(times, label_times, side="right"), own + 1)


def _scores(learner: Learner, block: Block, y: F8, known: I8, order: I8) -> F8:
    count = len(y)
    weights = np.ones(count)
    if np.array_equal(known, np.arange(count) + 1):
        scores = learner.learn(rows_for(learner, block), y, weights)
        if scores is not None:
            return scores
    found = np.empty(count)
    ready = known[order]
    done = 0
    for row in range(count):
        until = int(np.searchsorted(ready, row, side="right"))
        if until > done:
            rows = order[done:until]
            learner.learn(rows_for(learner, block.take(rows)), y[rows], weights[rows])
            done = until
        found[row] = learner.predict(rows_for(learner, block.rows(row, row + 1)))[0]
    return found
