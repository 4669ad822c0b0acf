"""A history played at a steady rate against a clock, to measure how long a record takes through the pipeline."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, final

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.records import Batch
from headrace.edge.history import MergedHistory
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.store.snapshots import Arrays, Meta

__all__ = ["PacedHistory"]

_SECOND_US: Final = 1_000_000


@final
class PacedHistory(Inlet):
    """Give row i of a history no earlier than `start + i / rate`, and stamp it with that due time as its arrival.

    The start is the first call of `next` (after a restore too: the rest is then due from there on). Event times,
    verdicts and positions are the history's own: pacing changes when a row is given and its stamp, nothing else.
    `rate` is rows a second. `now_us` returns microseconds UTC.

    Raises ConfigError if the rate is not positive.
    """

    def __init__(self, history: MergedHistory, *, rate: float, now_us: Callable[[], int]) -> None:
        if not 0 < rate < float("inf"):
            raise ConfigError("rate", wanted="more than 0 events a second", got=rate)
        self._history = history
        self._rate = rate
        self._now_us = now_us
        self._start_us: int | None = None
        self._given = 0

    @property
    def ended(self) -> bool:
        """Return whether every row has been given."""
        return self._history.ended

    @property
    def ledger(self) -> Ledger:
        """Return the counts of what was given."""
        return self._history.ledger

    def next(self, limit: int) -> Batch | None:
        """Return the rows that are due, at most `limit`, or None if none is."""
        now_us = self._now_us()
        if self._start_us is None:
            self._start_us = now_us
        # One more than the quotient can miss by rounding; what is not yet due is cut off by the due times themselves.
        most = int((now_us - self._start_us) * self._rate / _SECOND_US) + 2 - self._given
        number = self._given + np.arange(max(0, min(limit, most)))
        due_us = self._start_us + np.floor(number * (_SECOND_US / self._rate)).astype(np.int64)
        count = int(np.searchsorted(due_us, now_us, side="right"))
        batch = self._history.next(count) if count else None
        if batch is None:
            return None
        self._given += len(batch)
        return replace(batch, arrival_time=due_us[: len(batch)])

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return where the history stands; the pace starts anew."""
        return self._history.snapshot()

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood. Raises StateError as the history does."""
        self._history.restore(arrays, meta)
        self._start_us, self._given = None, 0
