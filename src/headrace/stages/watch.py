"""watch: fold a topic into sketches that add up, one a column and day; who decides is `judge`."""

from itertools import pairwise
from typing import Any, Final, final

import numpy as np

from headrace.core.records import I8, Batch, flat_block
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.drift.sketch import Counter, Sketch
from headrace.kernels import moments
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
        # Words are many a row, and of one text too many to sketch: they are not watched.
        names = {"features": columns.single, "predictions": ("score",), "examples": ()}[topic]
        self._names: tuple[str, ...] = names
        categories = len(columns.categories) if topic == "features" else 0
        self._counter = Counter(numbers=len(names) - categories, categories=categories)
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
            self._counter.add(flat_block(payload["dense"], np.float64), flat_block(payload["ids"], np.int32))
        elif self._topic == "predictions":
            score = payload["score"].to_numpy().reshape(-1, 1)
            self._counter.add(score, np.zeros((len(score), 0), np.int32))
        else:
            moments.add_errors(payload["y"].to_numpy(), payload["score"].to_numpy(), self._error)

    def _written(self, batch: Batch, row: int, reached_us: int) -> list[Entry]:
        offset, sub = batch.position(row)
        self.ended |= reached_us >= ENDED_US
        self._next_us = ENDED_US if self.ended else reached_us // self._every_us * self._every_us + self._every_us
        made: list[Entry] = []

        def put(stream: str, columns: dict[str, Any]) -> None:
            made.append(Entry(stream, offset, sub + len(made), reached_us, columns))

        for name, found in zip(self._names, self._counter.drain(), strict=True):
            if found.rows:
                buckets, counts = found.buckets.tolist(), found.counts.tolist()
                columns = {"of": self._topic, "column": name, "until": reached_us, "buckets": buckets, "counts": counts}
                put("sketch", columns)
        if self._error[0]:
            count, mean, m2 = self._error.tolist()
            put("error", {"until": reached_us, "count": int(count), "mean": mean, "m2": m2})
            self._error[:] = 0.0
        put(PROGRESS.name, {"until": reached_us})
        return made

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the counts so far, those that are not 0."""
        sketches = self._counter.drain()
        self._counter.fill(sketches)
        arrays = {
            "size": np.array([len(sketch.buckets) for sketch in sketches], np.int64),
            "buckets": _joined([sketch.buckets for sketch in sketches]),
            "counts": _joined([sketch.counts for sketch in sketches]),
            "error": self._error.copy(),
        }
        return arrays, {"next_us": self._next_us, "ended": self.ended}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._counter.drain()
        edges = np.concatenate([[0], np.cumsum(arrays["size"])]).tolist()
        parts = [slice(start, stop) for start, stop in pairwise(edges)]
        self._counter.fill([Sketch(arrays["buckets"][part], arrays["counts"][part]) for part in parts])
        self._error = arrays["error"].copy()
        self._next_us, self.ended = meta["next_us"], meta["ended"]


def _joined(parts: list[I8]) -> I8:
    return np.concatenate([np.zeros(0, np.int64), *parts])
