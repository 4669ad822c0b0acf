"""Sampling verify: while a pipeline runs, a share of its vectors is recomputed from the log by plain definition.

It is a task that reads [features] and writes nothing. It takes a turn when nobody else has anything to do, looks at a
few frames in it, and reads [events] again only when as many rows have come as the last reading took: in all it reads
each row at most about once more. What it recomputes goes another way than what was served: a search of the log for the
records of the request's key, and `run.definition`. So it finds what goes wrong in state: a damaged array, a snapshot
that is not what was kept, a key that got another's rows.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, isnan
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.errors import ConfigError, StateError
from headrace.core.position import K_BITS, Position, place_text, sub_of
from headrace.core.records import F8, Batch, Kind, StreamSchema, Verdict, flat_block
from headrace.core.source_settings import SourceSettings
from headrace.core.time import ENDED_US, UNSPOKEN_US, instant_text
from headrace.features.aggregates import AggregateRead
from headrace.features.evaluator import Column, Evaluator
from headrace.features.groups import hash_keys
from headrace.features.keys import hash_columns
from headrace.features.vector import Vector, aggregates_of
from headrace.run.behind import LabelRow, Request, Search, labels_in, watched
from headrace.run.definition import seen, value_of
from headrace.run.skipped import without
from headrace.run.task import Task
from headrace.store.snapshots import Meta, Snapshots
from headrace.topics.contract import Topic
from headrace.topics.manifest import conformed
from headrace.topics.reader import Reader

__all__ = ["Checked", "Sampling", "check_share"]

_REQUEST: Final = 0
_PROGRESS: Final = 2
_FRAMES_A_TURN: Final = 4
_COLLECTED_A_TURN: Final = 16
_COMPARED_A_TURN: Final = 4
_SAMPLES: Final = 2_048
_SHOWN: Final = 10
_RELATIVE: Final = 1e-9
"""Sums and moments here are rounded elsewhere than in the engine."""


def check_share(share: float) -> float:
    """Return a share of the requests; raise ConfigError if it is none."""
    if not 0 <= share <= 1:  # Said positively, so that NaN fails too.
        raise ConfigError("[verify] share", wanted="a share from 0 (none) to 1 (every request)", got=share)
    return share


@final
@dataclass(slots=True)
class Checked:
    """How many vectors and values of them were recomputed, how many differ, with the first of those.

    beyond: values that cannot be recomputed: of a bounded state, of trimmed records, or a sketch. unseen: vectors of
    the sample that were let go because too many waited. read: the rows of [events] that were read for it.
    """

    vectors: int = 0
    values: int = 0
    differ: int = 0
    beyond: int = 0
    unseen: int = 0
    read: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "vectors": self.vectors,
            "values": self.values,
            "differ": self.differ,
            "beyond": self.beyond,
            "unseen": self.unseen,
            "read": self.read,
            "first": list(self.first),
        }


@final
@dataclass(frozen=True, slots=True)
class _Sample:
    """A vector of [features]: the request's id, where it was computed in [events], its values and their reasons."""

    id: str
    cause: Position
    values: tuple[float, ...]
    reasons: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class _Asked:
    """Where a request stands in [events], and its record."""

    position: Position
    record: pa.RecordBatch


@final
class Sampling(Task):
    """Recomputes a share of the vectors, chosen by the hash of the request's id, and counts those that differ.

    features: the topic. events: returns a reader of [events] from where it may be read on. skipped: what `featurize`
    leaves out. Nothing waits for it, and it holds no retention: what was trimmed meanwhile is counted as `beyond`.
    """

    def __init__(
        self,
        *,
        vector: Vector[Any],
        sources: Sequence[SourceSettings],
        features: Topic,
        events: Callable[[], Reader],
        share: float,
        skipped: Callable[[], frozenset[Position]] = frozenset,
        snapshots: Snapshots | None = None,
    ) -> None:
        """Make a task that has not started. Raises ConfigError for a share that is none."""
        self.name = "verify"
        self.checked = Checked()
        self._vector = vector
        self._sources = {source.name: source for source in sources}
        self._events = events
        self._ask_skipped = skipped
        self._snapshots = snapshots
        self._below = int(check_share(share) * 2**64)
        self._reader = Reader(features)
        self._samples: list[_Sample] = []
        self._work: Iterator[None] | None = None
        self._fresh_rows = self._cost_rows = 0
        self._over = False
        self._settle()

    @property
    def ended(self) -> bool:
        """Return whether every sampled vector of a history that has ended was looked at."""
        return self._over and not self._samples and self.backlog == 0

    @property
    def backlog(self) -> int:
        """Return the number of frames above the reader."""
        return self._reader.topic.end(self._reader.partition) - self._reader.offset

    def start(self) -> None:
        """Go on from the newest snapshot; where it cannot be read on, from where the topic begins now."""
        for _, meta in self._snapshots.newest_first() if self._snapshots is not None else ():
            try:
                self._reader.restore(meta["cut"])
            except StateError:
                continue  # It was trimmed above: what is gone cannot be verified.
            self.checked = Checked(**meta["checked"])
            self._over = meta["over"]
            break
        self._settle()

    def turn(self, budget: int) -> bool:
        """Look at a few more frames, or recompute a few vectors; return whether anything moved."""
        del budget  # Its turns are short by themselves.
        if self._work is not None:
            if next(self._work, self) is self:
                self._work = None
                self._settle()
            return True
        moved = self._collect()
        due = self._over or self._fresh_rows >= self._cost_rows or len(self._samples) >= _SAMPLES
        if self._samples and due and (not moved or len(self._samples) >= _SAMPLES):
            self._work = self._checking(self._samples)
            self._fresh_rows = 0
            return True
        if not self._samples:
            self._settle()
        return moved

    def capture(self) -> Callable[[], None]:
        """Copy where reading must go on so that no sampled vector is left out, and what was counted until there."""
        cut, counts = self._cut, self._counts
        state = {"cut": cut, "checked": counts, "over": self._settled_over, "done": [cut["offset"], 0], "writers": {}}

        def keep() -> None:
            if self._snapshots is not None:
                self._snapshots.save(Position(cut["offset"], 0), {}, state)

        return keep

    def _settle(self) -> None:
        """Remember this place: everything below it was looked at."""
        self._samples = []
        self._cut: Meta = self._reader.snapshot()
        self._counts = self.checked.as_dict()
        self._settled_over = self._over

    def _collect(self) -> bool:
        """Read a few frames of [features], and keep the sampled vectors; return whether any was read."""
        before = self._reader.offset
        for piece in self._reader.read(_COLLECTED_A_TURN):
            batch = piece.batch
            self._fresh_rows += len(batch)
            progress = batch.rows_of(_PROGRESS)
            self._over = self._over or bool(np.any(batch.event_time[progress] >= ENDED_US))
            rows = batch.rows_of(_REQUEST)
            if len(rows) == 0:
                continue
            hashes, _ = hash_columns([batch.id.take(pa.array(rows))])
            chosen = np.flatnonzero([int(word) < self._below for word in hashes[:, 1]])
            room = max(0, _SAMPLES - len(self._samples))
            self.checked.unseen += max(0, len(chosen) - room)
            chosen = chosen[:room]
            payload = batch.payloads[_REQUEST]
            values = np.concatenate([_block(payload, "dense"), _block(payload, "ids")], axis=1)[chosen]
            codes = _block(payload, "reasons")[chosen].astype(np.int64)
            self._samples += [
                _Sample(batch.id[row].as_py(), _own(piece.causes.position(row)), tuple(found), tuple(why))
                for row, found, why in zip(rows[chosen].tolist(), values.tolist(), codes.tolist(), strict=True)
            ]
        return self._reader.offset > before

    def _checking(self, samples: Sequence[_Sample]) -> Iterator[None]:
        """Recompute some vectors, a few frames or vectors at a time."""
        reader, skipped = self._events(), self._ask_skipped()
        begins = reader.offset
        last = max(sample.cause for sample in samples)
        requests: dict[_Sample, _Asked] = {}
        for found_there in self._requests(samples, last.offset):
            requests |= found_there
            yield
        wanted = self._wanted_keys([asked.record for asked in requests.values()])
        places = {sample.cause for sample in samples} | {asked.position for asked in requests.values()}
        kept: list[tuple[Batch, Sequence[StreamSchema]]] = []
        newest_us, whole_us, scanned, moved = UNSPOKEN_US, UNSPOKEN_US, 0, True
        while moved and reader.offset <= last.offset:
            before = reader.offset
            for piece in reader.read(min(_FRAMES_A_TURN, last.offset + 1 - before)):
                streams = reader.topic.manifest.streams
                batch = watched(without(piece.batch, skipped), streams, self._sources, newest_us)
                scanned += len(batch)
                if len(batch):
                    newest_us = int(batch.reached[-1]) if batch.reached is not None else newest_us
                    if begins > 0 and scanned == len(batch):
                        whole_us = self._whole_from_us(batch)
                    kept.append((self._relevant(batch, streams, wanted, places), streams))
            moved = reader.offset > before
            yield
        self._cost_rows = scanned
        self.checked.read += scanned
        streams = reader.topic.manifest.streams
        batches = [conformed(batch, own, streams) for batch, own in kept if len(batch)]
        if not batches:
            self._lose(samples)
            return
        whole = Batch.concat(batches)
        labels: list[LabelRow] = []
        for found in self._labels(whole, streams):
            labels += found
            yield
        search = Search(whole, streams, self._sources, labels)
        for number, sample in enumerate(samples):
            if sample in requests:
                self._compare(search, sample, requests[sample].position, whole_us)
            else:
                self._lose([sample])
            if number % _COMPARED_A_TURN == 0:
                yield

    def _whole_from_us(self, first: Batch) -> int:
        """Return a time from which on every record is kept: none that was trimmed happened later than it arrived."""
        ahead_us = max(source.max_future_skew_us for source in self._sources.values())
        return int(first.arrival_time[0]) + ahead_us

    def _requests(self, samples: Sequence[_Sample], last: int) -> Iterator[dict[_Sample, _Asked]]:
        """Yield where some vectors' requests stand, and their records, a few frames at a time."""
        topic = self._events().topic
        if self._vector.wait_us is None:
            by_offset: dict[int, list[_Sample]] = {}
            for sample in samples:
                by_offset.setdefault(sample.cause.offset, []).append(sample)
            for offset, there in by_offset.items():
                batch = _frame(topic, offset)
                if batch is not None:
                    yield {one: _Asked(one.cause, _record(batch, one.cause.sub >> K_BITS)) for one in there}
            return
        # Where the vector waits, it is caused by another row than its request: that one is found by its id.
        by_id = {sample.id: sample for sample in samples}
        ids = pa.array(list(by_id), pa.string())
        for offset in range(topic.begin(0), last + 1):
            batch = _frame(topic, offset)
            if batch is None:
                continue
            number = [stream.name for stream in topic.manifest.streams].index(self._vector.of.name)
            rows = batch.rows_of(number)
            mine = pc.is_in(batch.id.take(pa.array(rows)), value_set=ids).to_numpy(zero_copy_only=False)
            places = [(int(row), Position(offset, sub_of(int(row)))) for row in rows[mine]]
            found = [(by_id[batch.id[row].as_py()], row, place) for row, place in places]
            yield {one: _Asked(place, _record(batch, row)) for one, row, place in found if place <= one.cause}

    def _wanted_keys(self, records: Sequence[pa.RecordBatch]) -> dict[tuple[str, ...], Any]:
        """Return, for each grouping, the first word of the hash of each key that some request asks for."""
        wanted: dict[tuple[str, ...], Any] = {}
        if not records:
            return wanted
        asked = Evaluator(pa.Table.from_batches(records).combine_chunks().to_batches()[0])
        for read in self._vector.aggregates():
            hashes, valid = hash_keys(asked, read.equals)
            words = [hashes[valid, 0], *([wanted[_grouping(read)]] if _grouping(read) in wanted else [])]
            wanted[_grouping(read)] = np.unique(np.concatenate(words))
        return wanted

    def _relevant(
        self,
        batch: Batch,
        streams: Sequence[StreamSchema],
        wanted: Mapping[tuple[str, ...], Any],
        places: Collection[Position],
    ) -> Batch:
        """Return the rows that some sampled vector may be made of, those at some places, and every command."""
        kept = np.zeros(len(batch), bool)
        names = [stream.name for stream in streams]
        for number, stream in enumerate(streams):
            if stream.kind == Kind.COMMAND:
                kept[batch.rows_of(number)] = True
        for read in {_grouping(read): read for read in self._vector.aggregates()}.values():
            number = names.index(read.stream_name)
            rows = batch.rows_of(number)
            if len(rows):
                hashes, valid = hash_keys(Evaluator(batch.payloads[number]), read.keys)
                mine = valid & np.isin(hashes[:, 0], wanted.get(_grouping(read), np.zeros(0, np.uint64)))
                kept[rows[mine & (batch.verdict[rows] <= Verdict.LATE)]] = True
        offsets = {place.offset for place in places}
        for row in np.flatnonzero(np.isin(batch.offset, sorted(offsets))).tolist() if offsets else ():
            kept[row] |= batch.position(row) in places
        return batch.take(np.flatnonzero(kept))

    def _labels(self, whole: Batch, streams: Sequence[StreamSchema]) -> Iterator[list[LabelRow]]:
        """Yield the labels of the requests among some rows, a few frames at a time; none if no feature reads any."""
        if not any(read.of_label for read in self._vector.aggregates()):
            return
        number = [stream.name for stream in streams].index(self._vector.of.name)
        ids = whole.id.take(pa.array(whole.rows_of(number)))
        reader = Reader(self._reader.topic)
        while reader.offset < self._reader.offset:
            before = reader.offset
            pieces = list(reader.read(min(_FRAMES_A_TURN, self._reader.offset - before)))
            known = labels_in(pieces)
            mine = pc.is_in(pa.array([label.id for label in known], pa.string()), value_set=ids)
            yield [label for label, kept in zip(known, mine.to_pylist(), strict=True) if kept]
            if reader.offset == before:
                return

    def _lose(self, samples: Sequence[_Sample]) -> None:
        """Count vectors whose records are gone."""
        self.checked.beyond += sum(len(sample.values) for sample in samples)

    def _compare(self, search: Search, sample: _Sample, position: Position, whole_us: int) -> None:
        """Compute the features of one request by definition, and compare each value that can be."""
        request = search.request(search.row_at(position), search.row_at(sample.cause))
        known: dict[str, Column] = {}
        for read in self._vector.aggregates():
            column = _defined(search, request, read, whole_us)
            if column is not None:
                known[read.canonical] = column
        evaluator = Evaluator(request.record, known)
        self.checked.vectors += 1
        blocks = self._vector.blocks()
        for place, name in enumerate((*blocks.dense, *blocks.categories)):
            feature = self._vector.features[name]
            defined = all(read.canonical in known for read in aggregates_of(feature))
            if not defined or sample.reasons[place] == reasons.TRUNCATED:
                self.checked.beyond += 1
                continue
            self.checked.values += 1
            again, served = float(evaluator.column(feature).as_numbers()[0]), float(sample.values[place])
            if not (isclose(again, served, rel_tol=_RELATIVE) or (isnan(again) and isnan(served))):
                self._differs(sample, request, name, served, again)

    def _differs(self, sample: _Sample, request: Request, name: str, served: float, again: float) -> None:
        self.checked.differ += 1
        if len(self.checked.first) < _SHOWN:
            self.checked.first.append(
                {
                    "id": sample.id,
                    "time": instant_text(request.time_us),
                    "position": place_text(sample.cause),
                    "feature": name,
                    "served": repr(served),
                    "recomputed": repr(again),
                }
            )


def _defined(search: Search, request: Request, read: AggregateRead, whole_us: int) -> Column | None:
    """Return the value of an aggregate by its definition; None where that is not here, or its records may be gone."""
    if read.window.closes and any(source.settings.producer is not None for source in read.records.sources):
        return None  # Each of several producers closes windows by a clock of its own.
    past, _ = search.past(request, read)
    found = seen(read, request.time_us, search.told_us(request, read), past)
    if min(found.since_us, request.time_us - read.offset_us - read.window.reach_us) < whole_us:
        return None
    try:
        value = value_of(read, request.time_us, found, past)
    except LookupError:
        return None
    if read.kind == "text":
        return Column(np.zeros(1, np.uint8), texts=pa.array([value], pa.string()))
    return Column(np.zeros(1, np.uint8), np.array([value], np.float64))


def _own(cause: Position) -> Position:
    """Return the position of the row that caused an output, whichever of its outputs it is."""
    return Position(cause.offset, sub_of(cause.sub >> K_BITS))


def _frame(topic: Topic, offset: int) -> Batch | None:
    """Return the rows of the frame at an offset; None if it was trimmed."""
    found = topic.read(0, offset, 1) if offset >= topic.begin(0) else []
    return found[0][1].batch if found and found[0][0] == offset else None


def _record(batch: Batch, row: int) -> pa.RecordBatch:
    stream = int(batch.stream[row])
    return batch.payloads[stream].slice(int(np.count_nonzero(batch.stream[:row] == stream)), 1)


def _grouping(read: AggregateRead) -> tuple[str, ...]:
    return (read.stream_name, *(key.canonical for key in read.keys))


def _block(payload: pa.RecordBatch, name: str) -> F8:
    block: F8 = flat_block(payload[name], np.uint8 if name == "reasons" else np.int32 if name == "ids" else np.float64)
    return block.astype(np.float64)
