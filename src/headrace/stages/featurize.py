"""featurize: turn each request into the features that were known just before it, and each answer into a label row.

A request sees events with an earlier event time; its own and its ties are out. Labels come out where they became
known, and progress rows stand wherever arrival time crosses a multiple of a declared pace, so that those who decide
downstream (learn, judge) all decide at the same places of the log.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.records import I8, Batch, Kind, StreamSchema, block, strings
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.features.engine import Engine, Vectors
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.schemas import COMMAND, LABEL, PROGRESS, feature_streams, no_rows

__all__ = ["Featurize"]

_REQUEST: Final = 0
_LABEL: Final = 1
_PROGRESS: Final = 2
_COMMAND: Final = 3
_FORGET: Final = "forget"


@final
class Featurize(Stage):
    """Run the feature engine over [events].

    `paces_us` are the paces of those who decide downstream. The outputs of one input row are, in order of k: its
    progress row, its vector, and the labels that it decided. Where the vector waits, these are the vectors of the
    requests that the row let go, each under the id and the times of its request, and their labels. A command passes
    through in its place; `forget` is obeyed on the way: later rows see nothing of the key from before.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        events: Sequence[StreamSchema],
        paces_us: Sequence[int],
        output: str,
        dense: int,
        ids: int,
        words: int = 0,
    ) -> None:
        self._engine = engine
        self._paces_us = tuple(sorted(set(paces_us)))
        self._output = output
        self._tick = next(number for number, stream in enumerate(events) if stream.kind == Kind.TICK)
        self._command = next((number for number, stream in enumerate(events) if stream.kind == Kind.COMMAND), None)
        self._sources = engine.sources
        self._streams = feature_streams(dense, ids, words)
        self._reached_us = UNSPOKEN_US
        self._ended: set[str] = set()

    @property
    def engine(self) -> Engine:
        """Return the engine, for its ledgers."""
        return self._engine

    def process(self, batch: Batch) -> Outputs:
        """Compute the vectors and labels of a batch of [events]; forget a key where a command says so."""
        forgets = [] if self._command is None else self._forgets(batch, self._command)
        edges = [0, *(row + 1 for row, _ in forgets), len(batch)]
        made: list[Batch] = []
        for number, (start, stop) in enumerate(pairwise(edges)):
            made += self._part(batch.slice(start, stop)).batches.values() if start < stop else ()
            if number < len(forgets):
                command = forgets[number][1]
                self._engine.forget(command["source"], json.loads(command["key"]))
        return Outputs(len(batch), {self._output: Batch.concat(made)} if made else {})

    def _forgets(self, batch: Batch, stream: int) -> list[tuple[int, dict[str, Any]]]:
        rows = batch.rows_of(stream).tolist()
        commands = batch.payloads[stream].to_pylist() if rows else []
        return [
            (row, command)
            for row, command in zip(rows, commands, strict=True)
            if command["command"] == _FORGET and command["source"] in self._sources
        ]

    def _part(self, batch: Batch) -> Outputs:
        progress_rows, until = self._progress(batch)
        over = bool(len(until)) and int(until[-1]) == ENDED_US
        end = int(progress_rows[-1]) if over else None
        vectors = self._engine.run(batch, end=end)
        passed = np.zeros(0, np.int64) if self._command is None else batch.rows_of(self._command)
        rows = np.concatenate([progress_rows, vectors.row, vectors.labels.row, passed])
        if len(rows) == 0:
            return Outputs(len(batch))
        return Outputs(len(batch), {self._output: self._batch(batch, vectors, until, passed, rows, end)})

    def _batch(self, batch: Batch, vectors: Vectors, until: I8, passed: I8, rows: I8, end: int | None) -> Batch:
        labels = vectors.labels
        kinds = np.repeat(
            np.array([_PROGRESS, _REQUEST, _LABEL, _COMMAND], np.uint8),
            [len(until), len(vectors.row), len(labels.row), len(passed)],
        )
        place = 2 * rows
        if self._engine.waits and end is not None:
            place[len(until) - 1] += 1  # Nothing more comes below the end: it stands behind all that waited for it.
        order = np.argsort(place, kind="stable")
        rows, kinds = rows[order], kinds[order]
        first = np.concatenate([[True], rows[1:] != rows[:-1]])
        starts = np.flatnonzero(first)
        k = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        ids: pa.StringArray = pa.concat_arrays(
            [
                strings([""] * len(until)),
                vectors.asked.id,
                labels.id,
                batch.id.take(pa.array(passed)),
            ]
        )
        happened, arrived = batch.event_time, batch.arrival_time
        event_time = np.concatenate([until, vectors.asked.usable.time, labels.known, happened[passed]])[order]
        arrival = np.concatenate([until, vectors.asked.arrival, arrived[labels.row], arrived[passed]])[order]
        return Batch(
            batch.offset[rows],
            batch.sub[rows] + k,
            kinds,
            event_time,
            arrival,
            np.zeros(len(rows), np.uint8),
            ids.take(pa.array(order)),
            (
                pa.RecordBatch.from_arrays(
                    [
                        block(vectors.dense, vectors.dense.shape[1]),
                        block(vectors.ids, vectors.ids.shape[1]),
                        *([vectors.tokens.arrow] if vectors.tokens is not None else []),
                        block(vectors.reasons, vectors.reasons.shape[1]),
                    ],
                    schema=self._streams[_REQUEST].schema,
                ),
                pa.RecordBatch.from_arrays(
                    [
                        pa.array(labels.value),
                        pa.array(np.ones(len(labels.row))),
                        pa.array(labels.request_time),
                        pa.array(np.zeros(len(labels.row), bool)),
                    ],
                    schema=LABEL.schema,
                ),
                pa.RecordBatch.from_arrays([pa.array(until)], schema=PROGRESS.schema),
                batch.payloads[self._command] if self._command is not None else no_rows(COMMAND.schema),
            ),
        )

    def _progress(self, batch: Batch) -> tuple[I8, I8]:
        """Return the rows before which progress is announced, and how far it has come there."""
        reached = np.full(len(batch), UNSPOKEN_US, np.int64)
        for pace_us in self._paces_us:
            reached = np.maximum(reached, batch.arrival_time // pace_us * pace_us)
        if self._command is not None:
            # A person's clock is not that of the records: a command announces nothing.
            reached[batch.stream == self._command] = UNSPOKEN_US
        reached = np.maximum.accumulate(np.maximum(reached, self._reached_us))
        before = np.concatenate([[self._reached_us], reached[:-1]])
        rows = np.flatnonzero(reached > before)
        until = reached[rows]
        self._reached_us = int(reached[-1])
        for place, source in zip(
            batch.rows_of(self._tick), batch.payloads[self._tick]["source"].to_pylist(), strict=True
        ):
            self._ended.add(source)
            if self._ended >= self._sources and not self.ended:
                # The last source has ended. It takes the place of a pace that the same row may have crossed.
                self.ended = True
                self._reached_us = ENDED_US
                keep = rows < place
                rows, until = np.append(rows[keep], place), np.append(until[keep], ENDED_US)
        return rows, until

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the engine's state, and how far progress was announced."""
        arrays, meta = self._engine.snapshot()
        own: dict[str, Any] = {
            "reached_us": self._reached_us,
            "sources_ended": sorted(self._ended),
            "ended": self.ended,
        }
        return arrays, {**own, "engine": meta}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._engine.restore(arrays, meta["engine"])
        self._reached_us = meta["reached_us"]
        self._ended = set(meta["sources_ended"])
        self.ended = meta["ended"]
