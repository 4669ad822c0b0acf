"""What a test sends: kept outside of the pipeline, so that it outlives a crash, and read by position.

A record becomes a line of JSON and is judged as the line of a file is, by the same code. So a test sees the reasons
and verdicts that a running system would give.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.events import Event
from headrace.core.records import NO_ID, Batch, Verdict, strings
from headrace.core.source_settings import SourceSettings
from headrace.edge.files import SourceFiles
from headrace.edge.inlet import Inlet
from headrace.edge.ledger import Ledger
from headrace.edge.source_rows import SourceRows, read_source
from headrace.edge.verdicts import Verdicts
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.schemas import REJECTED, TICK, no_rows

__all__ = ["Sent", "SentInlet", "Shipment", "read_records"]

_TICK_STREAM: Final = 0
_REJECTED_STREAM: Final = 1
_FIRST_SOURCE: Final = 2


def read_records(settings: SourceSettings, records: Sequence[Event]) -> SourceRows:
    """Return records of one source as the same rows that a file of JSON lines would give.

    A value that JSON cannot hold becomes an object that names its type, and so is `mistyped` wherever it stands.
    """
    lines = [
        json.dumps({name: getattr(record, name) for name in settings.schema.names}, default=_told) for record in records
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{settings.name}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return read_source(settings, SourceFiles(paths=(path,), format="jsonl"))


def _told(value: Any) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, date):  # A datetime is one; without a zone it is refused as any file's would be.
        return value.isoformat()
    return {type(value).__name__: str(value)}


@final
@dataclass(frozen=True, slots=True)
class Shipment:
    """Records of one source that arrived together, or (`rows` is None) its word that nothing more will come.

    `number` is the source's place among those of the pipeline; `first` the place of the first row among all rows.
    """

    number: int
    arrival_us: int
    first: int
    rows: SourceRows | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return 1 if self.rows is None else len(self.rows.usable)


@final
class Sent:
    """Everything that was sent, in order. Nothing in it is ever changed or lost."""

    def __init__(self, sources: Sequence[SourceSettings]) -> None:
        self.sources: Final = tuple(sources)
        self.shipments: Final[list[Shipment]] = []

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shipments[-1].first + len(self.shipments[-1]) if self.shipments else 0

    def put(self, number: int, arrival_us: int, rows: SourceRows | None) -> None:
        """Keep one more shipment."""
        self.shipments.append(Shipment(number, arrival_us, len(self), rows))

    @property
    def ended(self) -> frozenset[str]:
        """Return the sources that said that nothing more will come."""
        return frozenset(self.sources[one.number].name for one in self.shipments if one.rows is None)

    def batch(self, shipment: Shipment, start: int, stop: int) -> Batch:
        """Return rows start <= row < stop of one shipment as rows of [events], without their verdicts."""
        count = stop - start
        arrival = np.full(count, shipment.arrival_us, np.int64)
        payloads = [no_rows(TICK.schema), no_rows(REJECTED.schema)]
        payloads += [no_rows(source.schema.arrow) for source in self.sources]
        rows = shipment.rows
        if rows is None:
            name = self.sources[shipment.number].name
            payloads[_TICK_STREAM] = pa.RecordBatch.from_arrays(
                [strings([name]), strings(["ended"])], schema=TICK.schema
            )
            stream = np.full(count, _TICK_STREAM, np.uint8)
            event_time, id = arrival, strings([NO_ID])
        else:
            usable = rows.usable[start:stop]
            before = int(np.count_nonzero(rows.usable[:start]))
            good = int(np.count_nonzero(usable))
            payloads[_FIRST_SOURCE + shipment.number] = rows.payload.slice(before, good)
            payloads[_REJECTED_STREAM] = rows.rejected.slice(start - before, count - good)
            stream = np.where(usable, _FIRST_SOURCE + shipment.number, _REJECTED_STREAM).astype(np.uint8)
            # What cannot be used has no time of its own that counts.
            event_time = np.where(usable, rows.event_time[start:stop], arrival)
            id = rows.id.slice(start, count).fill_null(NO_ID)
        offset = shipment.first + np.arange(start, stop, dtype=np.int64)
        nothing = np.zeros(count, np.int64)
        return Batch(offset, nothing, stream, event_time, arrival, nothing.astype(np.uint8), id, tuple(payloads))


@final
class SentInlet(Inlet):
    """Gives what was sent, in order, judged as it is given.

    A position is the row's place among all rows sent, so an inlet that begins anew gives every row its old name.
    """

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._verdicts = Verdicts(sent.sources)
        self._ledger = Ledger(sent.sources)
        self._given = 0
        self._shipment = 0

    @property
    def ended(self) -> bool:
        """Return whether every source has ended and all rows have been given."""
        return self._given == len(self._sent) and len(self._sent.ended) == len(self._sent.sources)

    @property
    def ledger(self) -> Ledger:
        """Return the counts of what was given."""
        return self._ledger

    def next(self, limit: int) -> Batch | None:
        """Return at most `limit` rows of one shipment, or None if all have been given."""
        shipments = self._sent.shipments
        if self._shipment == len(shipments):
            return None
        shipment = shipments[self._shipment]
        start = self._given - shipment.first
        stop = min(start + limit, len(shipment))
        batch = self._sent.batch(shipment, start, stop)
        self._judge(shipment.number, batch)
        self._ledger.add(batch)
        self._given += stop - start
        self._shipment += stop == len(shipment)
        return batch

    def _judge(self, number: int, batch: Batch) -> None:
        batch.verdict[batch.stream == _REJECTED_STREAM] = Verdict.REJECTED
        payload = batch.payloads[_FIRST_SOURCE + number]
        if payload.num_rows:
            settings = self._sent.sources[number]
            rows = batch.rows_of(_FIRST_SOURCE + number)
            ids = payload.column(settings.id) if settings.id is not None else None
            producers = payload.column(settings.producer) if settings.producer is not None else None
            batch.verdict[rows] = self._verdicts.give(
                number, batch.event_time[rows], batch.arrival_time[rows], ids, producers
            )

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return how many rows were given, the watermarks, the remembered ids and the ledger."""
        return self._verdicts.snapshot(), {"given": self._given, "ledger": self._ledger.as_dict()}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood. Raises StateError if fewer rows were sent."""
        given = meta["given"]
        if given > len(self._sent):
            raise StateError("sent records", wanted=f"at least {given}, as many as were given", got=len(self._sent))
        self._verdicts.restore(arrays)
        self._ledger.restore(meta["ledger"])
        self._given = given
        self._shipment = sum(one.first + len(one) <= given for one in self._sent.shipments)
