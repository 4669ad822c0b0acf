"""The producers of one source: each has a watermark of its own, and together they say how far the source has come."""

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.records import I8, below
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.features.keys import KeyTable, hash_columns
from headrace.kernels import producers as kernel

__all__ = ["Producers"]

_LEAST: Final = 64
_RECORDS_TO_SILENCE: Final = 8
"""As many records of others, at least, come between the last record of a producer and its silence: one record alone,
whose clock has jumped, silences nobody."""


@final
class Producers:
    """A fold of the records of one source in the order of the log, 56 bytes a producer and its key.

    The time of the source is the lowest that its producers have reached. One is waited for until the others have told
    of more than `silent` of event time since its last record, each by its own clock; from its next record on it is
    waited for again. The time never moves back. Results do not depend on how the records are cut into batches.
    """

    def __init__(self, source: SourceSettings) -> None:
        self._field = str(source.producer)
        self._silent_us = source.silent_us
        self._table = KeyTable()
        self._reached = np.zeros(0, np.int64)
        self._spoke = np.zeros(0, np.int64)
        self._heap = np.zeros(0, np.int64)
        self._place = np.zeros(0, np.int64)
        self._scalars = np.array([0, UNSPOKEN_US, 0], np.int64)
        self._grow(_LEAST)

    def __len__(self) -> int:
        """Return how many producers have spoken."""
        return len(self._table)

    @property
    def low_us(self) -> int:
        """Return how far the source has come, `UNSPOKEN_US` before its first record."""
        return int(self._scalars[kernel.LOW])

    def speak(self, fields: pa.RecordBatch, time: I8) -> tuple[I8, I8]:
        """Take n records; return the time that each one's producer had reached before it, and the source behind it.

        fields: the records, with the field that names the producer. time: i8[n]. Result: i8[n], `kernel.NEVER` for
        the first record of a producer, and i8[n].
        """
        number = self._table.add(hash_columns([fields.column(self._field)])[0])
        self._grow(self._table.top)
        return self._spoken(number, time, self._reached, self._spoke, self._heap, self._place, self._scalars)

    def peek(self, fields: pa.RecordBatch, time: I8) -> tuple[I8, I8]:
        """Return how far its producer, and the source, would come with each of n records if it came next.

        Nothing is changed. A record whose producer is missing moves nothing.
        """
        hashes, named = hash_columns([fields.column(self._field)])
        number = self._table.find(hashes)
        top = self._table.top
        self._grow(top + 1)
        own, low = time.copy(), np.full(len(time), self.low_us, np.int64)
        for row in np.flatnonzero(named).tolist():
            found = number[row : row + 1] if number[row] >= 0 else np.array([top])
            before, low[row : row + 1] = self._spoken(
                found,
                time[row : row + 1],
                self._reached[: top + 1].copy(),
                self._spoke[: top + 1].copy(),
                self._heap[: top + 1].copy(),
                self._place[: top + 1].copy(),
                self._scalars.copy(),
            )
            own[row] = max(int(before[0]), int(time[row]))
        return own, low

    def _spoken(self, number: I8, time: I8, reached: I8, spoke: I8, heap: I8, place: I8, scalars: I8) -> tuple[I8, I8]:
        own, low = np.empty(len(time), np.int64), np.empty(len(time), np.int64)
        kernel.speak(
            number,
            np.ascontiguousarray(time),
            self._silent_us,
            max(1, self._silent_us // _RECORDS_TO_SILENCE),
            reached,
            spoke,
            heap,
            place,
            scalars,
            own,
            low,
        )
        return own, low

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state, without aliasing it."""
        top = self._table.top
        arrays = {f"keys.{name}": array for name, array in self._table.snapshot().items()}
        arrays |= {"reached": self._reached[:top].copy(), "spoke": self._spoke[:top].copy()}
        arrays |= {"heap": self._heap[:top].copy(), "place": self._place[:top].copy()}
        return arrays | {"scalars": self._scalars.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood."""
        self._table.restore(below(arrays, "keys."))
        self._reached, self._spoke = arrays["reached"].copy(), arrays["spoke"].copy()
        self._heap, self._place = arrays["heap"].copy(), arrays["place"].copy()
        self._scalars = arrays["scalars"].copy()
        self._grow(max(_LEAST, self._table.top))

    def _grow(self, count: int) -> None:
        size = len(self._reached)
        if count > size:
            more = max(count, 2 * size) - size
            self._reached = np.concatenate([self._reached, np.full(more, kernel.NEVER, np.int64)])
            self._spoke = np.concatenate([self._spoke, np.zeros(more, np.int64)])
            self._heap = np.concatenate([self._heap, np.zeros(more, np.int64)])
            self._place = np.concatenate([self._place, np.full(more, kernel.NOBODY, np.int64)])
