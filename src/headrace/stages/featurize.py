"""featurize: turn each request into the features that were known just before it, and each answer into a label row.

A request sees events with an earlier event time; its own and its ties are out. Labels come out where they became
known, and progress rows stand wherever arrival time crosses a multiple of a declared pace, so that those who decide
downstream (learn, judge) all decide at the same places of the log.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.records import I8, Batch, Kind, StreamSchema, block, strings
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.features.engine import Engine, Vectors
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.schemas import LABEL, PROGRESS, feature_streams

__all__ = ["Featurize"]

_REQUEST: Final = 0
_LABEL: Final = 1
_PROGRESS: Final = 2


@final
class Featurize(Stage):
    """Run the feature engine over [events].

    `paces_us` are the paces of those who decide downstream. The outputs of one input row are, in order of k: its
    progress row, its vector, and the labels that it decided.
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
    ) -> None:
        self._engine = engine
        self._paces_us = tuple(sorted(set(paces_us)))
        self._output = output
        self._tick = next(number for number, stream in enumerate(events) if stream.kind == Kind.TICK)
        self._sources = frozenset(stream.name for stream in events if stream.name not in ("tick", "rejected"))
        self._streams = feature_streams(dense, ids)
        self._reached_us = UNSPOKEN_US
        self._ended: set[str] = set()

    @property
    def engine(self) -> Engine:
        """Return the engine, for its ledgers."""
        return self._engine

    def process(self, batch: Batch) -> Outputs:
        """Compute the vectors and labels of a batch of [events]."""
        vectors = self._engine.run(batch)
        progress_rows, until = self._progress(batch)
        rows = np.concatenate([progress_rows, vectors.row, vectors.labels.row])
        if len(rows) == 0:
            return Outputs(len(batch))
        return Outputs(len(batch), {self._output: self._batch(batch, vectors, progress_rows, until, rows)})

    def _batch(self, batch: Batch, vectors: Vectors, progress_rows: I8, until: I8, rows: I8) -> Batch:
        labels = vectors.labels
        kinds = np.repeat(
            np.array([_PROGRESS, _REQUEST, _LABEL], np.uint8), [len(until), len(vectors.row), len(labels.row)]
        )
        order = np.argsort(rows, kind="stable")
        rows, kinds = rows[order], kinds[order]
        first = np.concatenate([[True], rows[1:] != rows[:-1]])
        starts = np.flatnonzero(first)
        k = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        ids: pa.StringArray = pa.concat_arrays(
            [strings([""] * len(until)), batch.id.take(pa.array(vectors.row)), labels.id]
        )
        event_time = np.concatenate([until, batch.event_time[vectors.row], labels.known])[order]
        arrival = np.concatenate([until, batch.arrival_time[vectors.row], batch.arrival_time[labels.row]])[order]
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
            ),
        )

    def _progress(self, batch: Batch) -> tuple[I8, I8]:
        """Return the rows before which progress is announced, and how far it has come there."""
        reached = np.full(len(batch), UNSPOKEN_US, np.int64)
        for pace_us in self._paces_us:
            reached = np.maximum(reached, batch.arrival_time // pace_us * pace_us)
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
