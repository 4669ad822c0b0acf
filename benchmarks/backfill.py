"""Backfill: an archive larger than memory, the seam to a live run, and a hot partition cut by time.

- `bounded`: a process that is given `memory_mb` imports files in no order, three times as large (with `--quick` once),
  and computes their training set. It is held to that by a cgroup where the machine lets us make one (`held_by`);
  `peak_mb` is the most that it had resident.
- `seam_differ`: a history is cut at random rows, backfilled up to there, and run live from there; the rows of
  [features] and of the training set that are not those of one run.
- `split_differ`: nine of ten records have one key; the archive is cut in eight by time, each part with a warm-up; the
  rows that are not those of the whole.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import headrace as hr
from headrace.core.records import flat_block
from headrace.core.time import HOUR_US, SECOND_US
from headrace.edge.archive_import import import_archive
from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.run.backfill import backfill, here
from headrace.run.backfill_live import go_live
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment, event_streams
from headrace.run.taken import taken_rows
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.store.blobs import FolderBlobs
from headrace.store.offline import PARTITION, Archive
from headrace.topics.digest import row_digests
from headrace.topics.embedded import EmbeddedLog
from headrace.topics.memory import MemoryLog

NOTES: Final = """
Rows are records of the archive, requests and answers alike. A row of `bounded` has a note of some hundred characters
that no feature reads, so that a small number of rows fills the memory. Its figures contain reading and writing all of
that; `rows_per_second` is without notes. Differences are counted over values, never over files.
"""

_CGROUPS: Final = Path("/sys/fs/cgroup")
_MB: Final = 1 << 20
_TIMES: Final = 3
_START_US: Final = 1_767_225_600 * SECOND_US


class Payment(hr.Event):
    """A request."""

    payment_id: str
    card: str
    shop: str
    amount: float
    note: str | None
    at: datetime
    came: datetime


class Dispute(hr.Event):
    """The answer to one."""

    payment_id: str
    won: bool
    at: datetime
    came: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment_id, disorder="60s", arrived=Payment.came)
disputes = hr.source("disputes", Dispute, time=Dispute.at, disorder="60s", arrived=Dispute.came)
disputed = payments.label(disputes, Dispute.won, on="payment_id", within="2h", otherwise=False)
card, shop = payments.by(Payment.card), payments.by(Payment.shop)
risk = payments.vector(
    "risk",
    Payment.amount,
    card.count("1h"),
    card.sum(Payment.amount, "1h"),
    card.mean(Payment.amount, "6h", default=None),
    card.max(Payment.amount, "6h", default=None),
    card.seconds_since("6h", default=None),
    shop.count("1h"),
    shop.mean(Payment.amount, "3h", default=None),
    disputed.by(Payment.shop).mean(disputed.value, "6h", default=None),
)
pipeline = hr.Pipeline("backfilled", features=risk, label=disputed, model=hr.models.Logistic())


def run(*, quick: bool, memory_mb: int = 0, cuts: int = 20, rows: int = 0, seed: int = 0) -> dict[str, Any]:
    """Return the figures. `memory_mb` and `rows` (of the split) are 0 for what `quick` says."""
    memory_mb = memory_mb or 512
    rows = rows or (60_000 if quick else 1_000_000)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bounded = _bounded(folder / "bounded", memory_mb, times=1 if quick else _TIMES, note=1_000)
        split = _split(folder / "split", rows, seed)
        seam = _seam(folder / "seam", 4_000 if quick else 20_000, 4 if quick else cuts, seed)
    return {**split, **seam, "peak_mb": bounded["peak_mb"], "bounded": bounded}


def _history(folder: Path, count: int, *, seed: int, hot: float = 0.0, note: int = 0) -> dict[str, SourceFiles]:
    """Write payments a second apart and the disputes of a third of them, some up to a minute late, in no order.

    hot: the share of one card. note: how many characters no feature reads.
    """
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    files: dict[str, list[Path]] = {"payments": [], "disputes": []}
    piece = 200_000
    pieces = list(range(0, count, piece))
    random.Random(seed).shuffle(pieces)
    for start in pieces:
        number = np.arange(start, min(start + piece, count))
        draw.shuffle(number)
        n = len(number)
        at = _START_US + number * SECOND_US
        late = np.where(draw.random(n) < 0.05, draw.integers(0, 60, n), 0) * SECOND_US
        keys = np.where(draw.random(n) < hot, 0, draw.zipf(1.3, n) % 20_000)
        columns = {
            "payment_id": pa.array(number).cast(pa.string()),
            "card": pa.array(keys).cast(pa.string()),
            "shop": pa.array(draw.integers(0, 500, n)).cast(pa.string()),
            "amount": pa.array(np.round(draw.lognormal(3, 1, n), 2)),
            "note": _notes(draw, n, note),
            "at": _times(at),
            "came": _times(at + late),
        }
        files["payments"].append(folder / f"payments-{start}.parquet")
        pq.write_table(pa.table(columns), files["payments"][-1], row_group_size=piece // 4)
        chosen = draw.random(n) < 0.33
        when = (at + draw.integers(1, 3 * HOUR_US // SECOND_US, n) * SECOND_US)[chosen]
        answers = {
            "payment_id": pa.array(number[chosen]).cast(pa.string()),
            "won": pa.array(draw.random(int(chosen.sum())) < 0.4),
            "at": _times(when),
            "came": _times(when + late[chosen]),
        }
        files["disputes"].append(folder / f"disputes-{start}.parquet")
        pq.write_table(pa.table(answers), files["disputes"][-1])
    return {name: SourceFiles(paths=tuple(paths), format="parquet") for name, paths in files.items()}


def _notes(draw: np.random.Generator, count: int, size: int) -> pa.Array:
    """Return texts that no compression makes small."""
    if size == 0:
        return pa.nulls(count, pa.string())
    letters = (draw.integers(0, 64, count * size, dtype=np.uint8) + 48).tobytes()
    offsets = np.arange(0, (count + 1) * size, size, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(letters)])


def _times(us: "np.ndarray[Any, Any]") -> pa.Array:
    return pa.array(us).cast(pa.timestamp("us", tz="UTC"))


def _sources(files: dict[str, SourceFiles]) -> list[tuple[Any, SourceFiles]]:
    return [(settings, files[settings.name]) for settings in pipeline.source_settings()]


def _split(folder: Path, count: int, seed: int) -> dict[str, Any]:
    files = _history(folder / "files", count, seed=seed, hot=0.9)
    started = time.perf_counter()
    group_rows = max(1_000, min(65_536, count // 40))
    import_archive(_sources(files), event_streams(pipeline), folder / "archive", group_rows=group_rows)
    imported = time.perf_counter() - started
    rows = Archive(folder / "archive").rows
    backfill(pipeline, folder / "archive", folder / "warm.parquet")
    started, cpu = time.perf_counter(), time.process_time()
    backfill(pipeline, folder / "archive", folder / "whole.parquet")
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    backfill(pipeline, folder / "archive", folder / "parts.parquet", parts=8)
    whole, parts = (pq.read_table(folder / f"{name}.parquet") for name in ("whole", "parts"))
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "rows_per_cpu_second": round(rows / cpu_seconds),
        "import_rows_per_second": round(rows / imported),
        "split_rows": len(whole),
        "split_differ": _differing(whole, parts),
    }


def _differing(one: pa.Table, other: pa.Table) -> int:
    """Return how many rows are not the same in both, by value."""
    if len(one) != len(other):
        return max(len(one), len(other))
    differs = np.zeros(len(one), bool)
    for name in one.column_names:
        left, right = one[name].combine_chunks(), other[name].combine_chunks()
        same = pa.compute.equal(left, right).fill_null(False).to_numpy(zero_copy_only=False)
        neither = left.is_null().to_numpy(zero_copy_only=False) & right.is_null().to_numpy(zero_copy_only=False)
        differs |= ~(same | neither)
    return int(np.count_nonzero(differs))


def _seam(folder: Path, count: int, cuts: int, seed: int) -> dict[str, Any]:
    files = _history(folder / "files", count, seed=seed + 1)
    deployment = Deployment(pipeline=pipeline, log=MemoryLog(), blobs=None, clock=VirtualClock(start_us=0))
    _featurize(deployment, files)
    one = taken_rows(deployment.topic("features"))
    digests, asked = row_digests(one), one.take(one.rows_of(0))
    dense = flat_block(asked.payloads[0]["dense"], np.float64)
    events = len(MergedHistory(_sources(files)))
    draw = random.Random(seed)
    differ = compared = 0
    for number in range(cuts):
        place = folder / str(number)
        archive, state = place / "archive", place / "state"
        place.mkdir()
        import_archive(
            _sources(files), event_streams(pipeline), archive, rows=draw.randrange(1, events), group_rows=1_000
        )
        backfill(pipeline, archive, place / "rows.parquet", state=state, parts=draw.choice([1, 2, 4]))
        log = EmbeddedLog(place / "log.sqlite")
        live = Deployment(
            pipeline=pipeline,
            log=log,
            blobs=lambda name, place=place: FolderBlobs(place / name),
            clock=deployment.clock,
        )
        go_live(live, archive, state)
        _featurize(live, files)
        after = taken_rows(live.topic("features"))
        after = after.slice(1, len(after))  # The first says how far arrival time had come before.
        log.close()
        mine = row_digests(after)
        wanted = digests[len(digests) - len(mine) :]
        differ += int(np.count_nonzero(mine != wanted))
        before = pq.read_table(place / "rows.parquet")
        names = pipeline.features.blocks().dense
        values = np.stack([before[name].to_numpy() for name in names], axis=1)
        same = (values == dense[: len(values)]) | (np.isnan(values) & np.isnan(dense[: len(values)]))
        differ += int(np.count_nonzero(~same.all(axis=1)))
        differ += abs(len(before) + len(after.rows_of(0)) - len(asked))
        compared += len(before) + len(after)
    return {"seam_cuts": cuts, "seam_rows": compared, "seam_differ": differ}


def _featurize(deployment: Deployment, files: dict[str, SourceFiles]) -> None:
    ingest = Ingest(MergedHistory(_sources(files)))
    worker = Worker(deployment.log, deployment.place(("ingest", "featurize"), ingest=ingest), clock=deployment.clock)
    worker.start()
    worker.run()


def _bounded(folder: Path, memory_mb: int, *, times: int, note: int) -> dict[str, Any]:
    """Import and backfill in a process that has `memory_mb` an archive of `times` as much."""
    count = times * memory_mb * _MB // (note * 3 // 4)
    files = _history(folder / "files", count, seed=0, note=note)
    asked = {
        "folder": str(folder),
        "memory_mb": memory_mb,
        "files": {name: [str(path) for path in one.paths] for name, one in files.items()},
    }
    command = [sys.executable, "-c", "from benchmarks.backfill import child; child()", json.dumps(asked)]
    with _cgroup(memory_mb) as group:
        told = json.dumps(str(group) if group is not None else None)
        done = subprocess.run([*command, told], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the process with {memory_mb} MB ended with exit code {done.returncode}")
    size = sum(path.stat().st_size for path in (folder / "archive" / PARTITION).iterdir())
    return {
        "memory_mb": memory_mb,
        "held_by": "cgroup" if group is not None else "nothing: peak RSS stated",
        "archive_mb": round(size / _MB),
        "archive_to_memory": round(size / _MB / memory_mb, 2),
        **json.loads(done.stdout.splitlines()[-1]),
    }


def child() -> None:
    """Do what the command line says, and print what it took."""
    asked, group = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    if group is not None:
        (Path(group) / "cgroup.procs").write_text("0", encoding="utf-8")  # This process.
    folder = Path(asked["folder"])
    files = {
        name: SourceFiles(paths=tuple(map(Path, paths)), format="parquet") for name, paths in asked["files"].items()
    }
    started, cpu = time.perf_counter(), time.process_time()
    imported = import_archive(
        _sources(files),
        event_streams(pipeline),
        folder / "archive",
        memory_mb=asked["memory_mb"] // 4,
        group_rows=16_384,
        piece_rows=16_384,
    )
    halfway, halfway_cpu = time.perf_counter(), time.process_time()
    found = backfill(pipeline, folder / "archive", folder / "rows.parquet", run=here(pipeline))
    seconds, cpu_seconds = time.perf_counter() - halfway, time.process_time() - halfway_cpu
    figures = {
        "rows": imported.rows,
        "labelled": asdict(found)["labelled"],
        "import_rows_per_second": round(imported.rows / (halfway - started)),
        "import_rows_per_cpu_second": round(imported.rows / (halfway_cpu - cpu)),
        "rows_per_second": round(imported.rows / seconds),
        "rows_per_cpu_second": round(imported.rows / cpu_seconds),
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(figures))


def _peak_mb() -> int:
    """Return the most that this process had resident; `getrusage` would count its parent before it began."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)


@contextmanager
def _cgroup(memory_mb: int) -> Iterator[Path | None]:
    """Make a group of processes that has so much memory, if this machine lets us; else None."""
    first = _CGROUPS / "memory"
    parent, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (_CGROUPS, "memory.max")
    group = parent / f"headrace-backfill-{memory_mb}"
    try:
        group.mkdir(exist_ok=True)
        (group / limit).write_text(str(memory_mb * _MB), encoding="utf-8")
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()
