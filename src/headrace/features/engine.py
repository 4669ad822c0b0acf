"""The feature engine: one definition, computed once, the same way live, in replay and for a training set.

A batch of [events] goes through three steps. Labels are resolved (`resolver`). For each history (a stream, an
entity, a condition) the batch becomes a list of operations in log order, inserts of the stream's rows and reads of
the requests, which `history` answers. Scalar expressions then make the features from the record and these answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.records import F8, I4, I8, U1, Batch, StreamSchema, Verdict, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, MINUTE_US, UNSPOKEN_US
from headrace.features.aggregates import AggregateRead
from headrace.features.evaluator import Column, Evaluator
from headrace.features.history import History, HistoryPlan, Read, Window
from headrace.features.keys import KeyTable, hash_columns
from headrace.features.labels import Label
from headrace.features.resolver import LabelPlan, Resolved, Resolver
from headrace.features.vector import Vector
from headrace.kernels import labels as label_kernel

__all__ = ["Engine", "Truth", "Vectors"]

Truth: TypeAlias = Literal["served", "complete"]
_SLACK_US: Final = 5 * MINUTE_US


@final
@dataclass(frozen=True, slots=True)
class Vectors:
    """What a batch gave: m vectors, and the labels that its rows decided.

    row: i8[m], the batch's rows that asked. dense: f8[m, d], NaN where a value is missing. ids: i4[m, c].
    reasons: u1[m, d + c], of `core.reasons`, in the vector's order: dense features first, then categories.
    """

    row: I8
    dense: F8
    ids: I4
    reasons: U1
    labels: Resolved


@final
class _Group:
    """One history with what feeds it: a stream, a condition, the keys on both sides, and the reads it answers."""

    def __init__(self, reads: Sequence[AggregateRead], slack_us: int) -> None:
        first = reads[0]
        self.of_label = first.of_label
        self.stream = first.stream_name
        self.where = first.where
        self.keys = first.keys
        self.equals = first.equals
        self.max_keys = first.max_keys
        self.reads = tuple(reads)
        columns = list(dict.fromkeys(read.column.canonical for read in reads if read.column is not None))
        self.columns = tuple(
            next(read.column for read in reads if read.column is not None and read.column.canonical == text)
            for text in columns
        )
        windows = list(dict.fromkeys((read.size_us, read.offset_us, read.include_current) for read in reads))
        plan = HistoryPlan(
            windows=tuple(Window(size_us=size, offset_us=offset, include_current=own) for size, offset, own in windows),
            columns=len(columns),
            reads=tuple(
                Read(
                    operation=read.operation,
                    column=-1 if read.column is None else columns.index(read.column.canonical),
                    window=windows.index((read.size_us, read.offset_us, read.include_current)),
                    prior=read.prior,
                    default=np.nan if read.default is None else float(read.default),
                )
                for read in reads
            ),
        )
        unbounded = any(size >= ENDED_US for size, _, _ in windows)
        self.retention_us = ENDED_US if unbounded else max(size + offset for size, offset, _ in windows) + slack_us
        self.history = History(plan)
        self.table = KeyTable()
        self.refused = 0

    def own_requests(self, asking: str) -> bool:
        """Return whether the requests themselves are the rows, under the same keys."""
        same = [key.canonical for key in self.keys] == [key.canonical for key in self.equals]
        return not self.of_label and self.stream == asking and same


@final
class Engine:
    """Compute one vector, and resolve one label, over [events].

    Results do not depend on how the log is cut into batches. `ledger` counts labels; `state_rows` is what is kept.
    """

    def __init__(
        self,
        vector: Vector[Any],
        label: Label[Any] | None,
        streams: Sequence[StreamSchema],
        sources: Sequence[SourceSettings],
    ) -> None:
        self._names = tuple(stream.name for stream in streams)
        self._sources = {source.name: source for source in sources}
        self._asking = vector.of.name
        self._features = tuple(vector.features.items())
        blocks = vector.blocks()
        self._dense, self._categories = blocks.dense, blocks.categories
        slack_us = _SLACK_US + max(source.disorder_us for source in sources)
        reads = list({read.canonical: read for _, feature in self._features for read in feature.aggregates()}.values())
        histories = list(dict.fromkeys(read.history for read in reads))
        self._groups = tuple(
            _Group([read for read in reads if read.history == history], slack_us) for history in histories
        )
        label_groups = [group for group in self._groups if group.of_label]
        self._label = label or next((group.reads[0].label for group in label_groups), None)
        self._resolver = Resolver(self._label_plan(len(label_groups))) if self._label is not None else None
        self._carried = {group: number for number, group in enumerate(label_groups)}
        self._newest_us = UNSPOKEN_US

    @property
    def ledger(self) -> dict[str, int]:
        """Return what became of the labels; see `Resolver.ledger`."""
        return self._resolver.ledger if self._resolver is not None else {}

    @property
    def state_rows(self) -> int:
        """Return how many rows of history are kept."""
        return sum(group.history.rows for group in self._groups)

    def run(self, batch: Batch) -> Vectors:
        """Compute the vectors that a batch of [events] asks for; positions and order are the batch's."""
        records = {name: self._usable(batch, number) for number, name in enumerate(self._names) if name in self._sources}
        newest = np.maximum.accumulate(np.maximum(self._speaking(batch), self._newest_us)) if len(batch) else np.zeros(0)
        asked = records[self._asking]
        labels = self._resolve(batch, records)
        answers: dict[str, Column] = {}
        for group in self._groups:
            answers |= self._answers(group, records, asked, labels, newest)
        if len(batch):
            self._newest_us = int(newest[-1])
        evaluator = Evaluator(asked.fields, answers)
        columns = [evaluator.column(feature) for _, feature in self._features]
        return self._vectors(asked, columns, labels)

    def run_complete(self, batch: Batch) -> Vectors:
        """Compute a whole finite history as if every record had come at once: truth "complete".

        The same kernels, on records sorted by (event time, log position); rows of the answer are the batch's own.
        Labels are known when they are known, so a label still never precedes its event.
        """
        order = np.argsort(batch.event_time, kind="stable")
        sorted_vectors = self.run(batch.take(order))
        row = order[sorted_vectors.row]
        back = np.argsort(row, kind="stable")
        labels = sorted_vectors.labels
        return Vectors(
            row[back],
            sorted_vectors.dense[back],
            sorted_vectors.ids[back],
            sorted_vectors.reasons[back],
            Resolved(order[labels.row], labels.id, labels.value, labels.known, labels.request_time, labels.carried),
        )

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the state: keys, times and values; what can be derived from them is not in it."""
        arrays: dict[str, NDArray[Any]] = {}
        for number, group in enumerate(self._groups):
            arrays |= {f"{number}.history.{name}": array for name, array in group.history.snapshot().items()}
            arrays |= {f"{number}.keys.{name}": array for name, array in group.table.snapshot().items()}
        meta: dict[str, Any] = {"newest_us": self._newest_us, "refused": [group.refused for group in self._groups]}
        if self._resolver is not None:
            own, meta["labels"] = self._resolver.snapshot()
            arrays |= {f"labels.{name}": array for name, array in own.items()}
        return arrays, meta

    def restore(self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._newest_us = meta["newest_us"]
        for number, group in enumerate(self._groups):
            group.history.restore(_below(arrays, f"{number}.history."))
            group.table.restore(_below(arrays, f"{number}.keys."))
            group.refused = meta["refused"][number]
        if self._resolver is not None:
            self._resolver.restore(_below(arrays, "labels."), meta["labels"])

    def _usable(self, batch: Batch, number: int) -> "_Records":
        """Return the records of one source that count: those in time, and late ones if the source says `update`."""
        rows = batch.rows_of(number)
        fields = batch.payloads[number]
        verdict = batch.verdict[rows]
        kept = verdict == Verdict.OK
        if self._sources[self._names[number]].late == "update":
            kept |= verdict == Verdict.LATE
        if not kept.all():
            rows, fields = rows[kept], fields.filter(pa.array(kept))
        return _Records(rows, batch.event_time[rows], batch.id, fields)

    def _speaking(self, batch: Batch) -> I8:
        """Return the event time of each row that may move the watermark, and `UNSPOKEN_US` for the others."""
        sources = np.array([name in self._sources for name in self._names])
        counts = sources[batch.stream] & ((batch.verdict == Verdict.OK) | (batch.verdict == Verdict.LATE))
        return np.where(counts, batch.event_time, UNSPOKEN_US)

    def _label_plan(self, carried: int) -> LabelPlan:
        label = self._label
        if label is None:
            raise AssertionError  # Only called where there is a label.
        return LabelPlan(
            after_us=label.after_us,
            within_us=label.within_us,
            how=label.how,
            otherwise=label.otherwise_value,
            event_disorder_us=self._sources[label.events.name].disorder_us,
            request_disorder_us=self._sources[label.of.name].disorder_us,
            carried=carried,
        )
