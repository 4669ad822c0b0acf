"""A report: scores against the labels that came back, over all rows or over windows, beside the baselines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import ConfigError, nearest
from headrace.core.records import F8, I8
from headrace.core.time import Duration, duration_us
from headrace.evaluate.metrics import accuracy, auc, brier, log_loss

__all__ = ["Report"]

_METRICS: Final[dict[str, Callable[[F8, F8], float]]] = {
    "accuracy": accuracy,
    "auc": auc,
    "brier": brier,
    "log_loss": log_loss,
}


@final
@dataclass(frozen=True, slots=True)
class Report:
    """n requests whose label came back, in the order in which they were asked.

    time: i8[n], when each was asked, microseconds. y, score: f8[n]. running_mean, no_change: f8[n], what the two
    baselines would have answered with the labels known by then. requests: how many were asked.
    """

    time: I8
    y: F8
    score: F8
    running_mean: F8
    no_change: F8
    requests: int

    @property
    def coverage(self) -> float:
        """Return the share of requests whose label came back."""
        return len(self.y) / self.requests if self.requests else 0.0

    def metric(self, name: str, over: int | Duration | None = None) -> float:
        """Return one metric of the scores: over the last `over` rows or length of time, or over all.

        Raises ConfigError, with the nearest name, for a metric that does not exist.
        """
        if name not in _METRICS:
            raise ConfigError("metric", wanted=f"one of {', '.join(_METRICS)}", got=name + nearest(name, _METRICS))
        rows = slice(None)
        if isinstance(over, int):
            rows = slice(max(0, len(self.y) - over), None)
        elif over is not None and len(self.time):
            rows = slice(int(np.searchsorted(self.time, self.time[-1] - duration_us("over", over), side="right")), None)
        return _METRICS[name](self.y[rows], self.score[rows])

    def metrics(self, rows: slice | I8 | None = None) -> dict[str, Any]:
        """Return every metric of the scores, and those of the baselines, over some rows."""
        part = slice(None) if rows is None else rows
        y, score = self.y[part], self.score[part]
        if len(y) == 0:
            return {"rows": 0}
        return {
            "rows": len(y),
            "positive": float(np.mean(y)),
            **{name: function(y, score) for name, function in _METRICS.items()},
            "running_mean_log_loss": log_loss(y, self.running_mean[part]),
            "no_change_log_loss": log_loss(y, self.no_change[part]),
            "no_change_accuracy": accuracy(y, self.no_change[part]),
        }

    def by_window(self, over: int | Duration) -> list[dict[str, Any]]:
        """Return the metrics of each window of that many rows, or of that length of time, oldest first."""
        window = np.arange(len(self.y)) // over if isinstance(over, int) else self.time // duration_us("over", over)
        return [
            {"start_us": int(self.time[window == number][0]), **self.metrics(np.flatnonzero(window == number))}
            for number in np.unique(window).tolist()
        ]
