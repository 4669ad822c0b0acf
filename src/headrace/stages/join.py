"""join: pair each label with the prediction it answers, and hand both to whoever learns.

What waits for a label is its place in [predictions] and nothing more: a day of requests waits as a few bytes each.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.errors import StateError
from headrace.core.position import K_BITS
from headrace.core.records import F8, I4, I8, Batch, block, flat_block
from headrace.core.tokens import Tokens
from headrace.features.keys import KeyTable, hash_columns
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.contract import Topic
from headrace.topics.frame import Frame
from headrace.topics.schemas import example_streams, has_ended, no_rows, tokens_of

__all__ = ["Join"]

_REQUEST: Final = 0
_LABEL: Final = 1
_PROGRESS: Final = 2
_CACHED_FRAMES: Final = 256


@final
@dataclass(frozen=True, slots=True)
class _Answers:
    """One frame of [predictions], as look-ups want it: spine row -> payload row, and the payload's columns."""

    place: I8
    dense: F8
    ids: I4
    tokens: Tokens | None
    score: F8
    version: I4
    request_time: I8


@final
class Join(Stage):
    """Pair labels with predictions by the request's id.

    A label without a value closes its request: it was never answered, and is counted. A label whose request is not
    known (it was paired before, or never came) is counted and dropped: featurize gives one label a request.
    """

    def __init__(self, *, predictions: Topic, output: str, dense: int, ids: int, words: int = 0) -> None:
        self._predictions = predictions
        self._output = output
        self._streams = example_streams(dense, ids, words)
        self._keys = KeyTable()
        self._offset = np.zeros(0, np.int64)
        self._row = np.zeros(0, np.int64)
        self._frames: OrderedDict[int, _Answers] = OrderedDict()
        self.paired = 0
        self.unanswered = 0
        self.unknown = 0

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their label."""
        return len(self._keys)

    def process(self, batch: Batch) -> Outputs:
        """Remember requests, and pair the labels; progress passes through."""
        hashes, _ = hash_columns([batch.id])
        edges = [0, *self._again(batch, hashes), len(batch)]
        parts = [self._part(batch.slice(start, stop), hashes[start:stop]) for start, stop in pairwise(edges)]
        self.ended |= has_ended(batch, _PROGRESS)
        made = [part for part in parts if part is not None]
        return Outputs(len(batch), {self._output: Batch.concat(made)} if made else {})

    def _again(self, batch: Batch, hashes: NDArray[np.uint64]) -> list[int]:
        """Return the rows before which a batch must be cut, so that it means what its rows mean one by one.

        A source may use an id again after the horizon over which it knows duplicates: its request then takes the
        place of the one that waits, and its label must not be taken for the other's.
        """
        rows = np.flatnonzero((batch.stream == _REQUEST) | (batch.stream == _LABEL))
        asks = batch.stream[rows] == _REQUEST
        again = asks & (self._keys.find(hashes[rows]) >= 0)
        order = np.argsort(hashes[rows, 0], kind="stable")
        same = hashes[rows[order[1:]], 0] == hashes[rows[order[:-1]], 0]
        answered = asks[order[:-1]] & ~asks[order[1:]]  # A request and then its label: all is well.
        again[order[1:][same & ~answered]] = True
        return [row for row in rows[again].tolist() if row > 0]

    def _part(self, batch: Batch, hashes: NDArray[np.uint64]) -> Batch | None:
        """Return the examples and the progress of rows of which each id asks once and answers once."""
        requests, labels = batch.rows_of(_REQUEST), batch.rows_of(_LABEL)
        if len(requests):
            self._remember(hashes[requests], batch.offset[requests], batch.sub[requests] >> K_BITS)
        kept, payload = self._pair(batch, labels, hashes)
        rows = np.sort(np.concatenate([kept, batch.rows_of(_PROGRESS)]), kind="stable")
        if len(rows) == 0:
            return None
        return Batch(
            batch.offset[rows],
            batch.sub[rows],
            np.where(batch.stream[rows] == _LABEL, 0, 1).astype(np.uint8),
            batch.event_time[rows],
            batch.arrival_time[rows],
            batch.verdict[rows],
            batch.id.take(pa.array(rows)),
            (payload, batch.payloads[_PROGRESS]),
        )

    def _remember(self, hashes: NDArray[np.uint64], offset: I8, row: I8) -> None:
        known = self._keys.add(hashes)
        top = int(known.max()) + 1
        if top > len(self._offset):
            more = max(top, 2 * len(self._offset), 1024) - len(self._offset)
            self._offset = np.concatenate([self._offset, np.zeros(more, np.int64)])
            self._row = np.concatenate([self._row, np.zeros(more, np.int64)])
        self._offset[known] = offset
        self._row[known] = row

    def _pair(self, batch: Batch, labels: I8, hashes: NDArray[np.uint64]) -> tuple[I8, pa.RecordBatch]:
        """Return the spine rows of the labels that make an example, and the examples."""
        if len(labels) == 0:
            return labels, no_rows(self._streams[0].schema)
        found = self._keys.find(hashes[labels])
        known = found >= 0
        answer = batch.payloads[_LABEL]
        value = answer["value"].to_numpy()
        kept = known & ~np.isnan(value)
        self.unknown += int(np.count_nonzero(~known))
        self.unanswered += int(np.count_nonzero(known & np.isnan(value)))
        self.paired += int(np.count_nonzero(kept))
        places = found[kept]
        payload = self._examples(self._offset[places], self._row[places], answer.filter(pa.array(kept)))
        self._keys.remove(found[known])
        return labels[kept], payload

    def _examples(self, offset: I8, row: I8, answer: pa.RecordBatch) -> pa.RecordBatch:
        """Gather the predictions at (offset, row), in that order; each frame is opened once a turn."""
        count = len(offset)
        schema = self._streams[0].schema
        dense = np.empty((count, schema.field("dense").type.list_size))
        ids = np.empty((count, schema.field("ids").type.list_size), np.int32)
        score, version, request_time = np.empty(count), np.empty(count, np.int32), np.empty(count, np.int64)
        tokens: list[Tokens] = []
        order = np.argsort(offset, kind="stable")
        frames, starts = np.unique(offset[order], return_index=True)
        for number, frame in enumerate(frames.tolist()):
            stop = int(starts[number + 1]) if number + 1 < len(starts) else count
            mine = order[int(starts[number]) : stop]
            answers = self._frame(frame)
            place = answers.place[row[mine]]
            dense[mine] = answers.dense[place]
            ids[mine] = answers.ids[place]
            tokens += [answers.tokens.take(place)] if answers.tokens is not None else []
            score[mine] = answers.score[place]
            version[mine] = answers.version[place]
            request_time[mine] = answers.request_time[place]
        return pa.RecordBatch.from_arrays(
            [
                block(dense, dense.shape[1]),
                block(ids, ids.shape[1]),
                *self._gathered(tokens, order),
                answer["value"],
                answer["weight"],
                pa.array(score),
                pa.array(version),
                pa.array(request_time),
                answer["correction"],
            ],
            schema=schema,
        )

    def _gathered(self, tokens: list[Tokens], order: I8) -> list[pa.ListArray]:
        """Return the words of the examples as a column, none if there are no words. tokens: as `order` has the rows."""
        if "tokens" not in self._streams[0].schema.names:
            return []
        if not tokens:
            return [Tokens.nothing(0).arrow]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return [Tokens.joined(tokens).take(back).arrow]

    def _frame(self, offset: int) -> _Answers:
        known = self._frames.get(offset)
        if known is not None:
            self._frames.move_to_end(offset)
            return known
        found = self._predictions.read(0, offset, 1)
        if not found or found[0][0] != offset:
            raise StateError(
                "join",
                wanted=f"offset {offset} of {self._predictions.manifest.topic} (its retention is too short)",
                got="gone",
            )
        answers = _answers(found[0][1])
        self._frames[offset] = answers
        if len(self._frames) > _CACHED_FRAMES:
            self._frames.popitem(last=False)
        return answers

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return who waits, and where in [predictions]."""
        top = len(self._offset)
        arrays: dict[str, NDArray[Any]] = {f"keys_{name}": array for name, array in self._keys.snapshot().items()}
        arrays["offset"] = self._offset[:top].copy()
        arrays["row"] = self._row[:top].copy()
        live = np.ones(self._keys.top, bool)
        live[arrays["keys_free"]] = False
        waiting = self._offset[: self._keys.top][live]
        meta = {"paired": self.paired, "unanswered": self.unanswered, "unknown": self.unknown, "ended": self.ended}
        # Where retention must stop: below it, nobody's label is waited for.
        return arrays, {**meta, "lowest_waiting": int(waiting.min()) if len(waiting) else None}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._keys.restore({name[5:]: array for name, array in arrays.items() if name.startswith("keys_")})
        self._offset = arrays["offset"].copy()
        self._row = arrays["row"].copy()
        self.paired, self.unanswered, self.unknown = meta["paired"], meta["unanswered"], meta["unknown"]
        self.ended = meta["ended"]


def _answers(frame: Frame) -> _Answers:
    batch = frame.batch
    rows = batch.rows_of(_REQUEST)
    place = np.full(len(batch), -1, np.int64)
    place[rows] = np.arange(len(rows))
    payload = batch.payloads[_REQUEST]
    return _Answers(
        place,
        flat_block(payload["dense"], np.float64),
        flat_block(payload["ids"], np.int32),
        tokens_of(payload),
        payload["score"].to_numpy(),
        payload["version"].to_numpy(),
        batch.event_time[rows],
    )
