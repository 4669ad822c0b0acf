"""The logistic learner against River's, on the vectors of the flights, in the order in which labels came back."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from river import compose, linear_model, optim, preprocessing

from benchmarks._flights import flights_project
from headrace.core.records import F8, flat_block
from headrace.evaluate.metrics import auc, log_loss
from headrace.models import Block, Columns, Logistic
from headrace.run.running import run as start
from headrace.run.taken import taken_rows

NOTES: Final = """
Both learn the same rows in the same order and score each before learning from it. River gets the numbers through its
running scaler and the categories as one-hot features, with AdaGrad at 0.05, the best of three settings in an earlier
study of these flights.
Ours gets the same numbers and categories; its lead in log loss is mostly the bins that it makes of each number, which
River was not given, and partly clipping. River's dicts are made before the clock starts; what is timed is
predict_one and learn_one. River runs on the first `river.rows` rows, and `log_loss_same_rows` is ours on just those.
"""

_REPEATS: Final = 5
_RIVER_ROWS: Final = 40_000


def run(*, quick: bool) -> dict[str, object]:
    """Return rows per CPU-second, log loss and AUC of both."""
    block, y, columns = vectors(events=60_000 if quick else None)
    ones = np.ones(len(y))
    Logistic()(columns, 0).warm_up()
    seconds, scores = [], np.zeros(0)
    for _ in range(_REPEATS):
        learner = Logistic()(columns, 0)
        scores, spent = _timed(lambda learner=learner: learner.learn(block, y, ones))  # type: ignore[misc]
        seconds.append(spent)
    rows = min(len(y), 5_000 if quick else _RIVER_ROWS)
    river_scores, river_seconds = _river(block, y, rows)
    rate = len(y) / statistics.median(seconds)
    return {
        "rows": len(y),
        "rows_per_cpu_second": round(rate),
        "log_loss": log_loss(y, scores),
        "auc": auc(y, scores),
        "log_loss_same_rows": log_loss(y[:rows], scores[:rows]),
        "auc_same_rows": auc(y[:rows], scores[:rows]),
        "river": {
            "rows": rows,
            "rows_per_cpu_second": round(rows / river_seconds),
            "log_loss": log_loss(y[:rows], river_scores),
            "auc": auc(y[:rows], river_scores),
        },
        "ratio": round(rate / (rows / river_seconds), 1),
    }


def vectors(events: int | None) -> tuple[Block, F8, Columns]:
    """Return the examples of the flights as the pipeline made them: vectors, labels, and what the columns are."""
    with tempfile.TemporaryDirectory() as folder:
        running = start(flights_project(Path(folder), data=Path(".demo/data"), events=events))
        running.worker.run()
        payload = taken_rows(running.deployment.topic("examples")).payloads[0]
        columns = running.deployment.columns()
        running.log.close()
    dense = np.ascontiguousarray(flat_block(payload["dense"], np.float64))
    return Block(dense, np.ascontiguousarray(flat_block(payload["ids"], np.int32))), payload["y"].to_numpy(), columns


def _river(block: Block, y: F8, rows: int) -> tuple[F8, float]:
    numbers = [{f"n{place}": value for place, value in enumerate(row)} for row in block.dense[:rows].tolist()]
    texts = [{f"c{place}": str(value) for place, value in enumerate(row)} for row in block.ids[:rows].tolist()]
    examples = [{**one, **other} for one, other in zip(numbers, texts, strict=True)]
    labels = (y[:rows] >= 0.5).tolist()
    model = (
        (compose.SelectType(float) | preprocessing.StandardScaler())
        + (compose.SelectType(str) | preprocessing.OneHotEncoder())
    ) | linear_model.LogisticRegression(optimizer=optim.AdaGrad(0.05))

    def learn() -> F8:
        scores = np.empty(rows)
        for row, (example, label) in enumerate(zip(examples, labels, strict=True)):
            scores[row] = model.predict_proba_one(example).get(True, 0.5)
            model.learn_one(example, label)
        return scores

    return _timed(learn)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun
