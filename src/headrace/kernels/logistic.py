"""Logistic regression over scaled numbers, their bins, categories and words: one kernel scores a row, then learns it.

A row becomes tokens, each a place in one flat array of weights with the value it has in this row:

    place 0                     the bias, always 1
    1 + j                       number j, scaled and clipped; absent where the number is missing
    1 + d + j * BINS + b        1 if number j lies in bin b (BINS - 1: missing)
    starts[c] + id              1 for the id of category c
    starts[-1] + id             1 over the square root of how many words there are, for each of them

A word that stands twice is two tokens.
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import logistic

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]

# Rows of the scaler.
COUNT: Final = 0
MEAN: Final = 1
SQUARES: Final = 2
MOMENTS: Final = 3

HALF_BINS: Final = 16
BINS: Final = 2 * HALF_BINS + 2
MISSING: Final = BINS - 1
BINS_PER_DEVIATION: Final = 2.0
# A number further out than this counts as missing: its square would leave float64.
FARTHEST: Final = 1e100
FARTHEST_LOGIT: Final = 35.0


@njit(cache=True, nogil=True)
def _scale(scaler: F8, column: int) -> float:
    """Return one over the standard deviation of a column; 0 while all its values were equal."""
    if scaler[SQUARES, column] <= 0.0:
        return 0.0
    return math.sqrt(scaler[COUNT, column] / scaler[SQUARES, column])


@njit(cache=True, nogil=True)
def _absorb(dense: F8, row: int, scaler: F8, scales: F8) -> None:
    """Let the scaler see one row (Welford's running mean and sum of squared deviations)."""
    for j in range(dense.shape[1]):
        x = dense[row, j]
        if abs(x) <= FARTHEST:
            scaler[COUNT, j] += 1.0
            off = x - scaler[MEAN, j]
            scaler[MEAN, j] += off / scaler[COUNT, j]
            scaler[SQUARES, j] += off * (x - scaler[MEAN, j])
            scales[j] = _scale(scaler, j)


@njit(cache=True, nogil=True)
def _tokens(
    dense: F8,
    ids: I4,
    row: int,
    offsets: I8,
    words: I4,
    starts: I8,
    scaler: F8,
    scales: F8,
    clip: float,
    bin_value: float,
    category_value: float,
    word_value: float,
    places: I8,
    values: F8,
) -> int:
    """Write the tokens of one row; return how many there are."""
    columns = dense.shape[1]
    places[0] = 0
    values[0] = 1.0
    made = 1
    for j in range(columns):
        x = dense[row, j]
        bucket = MISSING
        if abs(x) <= FARTHEST:
            z = (x - scaler[MEAN, j]) * scales[j]
            bucket = math.floor(min(max(z, -8.0), 8.0) * BINS_PER_DEVIATION + 0.5) + HALF_BINS
            places[made] = 1 + j
            values[made] = min(max(z, -clip), clip)
            made += 1
        if bin_value > 0.0:
            places[made] = 1 + columns + j * BINS + bucket
            values[made] = bin_value
            made += 1
    for c in range(ids.shape[1]):
        places[made] = starts[c] + ids[row, c]
        values[made] = category_value
        made += 1
    count = offsets[row + 1] - offsets[row]
    for w in range(offsets[row], offsets[row + 1]):
        places[made] = starts[ids.shape[1]] + words[w]
        values[made] = word_value / math.sqrt(count)
        made += 1
    return made


@njit(cache=True, nogil=True)
def _score(made: int, places: I8, values: F8, weights: F8) -> float:
    logit = 0.0
    for token in range(made):
        logit += weights[places[token]] * values[token]
    return logistic(min(max(logit, -FARTHEST_LOGIT), FARTHEST_LOGIT))


@njit(cache=True, nogil=True)
def predict(
    dense: F8,
    ids: I4,
    offsets: I8,
    words: I4,
    starts: I8,
    scaler: F8,
    weights: F8,
    clip: float,
    bin_value: float,
    category_value: float,
    word_value: float,
    scales: F8,
    places: I8,
    values: F8,
    scores: F8,
) -> None:
    """Score n rows; nothing is learnt.

    dense: f8[n, d], C order, NaN missing. ids: i4[n, c]. offsets: i8[n + 1] and words: i4[w], the words of each row.
    starts: i8[c + 1], where the weights of each category begin, and those of words. scaler: f8[MOMENTS, d].
    weights: f8[m]. scales: f8[d], places: i8[t] and values: f8[t], scratch. scores: f8[n].
    """
    for j in range(dense.shape[1]):
        scales[j] = _scale(scaler, j)
    for row in range(dense.shape[0]):
        made = _tokens(
            dense,
            ids,
            row,
            offsets,
            words,
            starts,
            scaler,
            scales,
            clip,
            bin_value,
            category_value,
            word_value,
            places,
            values,
        )
        scores[row] = _score(made, places, values, weights)


@njit(cache=True, nogil=True)
def learn(
    dense: F8,
    ids: I4,
    offsets: I8,
    words: I4,
    y: F8,
    weight: F8,
    starts: I8,
    scaler: F8,
    weights: F8,
    sums: F8,
    rate: float,
    clip: float,
    bin_value: float,
    category_value: float,
    word_value: float,
    scales: F8,
    places: I8,
    values: F8,
    scores: F8,
) -> None:
    """Score each row, then learn from it if its weight is positive and its label is not NaN.

    y, weight: f8[n]. sums: f8[m], squared gradients so far. The rest as in `predict`.
    """
    for j in range(dense.shape[1]):
        scales[j] = _scale(scaler, j)
    for row in range(dense.shape[0]):
        made = _tokens(
            dense,
            ids,
            row,
            offsets,
            words,
            starts,
            scaler,
            scales,
            clip,
            bin_value,
            category_value,
            word_value,
            places,
            values,
        )
        score = _score(made, places, values, weights)
        scores[row] = score
        if weight[row] > 0.0 and not np.isnan(y[row]):
            slope = (score - y[row]) * weight[row]
            for token in range(made):
                place = places[token]
                gradient = slope * values[token]
                sums[place] += gradient * gradient
                weights[place] -= rate * gradient / math.sqrt(sums[place])
            _absorb(dense, row, scaler, scales)
