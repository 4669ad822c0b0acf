"""predict: score each vector with the version in force, and write down everything that was chosen.

The version, the drift in force and the fallback are *recorded choices* (DESIGN 1): every input gives one row to one
partition whatever was chosen, the choice stands in the row, and no state outlives it.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.records import F8, I8, Batch, block, flat_block
from headrace.core.settings import Serve
from headrace.core.time import ENDED_US
from headrace.models.contract import Block, Columns, Learner, Recipe, rows_for
from headrace.stages.contract import Outputs, Stage
from headrace.store.control import ControlView, Version
from headrace.store.snapshots import Arrays, Meta, unpacked
from headrace.topics.schemas import has_ended, no_rows, prediction_streams, tokens_of

__all__ = ["Predict"]

_WARM: Final = 4
_REQUEST: Final = 0
_PROGRESS: Final = 2
DEADLINE: Final = "deadline"
UNTRAINED: Final = "untrained"
NO_VERSION: Final = "no_version"


@final
class Predict(Stage):
    """Score requests with the champion that [control] names.

    In history (`now_us` is None) a request waits until every writer of [control] has promised that nothing comes
    into force before its arrival; no deadline applies. Live, the newest version answers at once, and a request that
    is older than the deadline gets the fallback; `wait_us` is how long its vector waits, which does not count.
    """

    def __init__(
        self,
        *,
        columns: Columns,
        recipe: Recipe,
        seed: int,
        serve: Serve,
        control: ControlView,
        output: str,
        now_us: Callable[[], int] | None,
        wait_us: int = 0,
    ) -> None:
        self._columns = columns
        self._recipe = recipe
        self._seed = seed
        self._control = control
        self._output = output
        self._now_us = now_us
        self._deadline_us = serve.deadline_us + wait_us
        self._constant = serve.constant
        self._streams = prediction_streams(len(columns.dense), len(columns.categories), len(columns.tokens))
        self._warm: OrderedDict[str, Learner] = OrderedDict()
        self.fallbacks = 0

    def process(self, batch: Batch) -> Outputs:
        """Score the rows that need not wait; labels and progress pass through in order."""
        self._control.follow()
        requests = batch.stream == _REQUEST
        stop = len(batch)
        if self._now_us is None:
            waiting = requests & (batch.arrival_time >= self._control.promise_us)
            if waiting.any():
                stop = int(np.argmax(waiting))
        if stop == 0:
            return Outputs(0)
        part = batch.slice(0, stop)
        self.ended |= has_ended(part, _PROGRESS)
        rows = part.rows_of(_REQUEST)
        payload = self._answered(part, rows) if len(rows) else no_rows(self._streams[0].schema)
        answered = Batch(
            part.offset,
            part.sub,
            part.stream,
            part.event_time,
            part.arrival_time,
            part.verdict,
            part.id,
            (payload, *part.payloads[1:]),
        )
        return Outputs(stop, {self._output: answered})

    def _answered(self, part: Batch, rows: I8) -> pa.RecordBatch:
        """Return the answers of requests that may stand in another order than that in which they arrived."""
        arrival = part.arrival_time[rows]
        if self._now_us is not None or (arrival[1:] >= arrival[:-1]).all():
            return self._answers(part, rows)
        order = np.argsort(arrival, kind="stable")
        answers = self._answers(part.take(rows[order]), np.arange(len(rows)))
        return answers.take(pa.array(np.argsort(order, kind="stable")))

    def _answers(self, part: Batch, rows: I8) -> pa.RecordBatch:
        vectors = part.payloads[_REQUEST]
        dense = flat_block(vectors["dense"], np.float64)
        ids = flat_block(vectors["ids"], np.int32)
        whole = Block(dense, ids, tokens_of(vectors))
        arrival = part.arrival_time[rows]
        count = len(rows)
        score = np.empty(count)
        version = np.full(count, -1, np.int32)
        drift = np.zeros(count)
        fallback: list[pa.Array] = []
        drift_of: list[pa.Array] = []
        start = 0
        while start < count:
            at_us = int(arrival[start]) if self._now_us is None else ENDED_US - 1
            champion, change_us = self._control.champion_at(at_us)
            in_force, score_change_us = self._control.score_at(at_us)
            change_us = min(change_us, score_change_us)
            stop = count if self._now_us is not None else start + int(np.searchsorted(arrival[start:], change_us))
            stop = max(stop, start + 1)
            here = slice(start, stop)
            score[here], reason = self._scores(champion, whole.rows(start, stop))
            fallback.append(_repeated(reason, stop - start))
            drift_of.append(_repeated(in_force.drift_of if in_force is not None else None, stop - start))
            if champion is not None:
                version[here] = champion.number
            if in_force is not None:
                drift[here] = in_force.drift
            start = stop
        reasons: pa.Array = fallback[0] if len(fallback) == 1 else pa.concat_arrays(fallback)
        if self._now_us is not None:
            late = self._now_us() - arrival > self._deadline_us
            if late.any():
                score[late] = self._constant
                reasons = pc.if_else(pa.array(late), pa.scalar(DEADLINE), reasons)
        self.fallbacks += count - reasons.null_count
        return pa.RecordBatch.from_arrays(
            [
                block(dense, dense.shape[1]),
                block(ids, ids.shape[1]),
                *([vectors["tokens"]] if whole.tokens is not None else []),
                pa.array(score),
                pa.array(version),
                reasons,
                pa.array(np.full(count, self._control.offset)),
                pa.array(drift),
                drift_of[0] if len(drift_of) == 1 else pa.concat_arrays(drift_of),
            ],
            schema=self._streams[0].schema,
        )

    def _scores(self, champion: Version | None, vectors: Block) -> tuple[F8 | float, str | None]:
        if champion is None:
            return self._constant, NO_VERSION
        if champion.examples == 0:
            return self._constant, UNTRAINED
        learner = self._learner(champion)
        return learner.predict(rows_for(learner, vectors)), None

    def _learner(self, version: Version) -> Learner:
        """Return the version's model, built and warm; the last few stay warm, so that a rollback waits for nothing."""
        learner = self._warm.get(version.name)
        if learner is None:
            learner = self._recipe(self._columns, self._seed)
            learner.restore(*unpacked(self._control.bundle(version)))
            self._warm[version.name] = learner
            if len(self._warm) > _WARM:
                self._warm.popitem(last=False)
        else:
            self._warm.move_to_end(version.name)
        return learner

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return counters only: no model, no cache, no choice outlives a row."""
        return {}, {"ended": self.ended, "fallbacks": self.fallbacks}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Take the counters back; [control] is read again from its beginning."""
        self.ended = meta["ended"]
        self.fallbacks = meta["fallbacks"]


def _repeated(text: str | None, count: int) -> pa.Array:
    """Return one text, or null, `count` times."""
    if text is None:
        return pa.nulls(count, pa.string())
    return pa.repeat(pa.scalar(text, pa.string()), count)
