"""watch: fold a topic into sketches that add up, one a column and day; who decides is `judge`."""

from typing import Any, Final, final

import numpy as np

from headrace.core.records import F8, Batch, flat_block
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.drift.sketch import Sketch
from headrace.kernels import sketch as kernel
from headrace.models.contract import Columns
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import PROGRESS, SKETCHES

__all__ = ["Watch"]

_FIRST: Final = 0


@final
class Watch(Stage):
    """Fold one of [features], [predictions], [examples]; write at each progress row that passes the pace.

    Of features: the sketch of each. Of predictions: that of the score. Of examples: count, mean and summed squared
    deviation of the error |score - y|.
    """

    def __init__(self, *, topic: str, progress: int, columns: Columns, every_us: int, output: str) -> None:
        self._topic = topic
        self._progress = progress
        self._columns = columns
        self._every_us = every_us
        self._output = output
        self._next_us = UNSPOKEN_US
        names = {"features": columns.names, "predictions": ("score",), "examples": ()}[topic]
        self._names: tuple[str, ...] = names
        self._counts = np.zeros((len(names), kernel.BUCKETS), np.int64)
        self._error = np.zeros(3)

    def process(self, batch: Batch) -> Outputs:
        """Fold the rows in order, and write at each progress row that passes the pace."""
        rows = np.flatnonzero(batch.stream == self._progress)
        until = batch.payloads[self._progress]["until"].to_numpy()
        mine = batch.rows_of(_FIRST)
        made: list[Entry] = []
        start = 0
        for row, reached_us in zip(rows.tolist(), until.tolist(), strict=True):
            if reached_us < self._next_us:
                continue
            stop = int(np.searchsorted(mine, row))
            self._fold(batch, start, stop)
            start = stop
            made += self._written(batch, row, reached_us)
        self._fold(batch, start, len(mine))
        return Outputs(len(batch), {self._output: batch_of(made, SKETCHES)} if made else {})

    def _fold(self, batch: Batch, start: int, stop: int) -> None:
        if start >= stop:
            return
        payload = batch.payloads[_FIRST].slice(start, stop - start)
        if self._topic == "features":
            numbers = len(self._columns.dense)
            kernel.count_numbers(flat_block(payload["dense"], np.float64), self._counts[:numbers])
            kernel.count_ids(flat_block(payload["ids"], np.int32), self._counts[numbers:])
        elif self._topic == "predictions":
            kernel.count_numbers(payload["score"].to_numpy().reshape(-1, 1), self._counts)
        else:
            error: F8 = np.abs(payload["score"].to_numpy() - payload["y"].to_numpy())
            _add(self._error, len(error), float(error.mean()), float(((error - error.mean()) ** 2).sum()))

    def _written(self, batch: Batch, row: int, reached_us: int) -> list[Entry]:
        offset, sub = batch.position(row)
        self.ended |= reached_us >= ENDED_US
        self._next_us = ENDED_US if self.ended else reached_us // self._every_us * self._every_us + self._every_us
        made: list[Entry] = []

        def put(stream: str, columns: dict[str, Any]) -> None:
            made.append(Entry(stream, offset, sub + len(made), reached_us, columns))

        for number, name in enumerate(self._names):
            found = Sketch.from_counts(self._counts[number])
            if found.rows:
                put(
                    "sketch",
                    {
                        "of": self._topic,
                        "column": name,
                        "until": reached_us,
                        "buckets": found.buckets.tolist(),
                        "counts": found.counts.tolist(),
                    },
                )
                self._counts[number, found.buckets] = 0
        if self._error[0]:
            count, mean, m2 = self._error.tolist()
            put("error", {"until": reached_us, "count": int(count), "mean": mean, "m2": m2})
            self._error[:] = 0.0
        put(PROGRESS.name, {"until": reached_us})
        return made

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the counts so far, those that are not 0."""
        column, bucket = np.nonzero(self._counts)
        arrays = {"column": column, "bucket": bucket, "count": self._counts[column, bucket], "error": self._error.copy()}
        return arrays, {"next_us": self._next_us, "ended": self.ended}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._counts[:] = 0
        self._counts[arrays["column"], arrays["bucket"]] = arrays["count"]
        self._error = arrays["error"].copy()
        self._next_us, self.ended = meta["next_us"], meta["ended"]


def _add(whole: F8, count: int, mean: float, m2: float) -> None:
    """Add an aggregate (count, mean, summed squared deviation) to another, in place."""
    total = whole[0] + count
    gap = mean - whole[1]
    whole[2] += m2 + gap * gap * whole[0] * count / total
    whole[1] += gap * count / total
    whole[0] = total
