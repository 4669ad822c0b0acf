"""The feature engine: one definition, computed once, the same way live, in replay and for a training set.

A batch of [events] goes through three steps. Labels are resolved (`resolver`). For each history (a stream, an
entity, a condition) the batch becomes a list of operations in log order, inserts of the stream's rows and reads of
the requests, which `history` answers. Scalar expressions then make the features from the record and these answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.expressions import Expression, FieldColumn
from headrace.core.records import F8, I4, I8, U1, Batch, Kind, StreamSchema, Verdict, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, MINUTE_US, UNSPOKEN_US
from headrace.features.evaluator import Column, Evaluator
from headrace.features.groups import Group, Usable, below, hash_keys
from headrace.features.keys import Hashes
from headrace.features.labels import Label
from headrace.features.resolver import LabelPlan, Resolved, Resolver
from headrace.features.vector import Vector
from headrace.kernels import labels as label_kernel

if TYPE_CHECKING:
    from headrace.features.aggregates import AggregateRead

__all__ = ["Engine", "Vectors"]

_SLACK_US: Final = 5 * MINUTE_US


@final
@dataclass(frozen=True, slots=True)
class Vectors:
    """What a batch gave: m vectors, and the labels that its rows decided.

    row: i8[m], the batch's rows that asked. dense: f8[m, d], NaN where a value is missing. ids: i4[m, c].
    reasons: u1[m, d + c], of `core.reasons`: dense features first, then categories.
    """

    row: I8
    dense: F8
    ids: I4
    reasons: U1
    labels: Resolved


@final
class Engine:
    """Compute one vector, and resolve its pipeline's label, over [events].

    Results do not depend on how the log is cut into batches. `streams` are those of [events], in their order.
    """

    def __init__(
        self,
        vector: Vector[Any],
        label: Label[Any] | None,
        streams: Sequence[StreamSchema],
        sources: Sequence[SourceSettings],
    ) -> None:
        self._streams = tuple(streams)
        self._sources = {source.name: source for source in sources}
        self._asking = vector.of.name
        self._features = tuple(vector.features.values())
        blocks = vector.blocks()
        names = tuple(vector.features)
        self._dense = tuple(names.index(name) for name in blocks.dense)
        self._categories = tuple(names.index(name) for name in blocks.categories)
        slack_us = _SLACK_US + max(source.disorder_us for source in sources)
        reads = vector.aggregates()
        by_history: dict[str, list[AggregateRead]] = {}
        for read in reads:
            by_history.setdefault(read.history, []).append(read)
        fed_by_labels = [text for text, group in by_history.items() if group[0].label is not None]
        self._groups = tuple(
            Group(
                group,
                asking=self._asking,
                slack_us=slack_us,
                disorder_us=max(stream.settings.disorder_us for stream in group[0].records.sources),
                carried=fed_by_labels.index(text) if text in fed_by_labels else None,
            )
            for text, group in by_history.items()
        )
        self._label_groups = tuple(group for group in self._groups if group.label is not None)
        self._label = label or next((group.label for group in self._label_groups if group.label is not None), None)
        self._resolver = None if self._label is None else Resolver(self._label_plan(self._label))
        self._newest_us = UNSPOKEN_US

    @property
    def sources(self) -> frozenset[str]:
        """Return the names of the sources that are read."""
        return frozenset(self._sources)

    @property
    def newest_us(self) -> int:
        """Return how far event time has come, in microseconds."""
        return self._newest_us

    @property
    def ledger(self) -> dict[str, int]:
        """Return what became of the labels; see `Resolver.ledger`."""
        return {} if self._resolver is None else self._resolver.ledger

    @property
    def state(self) -> dict[str, dict[str, int]]:
        """Return, for each history, how many rows and keys are kept, and how many rows came beyond `max_keys`."""
        return {
            group.reads[0].history.strip(): {
                "rows": group.history.rows,
                "keys": len(group.table),
                "refused": group.refused,
            }
            for group in self._groups
        }

    def run(self, batch: Batch) -> Vectors:
        """Compute the vectors that a batch of [events] asks for; rows are the batch's own."""
        # Where several producers write, the slowest says what may be forgotten: `topics.watermark`.
        told = self._speaking(batch) if batch.reached is None else batch.reached
        newest = np.maximum.accumulate(np.maximum(told, self._newest_us))
        if len(newest):
            self._newest_us = int(newest[-1])
        records = {
            stream.name: self._usable(batch, number)
            for number, stream in enumerate(self._streams)
            if stream.name in self._sources
        }
        asked = records[self._asking]
        labels = self._resolve(batch, records)
        known: dict[str, Column] = {}
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]] = {}
        for group in self._groups:
            known |= group.answer(asked, records[group.stream], labels, newest, hashed)
        evaluator = Evaluator(asked.fields, known)
        return self._vectors(asked, [evaluator.column(feature) for feature in self._features], labels)

    def look_up(self, requests: pa.RecordBatch, time: I8, *, moves: bool = True) -> Vectors:
        """Compute the vectors of n requests as if each came next in the log, and change no byte of state.

        requests: the fields of the source that asks; one that is null gives its features the reason missing_input.
        time: i8[n], when each request happens. moves: whether a request moves the watermark by itself, as it does
        where one task brings all records in. A batch equals the loop: no request sees another.
        """
        asked = Usable(np.arange(len(time)), time, requests, Evaluator(requests))
        told = np.maximum(time, self._newest_us) if moves else np.full(len(time), self._newest_us, np.int64)
        known: dict[str, Column] = {}
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]] = {}
        for group in self._groups:
            known |= group.look_up(asked, self._newest_us, told, hashed)
        evaluator = Evaluator(requests, known)
        nothing = np.zeros(0, np.int64)
        labels = Resolved(nothing, strings([]), np.zeros(0), nothing, nothing, np.zeros((0, 0, 2), np.uint64))
        return self._vectors(asked, [evaluator.column(feature) for feature in self._features], labels)

    def run_complete(self, batch: Batch) -> Vectors:
        """Compute a whole finite history as if every record had come at its event time: truth "complete".

        The same kernels, on records sorted by (event time, log position). For a fresh engine.
        """
        order = np.argsort(batch.event_time, kind="stable")
        found = self.run(batch.take(order))
        row = order[found.row]
        back = np.argsort(row, kind="stable")
        labels = found.labels
        return Vectors(
            row[back],
            found.dense[back],
            found.ids[back],
            found.reasons[back],
            Resolved(order[labels.row], labels.id, labels.value, labels.known, labels.request_time, labels.carried),
        )

    def forget(self, source: str, key: Mapping[str, object]) -> int:
        """Drop what is known of one key of a source; return in how many groupings it was looked for.

        They are those of the source by exactly these fields, over its records or over labels of its requests; `key`
        has a value for each field. To later requests it is as a key that was never seen; no other key is changed.
        """
        mine = [group for group in self._groups if group.stream == source and group.fields == frozenset(key)]
        for group in mine:
            group.forget(_key_of(self._sources[source], group.keys, key))
        if self._resolver is not None:
            for number, group in enumerate(self._label_groups):
                if group in mine:
                    self._resolver.forget(number, _key_of(self._sources[source], group.keys, key)[0])
        return len(mine)

    def groupings(self, source: str) -> list[tuple[str, ...]]:
        """Return by which fields the records of a source are grouped, each once; not those by computed keys."""
        found = {tuple(key.name for key in group.keys if isinstance(key, FieldColumn)): group for group in self._groups}
        return [names for names, group in found.items() if group.stream == source and group.fields == frozenset(names)]

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the state: keys, times and values; what can be derived from them is not in it."""
        arrays: dict[str, NDArray[Any]] = {}
        for number, group in enumerate(self._groups):
            arrays |= {f"{number}.{name}": array for name, array in group.snapshot().items()}
        meta: dict[str, Any] = {"newest_us": self._newest_us, "refused": [group.refused for group in self._groups]}
        if self._resolver is not None:
            own, meta["labels"] = self._resolver.snapshot()
            arrays |= {f"labels.{name}": array for name, array in own.items()}
        return arrays, meta

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._newest_us = meta["newest_us"]
        for number, group in enumerate(self._groups):
            group.restore(below(arrays, f"{number}."))
            group.refused = meta["refused"][number]
        if self._resolver is not None:
            self._resolver.restore(below(arrays, "labels."), meta["labels"])

    def _usable(self, batch: Batch, number: int) -> Usable:
        """Return the records of one source that count: those in time, and late ones if the source says `update`."""
        row = batch.rows_of(number)
        fields = batch.payloads[number]
        verdict = batch.verdict[row]
        kept = verdict == Verdict.OK
        if self._sources[self._streams[number].name].late == "update":
            kept |= verdict == Verdict.LATE
        if not kept.all():
            row, fields = row[kept], fields.filter(pa.array(kept))
        return Usable(row, batch.event_time[row], fields, Evaluator(fields))

    def _speaking(self, batch: Batch) -> I8:
        """Return the event time of each row that may move the watermark, and `UNSPOKEN_US` for the others."""
        source = np.zeros(len(batch.payloads), bool)  # [events] may have gained streams that nobody here reads.
        source[: len(self._streams)] = [stream.name in self._sources for stream in self._streams]
        counts = source[batch.stream] & ((batch.verdict == Verdict.OK) | (batch.verdict == Verdict.LATE))
        return np.where(counts, batch.event_time, UNSPOKEN_US)

    def _label_plan(self, label: Label[Any]) -> LabelPlan:
        return LabelPlan(
            after_us=label.after_us,
            within_us=label.within_us,
            how=label.how,
            otherwise=label.otherwise_value,
            event_disorder_us=label.events.settings.disorder_us,
            request_disorder_us=label.of.settings.disorder_us,
            carried=len(self._label_groups),
        )

    def _resolve(self, batch: Batch, records: Mapping[str, Usable]) -> Resolved:
        label = self._label
        if label is None or self._resolver is None:
            nothing = np.zeros(0, np.int64)
            return Resolved(nothing, strings([]), np.zeros(0), nothing, nothing, np.zeros((0, 0, 2), np.uint64))
        asked, events = records[label.of.name], records[label.events.name]
        value = events.evaluator.column(label.answer).as_numbers()
        kept = ~np.isnan(value)
        if label.events.condition is not None:
            kept &= events.evaluator.mask(label.events.condition)
        event_hash, has_key = hash_keys(events.evaluator, label.event_keys)
        kept &= has_key
        asked_hash, _ = hash_keys(asked.evaluator, label.asked_keys)
        ends_row, ends_role = self._ends(batch, label)
        row = np.concatenate([asked.row, events.row[kept], ends_row])
        role = np.concatenate(
            [
                np.full(len(asked.row), label_kernel.REQUEST, np.uint8),
                np.full(int(kept.sum()), label_kernel.EVENT, np.uint8),
                ends_role,
            ]
        )
        order = np.argsort(row, kind="stable")
        ends = len(ends_row)
        carried = np.zeros((len(row), len(self._label_groups), 2), np.uint64)
        for number, group in enumerate(self._label_groups):
            carried[: len(asked.row), number] = hash_keys(asked.evaluator, group.keys)[0]
        key = np.concatenate([asked_hash, event_hash[kept], np.zeros((ends, 2), np.uint64)])
        time = np.concatenate([asked.time, events.time[kept], np.full(ends, ENDED_US)])
        values = np.concatenate([np.zeros(len(asked.row)), value[kept], np.zeros(ends)])
        ids = pa.concat_arrays([batch.id.take(pa.array(asked.row)), strings([""] * (len(row) - len(asked.row)))])
        found = self._resolver.resolve(
            role=role[order],
            key=np.ascontiguousarray(key[order]),
            time=time[order],
            value=values[order],
            id=ids.take(pa.array(order)),
            carried=np.ascontiguousarray(carried[order]),
        )
        return Resolved(row[order][found.row], found.id, found.value, found.known, found.request_time, found.carried)

    def _ends(self, batch: Batch, label: Label[Any]) -> tuple[I8, U1]:
        """Return the rows at which a source of the label says that it has ended, and which of the two it is."""
        rows, roles = [], []
        for number, stream in enumerate(self._streams):
            if stream.kind != Kind.TICK or batch.payloads[number].num_rows == 0:
                continue
            for row, source in zip(batch.rows_of(number), batch.payloads[number]["source"].to_pylist(), strict=True):
                if source == label.of.name:
                    rows.append(row)
                    roles.append(label_kernel.REQUESTS_ENDED)
                if source == label.events.name:
                    rows.append(row)
                    roles.append(label_kernel.EVENTS_ENDED)
        return np.array(rows, np.int64), np.array(roles, np.uint8)

    def _vectors(self, asked: Usable, columns: list[Column], labels: Resolved) -> Vectors:
        count = len(asked.row)
        dense, ids = np.empty((count, len(self._dense))), np.empty((count, len(self._categories)), np.int32)
        reason = np.empty((count, len(columns)), np.uint8)
        for place, number in enumerate(self._dense):
            dense[:, place] = columns[number].as_numbers()
            reason[:, place] = columns[number].reason
        for place, number in enumerate(self._categories):
            ids[:, place] = columns[number].as_numbers()
            reason[:, len(self._dense) + place] = columns[number].reason
        return Vectors(asked.row, dense, ids, reason, labels)


def _key_of(source: SourceSettings, keys: Sequence[Expression], values: Mapping[str, object]) -> Hashes:
    """Return the hash of one key as the records of a source have it: u8[1, 2]."""
    fields = [field for field in source.schema.fields if field.name in values]
    columns = [pa.array([values[field.name]], field.arrow) for field in fields]
    record = pa.RecordBatch.from_arrays(columns, names=[field.name for field in fields])
    return hash_keys(Evaluator(record), keys)[0]
