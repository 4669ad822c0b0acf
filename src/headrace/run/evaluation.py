"""How good the answers were: every score as it was served, against the label that came back, beside the baselines.

The baselines see what production saw: at each request only the labels that stood above it in the log.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.time import UNSPOKEN_US
from headrace.evaluate.report import Report
from headrace.run.taken import taken
from headrace.topics.contract import Topic

__all__ = ["answered"]

_REQUEST: Final = 0
_LABEL: Final = 1
_PRIOR: Final = 0.5
_LEAST: Final = 1e-3


def answered(predictions: Topic, examples: Topic) -> Report:
    """Pair what was served with what came back; the report's rows are in the order of the requests."""
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
        asked_last.append(np.clip(recent[rows], _LEAST, 1 - _LEAST))
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

    return Report(
        _joined(asked_time)[place],
        gathered("y", np.float64),
        gathered("score", np.float64),
        _joined(asked_mean)[place],
        _joined(asked_last)[place],
        len(ids),
    )


def _joined(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.full(0, UNSPOKEN_US)
