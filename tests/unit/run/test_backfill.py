"""A training set has the rows that a live run computes, however the archive is cut and whoever computes it."""

import json
import os
import random
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.core import reasons
from headrace.core.errors import ConfigError, StateError
from headrace.core.records import flat_block
from headrace.edge.archive_import import import_archive
from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.run.backfill import Backfilled, backfill, local
from headrace.run.backfill_parts import parts_of
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment, event_streams
from headrace.run.pipeline import Pipeline
from headrace.run.project import Project
from headrace.run.running import source_files
from headrace.run.starter import write_starter
from headrace.run.taken import taken_rows
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.store.offline import Archive
from headrace.topics.memory import MemoryLog

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
GROUP: Final = 50


class Click(hr.Event):
    click_id: str
    user: str
    shop: str
    amount: float
    at: datetime
    came: datetime


class Sale(hr.Event):
    click_id: str
    bought: bool
    at: datetime
    came: datetime


clicks = hr.source("clicks", Click, time=Click.at, id=Click.click_id, disorder="10s", arrived=Click.came)
sales = hr.source("sales", Sale, time=Sale.at, disorder="20s", arrived=Sale.came)
bought = clicks.label(sales, Sale.bought, on="click_id", within="3min", otherwise=False)
user, shop = clicks.by(Click.user), clicks.by(Click.shop)
short = clicks.vector(
    "short",
    Click.amount,
    user.count("1min"),
    user.mean(Click.amount, "2min", default=None),
    user.seconds_since("90s", default=None),
    user.count(hr.Session("20s", longest="2min")),
    user.sum(Click.amount, hr.LastN(2, within="1min")),
    shop.count(hr.Tumbling("1min")),
    shop.max(Click.amount, "30s", offset="1min", default=None),
    bought.by(Click.shop).mean(bought.value, "4min", default=None),
    hr.category(Click.shop, bits=3),
    answers=bought.by(Click.user).count("1min"),
)
in_time = clicks.label(sales, Sale.bought, on="click_id", within="40min", otherwise=False)
later = clicks.vector("later", in_time.by(Click.shop).mean(in_time.value, "4min", default=None))
plain = clicks.vector("plain", user.count("1min"), user.mean(Click.amount, "2min", default=None))
endless = clicks.vector("endless", user.count("1min"), seen=user.count(hr.FOREVER))
few = clicks.vector("few", clicks.by(Click.user, max_keys=5).count("1min"))


def pipeline(vector: Any) -> Pipeline[Any]:
    label = in_time if vector is later else bought
    return hr.Pipeline("shop", features=vector, label=label, model=hr.models.Logistic())


def history(folder: Path, seed: int = 0, count: int = 1_500, *, answers: float = 1.0) -> dict[str, Path]:
    """Write clicks and sales that come up to a minute late, in no order; one user has half of them.

    Between two halves lie three days without any. `answers` is the share of clicks after which no sale comes any more.
    """
    draw = random.Random(seed)
    folder.mkdir(exist_ok=True)
    asked, answered = [], []
    at = START
    for number in range(count):
        at += timedelta(seconds=draw.expovariate(1 / 8), days=3 * (number == count // 2))
        late = timedelta(seconds=draw.choice([0, 0, 0, 3, 15, 60]))
        who = "hot" if draw.random() < 0.5 else f"u{draw.randrange(12 if number < count // 2 else 30)}"
        name = str(number % (count // 2))  # After three days an id may be used again.
        asked.append(
            {
                "click_id": name,
                "user": who,
                "shop": draw.choice("abc"),
                "amount": draw.choice([0.1, 0.2, 1e9, -1e-9]),
                "at": at,
                "came": at + late,
            }
        )
        if draw.random() < 0.6 and number < answers * count:
            when = at + timedelta(seconds=draw.uniform(0, 240))
            answered.append({"click_id": name, "bought": draw.random() < 0.4, "at": when, "came": when + late})
    draw.shuffle(asked)
    draw.shuffle(answered)
    files = {"clicks": folder / "clicks.parquet", "sales": folder / "sales.parquet"}
    for path, rows in zip(files.values(), (asked, answered), strict=True):
        pq.write_table(pa.Table.from_pylist(rows), path)
    return files


def sources(of: Pipeline[Any], files: dict[str, Path]) -> list[tuple[Any, SourceFiles]]:
    settings = of.source_settings()
    return [(one, SourceFiles(paths=(files[one.name],), format="parquet")) for one in settings]


def archived(of: Pipeline[Any], files: dict[str, Path], folder: Path, **how: Any) -> Path:
    import_archive(sources(of, files), event_streams(of), folder, group_rows=GROUP, **how)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Path:
    return archived(pipeline(short), files, tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> pa.Table:
    return made(archive, tmp_path_factory.mktemp("whole"))[1]


def made(archive: Path, folder: Path, vector: Any = short, **how: Any) -> tuple[Backfilled, pa.Table]:
    to = folder / "rows.parquet"
    found = backfill(pipeline(vector), archive, to, **how)
    assert not to.with_name("rows.parquet.parts").exists()
    return found, pq.read_table(to)


def test_the_rows_are_those_of_a_live_run_with_the_labels_that_it_knew(files: dict[str, Path], whole: pa.Table) -> None:
    of = pipeline(short)
    deployment = Deployment(pipeline=of, log=MemoryLog(), blobs=None, clock=VirtualClock(start_us=0))
    ingest = Ingest(MergedHistory(sources(of, files)))
    worker = Worker(deployment.log, deployment.place(("ingest", "featurize"), ingest=ingest), clock=deployment.clock)
    worker.start()
    worker.run()
    rows = taken_rows(deployment.topic("features"))
    asked, labels = rows.rows_of(0), rows.rows_of(1)
    blocks = of.features.blocks()
    dense = flat_block(rows.payloads[0]["dense"], np.float64)
    for place, name in enumerate(blocks.dense):
        assert np.array_equal(whole[name].to_numpy(), dense[:, place], equal_nan=True), name
    codes = flat_block(rows.payloads[0]["reasons"], np.uint8)
    for place, name in enumerate((*blocks.dense, *blocks.categories)):
        assert whole[f"_reason_{name}"].to_pylist() == [reasons.NAMES[code] for code in codes[:, place]]
    assert whole["_id"].to_pylist() == rows.id.take(pa.array(asked)).to_pylist()
    assert whole["_event_time"].cast(pa.int64()).to_pylist() == rows.event_time[asked].tolist()
    assert whole["_arrival_time"].cast(pa.int64()).to_pylist() == rows.arrival_time[asked].tolist()
    payload = rows.payloads[1]
    known = dict(
        zip(
            zip(rows.id.take(pa.array(labels)).to_pylist(), payload["request_time"].to_pylist(), strict=True),
            zip(payload["value"].to_pylist(), rows.event_time[labels].tolist(), strict=True),
            strict=True,
        )
    )
    assert len(known) == len(labels) > 1_000
    names = zip(whole["_id"].to_pylist(), rows.event_time[asked].tolist(), strict=True)
    told = zip(whole["_label"].to_pylist(), whole["_label_known"].cast(pa.int64()).to_pylist(), strict=True)
    assert list(told) == [known.get(name, (None, None)) for name in names]


@pytest.mark.parametrize("parts", [2, 3, 8, 1_000])
def test_parts_by_time_give_the_rows_of_the_whole(archive: Path, whole: pa.Table, tmp_path: Path, parts: int) -> None:
    groups = len(Archive(archive).groups)
    warm = [part.warm for part in parts_of(Archive(archive), pipeline(short), parts)]
    found, rows = made(archive, tmp_path, parts=parts)
    assert found.parts == min(parts, groups)
    assert [name for name in whole.column_names if not rows[name].equals(whole[name])] == []
    assert warm[-1] > 0, "a warm-up from the beginning proves nothing"


def test_a_part_knows_which_sources_had_ended_before_it(tmp_path: Path) -> None:
    files = history(tmp_path / "files", seed=3, count=600, answers=0.3)
    archive = archived(pipeline(short), files, tmp_path / "archive")
    assert Archive(archive).groups[-1].ended == ("sales",)
    one, rows = made(archive, tmp_path)
    many, same = made(archive, tmp_path, parts=6)
    assert same.equals(rows)
    assert replace_parts(many) == one


def test_labels_that_take_longer_than_every_window_are_in_the_warm_up(archive: Path, tmp_path: Path) -> None:
    one, _ = made(archive, tmp_path, later)
    many, _ = made(archive, tmp_path, later, parts=7)
    assert parts_of(Archive(archive), pipeline(later), 7)[-1].warm > 0
    assert replace_parts(many) == one


def test_a_part_knows_which_keys_had_been_seen_before_its_warm_up(archive: Path, whole: pa.Table) -> None:
    first = parts_of(Archive(archive), pipeline(short), 8)[-1]
    later = whole.filter(pa.compute.greater_equal(whole["_row"], first.first * GROUP))
    found = {
        name for column in later.column_names if column.startswith("_reason") for name in later[column].to_pylist()
    }
    assert {"ok", "expired"} <= found


def test_complete_is_what_the_notebook_computes_of_the_same_tables(
    files: dict[str, Path], archive: Path, tmp_path: Path
) -> None:
    tables = {name: pq.read_table(path) for name, path in files.items()}
    expected = plain.compute(clicks=tables["clicks"], truth="complete")
    one, rows = made(archive, tmp_path, plain, truth="complete")
    assert rows["_event_time"].to_pylist() == sorted(rows["_event_time"].to_pylist())
    names = [name for name in expected.column_names if name != "_event_time"]
    by_time = expected.sort_by("_event_time")
    assert rows.select(names).equals(by_time.select(names))
    many, _ = made(archive, tmp_path, plain, truth="complete", parts=4)
    served, _ = made(archive, tmp_path, plain)
    assert replace_parts(many) == one
    assert served.digest != one.digest


def replace_parts(found: Backfilled) -> Backfilled:
    return Backfilled(
        rows=found.rows,
        labelled=found.labelled,
        parts=1,
        truth=found.truth,
        fingerprint=found.fingerprint,
        digest=found.digest,
    )


def test_the_file_says_what_it_is_and_everybody_can_read_it(archive: Path, tmp_path: Path) -> None:
    found, rows = made(archive, tmp_path)
    told = {key.decode(): text.decode() for key, text in rows.schema.metadata.items()}
    assert told["headrace.fingerprint"] == found.fingerprint == pipeline(short).fingerprint
    assert told["headrace.truth"] == "served"
    names = json.loads(told["headrace.features"])
    assert names == list(short.features)
    path = str(tmp_path / "rows.parquet")
    mine = rows["user_mean_amount_2min"].to_numpy()
    assert np.array_equal(pl.read_parquet(path)["user_mean_amount_2min"].to_numpy(), mine, equal_nan=True)
    assert np.array_equal(pd.read_parquet(path)["user_mean_amount_2min"].to_numpy(), mine, equal_nan=True)
    (labelled, count) = duckdb.sql(f"SELECT count(_label), count(*) FROM '{path}'").fetchall()[0]
    assert (labelled, count) == (found.labelled, found.rows)
    assert 0 < found.labelled <= found.rows == len(rows)


def test_what_cannot_be_cut_is_refused_by_name_and_whole_it_is_computed(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backfill, feature 'seen': .*--parts 1"):
        made(archive, tmp_path, endless, parts=2)
    assert made(archive, tmp_path, endless)[0].rows > 0
    with pytest.raises(StateError, match="a larger max_keys"):
        made(archive, tmp_path, few, parts=2)
    shutil.rmtree(tmp_path / "rows.parquet.parts")
    assert made(archive, tmp_path, few)[0].rows > 0


def test_a_back_dated_label_is_refused_under_complete(archive: Path, tmp_path: Path, files: dict[str, Path]) -> None:
    tables = {name: pq.read_table(path) for name, path in files.items()}
    with pytest.raises(ConfigError, match="before they had come"):
        made(archive, tmp_path, short, truth="complete")
    with pytest.raises(ConfigError, match="before they had come"):
        pipeline(short).examples(truth="complete", **tables)
    with pytest.raises(ConfigError, match="before they had come"):
        short.compute(truth="complete", **tables)


def test_an_archive_of_other_declarations_is_refused(archive: Path, tmp_path: Path) -> None:
    other = hr.source("clicks", Click, time=Click.at, id=Click.click_id, disorder="11s", arrived=Click.came)
    label = other.label(sales, Sale.bought, on="click_id", within="3min", otherwise=False)
    vector = other.vector("other", Click.amount)
    changed = hr.Pipeline("shop", features=vector, label=label, model=hr.models.Logistic())
    with pytest.raises(ConfigError, match="import it again"):
        backfill(changed, archive, tmp_path / "rows.parquet")
    with pytest.raises(StateError, match="headrace import FILE"):
        backfill(pipeline(short), tmp_path, tmp_path / "rows.parquet")


@pytest.mark.parametrize("truth", ["served", "complete"])
def test_examples_in_a_notebook_are_the_labelled_rows_of_a_backfill(
    files: dict[str, Path], archive: Path, tmp_path: Path, truth: Any
) -> None:
    vector = short if truth == "served" else plain
    tables = {name: pq.read_table(path) for name, path in files.items()}
    found = pipeline(vector).examples(truth=truth, **tables)
    rows = made(archive, tmp_path, vector, truth=truth)[1]
    rows = rows.filter(rows["_label"].is_valid())
    # The file is then in the order of event time, the examples are in that of the log.
    order = np.argsort(found.at, kind="stable") if truth == "complete" else np.arange(len(found))
    assert found.names == tuple(vector.features)
    for place, name in enumerate(found.names):
        assert np.array_equal(found.X[order, place], rows[name].to_numpy().astype(np.float64), equal_nan=True), name
        assert [reasons.NAMES[code] for code in found.reasons[order, place]] == rows[f"_reason_{name}"].to_pylist()
    assert found.y[order].tolist() == rows["_label"].to_pylist()
    assert found.weight[order].tolist() == rows["_weight"].to_pylist()
    assert np.array_equal(np.take(found.at, order), rows["_event_time"].cast(pa.int64()).to_numpy())
    assert found.known[order].tolist() == rows["_label_known"].cast(pa.int64()).to_pylist()
    assert found.ids.take(pa.array(order)).to_pylist() == rows["_id"].to_pylist()
    assert len(found) == len(rows) > 900


def test_examples_of_nothing_are_none() -> None:
    empty = {"clicks": [], "sales": []}
    schemas = {one.name: one.schema.arrow for one in pipeline(plain).source_settings()}
    tables = {name: pa.Table.from_pylist(rows, schemas[name]) for name, rows in empty.items()}
    found = pipeline(plain).examples(**tables)
    assert (found.X.shape, len(found), found.ids.to_pylist()) == ((0, 2), 0, [])


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the file of the starter's pipeline, and an archive of its sources."""
    folder = tmp_path_factory.mktemp("starter")
    file, *_ = write_starter(folder)
    project = Project.load(file)
    import_archive(source_files(project), event_streams(project.pipeline), folder / "archive", group_rows=1_000)
    return file, folder / "archive"


def test_processes_give_what_one_gives_also_where_one_is_killed(starter: tuple[Path, Path], tmp_path: Path) -> None:
    file, archive = starter
    of = Project.load(file).pipeline
    expected = backfill(of, archive, tmp_path / "here.parquet", parts=2)
    killed: list[int] = []

    def kill_the_first(process: int) -> None:
        if len(killed) < 2:
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    engine = local(2, started=kill_the_first)
    found = backfill(of, archive, tmp_path / "there.parquet", parts=2, run=engine, file=file)
    assert len(killed) == 2
    assert found == expected
    assert pq.read_table(tmp_path / "there.parquet").equals(pq.read_table(tmp_path / "here.parquet"))


def test_a_part_that_is_done_is_not_computed_again(archive: Path, tmp_path: Path, whole: pa.Table) -> None:
    to = tmp_path / "rows.parquet"
    done: list[Any] = []

    def broken(parts: Any, spec: Any) -> Any:
        from headrace.run.backfill import here  # noqa: PLC0415 - beside what it breaks

        made = here(pipeline(short))(parts[: len(parts) // 2], spec)
        done.extend(made)
        raise StateError("part", wanted="no fault", got="one")

    with pytest.raises(StateError, match="no fault"):
        backfill(pipeline(short), archive, to, parts=4, run=broken)
    folder = tmp_path / "rows.parquet.parts"
    stamps = {path: path.stat().st_mtime_ns for path in sorted(folder.glob("keys-*.parquet"))}
    backfill(pipeline(short), archive, to, parts=4)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path.exists())
    assert pq.read_table(to).equals(whole)
    assert done
