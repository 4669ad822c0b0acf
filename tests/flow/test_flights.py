"""The year of flights, against an oracle over the package's own tables, and against labels that mean nothing."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core import reasons
from headrace.core.records import flat_block
from headrace.run.deployment import Deployment
from headrace.run.running import run
from headrace.run.summary import summary
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from tests.flow.comparing import flights
from tests.oracle.flights import vectors

SAMPLED = 2_000
CATEGORIES = ("carrier", "origin_x_dest")


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    running = run(flights(tmp_path_factory.mktemp("year")))
    running.worker.run()
    yield running.deployment
    running.log.close()


def vectors_as_taken(deployment: Deployment) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Return ids, values and reasons by feature, of every request."""
    batch = taken_rows(deployment.topic("features"))
    payload = batch.payloads[0]
    dense, ids = flat_block(payload["dense"], np.float64), flat_block(payload["ids"], np.int32)
    reason = flat_block(payload["reasons"], np.uint8)
    blocks = deployment.pipeline.features.blocks()
    names = (*blocks.dense, *blocks.categories)
    whole = np.concatenate([dense, ids.astype(np.float64)], axis=1)
    values = {name: whole[:, place] for place, name in enumerate(names)}
    codes = {name: reason[:, place] for place, name in enumerate(names)}
    return batch.id.take(pa.array(batch.rows_of(0))).to_pylist(), values, codes


def test_sampled_vectors_equal_plain_python_over_the_packages_tables(year: Deployment) -> None:
    ids, values, codes = vectors_as_taken(year)
    assert len(ids) == 336_776
    place = {flight: row for row, flight in enumerate(ids)}
    sampled = random.Random(13).sample(ids, SAMPLED)
    expected = vectors(sampled)
    texts: dict[tuple[str, object], set[float]] = {}
    wrong = []
    for flight in sampled:
        row = place[flight]
        for name, value in expected[flight].items():
            got = float(values[name][row])
            if name in CATEGORIES:
                texts.setdefault((name, value), set()).add(got)
            elif got != float(value):
                wrong.append((flight, name, got, value, reasons.NAMES[codes[name][row]]))
    assert wrong == []
    assert set(expected[sampled[0]]) == set(values)
    # A category is one id a text, never the id of a missing one.
    assert all(len(found) == 1 and 0.0 not in found for found in texts.values())
    assert len({next(iter(found)) for (name, _), found in texts.items() if name == "carrier"}) > 10


def test_the_year_is_answered_and_every_figure_stands(year: Deployment) -> None:
    found = summary(year)
    assert found["predictions"] == 336_776
    assert found["labels"] > 327_000
    assert found["predictions_without_version"] == 0
    assert found["missing_without_reason"] == 0
    assert found["ledger_balances"]
    assert found["ledger"]["weather"]["reasons"] == {"out_of_range": 1}
    assert found["log_loss"] < found["baseline_log_loss"]
    assert found["log_loss"] <= 0.475
    assert found["auc"] >= 0.740


def test_every_vector_and_prediction_of_the_year_is_recomputed_from_the_log(year: Deployment) -> None:
    found = verify(year)
    assert (found.differ, found.vectors, found.predictions) == (0, 336_776, 336_776)


def test_with_shuffled_labels_the_log_loss_is_that_of_the_baseline(tmp_path: Path) -> None:
    project = flights(tmp_path, 250_000)
    path = Path(project.config.sources["arrivals"].path or "")
    table = pq.read_table(path)
    delay = np.random.default_rng(4).permutation(table["delay"].to_numpy())
    pq.write_table(table.set_column(table.column_names.index("delay"), "delay", pa.array(delay)), path)
    running = run(project)
    running.worker.run()
    found = summary(running.deployment)
    running.log.close()
    assert math.isclose(found["log_loss"], found["baseline_log_loss"], abs_tol=0.004)
    assert abs(found["auc"] - 0.5) < 0.01
