"""A user's own model, as api/page.py writes it: plain arrays in, no scores back, and still every stage works."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.run.project import Project
from headrace.run.starter import write_starter


class Mine:
    """Five verbs over plain arrays: a mean per sign of the first number."""

    def __init__(self, columns: Any, seed: int) -> None:
        del columns, seed
        self.w = np.zeros(4)

    def predict(self, X: Any) -> Any:  # noqa: N803 - the field's name for it
        side = (X[:, 0] > 20).astype(int)
        return (self.w[side] + 1) / (self.w[side + 2] + 2)

    def learn(self, X: Any, y: Any, w: Any) -> None:  # noqa: N803
        for x, label, weight in zip(X, y, w, strict=True):
            side = int(x[0] > 20)
            self.w[side] += weight * label
            self.w[side + 2] += weight

    def snapshot(self) -> Any:
        return {"w": self.w.copy()}, {}

    def restore(self, arrays: Any, meta: Any) -> None:
        del meta
        self.w = arrays["w"].copy()

    def warm_up(self) -> None:
        """Nothing is compiled."""


@pytest.fixture
def starter(tmp_path: Path) -> tuple[Any, dict[str, pa.Table]]:
    write_starter(tmp_path)
    pipeline: Any = Project.load(tmp_path / "pipeline.py").pipeline
    tables = {name: pa.csv.read_csv(tmp_path / f"{name}.csv") for name in ("payments", "outcomes")}
    return pipeline, tables


def rebuilt(pipeline: Any, features: Any) -> Any:
    return hr.Pipeline("mine", features=features, label=pipeline.label, model=Mine)


def test_a_model_of_plain_arrays_is_served_and_learns(starter: tuple[Any, dict[str, pa.Table]]) -> None:
    pipeline, tables = starter
    numbers = pipeline.features.of.vector("numbers", "amount")
    report = rebuilt(pipeline, numbers).evaluate(**tables)
    assert report.requests == 5_000
    assert report.coverage > 0.95
    assert len(np.unique(report.score)) > 100  # Two sides, and a new version every hour.
    assert report.metric("log_loss") < report.metrics()["running_mean_log_loss"] + 0.005


def test_a_model_of_plain_arrays_is_refused_a_vector_with_categories(starter: tuple[Any, dict[str, pa.Table]]) -> None:
    pipeline, tables = starter
    with pytest.raises(ConfigError, match="accepts categories"):
        rebuilt(pipeline, pipeline.features).evaluate(**tables)
