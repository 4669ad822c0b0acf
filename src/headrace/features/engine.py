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
from headrace.core.records import F8, I4, I8, U1, Batch, StreamSchema, Verdict, below, strings
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, MINUTE_US, UNSPOKEN_US
from headrace.core.tokens import Tokens
from headrace.features.evaluator import Column, Evaluator
from headrace.features.event_clock import EventClock, ended_rows
from headrace.features.groups import Group, Usable, hash_keys
from headrace.features.keys import Hashes
from headrace.features.labels import Label
from headrace.features.resolver import LabelPlan, Resolved, Resolver
from headrace.features.state_size import StateSize
from headrace.features.vector import Vector
from headrace.features.waiting import Asked, Waiting
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
    reasons: u1[m, d + c + w], of `core.reasons`: dense features first, then categories, then words. tokens: m rows of
    ids, None of a vector without words. asked: the requests themselves; where the vector waits, `row` is where each was
    computed, and `asked.origin` where it stands.
    """

    row: I8
    dense: F8
    ids: I4
    reasons: U1
    labels: Resolved
    asked: Asked
    tokens: Tokens | None = None


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
        self._words = tuple(names.index(name) for name in blocks.tokens)
        self._word_starts = blocks.token_starts
        slack_us = _SLACK_US + max(source.disorder_us for source in sources) + (vector.wait_us or 0)
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
                waits=vector.wait_us is not None,
                disorder_us=max(stream.settings.disorder_us for stream in group[0].records.sources),
                carried=fed_by_labels.index(text) if text in fed_by_labels else None,
            )
            for text, group in by_history.items()
        )
        self._label_groups = tuple(group for group in self._groups if group.label is not None)
        self._label = label or next((group.label for group in self._label_groups if group.label is not None), None)
        self._resolver = None if self._label is None else Resolver(self._label_plan(self._label))
        self._clock = EventClock(self._streams, sources)
        schema = vector.of.settings.schema.arrow
        self._waiting = None if vector.wait_us is None else Waiting(vector.wait_us, schema, UNSPOKEN_US)

    @property
    def sources(self) -> frozenset[str]:
        """Return the names of the sources that are read."""
        return frozenset(self._sources)

    @property
    def newest_us(self) -> int:
        """Return how far event time has come, in microseconds."""
        return self._clock.newest_us

    @property
    def waits(self) -> bool:
        """Return whether a request is computed at a later row than the one where it stands."""
        return self._waiting is not None

    @property
    def ledger(self) -> dict[str, int]:
        """Return what became of the labels; see `Resolver.ledger`."""
        return {} if self._resolver is None else self._resolver.ledger

    @property
    def state(self) -> dict[str, dict[str, int]]:
        """Return, for each history, how many rows and keys are kept, were evicted, and how many answers that cut.

        rows: expired ones that were not dropped yet among them. evicted: keys that made room for others. truncated:
        values whose window holds less than it should, or whose key was evicted.
        """
        return {
            group.reads[0].history.strip(): {
                "rows": group.history.rows,
                "keys": len(group.table),
                "evicted": group.table.evicted,
                "truncated": group.truncated,
            }
            for group in self._groups
        }

    @property
    def sizes(self) -> dict[str, StateSize]:
        """Return how much each history keeps at most."""
        return {group.reads[0].history.strip(): group.size for group in self._groups}

    def run(self, batch: Batch, *, end: int | None = None) -> Vectors:
        """Compute the vectors that a batch of [events] asks for; rows are the batch's own.

        end: the row at which every source has ended, if it is among them: a request that still waits is computed there.
        """
        told = self._clock.run(batch)
        newest = told.newest
        records = {
            stream.name: self._usable(batch, number)
            for number, stream in enumerate(self._streams)
            if stream.name in self._sources
        }
        labels = self._resolve(batch, records, told.source)
        if self._waiting is None:
            kept, told_labels, asked = newest, labels, Asked.at_once(records[self._asking], batch)
        else:
            kept = self._waiting.kept(newest)
            asked = self._waiting.take(records[self._asking], batch, newest, end)
            told_labels = self._waiting.take_labels(labels, newest, end)
        known: dict[str, Column] = {}
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]] = {}
        for group in self._groups:
            # A window of a key that one producer alone feeds is closed by the clock of that one.
            closed = told.own if self._by_producer(group) else newest
            known |= group.answer(asked.usable, records[group.stream], labels, closed, kept, hashed)
        evaluator = asked.usable.evaluator.knowing(known)
        return self._vectors(asked, [evaluator.column(feature) for feature in self._features], told_labels)

    def look_up(self, requests: pa.RecordBatch, time: I8, *, moves: bool = True) -> Vectors:
        """Compute the vectors of n requests as if each came next in the log, and change no byte of state.

        requests: the fields of the source that asks; one that is null gives its features the reason missing_input.
        time: i8[n], when each request happens. moves: whether a request moves the watermark by itself, as it does
        where one task brings all records in. A batch equals the loop: no request sees another.
        """
        asked = Usable(np.arange(len(time)), time, requests, Evaluator(requests))
        newest_us = self._clock.newest_us
        told = self._clock.peek(self._asking, requests, time, moves=moves)
        known: dict[str, Column] = {}
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]] = {}
        for group in self._groups:
            known |= group.look_up(asked, newest_us, told.own if self._by_producer(group) else told.newest, hashed)
        evaluator = asked.evaluator.knowing(known)
        come = Asked(asked, asked.row, time, pa.nulls(len(time), pa.string()).fill_null(""))
        columns = [evaluator.column(feature) for feature in self._features]
        return self._vectors(come, columns, Resolved.nothing())

    def run_complete(self, batch: Batch) -> Vectors:
        """Compute a whole finite history as if every record had come at its event time: truth "complete".

        The same kernels, on records sorted by (event time, log position). For a fresh engine.
        """
        order = np.argsort(batch.event_time, kind="stable")
        found = self.run(batch.take(order), end=len(batch) - 1)
        origin = order[found.asked.origin]
        back = np.argsort(origin, kind="stable")
        labels, asked = found.labels, found.asked
        time, fields = asked.usable.time[back], asked.usable.fields.take(pa.array(back))
        usable = Usable(order[found.row][back], time, fields, Evaluator(fields))
        return Vectors(
            usable.row,
            found.dense[back],
            found.ids[back],
            found.reasons[back],
            Resolved(order[labels.row], labels.id, labels.value, labels.known, labels.request_time, labels.carried),
            Asked(usable, origin[back], asked.arrival[back], asked.id.take(pa.array(back))),
            None if found.tokens is None else found.tokens.take(back),
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
        clock, told = self._clock.snapshot()
        arrays |= {f"clock.{name}": array for name, array in clock.items()}
        meta: dict[str, Any] = {"clock": told, "counts": self._counts()}
        if self._resolver is not None:
            own, meta["labels"] = self._resolver.snapshot()
            arrays |= {f"labels.{name}": array for name, array in own.items()}
        if self._waiting is not None:
            arrays |= {f"waiting.{name}": array for name, array in self._waiting.snapshot().items()}
        return arrays, meta

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._clock.restore(below(arrays, "clock."), meta["clock"])
        for number, group in enumerate(self._groups):
            group.restore(below(arrays, f"{number}."))
            group.table.evicted, group.truncated = meta["counts"][number]
        if self._resolver is not None:
            self._resolver.restore(below(arrays, "labels."), meta["labels"])
        if self._waiting is not None:
            self._waiting.restore(below(arrays, "waiting."))

    def _counts(self) -> list[list[int]]:
        """Return how many keys each history evicted, and how many answers were truncated."""
        return [[group.table.evicted, group.truncated] for group in self._groups]

    def _by_producer(self, group: Group) -> bool:
        """Return whether every key of a group is fed, and asked for, by one producer alone."""
        if self._waiting is not None or self._sources[group.stream].producer is None:
            return False
        return group.asks_itself and self._sources[group.stream].producer in (group.fields or ())

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

    def _resolve(self, batch: Batch, records: Mapping[str, Usable], speaking: I8) -> Resolved:
        label = self._label
        if label is None or self._resolver is None:
            return Resolved.nothing()
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
            told=np.concatenate([speaking[asked.row], speaking[events.row[kept]], np.full(ends, ENDED_US)])[order],
        )
        return Resolved(row[order][found.row], found.id, found.value, found.known, found.request_time, found.carried)

    def _ends(self, batch: Batch, label: Label[Any]) -> tuple[I8, U1]:
        """Return the rows at which a source of the label says that it has ended, and which of the two it is."""
        asked, events = (ended_rows(batch, self._streams, name) for name in (label.of.name, label.events.name))
        roles = [
            np.full(len(asked), label_kernel.REQUESTS_ENDED, np.uint8),
            np.full(len(events), label_kernel.EVENTS_ENDED, np.uint8),
        ]
        return np.concatenate([asked, events]), np.concatenate(roles)

    def _vectors(self, asked: Asked, columns: list[Column], labels: Resolved) -> Vectors:
        count = len(asked.origin)
        dense, ids = np.empty((count, len(self._dense))), np.empty((count, len(self._categories)), np.int32)
        reason = np.empty((count, len(columns)), np.uint8)
        for place, number in enumerate(self._dense):
            dense[:, place] = columns[number].as_numbers()
            reason[:, place] = columns[number].reason
        for place, number in enumerate(self._categories):
            ids[:, place] = columns[number].as_numbers()
            reason[:, len(self._dense) + place] = columns[number].reason
        words = []
        for place, number in enumerate(self._words, len(self._dense) + len(self._categories)):
            words += [tokens] if (tokens := columns[number].tokens) is not None else []
            reason[:, place] = columns[number].reason
        tokens = Tokens.beside(words, self._word_starts) if words else None
        return Vectors(asked.usable.row, dense, ids, reason, labels, asked, tokens)


def _key_of(source: SourceSettings, keys: Sequence[Expression], values: Mapping[str, object]) -> Hashes:
    """Return the hash of one key as the records of a source have it: u8[1, 2]."""
    fields = [field for field in source.schema.fields if field.name in values]
    columns = [pa.array([values[field.name]], field.arrow) for field in fields]
    record = pa.RecordBatch.from_arrays(columns, names=[field.name for field in fields])
    return hash_keys(Evaluator(record), keys)[0]
