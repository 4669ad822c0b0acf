"""How good the answers were: every score as it was served, against the label that came back, beside the baselines.

The baselines see what production saw: at each request only the labels that stood above it in the log.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.records import F8, I4, I8
from headrace.core.time import UNSPOKEN_US
from headrace.evaluate.metrics import auc, log_loss
from headrace.run.taken import taken
from headrace.topics.contract import Topic

__all__ = ["Answered", "answered"]

_REQUEST: Final = 0
_LABEL: Final = 1
_PRIOR: Final = 0.5


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """n requests whose label came back, in the order of the requests.

    time, known: i8[n], event time of the request and when its label became known. y, score: f8[n]. version: i4[n].
    running_mean, no_change: f8[n], what the two baselines would have answered. requests: how many were asked.
    """

    time: I8
    known: I8
    y: F8
    score: F8
    version: I4
    running_mean: F8
    no_change: F8
    requests: int

    @property
    def coverage(self) -> float:
        """Return the share of requests whose label came back."""
        return len(self.y) / self.requests if self.requests else 0.0

    def metrics(self, rows: slice | I8 | None = None) -> dict[str, Any]:
        """Return log loss, AUC and accuracy of the served scores, and the baselines' log loss, over some rows."""
        part = slice(None) if rows is None else rows
        y, score = self.y[part], self.score[part]
        if len(y) == 0:
            return {"rows": 0}
        return {
            "rows": len(y),
            "positive": float(np.mean(y)),
            "log_loss": log_loss(y, score),
            "auc": auc(y, score),
            "accuracy": float(np.mean((score >= 0.5) == (y >= 0.5))),
            "running_mean_log_loss": log_loss(y, self.running_mean[part]),
            "no_change_log_loss": log_loss(y, self.no_change[part]),
            "no_change_accuracy": float(np.mean((self.no_change[part] >= 0.5) == (y >= 0.5))),
            "label_delay_s_p50": float(np.median(self.known[part] - self.time[part])) / 1e6,
        }

    def by_window(self, size_us: int) -> list[dict[str, Any]]:
        """Return the metrics of each window of request time that has rows, oldest first, with its start."""
        window = self.time // size_us
        return [
            {"start_us": int(number) * size_us, **self.metrics(np.flatnonzero(window == number))}
            for number in np.unique(window).tolist()
        ]


def answered(predictions: Topic, examples: Topic) -> Answered:
    """Pair what was served with what came back."""
    asked_ids, asked_mean, asked_last, asked_time = [], [], [], []
    total, count, last = 0.0, 0, _PRIOR
    for piece in taken(predictions):
        batch = piece.batch
        label = batch.payloads[_LABEL]["value"].to_numpy()
        value = np.zeros(len(batch))
        value[batch.rows_of(_LABEL)] = label
        is_answer = batch.stream == _LABEL
        is_answer[is_answer] = ~np.isnan(label)
        value[~is_answer] = 0.0
        sums, counts = total + np.cumsum(value), count + np.cumsum(is_answer)
        place = np.maximum.accumulate(np.where(is_answer, np.arange(len(batch)), -1))
        recent = np.where(place >= 0, value[place], last)
        rows = batch.rows_of(_REQUEST)
        asked_ids.append(batch.id.take(pa.array(rows)))
        asked_time.append(batch.event_time[rows])
        asked_mean.append((sums[rows] + _PRIOR) / (counts[rows] + 1))
        asked_last.append(recent[rows])
        if len(batch):
            total, count, last = float(sums[-1]), int(counts[-1]), float(recent[-1])
    ids = pa.chunked_array(asked_ids, pa.string())
    found = [(piece.batch, piece.batch.payloads[0]) for piece in taken(examples)]
    joined = pa.chunked_array([batch.id.take(pa.array(batch.rows_of(0))) for batch, _ in found], pa.string())
    place = pc.index_in(joined, value_set=ids.combine_chunks()).to_numpy()
    order = np.argsort(place, kind="stable")
    place = place[order]

    def gathered(column: str, dtype: type[np.generic]) -> Any:
        parts = [payload[column].to_numpy() for _, payload in found]
        return (np.concatenate(parts) if parts else np.zeros(0, dtype))[order]

    known = [batch.event_time[batch.rows_of(0)] for batch, _ in found]
    return Answered(
        time=_joined(asked_time)[place],
        known=(np.concatenate(known) if known else np.zeros(0, np.int64))[order],
        y=gathered("y", np.float64),
        score=gathered("score", np.float64),
        version=gathered("version", np.int32),
        running_mean=_joined(asked_mean)[place],
        no_change=_joined(asked_last)[place],
        requests=len(ids),
    )


def _joined(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.full(0, UNSPOKEN_US)
