"""learn: score every example with the model as it stands, then learn from it; publish versions at the declared pace.

Pace counts the recorded arrival of examples, never a clock, so a replay publishes the same versions.
"""

import json
from typing import Any, Final, final

import numpy as np

from headrace.core.records import F8, Batch, flat_block
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.kernels import moments
from headrace.models.contract import Block, Columns, Learner, Recipe, check_accepts, rows_for
from headrace.stages.contract import Outputs, Stage
from headrace.store.bundles import Bundles, version_name
from headrace.store.snapshots import Arrays, Meta, packed
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import CONTROL, tokens_of

__all__ = ["Learn"]

_EXAMPLE: Final = 0
_PROGRESS: Final = 1


@final
class Learn(Stage):
    """Learn from [examples]; write versions and promises to [control].

    A version is published when progress passes a multiple of `every_us`, if something was learnt since the last
    one, and comes into force from that multiple on. With each goes the promise that the next one does not come into
    force before the next multiple.
    """

    def __init__(
        self,
        *,
        columns: Columns,
        recipe: Recipe,
        seed: int,
        every_us: int,
        output: str,
        bundles: Bundles | None = None,
    ) -> None:
        self._bundles = bundles or Bundles(None)
        self._every_us = every_us
        self._output = output
        self._learner: Learner = recipe(columns, seed)
        check_accepts(self._learner, columns)
        self._next_us = UNSPOKEN_US
        self._parent = ""
        self._number = -1
        self._published_examples = -1
        self.examples = 0
        self._loss = np.zeros(2)

    @property
    def learner(self) -> Learner:
        """Return the model as it stands."""
        return self._learner

    def process(self, batch: Batch) -> Outputs:
        """Learn from the examples in order, and publish at each progress row that passes the pace."""
        rows = np.flatnonzero(batch.stream == _PROGRESS)
        payload, until = batch.payloads[_EXAMPLE], batch.payloads[_PROGRESS]["until"].to_numpy()
        dense, ids = flat_block(payload["dense"], np.float64), flat_block(payload["ids"], np.int32)
        vectors = Block(dense, ids, tokens_of(payload))
        y, weight = payload["y"].to_numpy(), payload["weight"].to_numpy()
        made: list[Entry] = []
        start = 0
        for number, row in enumerate(rows.tolist()):
            stop = row - number
            self._learn(vectors.rows(start, stop), y[start:stop], weight[start:stop])
            start = stop
            made += self._reached(int(until[number]), batch, row)
        self._learn(vectors.rows(start, len(y)), y[start:], weight[start:])
        return Outputs(len(batch), {self._output: batch_of(made, CONTROL)} if made else {})

    def _learn(self, vectors: Block, y: F8, weight: F8) -> None:
        if len(y) == 0:
            return
        scores = self._learner.learn(rows_for(self._learner, vectors), y, weight)
        self.examples += len(y)
        if scores is not None:
            moments.add_log_loss(y, scores, self._loss)

    def _reached(self, until_us: int, batch: Batch, row: int) -> list[Entry]:
        """Return the rows for [control] that progress to `until_us` causes."""
        over = until_us >= ENDED_US
        self.ended |= over
        if until_us < self._next_us:
            return []
        # At the end of a history the last version takes its regular place, so that a live run may go on from it.
        in_force_us = self._next_us if over else until_us // self._every_us * self._every_us
        self._next_us = ENDED_US if over else in_force_us + self._every_us
        offset, sub = batch.position(row)
        made: list[Entry] = []
        if self.examples != self._published_examples:
            made.append(Entry("version", offset, sub, in_force_us, self._publish(in_force_us)))
        made.append(Entry("progress", offset, sub + len(made), self._next_us, {"until": self._next_us}))
        return made

    def _publish(self, in_force_us: int) -> dict[str, Any]:
        bundle = packed(*self._learner.snapshot())
        self._number += 1
        name = version_name(self._number, bundle)
        count, total = self._loss.tolist()
        metrics = {
            "prequential_log_loss": total / count if count else None,
            "rows": int(count),
        }
        version = {
            "number": self._number,
            "name": name,
            "parent": self._parent,
            "in_force": in_force_us,
            "examples": self.examples,
            "metrics": json.dumps(metrics, sort_keys=True),
            "bundle": self._bundles.inline(name, bundle),
        }
        self._parent = name
        self._published_examples = self.examples
        self._loss[:] = 0.0
        return version

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return the model, and where its pace stands."""
        arrays, meta = self._learner.snapshot()
        return {name: array.copy() for name, array in arrays.items()}, {
            "learner": meta,
            "next_us": self._next_us,
            "parent": self._parent,
            "number": self._number,
            "published_examples": self._published_examples,
            "examples": self.examples,
            "loss": [value.hex() for value in self._loss.tolist()],
            "ended": self.ended,
        }

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._learner.restore(arrays, meta["learner"])
        self._next_us, self._parent, self._number = meta["next_us"], meta["parent"], meta["number"]
        self._published_examples, self.examples = meta["published_examples"], meta["examples"]
        self._loss = np.array([float.fromhex(value) for value in meta["loss"]])
        self.ended = meta["ended"]
