"""`headrace features FILE --lateness`: what each disorder keeps and costs, and whose clocks are off."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.oracle.lateness import kept
from tests.unit.cli.test_cli import Shell, shell

__all__ = ["shell"]  # The fixture of this name is used below.

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE: Final = """
from datetime import datetime
import headrace as hr

class Reading(hr.Event):
    id: str
    sensor: str
    heat: float
    at: datetime
    came: datetime

class Answer(hr.Event):
    id: str
    good: bool
    at: datetime

readings = hr.source("readings", Reading, time=Reading.at, id=Reading.id, arrived=Reading.came, disorder="5s",
                     producer=Reading.sensor, max_future_skew="2h")
answers = hr.source("answers", Answer, time=Answer.at)
good = readings.label(answers, Answer.good, on="id", within="10min", otherwise=False)
now = readings.vector("now", Reading.heat, readings.by(Reading.sensor).count("10min"))
pipeline = hr.Pipeline("heat", features=now, label=good, model=hr.models.Logistic())
"""
CONFIG: Final = """
[sources.readings]
path = "readings.parquet"

[sources.answers]
path = "answers.parquet"
"""


def sent() -> list[dict[str, Any]]:
    """Return what six sensors send, one an hour ahead and one behind, up to two minutes late; in order of arrival."""
    draw = random.Random(3)
    off = {"fast": timedelta(hours=1), "slow": timedelta(hours=-1)}
    made = []
    for second in range(0, 3_000, 5):
        for sensor in ("s1", "s2", "s3", "s4", "fast", "slow"):
            late = timedelta(seconds=draw.choice([0] * 6 + [4, 20, 50]) + draw.random())
            at = START + timedelta(seconds=second)
            came = at + late
            id = f"{sensor}-{second}"
            made.append(
                {"id": id, "sensor": sensor, "heat": 1.0, "at": at + off.get(sensor, timedelta(0)), "came": came}
            )
    return sorted(made, key=lambda row: row["came"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late")
    rows = sent()
    pq.write_table(pa.Table.from_pylist(rows), folder / "readings.parquet")
    said = pa.table({"id": [rows[0]["id"]], "good": [True], "at": [rows[0]["at"]]})
    pq.write_table(said, folder / "answers.parquet")
    (folder / "headrace.toml").write_text(CONFIG)
    file = folder / "pipeline.py"
    file.write_text(PIPELINE)
    return file


def test_lateness_tells_the_true_shares_and_names_whose_clocks_are_off(shell: Shell, project: Path) -> None:
    shell.good("run", project)
    found = shell.json("features", project, "--lateness", "--disorder", "45s")
    readings, answers = found["sources"]
    assert (readings["source"], answers["source"], answers["records"]) == ("readings", "answers", 1)
    records = [(row["sensor"], int((row["at"] - START).total_seconds() * 1e6)) for row in sent()]
    assert readings["records"] == len(records)
    for one in readings["disorders"]:
        if one["disorder"] in ("0s", "1s", "5s", "45s", "1min"):
            assert one["kept"] == pytest.approx(kept(records, int(one["adds_seconds"] * 1e6)) / len(records), abs=1e-12)
    assert [one["producer"] for one in readings["producers_ahead"]] == ["fast"]
    assert [one["producer"] for one in readings["producers_behind"]] == ["slow"]
    assert readings["recommended"]["kept"] >= 0.999
    assert (readings["declared"]["disorder"], readings["stamped"], answers["stamped"]) == ("5s", True, False)
    text = shell.good("features", project, "--lateness", "--keep", "99")
    for word in ("fast", "slow", "declared", "adds seconds", "as declared, keeps", "of 6 producers", "p99.9"):
        assert word in text


def test_lateness_refuses_what_it_cannot_mean(shell: Shell, project: Path) -> None:
    for words in (("--keep", "0"), ("--keep", "101"), ("--disorder", "soon"), ("--key", "id=1")):
        code, out, err = shell("features", project, "--lateness", *words)
        assert (code, out) == (2, "")
        assert "wanted" in err
