"""Logistic regression, one row after another: predict, then learn, in one pass.

Each number is scaled by the mean and deviation of the rows learnt so far and enters twice: as itself, and as one of
`BINS` bins of half a deviation, so that a curve may be learnt. Every weight has a rate of its own (AdaGrad: Duchi,
Hazan, Singer, JMLR 12, 2011). No libm: the same rows give the same bits on every machine.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]

BINS = 34
"""33 bins of z from -8 to 8 in steps of one half, and one for a missing value."""
_MISSING = 33
_REACH = 8.0
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
_FIRST = 1e-8

# rows of `scaler`
COUNT = 0
MEAN = 1
M2 = 2


@njit(cache=True, nogil=True)
def exponential(x: float) -> float:
    """Return e**x within 2 ulp for |x| <= 700, by plain multiply and add."""
    turns = np.int64(np.floor(x * _LOG2_E + 0.5))
    rest = (x - turns * _LN2_HIGH) - turns * _LN2_LOW
    total = 1.0
    for term in range(14, 0, -1):
        total = 1.0 + total * rest / term
    return total * np.int64((turns + 1023) << 52).view(np.float64)


@njit(cache=True, nogil=True)
def probability(logit: float) -> float:
    """Return 1 / (1 + e**-logit), with the logit held to +-36."""
    return 1.0 / (1.0 + exponential(-min(max(logit, -36.0), 36.0)))


@njit(cache=True, nogil=True)
def _coordinates(dense: F8, ids: I4, row: int, scaler: F8, starts: I8, clip: float, place: I8, value: F8) -> int:
    """Fill the coordinates of one row that are not 0; return how many there are.

    starts: i8[1 + c], where the bins and each category's weights begin. place: i8[any]. value: f8[any].
    """
    numbers = dense.shape[1]
    share = 1.0 / np.sqrt(1.0 + numbers + ids.shape[1])
    place[0] = 0
    value[0] = 1.0
    made = 1
    for column in range(numbers):
        x = dense[row, column]
        token = _MISSING
        if not np.isnan(x):
            z = 0.0
            if scaler[COUNT, column] > 1.0 and scaler[M2, column] > 0.0:
                z = (x - scaler[MEAN, column]) / np.sqrt(scaler[M2, column] / scaler[COUNT, column])
            held = min(max(z, -_REACH), _REACH)
            token = np.int64(np.floor(held * 2.0 + 0.5)) + 16
            place[made] = 1 + column
            value[made] = min(max(z, -clip), clip) * share
            made += 1
        place[made] = starts[0] + column * BINS + token
        value[made] = share
        made += 1
    for column in range(ids.shape[1]):
        place[made] = starts[1 + column] + ids[row, column]
        value[made] = share
        made += 1
    return made


@njit(cache=True, nogil=True)
def predict(
    dense: F8, ids: I4, scaler: F8, weights: F8, starts: I8, clip: float, place: I8, value: F8, scores: F8
) -> None:
    """Score n rows. dense: f8[n, d]. ids: i4[n, c]. scaler: f8[3, d]. weights: f8[m]. scores: f8[n]."""
    for row in range(dense.shape[0]):
        made = _coordinates(dense, ids, row, scaler, starts, clip, place, value)
        logit = 0.0
        for j in range(made):
            logit += weights[place[j]] * value[j]
        scores[row] = probability(logit)


@njit(cache=True, nogil=True)
def learn(
    dense: F8,
    ids: I4,
    y: F8,
    w: F8,
    scaler: F8,
    weights: F8,
    sums: F8,
    starts: I8,
    clip: float,
    rate: float,
    place: I8,
    value: F8,
    scores: F8,
) -> None:
    """Score each row, then learn from it. sums: f8[m], squared gradients so far. y, w: f8[n], labels and weights."""
    for row in range(dense.shape[0]):
        made = _coordinates(dense, ids, row, scaler, starts, clip, place, value)
        logit = 0.0
        for j in range(made):
            logit += weights[place[j]] * value[j]
        scores[row] = probability(logit)
        slope = (scores[row] - y[row]) * w[row]
        for j in range(made):
            gradient = slope * value[j]
            at = place[j]
            sums[at] += gradient * gradient
            weights[at] -= rate * gradient / np.sqrt(sums[at] + _FIRST)
        for column in range(dense.shape[1]):
            x = dense[row, column]
            if not np.isnan(x):
                scaler[COUNT, column] += 1.0
                gap = x - scaler[MEAN, column]
                scaler[MEAN, column] += gap / scaler[COUNT, column]
                scaler[M2, column] += gap * (x - scaler[MEAN, column])
