"""Windows by definition on matrices: every row of a key against every other, with nothing of ours.

Values are whole quarters, so that float sums of them are exact, and equal is equal to the last bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Arrived", "late_rows", "of_key", "watermark_us"]

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]

MINUTE_US: Final = 60_000_000
SIZE_US: Final = 60 * MINUTE_US
EVERY_US: Final = 10 * MINUTE_US
GAP_US: Final = 30 * MINUTE_US
LONGEST_US: Final = 12 * SIZE_US
NEWEST: Final = 20
HALF_LIFE_US: Final = SIZE_US
_EPOCH_US: Final = 32 * HALF_LIFE_US
KINDS: Final = ("sliding", "tumbling", "hopping", "session", "last_n", "forever", "decay")
"""An hour, also tumbling; one every ten minutes; half an hour of silence; the newest 20; all; half-lives of an hour."""


@final
@dataclass(frozen=True, slots=True)
class Arrived:
    """n events in order of arrival. key: i8[n]. time: i8[n], microseconds. value: f8[n], whole quarters."""

    key: I8
    time: I8
    value: F8

    def take(self, rows: "NDArray[np.bool_] | I8") -> "Arrived":
        """Return some of the events."""
        return Arrived(self.key[rows], self.time[rows], self.value[rows])


def late_rows(time: I8, disorder_us: int) -> NDArray[np.bool_]:
    """Return which events lie before the watermark when they arrive."""
    newest = np.maximum.accumulate(np.concatenate([time[:1], time[:-1]]))
    late: NDArray[np.bool_] = time < newest - disorder_us
    return late


def watermark_us(time: I8, disorder_us: int) -> I8:
    """Return the watermark behind each event."""
    return np.maximum.accumulate(time) - disorder_us


def of_key(events: Arrived, watermark: I8) -> Iterator[tuple[I8, dict[str, dict[str, F8]]]]:
    """Yield, for each key, its rows and for each kind of window the count, sum and greatest value of each row."""
    order = np.argsort(events.key, kind="stable")
    starts = np.flatnonzero(np.diff(events.key[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        yield rows, _windows(events.take(rows), watermark[rows])


def _windows(events: Arrived, watermark: I8) -> dict[str, dict[str, F8]]:
    """Return the aggregates of the rows of one key, in order of arrival."""
    now = events.time[:, None]
    by_time = np.argsort(events.time, kind="stable")  # Columns stand in the order of time, ties in that of arrival.
    time, value = events.time[by_time][None, :], events.value[by_time][None, :]
    come = by_time[None, :] < np.arange(len(by_time))[:, None]
    before = come & (time < now)
    newest_first = np.cumsum(before[:, ::-1], axis=1)[:, ::-1]
    closed_by = np.minimum(now, watermark[:, None])
    whole, hop = closed_by // SIZE_US * SIZE_US, closed_by // EVERY_US * EVERY_US
    inside = {
        "sliding": before & (time >= now - SIZE_US),
        "tumbling": before & (time >= whole - SIZE_US) & (time < whole),
        "hopping": before & (time >= hop - SIZE_US) & (time < hop),
        "session": _sessions(before & (time >= now - LONGEST_US), now[:, 0], time[0]),
        "last_n": before & (newest_first <= NEWEST),
        "forever": before,
    }
    found = {name: _aggregates(mask, value) for name, mask in inside.items()}
    lives = before & (time >= (now // _EPOCH_US - 2) * _EPOCH_US)
    weight = np.where(lives, np.exp2(-np.where(lives, now - time, 0) / HALF_LIFE_US), 0.0)
    found["decay"] = {"count": weight.sum(axis=1), "sum": (weight * value).sum(axis=1)}
    return found


def _aggregates(inside: NDArray[np.bool_], value: F8) -> dict[str, F8]:
    greatest = np.where(inside, value, -np.inf).max(axis=1, initial=-np.inf)
    return {
        "count": inside.sum(axis=1).astype(np.float64),
        "sum": np.where(inside, value, 0.0).sum(axis=1),
        "max": np.where(np.isinf(greatest), np.nan, greatest),
    }


def _sessions(before: NDArray[np.bool_], now: I8, time: I8) -> NDArray[np.bool_]:
    """Return which rows belong to the session that is open, walking back from the newest."""
    inside, after, open_ = np.zeros_like(before), now.copy(), np.ones(len(now), bool)
    for column in range(before.shape[1] - 1, -1, -1):
        here = before[:, column]
        open_ &= ~(here & (after - time[column] > GAP_US))
        inside[:, column] = here & open_
        after = np.where(inside[:, column], time[column], after)
    return inside
