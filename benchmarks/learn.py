"""The logistic learner against River's, on the same rows in one run: each row is scored, then learnt."""

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river import linear_model, optim, preprocessing

from headrace.evaluate.metrics import auc, log_loss
from headrace.models import Block, Columns, Logistic

__all__ = ["NOTES", "run"]

NOTES: Final = """\
Rows are made in code: 12 numbers, 2 categories (64 and 1,024 ids), labels from a bent function of the numbers, so that
bins have something to find. River gets the same numbers, scaled, and the categories as one-hot entries, but no bins:
`no_bins` is ours with their weight made negligible, which is the fairer comparison of the learners themselves.
River learns a prefix, `river.rows`; every `log_loss` and `auc` here is over those same rows, speeds are of the whole
run of each. River's time includes the dictionaries it takes. Median of three runs for ours, one for River, in CPU
seconds."""

_NUMBERS: Final = 12
_SIZES: Final = (64, 1024)
_COLUMNS: Final = Columns(dense=tuple(f"x{n}" for n in range(_NUMBERS)), categories=("c", "d"), sizes=_SIZES)
_REPEATS: Final = 3


def run(*, quick: bool = False) -> dict[str, Any]:
    """Return rows a CPU second, log loss and AUC of both, and the ratio of their speeds."""
    block, y = synthetic(20_000 if quick else 200_000, seed=1)
    prefix = 2_000 if quick else 20_000
    ours, scores = _ours(Logistic(), block, y)
    _, plain = _ours(Logistic(bins=1e-6), block, y)
    theirs, their_scores = _river(block.rows(0, prefix), y[:prefix])
    return {
        "rows": len(y),
        "rows_per_cpu_second": ours,
        **_quality(y[:prefix], scores[:prefix]),
        "no_bins": _quality(y[:prefix], plain[:prefix]),
        "river": {"rows": prefix, "rows_per_cpu_second": theirs, **_quality(y[:prefix], their_scores)},
        "ratio": ours / theirs,
    }


def synthetic(n: int, seed: int) -> tuple[Block, NDArray[np.float64]]:
    """Return n rows and their labels: bent in some numbers, straight in others, with an effect of each category."""
    draw = np.random.default_rng(seed)
    dense = draw.normal(size=(n, _NUMBERS))
    ids = np.stack([draw.integers(0, size, n) for size in _SIZES], axis=1).astype(np.int32)
    effects = [draw.normal(scale=0.5, size=size) for size in _SIZES]
    logit = np.abs(dense[:, 0]) - 0.8 + 0.5 * dense[:, 1] - 0.3 * dense[:, 2] + 0.6 * (dense[:, 3] > 1) - 1.0
    for place, effect in enumerate(effects):
        logit += effect[ids[:, place]]
    return Block(dense, ids), (draw.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def _quality(y: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    return {"log_loss": log_loss(y, score), "auc": auc(y, score)}


def _ours(recipe: Logistic, block: Block, y: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    weights = np.ones(len(y))
    recipe(_COLUMNS, 0).learn(block.rows(0, 10), y[:10], weights[:10])  # Compiled before the clock starts.
    taken = []
    scores = np.empty(0)
    for _ in range(_REPEATS):
        learner = recipe(_COLUMNS, 0)
        start = time.process_time()
        scores = learner.learn(block, y, weights)
        taken.append(time.process_time() - start)
    return len(y) / float(np.median(taken)), scores


def _river(block: Block, y: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    scaler = preprocessing.StandardScaler()
    model = linear_model.LogisticRegression(optim.AdaGrad(0.05))
    rows, ids, labels = block.dense.tolist(), block.ids.tolist(), (y > 0.5).tolist()
    scores = np.empty(len(labels))
    start = time.process_time()
    for place, (numbers, chosen, label) in enumerate(zip(rows, ids, labels, strict=True)):
        raw = dict(zip(_COLUMNS.dense, numbers, strict=True))
        x = scaler.transform_one(raw)
        for category, one in zip(_COLUMNS.categories, chosen, strict=True):
            x[f"{category}={one}"] = 1.0
        scores[place] = model.predict_proba_one(x)[True]
        model.learn_one(x, label)
        scaler.learn_one(raw)
    return len(labels) / (time.process_time() - start), scores
