"""Windows of rows and of time over a stream of answers."""

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.records import I8

__all__ = ["row_windows", "time_windows"]


def row_windows(rows: int, size: int, every: int | None = None) -> list[slice]:
    """Return the last `size` rows as seen after each `every` rows (default: `size`), and after the last row.

    The first windows are shorter where `every` is below `size`.

    >>> row_windows(5, size=2)
    [slice(0, 2, None), slice(2, 4, None), slice(3, 5, None)]

    Raises ConfigError if a size is not positive.
    """
    step = size if every is None else every
    if size < 1 or step < 1:
        raise ConfigError("window of rows", wanted="a size and a step of 1 or more", got=(size, step))
    ends = [*range(step, rows, step), rows] if rows else []
    return [slice(max(0, end - size), end) for end in ends]


def time_windows(times: I8, size_us: int, every_us: int | None = None) -> tuple[I8, list[slice]]:
    """Return the starts and rows of the windows [start, start + size) that hold rows, oldest first.

    times: i8[n], microseconds UTC, never falling. Starts are multiples of `every_us` (default: `size_us`).

    >>> starts, rows = time_windows(np.array([0, 9, 10, 35]), 10)
    >>> starts.tolist(), rows
    ([0, 10, 30], [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)])

    Raises ConfigError if a size is not positive, or times fall.
    """
    step = size_us if every_us is None else every_us
    if size_us < 1 or step < 1:
        raise ConfigError("window of time", wanted="a size and a step of 1 us or more", got=(size_us, step))
    if np.any(times[1:] < times[:-1]):
        raise ConfigError("window of time", wanted="times that never fall", got="a row earlier than the one before it")
    if len(times) == 0:
        return np.zeros(0, np.int64), []
    first = ((int(times[0]) - size_us) // step + 1) * step
    starts = np.arange(first, int(times[-1]) + 1, step, dtype=np.int64)
    low, high = np.searchsorted(times, starts), np.searchsorted(times, starts + size_us)
    held = low < high
    return starts[held], [slice(a, b) for a, b in zip(low[held].tolist(), high[held].tolist(), strict=True)]
