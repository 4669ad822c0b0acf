"""Metrics of probabilities against binary labels."""

from typing import Final

import numpy as np

from headrace.core.records import F8

__all__ = ["accuracy", "auc", "brier", "log_loss"]

_LEAST: Final = 1e-15


def log_loss(y: F8, score: F8) -> float:
    """Return the mean of -log of the probability given to what happened; probabilities are held 1e-15 from 0 and 1.

    y, score: f8[n], labels 0 or 1 and probabilities.

    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    held = np.clip(score, _LEAST, 1 - _LEAST)
    return float(np.mean(-np.log(np.where(y >= 0.5, held, 1 - held))))


def auc(y: F8, score: F8) -> float:
    """Return the share of (positive, negative) pairs that the scores put in order; a tie is half a pair.

    NaN if there are no pairs. Computed exactly from ranks (Mann and Whitney, 1947).

    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    last = np.append(first[1:], len(ordered))
    rank = np.repeat((first + last + 1) / 2, last - first)
    positive = y[order] >= 0.5
    count = int(np.count_nonzero(positive))
    pairs = count * (len(y) - count)
    if pairs == 0:
        return float("nan")
    return float((rank[positive].sum() - count * (count + 1) / 2) / pairs)


def accuracy(y: F8, score: F8) -> float:
    """Return the share of labels on whose side of one half the score lies."""
    return float(np.mean((score >= 0.5) == (y >= 0.5)))


def brier(y: F8, score: F8) -> float:
    """Return the mean squared distance of score and label."""
    return float(np.mean((score - y) ** 2))
