"""act: hand predictions that meet a condition to the outside world, after they are safe on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import numpy as np
import pyarrow as pa

from headrace.core.position import START
from headrace.core.records import Batch
from headrace.edge.sink import Sink
from headrace.stages.contract import Outputs, Stage
from headrace.store.acting import Acting
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.schemas import has_ended

__all__ = ["Act", "Condition", "Outlet"]

_REQUEST: Final = 0
_PROGRESS: Final = 2
_COMMAND: Final = 3


class Condition(Protocol):
    """Which predictions a sink takes."""

    def __call__(self, predictions: pa.Table, /) -> np.ndarray:
        """Return bool[n] for n predictions."""


@final
@dataclass(frozen=True, slots=True)
class Outlet:
    """One sink, and the condition under which a prediction goes there."""

    name: str
    condition: Condition
    sink: Sink


@final
class Act(Stage):
    """Send predictions out. What a sink has already taken, by its own word, is not sent again.

    Generations stand side by side over one [events]; `generation` is this one, and `acting` that which acts before
    the first `activate`. What another one acts on is passed over, and nothing is said of it to any sink. With
    `acting` "" every generation acts.
    """

    def __init__(
        self, outlets: Sequence[Outlet], *, safe: Callable[[], None], generation: str = "", acting: str = ""
    ) -> None:
        self._generation = generation
        self._acting = Acting(acting or generation)
        self._outlets = tuple(outlets)
        self._safe = safe
        self._reached = {outlet.name: outlet.sink.reached() or START for outlet in outlets}
        self.sent = dict.fromkeys((outlet.name for outlet in outlets), 0)

    def process(self, batch: Batch) -> Outputs:
        """Send the rows of `batch` that each sink's condition takes."""
        self.ended |= has_ended(batch, _PROGRESS)
        rows = self._mine(batch)
        if len(rows) == 0 or not self._outlets:
            return Outputs(len(batch))
        table = predictions_table(batch, rows)
        through = batch.position(len(batch) - 1).through_row()
        for outlet in self._outlets:
            taken = np.asarray(outlet.condition(table), bool)
            reached = self._reached[outlet.name]
            offset, sub = batch.offset[rows], batch.sub[rows]
            taken &= (offset > reached.offset) | ((offset == reached.offset) & (sub > reached.sub))
            if not taken.any():
                continue
            self._safe()
            outlet.sink.write(table.filter(pa.array(taken)), reached, through)
            self._reached[outlet.name] = through
            self.sent[outlet.name] += int(np.count_nonzero(taken))
        return Outputs(len(batch))

    def _mine(self, batch: Batch) -> np.ndarray:
        """Return the rows of the requests for which this generation acts, and obey the commands between them."""
        mine = batch.stream == _REQUEST
        start = 0
        for row, command in zip(batch.rows_of(_COMMAND).tolist(), batch.payloads[_COMMAND].to_pylist(), strict=True):
            mine[start:row] &= self._acting.generation == self._generation
            start = row
            self._acting.fold(command)
        mine[start:] &= self._acting.generation == self._generation
        return np.flatnonzero(mine)

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return counters, and who acts: how far a sink is stands at the sink."""
        return {}, {"sent": dict(self.sent), "ended": self.ended, "acting": self._acting.generation}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self.sent.update(meta["sent"])
        self.ended = meta["ended"]
        self._acting.generation = meta["acting"]


def predictions_table(batch: Batch, rows: np.ndarray) -> pa.Table:
    """Return the predictions at these spine rows as sinks see them: the columns of `hr.Prediction`, and the time."""
    payload = batch.payloads[_REQUEST]
    if len(rows) < payload.num_rows:
        payload = payload.take(pa.array(np.searchsorted(batch.rows_of(_REQUEST), rows)))
    return pa.table(
        {
            "id": batch.id.take(pa.array(rows)),
            "at": pa.array(batch.event_time[rows]).cast(pa.timestamp("us", tz="UTC")),
            "score": payload["score"],
            "version": payload["version"],
            "fallback": payload["fallback"],
            "drift": payload["drift"],
            "drift_of": payload["drift_of"],
        }
    )
