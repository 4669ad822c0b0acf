"""Running sums and moments, one value after another, so that they do not depend on how values were batched."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from headrace.kernels.elementary import log

F8 = NDArray[np.float64]

COUNT = 0
MEAN = 1
M2 = 2

_LEAST = 1e-15


@njit(cache=True, nogil=True)
def add_errors(y: F8, score: F8, moments: F8) -> None:
    """Add |score - y| of n rows to count, mean and summed squared deviation (Welford, 1962). moments: f8[3]."""
    for i in range(y.shape[0]):
        error = abs(score[i] - y[i])
        moments[COUNT] += 1.0
        gap = error - moments[MEAN]
        moments[MEAN] += gap / moments[COUNT]
        moments[M2] += gap * (error - moments[MEAN])


@njit(cache=True, nogil=True)
def add_log_loss(y: F8, score: F8, loss: F8) -> None:
    """Add the rows and their log losses to loss: f8[2], count and sum; a score is held 1e-15 from 0 and 1."""
    for i in range(y.shape[0]):
        given = score[i] if y[i] >= 0.5 else 1.0 - score[i]
        loss[0] += 1.0
        loss[1] -= log(min(max(given, _LEAST), 1.0 - _LEAST))
