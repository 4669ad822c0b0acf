"""What is behind an aggregate: the records that it read, found in the log by plain search, not by the engine."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core.expressions import Expression, FieldColumn
from headrace.core.position import Position
from headrace.core.records import Batch, Kind, StreamSchema, Verdict
from headrace.core.source_settings import SourceSettings
from headrace.core.time import UNSPOKEN_US
from headrace.features.aggregates import AggregateRead
from headrace.features.evaluator import Column, Evaluator
from headrace.run.definition import Past
from headrace.topics.reader import Taken

__all__ = ["LabelRow", "Request", "Search", "labels_in", "watched"]

Described: TypeAlias = Callable[[Sequence[int]], list[dict[str, Any]]]
_FORGET: Final = "forget"
_LABEL: Final = 1


@final
@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label: of which request, its value, since when it is known, and the position of [events] that decided it."""

    id: str
    value: float
    known_us: int
    cause: Position


@final
@dataclass(frozen=True, slots=True)
class Request:
    """One request: its row among the events, its time, how far the watermark had come with it, and its record.

    computed: the row at which its vector was computed, which is its own unless the vector waits.
    """

    row: int
    computed: int
    time_us: int
    reached_us: int
    record: pa.RecordBatch
    fields: Evaluator


def watched(
    batch: Batch, streams: Sequence[StreamSchema], sources: Mapping[str, SourceSettings], before_us: int = UNSPOKEN_US
) -> Batch:
    """Return rows of [events] with the highest event time so far beside each, unless a watermark stands there.

    before_us: how far it had come before them.
    """
    if batch.reached is not None:
        return batch
    reads = np.array([stream.name in sources for stream in streams])
    speaks = reads[batch.stream] & (batch.verdict <= Verdict.LATE)
    times = np.where(speaks, batch.event_time, UNSPOKEN_US)
    return replace(batch, reached=np.maximum.accumulate(np.maximum(times, before_us)))


@final
class Search:
    """Finds the records behind an aggregate of a request: those with its key, above it in the log.

    events: rows of [events] in the order of the log, as `watched` gives them; all of them, or those that matter.
    labels: every label that was known to any of the requests, in the order in which they were decided.
    """

    def __init__(
        self,
        events: Batch,
        streams: Sequence[StreamSchema],
        sources: Mapping[str, SourceSettings],
        labels: Sequence[LabelRow] = (),
    ) -> None:
        self._events = events
        self._names = [stream.name for stream in streams]
        self._sources = sources
        self._labels = tuple(labels)
        self._label_ids = pa.array([label.id for label in labels], pa.string())
        self._evaluators: dict[int, Evaluator] = {}
        self._keys: dict[tuple[int, str], pa.Array[Any]] = {}
        self._forgets = [
            (int(row), command)
            for number, stream in enumerate(streams)
            if stream.kind == Kind.COMMAND
            for row, command in zip(events.rows_of(number), events.payloads[number].to_pylist(), strict=True)
            if command["command"] == _FORGET
        ]

    def request(self, row: int, computed: int | None = None) -> Request:
        """Return the request that stands in one row of the events."""
        stream = int(self._events.stream[row])
        place = int(np.count_nonzero(self._events.stream[:row] == stream))
        record = self._events.payloads[stream].slice(place, 1)
        at = row if computed is None else computed
        return Request(row, at, int(self._events.event_time[row]), self._reached(at), record, Evaluator(record))

    def row_at(self, position: Position) -> int:
        """Return the row at a position, or the last one before it that is here; -1 for none."""
        before = int(np.searchsorted(self._events.offset, position.offset, side="left"))
        until = int(np.searchsorted(self._events.offset, position.offset, side="right"))
        return before + int(np.searchsorted(self._events.sub[before:until], position.sub, side="right")) - 1

    def past(self, request: Request, read: AggregateRead) -> tuple[list[Past], Described]:
        """Return the records of the request's key before it, as far back as the window may reach, in log order.

        With them: what says of some of them, by their places, how a person reads them.
        """
        forgotten = self._forgotten(request, read)
        if read.of_label:
            return self._of_label(request, read, forgotten)
        return self._of_source(request, read, forgotten)

    def told_us(self, request: Request, read: AggregateRead) -> int:
        """Return how far the watermark of the aggregate's stream had come with the request."""
        return request.reached_us - _disorder_us(read)

    def _of_source(self, request: Request, read: AggregateRead, forgotten: int) -> tuple[list[Past], Described]:
        number = self._names.index(read.stream_name)
        rows = self._events.rows_of(number)
        waited = request.computed > request.row
        last = request.computed + 1 if read.include_current or waited else request.row
        kept = (rows < last) & (rows > forgotten) & self._usable(rows, read.stream_name)
        kept &= self._events.event_time[rows] >= _reaches_us(request, read)
        evaluator = self._evaluator(number)
        kept &= self._same_key(request, number, read)
        if read.where is not None:
            kept &= evaluator.mask(read.where)
        columns = [evaluator.column(column) for column in read.columns]
        for column in columns:
            kept &= ~column.missing
        places = np.flatnonzero(kept)
        disorder_us = _disorder_us(read)
        past = [
            Past(int(self._events.event_time[row]), self._reached(row) - disorder_us, *values)
            for row, values in zip(rows[places].tolist(), _values(columns, places), strict=True)
        ]

        def described(chosen: Sequence[int]) -> list[dict[str, Any]]:
            entries = self._events.payloads[number].take(pa.array(places[list(chosen)])).to_pylist()
            return [{key: str(value) for key, value in entry.items()} for entry in entries]

        return past, described

    def _of_label(self, request: Request, read: AggregateRead, forgotten: int) -> tuple[list[Past], Described]:
        """Return the labels that were known, by the requests that they answer."""
        number = self._names.index(read.stream_name)
        rows = self._events.rows_of(number)
        same = self._same_key(request, number, read) & (rows > forgotten) & self._usable(rows, read.stream_name)
        ids = self._events.id.take(pa.array(rows[same]))
        mine = self._events.position(request.computed).through_row()
        floor_us = _reaches_us(request, read)
        answering = np.flatnonzero(pc.is_in(self._label_ids, value_set=ids).to_numpy(zero_copy_only=False))
        found = [
            label
            for label in (self._labels[place] for place in answering.tolist())
            if label.cause <= mine and label.known_us >= floor_us and not isnan(label.value)
        ]
        count, closes = len(found), read.window.closes
        value = Column(np.zeros(count, np.uint8), np.array([label.value for label in found], np.float64))
        known = {} if read.label is None else {read.label.value.canonical: value}
        fields = pa.RecordBatch.from_arrays([pa.nulls(count)], names=["none"])
        columns = [Evaluator(fields, known).column(column) for column in read.columns]
        disorder_us = _disorder_us(read)
        past = [
            Past(label.known_us, self._reached_at(label.cause) - disorder_us if closes else UNSPOKEN_US, *values)
            for label, values in zip(found, _values(columns, np.arange(count)), strict=True)
        ]
        return past, lambda chosen: [{"id": found[place].id, "value": found[place].value} for place in chosen]

    def _same_key(self, request: Request, number: int, read: AggregateRead) -> NDArray[np.bool_]:
        """Return which records of a stream have the key that the request asks for; none if a part of it is missing."""
        same = np.ones(self._events.payloads[number].num_rows, bool)
        for key, other in zip(read.keys, read.equals, strict=True):
            wanted = request.fields.column(other).as_arrow()[0]
            if not wanted.is_valid:
                return np.zeros(len(same), bool)
            if (number, key.canonical) not in self._keys:
                self._keys[number, key.canonical] = self._evaluator(number).column(key).as_arrow()
            column = self._keys[number, key.canonical]
            same &= pc.equal(column, wanted).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
        return same

    def _forgotten(self, request: Request, read: AggregateRead) -> int:
        """Return the row of the last command before the request to forget its key, -1 for none."""
        fields = [key.name for key in read.keys if isinstance(key, FieldColumn)]
        last = -1
        for row, command in self._forgets:
            key = json.loads(command["key"])
            if row > request.computed or command["source"] != read.stream_name or sorted(key) != sorted(fields):
                continue
            asked = {name: _plain(request, other) for name, other in zip(fields, read.equals, strict=True)}
            if len(fields) == len(read.keys) and asked == key:
                last = row
        return last

    def _usable(self, rows: Any, source: str) -> NDArray[np.bool_]:
        verdict = self._events.verdict[rows]
        usable: NDArray[np.bool_] = verdict == Verdict.OK
        if self._sources[source].late == "update":
            usable = usable | (verdict == Verdict.LATE)
        return usable

    def _evaluator(self, number: int) -> Evaluator:
        if number not in self._evaluators:
            self._evaluators[number] = Evaluator(self._events.payloads[number])
        return self._evaluators[number]

    def _reached(self, row: int) -> int:
        return UNSPOKEN_US if self._events.reached is None else int(self._events.reached[row])

    def _reached_at(self, cause: Position) -> int:
        """Return how far the watermark had come at a position, or at the last one before it that is here."""
        row = self.row_at(cause)
        return self._reached(row) if row >= 0 else UNSPOKEN_US


def labels_in(taken: Iterable[Taken]) -> list[LabelRow]:
    """Return the labels among what was taken of [features]."""
    found = []
    for piece in taken:
        batch, causes = piece.batch, piece.causes
        value = batch.payloads[_LABEL]["value"].to_numpy(zero_copy_only=False)
        for place, row in enumerate(batch.rows_of(_LABEL).tolist()):
            known_us = int(batch.event_time[row])
            found.append(LabelRow(batch.id[row].as_py(), float(value[place]), known_us, causes.position(row)))
    return found


def _disorder_us(read: AggregateRead) -> int:
    return max(source.settings.disorder_us for source in read.records.sources)


def _reaches_us(request: Request, read: AggregateRead) -> int:
    """Return the earliest time at which a record may lie that the aggregate reads."""
    end_us = request.time_us - read.offset_us
    if read.window.closes:  # It may be closed long after its end.
        end_us = min(end_us, request.reached_us - _disorder_us(read))
    return end_us - read.window.reach_us - read.resolution_us


def _values(columns: Sequence[Column], places: Any) -> list[tuple[Any, ...]]:
    """Return the values of some records in Python: a tuple of one a column for each."""
    lists = []
    for column in columns:
        if column.texts is not None:
            lists.append(column.texts.take(pa.array(places)).to_pylist())
        elif column.times is not None:
            lists.append(column.times[places].tolist())
        else:
            lists.append(column.as_numbers()[places].tolist())
    return list(zip(*lists, strict=True)) if lists else [()] * len(places)


def _plain(request: Request, expression: Expression) -> object:
    """Return one value of a request as a command's JSON holds it."""
    column = request.fields.column(expression)
    if column.missing[0]:
        return None
    if column.texts is not None:
        return column.texts[0].as_py()
    if column.times is not None:
        return int(column.times[0])
    return column.as_numbers()[0].item()
