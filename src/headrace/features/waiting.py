"""Requests that wait: computed when the watermark has passed their time, at the first row of the log where it has.

A vector with `wait=` is asked for at one row and computed at another: the first at which event time has come as far
as the request's time plus the wait. Every record that is no later than the wait stands above that row. The label of a
request that waits comes out no earlier than its vector. Which row that is depends on times alone, never on batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.records import F8, I8, Batch, strings
from headrace.features.evaluator import Evaluator
from headrace.features.groups import Usable
from headrace.features.resolver import Resolved

__all__ = ["Asked", "Waiting", "batch_of_bytes", "bytes_of_batch"]


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """m requests as they are computed.

    usable: the batch's rows at which they are, their times and fields. origin: i8[m], the batch's rows at which they
    stand, below 0 for one of an earlier batch. arrival: i8[m]. id: m texts.
    """

    usable: Usable
    origin: I8
    arrival: I8
    id: pa.StringArray

    @classmethod
    def at_once(cls, usable: Usable, batch: Batch) -> "Asked":
        """Return requests that are computed where they stand."""
        return cls(usable, usable.row, batch.arrival_time[usable.row], batch.id.take(pa.array(usable.row)))


@final
class Waiting:
    """The requests, and the labels of requests, that wait for event time to come `wait_us` further than theirs."""

    def __init__(self, wait_us: int, schema: pa.Schema, newest_us: int) -> None:
        self._wait_us = wait_us
        self._before_us = newest_us
        self._rows = 0
        nothing = np.zeros(0, np.int64)
        self._origin, self._time, self._arrival = nothing, nothing, nothing
        self._id: pa.StringArray = strings([])
        self._fields = pa.RecordBatch.from_pylist([], schema=schema)
        self._labels = Resolved.nothing()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._time)

    def kept(self, newest: I8) -> I8:
        """Return how far event time had come before each of n rows: what a request still needs is kept by that.

        newest: i8[n], how far it has come behind each. A row that lets a request go may lie far beyond it.
        """
        kept = np.concatenate([[self._before_us], newest])[:-1]
        if len(newest):
            self._before_us = int(newest[-1])
        return kept

    def take(self, asked: Usable, batch: Batch, newest: I8, end: int | None) -> Asked:
        """Add the requests of a batch; return those that are computed at its rows.

        newest: i8[n]. end: the row at which every source has ended, where whatever still waits is computed.
        """
        come, schema = Asked.at_once(asked, batch), self._fields.schema
        origin = np.concatenate([self._origin - self._rows, come.origin])
        time = np.concatenate([self._time, asked.time])
        arrival = np.concatenate([self._arrival, come.arrival])
        id: pa.StringArray = pa.concat_arrays([self._id, come.id])
        fields = pa.concat_batches([self._fields, asked.fields.select(schema.names).cast(schema)])
        row = self._released(np.maximum(origin, 0), time, newest, end)
        gone, stays = _split(row, len(newest))
        self._origin, self._time, self._arrival = origin[stays] + self._rows, time[stays], arrival[stays]
        self._id, self._fields = id.take(pa.array(stays)), fields.take(pa.array(stays))
        self._rows += len(newest)
        released = fields.take(pa.array(gone))
        usable = Usable(row[gone], time[gone], released, Evaluator(released))
        return Asked(usable, origin[gone], arrival[gone], id.take(pa.array(gone)))

    def take_labels(self, labels: Resolved, newest: I8, end: int | None) -> Resolved:
        """Add the labels that a batch decided; return those that come out at its rows."""
        held = self._labels
        origin = np.concatenate([np.zeros(len(held.row), np.int64), labels.row])
        time = np.concatenate([held.request_time, labels.request_time])
        row = self._released(origin, time, newest, end)
        gone, stays = _split(row, len(newest))
        id: pa.StringArray = pa.concat_arrays([held.id, labels.id])
        value, known = np.concatenate([held.value, labels.value]), np.concatenate([held.known, labels.known])
        self._labels = _labels(row[stays], id.take(pa.array(stays)), value[stays], known[stays], time[stays])
        return _labels(row[gone], id.take(pa.array(gone)), value[gone], known[gone], time[gone])

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state; records and ids as bytes of Arrow."""
        labels = self._labels
        return {
            "scalars": np.array([self._before_us, self._rows], np.int64),
            "origin": self._origin.copy(),
            "time": self._time.copy(),
            "arrival": self._arrival.copy(),
            "id": bytes_of_batch(pa.RecordBatch.from_arrays([self._id], names=["id"])),
            "fields": bytes_of_batch(self._fields),
            "label_value": labels.value.copy(),
            "label_known": labels.known.copy(),
            "label_time": labels.request_time.copy(),
            "label_id": bytes_of_batch(pa.RecordBatch.from_arrays([labels.id], names=["id"])),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand where a snapshot stood."""
        self._before_us, self._rows = arrays["scalars"].tolist()
        self._origin, self._time = arrays["origin"].copy(), arrays["time"].copy()
        self._arrival = arrays["arrival"].copy()
        self._id, self._fields = batch_of_bytes(arrays["id"]).column(0), batch_of_bytes(arrays["fields"])
        value = arrays["label_value"].copy()
        id = batch_of_bytes(arrays["label_id"]).column(0)
        row = np.zeros(len(value), np.int64)
        self._labels = _labels(row, id, value, arrays["label_known"].copy(), arrays["label_time"].copy())

    def _released(self, row: I8, time: I8, newest: I8, end: int | None) -> I8:
        """Return the row at which each of m comes out, which stands at `row` or before; len(newest) for none."""
        first = np.searchsorted(newest, time + self._wait_us, side="left")
        if end is not None:
            first = np.minimum(first, end)
        return np.maximum(row, first)


def _split(row: I8, count: int) -> tuple[I8, I8]:
    """Return which of m come out, by their rows and then in their order, and which stay."""
    gone = np.flatnonzero(row < count)
    return gone[np.argsort(row[gone], kind="stable")], np.flatnonzero(row >= count)


def _labels(row: I8, id: pa.StringArray, value: F8, known: I8, time: I8) -> Resolved:
    return Resolved(row, id, value, known, time, np.zeros((len(row), 0, 2), np.uint64))


def bytes_of_batch(batch: pa.RecordBatch) -> NDArray[np.uint8]:
    """Return a batch as the bytes of one stream of Arrow: u1[n]."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return np.frombuffer(sink.getvalue(), np.uint8).copy()


def batch_of_bytes(data: NDArray[np.uint8]) -> pa.RecordBatch:
    """Return what `bytes_of_batch` was given."""
    return pa.ipc.open_stream(pa.py_buffer(data.tobytes())).read_next_batch()
