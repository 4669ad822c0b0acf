"""The feature engine: one definition, computed once, the same way live, in replay and for a training set.

A batch of [events] goes through three steps. Labels are resolved (`resolver`). For each history (a stream, an
entity, a condition) the batch becomes a list of operations in log order, inserts of the stream's rows and reads of
the requests, which `history` answers. Scalar expressions then make the features from the record and these answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.expressions import Expression, FieldColumn
from headrace.core.records import F8, I4, I8, U1, Batch, Kind, StreamSchema, Verdict, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, MINUTE_US, UNSPOKEN_US
from headrace.features.aggregates import AggregateRead
from headrace.features.evaluator import Column, Evaluator
from headrace.features.history import History, HistoryPlan, Read, Window
from headrace.features.keys import Hashes, KeyTable, hash_columns
from headrace.features.labels import Label
from headrace.features.resolver import LabelPlan, Resolved, Resolver
from headrace.features.vector import Vector
from headrace.kernels import labels as label_kernel

__all__ = ["Engine", "Vectors"]

_SLACK_US: Final = 5 * MINUTE_US
_NO_READ: Final = -1


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
@dataclass(frozen=True, slots=True)
class _Records:
    """The usable records of one source in a batch: their rows, times and fields."""

    row: I8
    time: I8
    fields: pa.RecordBatch
    evaluator: Evaluator


@final
class _Group:
    """One history with what feeds it: records, the keys on both sides, and the aggregates that it answers."""

    def __init__(self, reads: Sequence[AggregateRead], asking: str, slack_us: int) -> None:
        first = reads[0]
        self.label = first.label
        self.stream = first.stream_name
        self.where = first.where
        self.keys = first.keys
        self.equals = first.equals
        self.max_keys = first.max_keys
        self.reads = tuple(reads)
        columns = {read.column.canonical: read.column for read in reads if read.column is not None}
        self.columns: tuple[Expression, ...] = tuple(columns.values())
        names = list(columns)
        windows = list(dict.fromkeys((read.size_us, read.offset_us, read.include_current) for read in reads))
        plan = HistoryPlan(
            windows=tuple(Window(size_us=size, offset_us=offset, include_current=own) for size, offset, own in windows),
            columns=len(columns),
            reads=tuple(
                Read(
                    operation=read.operation,
                    column=-1 if read.column is None else names.index(read.column.canonical),
                    window=windows.index((read.size_us, read.offset_us, read.include_current)),
                    prior=read.prior,
                    default=np.nan if read.default is None else read.default,
                )
                for read in reads
            ),
        )
        unbounded = any(size >= ENDED_US for size, _, _ in windows)
        self.retention_us = ENDED_US if unbounded else max(size + offset for size, offset, _ in windows) + slack_us
        # Requests that are the rows themselves, under the same keys, insert and read in one operation.
        texts = [key.canonical for key in self.keys], [key.canonical for key in self.equals]
        self.asks_itself = self.label is None and self.stream == asking and texts[0] == texts[1]
        self.history = History(plan)
        self.table = KeyTable()
        self.refused = 0

    @property
    def fields(self) -> frozenset[str] | None:
        """Return the fields that are the key; None if any part of it is computed."""
        if not all(isinstance(key, FieldColumn) for key in self.keys):
            return None
        return frozenset(key.name for key in self.keys if isinstance(key, FieldColumn))

    def forget(self, hashes: Hashes) -> None:
        """Drop the rows of one key, u8[1, 2], and the key."""
        (id_,) = self.table.find(hashes).tolist()
        if id_ >= 0:
            self.history.forget(id_)
            self.table.remove(np.array([id_], np.int64))

    def ids(self, hashes: Hashes, valid: NDArray[np.bool_]) -> I8:
        """Return the ids of the keys of rows to insert; -1 without a key, or beyond `max_keys`.

        A key beyond the bound is counted, and forgotten at once, so that its id stays above the bound.
        """
        ids = np.full(len(hashes), _NO_READ, np.int64)
        ids[valid] = self.table.add(np.ascontiguousarray(hashes[valid]))
        beyond = ids >= self.max_keys
        if beyond.any():
            self.refused += int(np.count_nonzero(beyond))
            self.table.remove(np.unique(ids[beyond]))
            ids[beyond] = _NO_READ
        return ids


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
        self._groups = tuple(_Group(group, self._asking, slack_us) for group in by_history.values())
        self._label_groups = tuple(group for group in self._groups if group.label is not None)
        self._label = label or next((group.label for group in self._label_groups if group.label is not None), None)
        self._resolver = None if self._label is None else Resolver(self._label_plan(self._label))
        self._newest_us = UNSPOKEN_US

    @property
    def sources(self) -> frozenset[str]:
        """Return the names of the sources that are read."""
        return frozenset(self._sources)

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
            known |= self._answers(group, records, labels, newest, hashed)
        evaluator = Evaluator(asked.fields, known)
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
            arrays |= {f"{number}.history.{name}": array for name, array in group.history.snapshot().items()}
            arrays |= {f"{number}.keys.{name}": array for name, array in group.table.snapshot().items()}
        meta: dict[str, Any] = {"newest_us": self._newest_us, "refused": [group.refused for group in self._groups]}
        if self._resolver is not None:
            own, meta["labels"] = self._resolver.snapshot()
            arrays |= {f"labels.{name}": array for name, array in own.items()}
        return arrays, meta

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._newest_us = meta["newest_us"]
        for number, group in enumerate(self._groups):
            group.history.restore(_below(arrays, f"{number}.history."))
            group.table.restore(_below(arrays, f"{number}.keys."))
            group.refused = meta["refused"][number]
        if self._resolver is not None:
            self._resolver.restore(_below(arrays, "labels."), meta["labels"])

    def _usable(self, batch: Batch, number: int) -> _Records:
        """Return the records of one source that count: those in time, and late ones if the source says `update`."""
        row = batch.rows_of(number)
        fields = batch.payloads[number]
        verdict = batch.verdict[row]
        kept = verdict == Verdict.OK
        if self._sources[self._streams[number].name].late == "update":
            kept |= verdict == Verdict.LATE
        if not kept.all():
            row, fields = row[kept], fields.filter(pa.array(kept))
        return _Records(row, batch.event_time[row], fields, Evaluator(fields))

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

    def _resolve(self, batch: Batch, records: Mapping[str, _Records]) -> Resolved:
        label = self._label
        if label is None or self._resolver is None:
            nothing = np.zeros(0, np.int64)
            return Resolved(nothing, strings([]), np.zeros(0), nothing, nothing, np.zeros((0, 0, 2), np.uint64))
        asked, events = records[label.of.name], records[label.events.name]
        value = events.evaluator.column(label.answer).as_numbers()
        kept = ~np.isnan(value)
        if label.events.condition is not None:
            kept &= events.evaluator.mask(label.events.condition)
        event_hash, has_key = _hash(events.evaluator, label.event_keys)
        kept &= has_key
        asked_hash, _ = _hash(asked.evaluator, label.asked_keys)
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
            carried[: len(asked.row), number] = _hash(asked.evaluator, group.keys)[0]
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

    def _answers(
        self,
        group: _Group,
        records: Mapping[str, _Records],
        labels: Resolved,
        newest: I8,
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]],
    ) -> dict[str, Column]:
        """Run one history over the batch; return the value and reason of each of its aggregates, one a request."""
        asked = records[self._asking]
        count = len(asked.row)
        out = np.zeros((count, len(group.reads)))
        reason = np.zeros((count, len(group.reads)), np.uint8)
        text = ", ".join(key.canonical for key in group.equals)
        if text not in hashed:
            hashed[text] = _hash(asked.evaluator, group.equals)
        asked_hash, asked_valid = hashed[text]
        if group.asks_itself:
            row, time, insert, columns, ids = self._own_rows(group, asked, asked_hash, asked_valid)
            read = np.arange(count)
        else:
            row, time, columns, inserted = self._other_rows(group, records, labels)
            found = group.table.find(asked_hash)
            found[~asked_valid] = _NO_READ
            # Both lists rise; a row that is inserted where a request stands comes first.
            order_in = np.arange(len(row)) + np.searchsorted(asked.row, row, side="left")
            order_out = np.arange(count) + np.searchsorted(row, asked.row, side="right")
            total = len(row) + count
            insert = np.zeros(total, bool)
            insert[order_in] = True
            ids = _merged(order_in, inserted, order_out, found)
            read = _merged(order_in, np.full(len(row), _NO_READ), order_out, np.arange(count))
            columns = [_spread(column, order_in, total) for column in columns]
            time = _merged(order_in, time, order_out, asked.time)
            row = _merged(order_in, row, order_out, asked.row)
        lowest = newest[row] - group.retention_us
        group.history.run(
            key=ids,
            time=time,
            insert=insert & (ids >= 0),
            read=read,
            lowest=lowest,
            columns=columns,
            out=out,
            reason=reason,
        )
        reason[~asked_valid] = reasons.MISSING_INPUT
        answers = {}
        for number, entry in enumerate(group.reads):
            values = np.ascontiguousarray(out[:, number])
            if entry.default is not None:
                values = np.where(np.isnan(values), entry.default, values)
            answers[entry.canonical] = Column(np.ascontiguousarray(reason[:, number]), values)
        return answers

    def _own_rows(
        self, group: _Group, asked: _Records, hashes: Hashes, valid: NDArray[np.bool_]
    ) -> tuple[I8, I8, NDArray[np.bool_], list[F8], I8]:
        insert = valid.copy()
        if group.where is not None:
            insert &= asked.evaluator.mask(group.where)
        columns = [asked.evaluator.column(column).as_numbers() for column in group.columns]
        for column in columns:
            insert &= ~np.isnan(column)
        ids = group.table.find(hashes)
        ids[insert] = group.ids(hashes[insert], valid[insert])
        unknown = ~insert & valid
        ids[unknown] = group.table.find(np.ascontiguousarray(hashes[unknown]))
        ids[~valid] = _NO_READ
        return asked.row, asked.time, insert, columns, ids

    def _other_rows(
        self, group: _Group, records: Mapping[str, _Records], labels: Resolved
    ) -> tuple[I8, I8, list[F8], I8]:
        """Return the rows that the batch adds to a history: batch rows, times, columns, and key ids."""
        if group.label is not None:
            carried = labels.carried[:, self._label_groups.index(group)]
            kept = ~np.isnan(labels.value) & carried.any(axis=1)  # Of a key that was forgotten nothing is carried.
            hashes = np.ascontiguousarray(carried[kept])
            value = {group.label.value.canonical: Column(np.zeros(int(kept.sum()), np.uint8), labels.value[kept])}
            evaluator = Evaluator(_no_fields(int(kept.sum())), value)
            columns = [evaluator.column(column).as_numbers() for column in group.columns]
            ids = group.ids(hashes, np.ones(len(hashes), bool))
            return labels.row[kept], labels.known[kept], columns, ids
        source = records[group.stream]
        hashes, kept = _hash(source.evaluator, group.keys)
        if group.where is not None:
            kept = kept & source.evaluator.mask(group.where)
        columns = [source.evaluator.column(column).as_numbers() for column in group.columns]
        for column in columns:
            kept = kept & ~np.isnan(column)
        ids = group.ids(np.ascontiguousarray(hashes[kept]), np.ones(int(kept.sum()), bool))
        return source.row[kept], source.time[kept], [column[kept] for column in columns], ids

    def _vectors(self, asked: _Records, columns: list[Column], labels: Resolved) -> Vectors:
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


def _hash(evaluator: Evaluator, keys: Sequence[Expression]) -> tuple[Hashes, NDArray[np.bool_]]:
    return hash_columns([evaluator.column(key).as_arrow() for key in keys])


def _key_of(source: SourceSettings, keys: Sequence[Expression], values: Mapping[str, object]) -> Hashes:
    """Return the hash of one key as the records of a source have it: u8[1, 2]."""
    fields = [field for field in source.schema.fields if field.name in values]
    columns = [pa.array([values[field.name]], field.arrow) for field in fields]
    record = pa.RecordBatch.from_arrays(columns, names=[field.name for field in fields])
    return _hash(Evaluator(record), keys)[0]


def _merged(place_one: I8, one: I8, place_two: I8, two: I8) -> I8:
    merged = np.empty(len(one) + len(two), np.int64)
    merged[place_one] = one
    merged[place_two] = two
    return merged


def _spread(column: F8, place: I8, total: int) -> F8:
    spread = np.zeros(total)
    spread[place] = column
    return spread


def _no_fields(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(count)], names=["none"])


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
