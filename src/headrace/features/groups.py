"""A group: the history of one stream for one entity, what feeds it, and the aggregates that it answers."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core import reasons
from headrace.core.expressions import Expression, FieldColumn
from headrace.core.records import F8, I8, below
from headrace.core.time import ENDED_US
from headrace.features.aggregates import AggregateRead
from headrace.features.bounded_keys import Assigned, BoundedKeys
from headrace.features.columns.categories import OF_TEXT
from headrace.features.columns.contract import Plan, Read, Span
from headrace.features.evaluator import Column, Evaluator
from headrace.features.history import History
from headrace.features.keys import Hashes, hash_columns
from headrace.features.local_time import boundaries
from headrace.features.resolver import Resolved
from headrace.features.state_size import StateSize, bounded, row_bytes, state_size
from headrace.features.texts import Texts
from headrace.features.windows import EPOCH_HALF_LIVES, Decay, Forever, Hopping, LastN, Session, Tumbling, Window

__all__ = ["Group", "Usable", "hash_keys"]

_NO_READ: Final = -1
_ALWAYS: Final = np.iinfo(np.int64).min


@final
@dataclass(frozen=True, slots=True)
class Usable:
    """The usable records of one source in a batch: their rows, times and fields."""

    row: I8
    time: I8
    fields: pa.RecordBatch
    evaluator: Evaluator


@final
@dataclass(frozen=True, slots=True)
class _Operations:
    """What a batch asks of a history, in log order: n operations.

    row: i8[n], the batch's row. time: i8[n]. insert: bool[n]. columns: one f8[n] or text[n] a column. keys: which key
    each has. read: i8[n], the request, -1 for none.
    """

    row: I8
    time: I8
    insert: NDArray[np.bool_]
    columns: Sequence[F8]
    keys: Assigned
    read: I8


@final
class Group:
    """One history with what feeds it: records, the keys on both sides, and the aggregates that it answers.

    asking: the source whose records are the requests. slack_us: how much longer than its windows rows are kept.
    disorder_us: how far a record of its stream may stand behind the newest. carried: its place among the keys that a
    label carries, if it is fed by a label. waits: whether a request is read at a later row than where it stands.
    """

    def __init__(
        self,
        reads: Sequence[AggregateRead],
        *,
        asking: str,
        slack_us: int,
        disorder_us: int,
        carried: int | None,
        waits: bool,
    ) -> None:
        first = reads[0]
        self.reads = tuple(reads)
        self.label = first.label
        self.stream = first.stream_name
        self.keys = first.keys
        self.truncated = 0
        self._where = first.where
        self._equals = first.equals
        self._disorder_us = disorder_us
        self._carried = carried
        columns = {column.canonical: column for read in reads for column in read.columns}
        self._columns: tuple[Expression, ...] = tuple(columns.values())
        self._texts = {number: Texts() for number, column in enumerate(self._columns) if column.kind == "text"}
        names = list(columns)
        windows = list(dict.fromkeys((read.window, read.offset_us, read.include_current) for read in reads))
        self._given = [entry for entry in windows if isinstance(entry[0], Tumbling | Hopping | Decay)]
        # Of a window that closes it is kept how far the watermark had come when a row came: was it closed by then?
        closing = [number for number, (window, _, _) in enumerate(windows) if window.closes]
        self._closing = {number: len(reads) + place for place, number in enumerate(closing)}
        plan = Plan(
            windows=tuple(_span(*entry) for entry in windows),
            columns=len(columns) + bool(closing),
            reads=(
                *(
                    Read(
                        operation=_operation_of(read),
                        column=-1 if read.column is None else names.index(read.column.canonical),
                        other=-1 if read.other is None else names.index(read.other.canonical),
                        window=windows.index((read.window, read.offset_us, read.include_current)),
                        parameters=dict(read.parameters) | ({OF_TEXT: 1} if _of_text(read) else {}),
                        default=read.default if isinstance(read.default, float) else np.nan,
                    )
                    for read in reads
                ),
                *(Read(operation="max", window=number, column=len(columns)) for number in closing),
            ),
            tile_us=first.resolution_us,
        )
        self._windows = tuple(windows)
        self._reaches_us = max(window.reach_us + offset_us for window, offset_us, _ in windows)
        ttl_us = first.limits.ttl_us
        reach_us = max(_reach_us(window, offset_us, ttl_us) for window, offset_us, _ in windows)
        self._retention_us = ENDED_US if reach_us >= ENDED_US else reach_us + slack_us
        newest = [window.n for window, _, _ in windows if isinstance(window, LastN) and window.within is None]
        bounds = first.limits
        if bounds.max_bytes:
            bounds = bounded(bounds, row_bytes(plan), first.canonical)
        plan = replace(
            plan,
            keep=0 if ttl_us or reach_us >= ENDED_US else max(newest, default=0),
            most=bounds.max_events_per_key,
            age_us=ttl_us,
        )
        self._bounds = bounds
        self.table = BoundedKeys(bounds.max_keys)
        # Requests that are the rows themselves, under the same keys, insert and read in one operation.
        texts = [key.canonical for key in self.keys], [key.canonical for key in self._equals]
        same = self.label is None and self.stream == asking and texts[0] == texts[1]
        # A tile that took its request in could not give it back: it is read first, in an operation of its own.
        self._reads_first = first.resolution_us > 0 and not first.include_current
        self.asks_itself = same and not self._reads_first and not waits
        self._plan = plan
        self._equals_text = ", ".join(key.canonical for key in self._equals)
        self.history = History(plan)

    @property
    def fields(self) -> frozenset[str] | None:
        """Return the fields that are the key; None if any part of it is computed."""
        if not all(isinstance(key, FieldColumn) for key in self.keys):
            return None
        return frozenset(key.name for key in self.keys if isinstance(key, FieldColumn))

    @property
    def size(self) -> StateSize:
        """Return how much is kept at most."""
        return state_size(self._plan, self._bounds, self.reads, self._retention_us)

    def forget(self, hashes: Hashes) -> None:
        """Drop the rows of one key, u8[1, 2], and the key."""
        ids = self.table.find(hashes, np.ones(1, bool), np.zeros(1, np.int64)).ids
        if ids[0] >= 0:
            self.history.forget(ids)
            self.table.forget(int(ids[0]))

    def answer(
        self,
        asked: Usable,
        records: Usable,
        labels: Resolved,
        newest: I8,
        kept: I8,
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]],
    ) -> dict[str, Column]:
        """Run the history over a batch; return the value and reason of each aggregate, one a request, by its text.

        asked: the requests. records: those of its stream. newest: i8[rows of the batch], how far event time has come.
        kept: i8[rows of the batch], how far it has come for what may be forgotten. hashed: the keys of the requests by
        their text, filled as they are needed.
        """
        asked_hash, asked_valid = self._asked_keys(asked, hashed)
        if self.asks_itself:
            does = self._own_rows(asked, asked_hash, asked_valid, kept)
        else:
            does = self._other_rows(asked, records, labels, asked_hash, asked_valid, kept)
        entered, evicted = does.keys.entered, does.keys.evicted
        self.history.enter(does.keys.ids[entered], does.keys.gone[entered])
        answers = self._answers(self.history, does, asked_valid, newest[does.row], kept[does.row])
        if len(evicted):  # Only now: operations that came before the eviction still saw these rows.
            self.history.forget(evicted)
            self.table.release(evicted)
        self.truncated += sum(int(np.sum(column.reason == reasons.TRUNCATED)) for column in answers.values())
        for number, texts in self._texts.items():
            if texts.crowded:
                texts.collect(self.history.values(number))
        return answers

    def look_up(
        self,
        asked: Usable,
        newest_us: int,
        told: I8,
        hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]],
    ) -> dict[str, Column]:
        """Return what `answer` would give for each of n requests if it came next, and change nothing.

        newest_us: how far event time has come. told: i8[n], how far it would have come with the request.
        """
        hashes, valid = self._asked_keys(asked, hashed)
        count = len(hashes)
        nothing, rows = np.zeros(count, bool), np.arange(count)
        lowest = np.full(count, newest_us, np.int64)
        found = self.table.find(hashes, valid, self._reachable(lowest, asked.time))
        if not (self.asks_itself and any(current for _, _, current in self._windows)):
            does = _Operations(asked.row, asked.time, nothing, [np.zeros(count)] * len(self._columns), found, rows)
            return self._answers(self.history, does, valid, told, lowest)
        # A request counts in its own windows: it is put beside a copy of its key's rows, each request by itself.
        aside = self._aside(found.ids)
        aside.history.enter(rows, np.where(found.ids < 0, found.gone, _ALWAYS))
        insert = valid.copy()
        if self._where is not None:
            insert &= asked.evaluator.mask(self._where)
        columns, insert = self._values(asked.evaluator, insert)
        keys = replace(found, ids=np.where(valid, rows, _NO_READ))
        does = _Operations(asked.row, asked.time, insert, aside._numbers(columns, insert), keys, rows)  # noqa: SLF001
        return aside._answers(aside.history, does, valid, told, lowest)  # noqa: SLF001

    def _aside(self, ids: I8) -> "Group":
        """Return a group like this one with copies of the rows of n keys, under the keys 0 to n - 1."""
        aside = copy(self)
        aside.history = History(self._plan)
        rows = self.history.snapshot(ids)
        copies = {number: Texts() for number in self._texts}
        for number, texts in self._texts.items():
            codes, packed = texts.packed(rows[f"value{number}"])
            rows[f"value{number}"] = copies[number].unpacked(codes, packed)
        aside._texts = copies  # noqa: SLF001
        aside.history.restore(rows)
        return aside

    def _asked_keys(
        self, asked: Usable, hashed: dict[str, tuple[Hashes, NDArray[np.bool_]]]
    ) -> tuple[Hashes, NDArray[np.bool_]]:
        if self._equals_text not in hashed:
            hashed[self._equals_text] = hash_keys(asked.evaluator, self._equals)
        return hashed[self._equals_text]

    def _answers(
        self, history: History, does: _Operations, asked_valid: NDArray[np.bool_], newest: I8, lowest: I8
    ) -> dict[str, Column]:
        """Run a history; newest and lowest: i8[n], how far event time has come for windows that close, and for rows."""
        count = len(asked_valid)
        out = np.zeros((count, len(self.reads) + len(self._closing)))
        reason = np.zeros((count, len(self.reads) + len(self._closing)), np.uint8)
        told = newest - self._disorder_us
        edges = self._edges(does.time, told)
        history.run(
            key=does.keys.ids,
            time=does.time,
            insert=does.insert & (does.keys.ids >= 0),
            read=does.read,
            lowest=lowest - self._retention_us,
            columns=[*does.columns, told.astype(np.float64)] if self._closing else list(does.columns),
            out=out,
            reason=reason,
            edges=edges,
            gone=does.keys.gone,
        )
        reason[~asked_valid] = reasons.MISSING_INPUT
        asking = does.read >= 0
        answers = {}
        for number, entry in enumerate(self.reads):
            values, why = np.ascontiguousarray(out[:, number]), np.ascontiguousarray(reason[:, number])
            why[np.isnan(values) & (why == reasons.OK)] = reasons.MISSING_INPUT
            read = self._plan.reads[number]
            if read.window in self._closing:
                until = np.empty(count, np.int64)
                until[does.read[asking]] = edges[asking, self._given.index(self._windows[read.window]), 1]
                corrected = out[:, self._closing[read.window]] >= until  # NaN of an empty window compares as false.
                why[corrected & (why == reasons.OK)] = reasons.CORRECTED
            answers[entry.canonical] = self._column(entry, read.column, values, why)
        return answers

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state: keys, times and values; what can be derived from them is not in it."""
        order = self.table.order()
        arrays = {f"history.{name}": array for name, array in self.history.snapshot(order).items()}
        arrays |= {f"keys.{name}": array for name, array in self.table.snapshot(order).items()}
        for number, texts in self._texts.items():
            name = f"history.value{number}"
            arrays[name], packed = texts.packed(arrays[name])
            arrays |= {f"texts{number}.{part}": array for part, array in packed.items()}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood."""
        rows = below(arrays, "history.")
        for number in self._texts:
            self._texts[number] = Texts()
            name = f"value{number}"
            rows[name] = self._texts[number].unpacked(rows[name], below(arrays, f"texts{number}."))
        self.history.restore(rows)
        self.table.restore(below(arrays, "keys."))

    def _column(self, read: AggregateRead, column: int, values: F8, why: NDArray[np.uint8]) -> Column:
        if read.kind == "text":
            texts = self._texts[column].texts(values)
            return Column(why, texts=texts if read.default is None else texts.fill_null(str(read.default)))
        if isinstance(read.default, float):
            values = np.where(np.isnan(values), read.default, values)
        return Column(why, values)

    def _reachable(self, newest: I8, time: I8) -> I8:
        """Return the time before which no window reaches of n operations, whatever it is cut to."""
        if self._reaches_us >= ENDED_US:
            return np.full(len(time), _ALWAYS)
        return np.minimum(newest - self._retention_us, time - self._reaches_us)

    def _edges(self, time: I8, told: I8) -> I8:
        """Return since and until of the windows that are not counted back from the request: i8[n, g, 2]."""
        edges = np.empty((len(time), len(self._given), 2), np.int64)
        for place, (window, offset_us, current) in enumerate(self._given):
            end = time - offset_us
            if isinstance(window, Decay):
                epoch_us = EPOCH_HALF_LIVES * window.half_life_us
                edges[:, place, 0] = (end // epoch_us - 2) * epoch_us
                edges[:, place, 1] = end + int(current)
                continue
            end = np.minimum(end, told)
            if isinstance(window, Hopping):
                edges[:, place, 1] = end // window.every_us * window.every_us
                edges[:, place, 0] = edges[:, place, 1] - window.size_us
            elif isinstance(window, Tumbling):
                edges[:, place, 0], edges[:, place, 1] = boundaries(end, window.size_us, window.tz)
        return edges

    def _values(self, evaluator: Evaluator, chosen: NDArray[np.bool_]) -> tuple[list[Column], NDArray[np.bool_]]:
        """Return the columns of n records, and which of the chosen ones have a value in each."""
        columns = [evaluator.column(column) for column in self._columns]
        for column in columns:
            chosen = chosen & ~column.missing
        return columns, chosen

    def _numbers(self, columns: Sequence[Column], chosen: NDArray[np.bool_]) -> list[F8]:
        """Return the columns as numbers, NaN where a row is not chosen and its column is a text."""
        found = []
        for number, column in enumerate(columns):
            if column.texts is None:
                found.append(column.as_numbers())
                continue
            codes = np.full(len(column), np.nan)
            codes[chosen] = self._texts[number].codes(column.texts.filter(pa.array(chosen)))
            found.append(codes)
        return found

    def _own_rows(self, asked: Usable, hashes: Hashes, valid: NDArray[np.bool_], newest: I8) -> _Operations:
        insert = valid.copy()
        if self._where is not None:
            insert &= asked.evaluator.mask(self._where)
        columns, insert = self._values(asked.evaluator, insert)
        keys = self.table.assign(hashes, valid, insert, asked.time, self._reachable(newest[asked.row], asked.time))
        return _Operations(
            asked.row, asked.time, insert, self._numbers(columns, insert), keys, np.arange(len(asked.row))
        )

    def _other_rows(
        self,
        asked: Usable,
        records: Usable,
        labels: Resolved,
        hashes: Hashes,
        valid: NDArray[np.bool_],
        newest: I8,
    ) -> _Operations:
        if self._carried is None:
            row, time, columns, inserted = self._rows_of_source(records)
        else:
            row, time, columns, inserted = self._rows_of_label(labels, self._carried)
        count = len(asked.row)
        # Both lists rise; a row that is inserted where a request stands comes first, but for tiles.
        sides: tuple[Literal["left", "right"], ...] = ("right", "left") if self._reads_first else ("left", "right")
        order_in = np.arange(len(row)) + np.searchsorted(asked.row, row, side=sides[0])
        order_out = np.arange(count) + np.searchsorted(row, asked.row, side=sides[1])
        total = len(row) + count
        insert, has_key, both = np.zeros(total, bool), np.ones(total, bool), np.empty((total, 2), np.uint64)
        insert[order_in] = True
        has_key[order_out] = valid
        both[order_in], both[order_out] = inserted, hashes
        rows = _merged(order_in, row, order_out, asked.row)
        times = _merged(order_in, time, order_out, asked.time)
        return _Operations(
            rows,
            times,
            insert,
            [_spread(column, order_in, total) for column in columns],
            self.table.assign(both, has_key, insert, times, self._reachable(newest[rows], times)),
            _merged(order_in, np.full(len(row), _NO_READ), order_out, np.arange(count)),
        )

    def _rows_of_source(self, source: Usable) -> tuple[I8, I8, list[F8], Hashes]:
        """Return the records that a batch adds: batch rows, times, columns, and hashes of keys."""
        hashes, kept = hash_keys(source.evaluator, self.keys)
        if self._where is not None:
            kept = kept & source.evaluator.mask(self._where)
        columns, kept = self._values(source.evaluator, kept)
        numbers = [column[kept] for column in self._numbers(columns, kept)]
        return source.row[kept], source.time[kept], numbers, hashes[kept]

    def _rows_of_label(self, labels: Resolved, place: int) -> tuple[I8, I8, list[F8], Hashes]:
        """Return the labels that a batch adds: batch rows, times at which they were known, columns, and hashes."""
        carried = labels.carried[:, place]
        kept = ~np.isnan(labels.value) & carried.any(axis=1)  # Of a key that was forgotten nothing is carried.
        count = int(kept.sum())
        value = (
            {}
            if self.label is None
            else {self.label.value.canonical: Column(np.zeros(count, np.uint8), labels.value[kept])}
        )
        columns, _ = self._values(Evaluator(_no_fields(count), value), np.ones(count, bool))
        return labels.row[kept], labels.known[kept], self._numbers(columns, np.ones(count, bool)), carried[kept]


def hash_keys(evaluator: Evaluator, keys: Sequence[Expression]) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return the hash of the keys of each record, u8[n, 2], and whether every part of it has a value."""
    return hash_columns([evaluator.column(key).as_arrow() for key in keys])


def _of_text(read: AggregateRead) -> bool:
    return read.column is not None and read.column.kind == "text"


def _operation_of(read: AggregateRead) -> str:
    """Return what a kernel is asked: a decaying count is the decaying sum of ones."""
    return "sum" if read.operation == "count" and isinstance(read.window, Decay) else read.operation


def _reach_us(window: Window, offset_us: int, ttl_us: int) -> int:
    """Return how far back in time a window's rows must be kept."""
    if isinstance(window, LastN) and window.within is None and not ttl_us:
        return offset_us  # Rows before that are kept by their number.
    reach_us = window.reach_us + offset_us
    return min(reach_us, ttl_us) if ttl_us else reach_us


def _span(window: Window, offset_us: int, include_current: bool) -> Span:  # noqa: FBT001 - the key of a window
    match window:
        case Forever():
            span = Span(kind="forever", size_us=ENDED_US)
        case LastN():
            span = Span(kind="last_n", size_us=window.reach_us, n=window.n)
        case Session():
            span = Span(kind="session", size_us=window.reach_us, gap_us=window.gap_us)
        case Decay():
            span = Span(kind="given", half_life_us=window.half_life_us)
        case Tumbling() | Hopping():
            span = Span(kind="given", size_us=window.size_us)
        case _:
            span = Span(kind="sliding", size_us=window.reach_us)
    return replace(span, offset_us=offset_us, include_current=include_current)


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
