"""backfill: the rows of a training set out of an archive, by the stage that computes them live.

`run_one(part, spec)` is the seam: a function of an archive and a definition, which any engine may call on any machine,
twice or at once. It streams groups of rows, writes its files under names of its own and puts them in place whole; a
part whose manifest stands there is not computed again. Who calls it (`local`, `here`) decides nothing.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.core.errors import ConfigError, HeadraceError, StateError, SurroundingsError
from headrace.core.records import I8, NO_ID, Batch, StreamSchema, strings
from headrace.edge.archive_sort import sort_files
from headrace.features.engine import Engine
from headrace.features.tables import Truth, check_leak
from headrace.features.waiting import batch_of_bytes, bytes_of_batch
from headrace.run.backfill_keys import keys_engine, keys_of, merged_keys, tell
from headrace.run.backfill_parts import Manifest, Part, Spec, check_archive, check_cut, parts_of
from headrace.run.backfill_rows import LABELS, VectorRows, joined, label_table, with_labels
from headrace.run.deployment import JUDGE_PACE_US
from headrace.run.project import Project
from headrace.stages.featurize import Featurize
from headrace.store.offline import Archive, ArchiveWriter, Group, batch_of, replace_whole
from headrace.store.snapshots import Arrays, Meta, packed, unpacked
from headrace.topics.digest import running_digest
from headrace.topics.schemas import no_rows

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["Backfilled", "Run", "backfill", "here", "local", "run_one", "state_of"]

Run: TypeAlias = Callable[[Sequence[Part], Spec], list[Manifest]]
"""An engine: what computes parts, in whatever order, and returns their manifests in the order of the parts."""
_REQUEST: Final = 0
_LABEL: Final = 1
_DIGITS: Final = 12
_ATTEMPTS: Final = 4
_SOURCES: Final = "sources"
_STATE: Final = "state.safetensors"
_WAITING: Final = ("waiting.id", "waiting.label_id")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """What a backfill gave: how many rows, how many of them with a label, and a digest over their values."""

    rows: int
    labelled: int
    parts: int
    truth: Truth
    fingerprint: str
    digest: str


def run_one(part: Part, spec: Spec) -> Manifest:
    """Compute one part: the seam of every engine.

    Raises ConfigError if the definition is no longer the one of the spec, StateError if the archive is not.
    """
    config = Path(spec.config) if spec.config is not None else None
    return _compute(Project.load(Path(spec.file), config, name=spec.pipeline).pipeline, part, spec)


def here(pipeline: "Pipeline[Any]") -> Run:
    """Return an engine that computes one part after the other in this process; its definition may have no file."""
    return lambda parts, spec: [_compute(pipeline, part, spec) for part in parts]


def local(processes: int, *, started: Callable[[int], None] | None = None) -> Run:
    """Return an engine of processes on this machine: one a part, begun again if it is killed.

    `started` is told the number of each process. Raises ConfigError unless there is at least one, and StateError with
    what a part said if it failed of itself.
    """
    if processes < 1:
        raise ConfigError("processes", wanted="1 or more", got=processes)

    def run(parts: Sequence[Part], spec: Spec) -> list[Manifest]:
        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(lambda part: _in_a_process(part, spec, started), parts))

    return run


def _in_a_process(part: Part, spec: Spec, started: Callable[[int], None] | None) -> Manifest:
    asked = json.dumps([asdict(part), asdict(spec)])
    command = [sys.executable, "-c", "from headrace.run.backfill import child; child()", asked]
    for _ in range(_ATTEMPTS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ours
        if started is not None:
            started(process.pid)
        told, error = process.communicate()
        if process.returncode == 0:
            return Manifest(**json.loads(told.splitlines()[-1]))
        if process.returncode > 0:
            last = error.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            raise StateError(f"part {part.name}", wanted="a part that comes to its end", got=last[0])
    killed = f"{_ATTEMPTS} processes killed, the last by signal {-process.returncode}"
    raise SurroundingsError(f"part {part.name}", wanted="a process that lives (is memory short?)", got=killed)


def child() -> None:
    """Compute the part that the command line names, and print its manifest."""
    part, spec = json.loads(sys.argv[1])
    try:
        print(json.dumps(asdict(run_one(Part(**part), Spec(**spec)))))  # noqa: T201 - its parent reads it
    except HeadraceError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def backfill(
    pipeline: "Pipeline[Any]",
    archive: Path,
    to: Path,
    *,
    truth: Truth = "served",
    parts: int = 1,
    run: Run | None = None,
    file: Path | None = None,
    config: Path | None = None,
    memory_mb: int = 512,
    state: Path | None = None,
) -> Backfilled:
    """Write the training set of a pipeline over an archive into one Parquet file.

    truth: "served" sees what stood before the request in the log, "complete" everything with an earlier event time.
    parts: into how many the archive is cut by time. run: what computes them, this process if left out; others need
    the `file` of the definition, and its `config`. memory_mb: what a sort may take ("complete" sorts the archive by
    event time). state: where to keep the state of `featurize` behind the last row.

    What it is at work on lies beside `to`, so that another attempt goes on where one was cut off.

    Raises ConfigError for a definition that cannot be cut by time, a label that leaks under "complete", or an archive
    of other declarations; StateError if there is no archive.
    """
    source = Archive(archive)
    check_archive(source, pipeline)
    if parts > 1:
        check_cut(pipeline)
    if truth == "complete":
        check_leak(pipeline.features)
        if state is not None:
            raise ConfigError("backfill state", wanted="truth 'served': the state of what was live", got=truth)
    folder = to.with_name(f"{to.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    if truth == "complete":
        source = _by_event_time(source, folder / "complete", memory_mb)
    spec = Spec(
        file="" if file is None else str(file.resolve()),
        config=None if config is None else str(config.resolve()),
        pipeline=pipeline.name,
        fingerprint=pipeline.fingerprint,
        archive=str(source.folder.resolve()),
        digest=source.digest,
        folder=str(folder.resolve()),
        truth=truth,
        keep_state=state is not None,
    )
    compute = here(pipeline) if run is None else run
    cut = parts_of(source, pipeline, parts)
    if len(cut) > 1:
        compute(parts_of(source, pipeline, parts, "keys")[:-1], spec)
    if not source.groups:
        cut = []
    compute(cut, spec)
    found = _finish(pipeline, spec, cut, to)
    if state is not None:
        (folder / _STATE).replace(state)
    shutil.rmtree(folder)
    return found


def state_of(path: Path) -> tuple[Arrays, Meta]:
    """Return the state of `featurize` that a backfill kept."""
    return unpacked(path.read_bytes())


def featurize_over(pipeline: "Pipeline[Any]", streams: Sequence[StreamSchema]) -> Featurize:
    """Return a fresh `featurize` over rows of these streams, as the task of a deployment runs it."""
    blocks = pipeline.features.blocks()
    return Featurize(
        Engine(pipeline.features, pipeline.label, streams, pipeline.source_settings()),
        events=streams,
        paces_us=(pipeline.learn.every_us, JUDGE_PACE_US),
        output="features",
        dense=len(blocks.dense),
        ids=len(blocks.categories),
        words=len(blocks.tokens),
    )


def _compute(pipeline: "Pipeline[Any]", part: Part, spec: Spec) -> Manifest:
    if pipeline.fingerprint != spec.fingerprint:
        raise ConfigError(f"part {part.name}", wanted=f"fingerprint {spec.fingerprint}", got=pipeline.fingerprint)
    folder = Path(spec.folder)
    inputs = blake2b(json.dumps([asdict(part), asdict(spec)]).encode(), digest_size=16).hexdigest()
    place = folder / f"{part.name}.json"
    if place.exists():
        known = Manifest(**json.loads(place.read_text(encoding="utf-8")))
        if known.inputs == inputs:
            return known
    archive = Archive(Path(spec.archive))
    if archive.digest != spec.digest:
        raise StateError(f"part {part.name}", wanted="the archive of the backfill (start it again)", got="another one")
    if part.what == "keys":
        manifest = _keys(pipeline, part, archive, folder, inputs)
    else:
        manifest = _Rows(pipeline, part, spec, archive).write(inputs)
    replace_whole(place, json.dumps(asdict(manifest)).encode())
    return manifest


def _keys(pipeline: "Pipeline[Any]", part: Part, archive: Archive, folder: Path, inputs: str) -> Manifest:
    engine = keys_engine(pipeline, archive.streams)
    found: Arrays = {}
    if engine is not None:
        for _, batch in _fed(archive, part):
            engine.run(batch)
        _refuse_evicted(engine, part)
        found = keys_of(engine)
    replace_whole(folder / f"{part.name}.safetensors", packed(found, {}))
    return Manifest(part=part.name, inputs=inputs, rows=0, labels=0, digest="")


def _fed(archive: Archive, part: Part) -> Iterator[tuple[int, Batch]]:
    """Yield what a part must be fed, with the number of the first row: what it is told of before, then its groups."""
    begin = archive.groups[part.warm]
    if begin.ended:
        yield begin.first - 1, _ticks(begin, archive.streams)
    for group, batch in archive.batches(part.warm, part.stop):
        yield group.first, batch


def _ticks(group: Group, streams: Sequence[StreamSchema]) -> Batch:
    """Return the ticks of the sources that had ended before a group."""
    count = len(group.ended)
    times = np.zeros(count, np.int64)  # Ticks move no watermark, so their time says nothing.
    tick = [strings(list(group.ended)), strings(["ended"] * count)]
    return Batch(
        times,
        np.arange(count),
        np.zeros(count, np.uint8),
        times,
        times,
        np.zeros(count, np.uint8),
        strings([NO_ID] * count),
        (
            pa.RecordBatch.from_arrays(tick, schema=streams[0].schema),
            *(no_rows(stream.schema) for stream in streams[1:]),
        ),
    )


@final
class _Rows:
    """One part at work: the vectors that its rows ask for and the labels that they decide, into two files."""

    def __init__(self, pipeline: "Pipeline[Any]", part: Part, spec: Spec, archive: Archive) -> None:
        self._part, self._spec, self._archive = part, spec, archive
        self._pipeline = pipeline
        self._columns = VectorRows(pipeline.features)
        self._stage = featurize_over(pipeline, archive.streams)
        self._folder = Path(spec.folder)
        groups = archive.groups
        self._from = groups[part.first].first
        self._known_from = groups[part.warm].first if part.first > 0 else 0

    def write(self, inputs: str) -> Manifest:
        """Compute the part and put its files in place."""
        rows, labels, digest = 0, 0, 0
        self._tell()
        paths = [self._folder / f"{self._part.name}.{kind}.parquet" for kind in ("vectors", "labels")]
        # Another process may be at the same part: each writes under a name of its own.
        beside = [path.with_suffix(f".{os.getpid()}") for path in paths]
        with (
            pq.ParquetWriter(beside[0], self._columns.schema, compression="zstd") as vectors,
            pq.ParquetWriter(beside[1], LABELS, compression="zstd") as answers,
        ):
            for first, batch in _fed(self._archive, self._part):
                for made in self._stage.process(_numbered(batch, first)).batches.values():
                    if first < self._from:
                        continue
                    table, found = self._split(made)
                    if len(table):
                        vectors.write_table(table)
                    if len(found):
                        answers.write_table(found)
                    rows, labels = rows + len(table), labels + len(found)
                    digest = running_digest(digest, _values(made))
        _refuse_evicted(self._stage.engine, self._part)
        for path, new in zip(paths, beside, strict=True):
            new.replace(path)
        if self._spec.keep_state and self._part.last:
            replace_whole(self._folder / _STATE, packed(*_unnumbered(*self._stage.snapshot())))
        return Manifest(part=self._part.name, inputs=inputs, rows=rows, labels=labels, digest=f"{digest:016x}")

    def _tell(self) -> None:
        before = [replace(self._part, what="keys", number=number).name for number in range(self._part.number)]
        found = [unpacked((self._folder / f"{name}.safetensors").read_bytes())[0] for name in before]
        if found:
            tell(self._stage.engine, merged_keys(found))

    def _split(self, made: Batch) -> tuple[pa.Table, pa.Table]:
        """Return the vectors and the labels of what a batch gave; each bears the number of the row that asked."""
        vectors, labels = made.take(made.rows_of(_REQUEST)), made.take(made.rows_of(_LABEL))
        table = self._columns.table(_numbers_of(vectors.id), _ids_of(vectors.id), vectors)
        row = _numbers_of(labels.id)
        known = row >= self._known_from  # What was asked before the warm-up had its label by then.
        return table, label_table(labels.take(np.flatnonzero(known)), row[known])


def _refuse_evicted(engine: Engine, part: Part) -> None:
    """Refuse what depends on the order in which keys came, where the archive was cut."""
    for history, state in engine.state.items():
        if state["evicted"] and (part.number > 0 or not part.last):
            wanted = "a larger max_keys, so that the archive can be cut by time (or --parts 1)"
            raise StateError(f"history {history}", wanted=wanted, got=f"{state['evicted']:,} keys evicted")


def _numbered(batch: Batch, first: int) -> Batch:
    """Return the same rows, each id behind the number of its row: so a label finds the very row that asked."""
    numbers = pc.utf8_lpad(pa.array(np.arange(first, first + len(batch))).cast(pa.string()), _DIGITS, "0")
    ids = pc.binary_join_element_wise(numbers, batch.id, "")
    return replace(batch, id=ids)


def _numbers_of(ids: pa.StringArray) -> I8:
    numbers: I8 = pc.utf8_slice_codeunits(ids, 0, _DIGITS).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _ids_of(ids: pa.StringArray) -> pa.StringArray:
    return pc.utf8_slice_codeunits(ids, _DIGITS)


def _unnumbered(arrays: Arrays, meta: Meta) -> tuple[Arrays, Meta]:
    """Return a state in which those that wait, for their label or their time, have their own ids again."""
    own = dict(arrays)
    for name in _WAITING:
        if name in arrays:
            ids = batch_of_bytes(arrays[name]).column(0)
            own[name] = bytes_of_batch(pa.RecordBatch.from_arrays([_ids_of(ids)], names=["id"]))
    labels = meta["engine"].get("labels")
    if labels is None:
        return own, meta
    mine = {**labels, "ids": [text[_DIGITS:] for text in labels["ids"]]}
    return own, {**meta, "engine": {**meta["engine"], "labels": mine}}


def _values(made: Batch) -> Batch:
    """Return vectors and labels without progress: what a digest is over."""
    return made.take(np.flatnonzero((made.stream == _REQUEST) | (made.stream == _LABEL)))


def _finish(pipeline: "Pipeline[Any]", spec: Spec, parts: Sequence[Part], to: Path) -> Backfilled:
    """Join the parts into one file."""
    folder = Path(spec.folder)
    rows = labelled = digest = 0
    columns = VectorRows(pipeline.features)
    told = {
        "pipeline": pipeline.name,
        "vector": pipeline.features.name,
        "fingerprint": pipeline.fingerprint,
        "truth": spec.truth,
        "label": pipeline.label.canonical,
    }
    schema = with_labels(columns.schema, told, tuple(pipeline.features.features))
    beside = to.with_name(f".{to.name}.new")
    with pq.ParquetWriter(beside, schema, compression="zstd") as writer:
        files = [[folder / f"{part.name}.{kind}.parquet" for part in parts] for kind in ("vectors", "labels")]
        for table in joined(files[0], files[1], folder / "labels"):
            writer.write_table(table.cast(schema))
            rows += len(table)
            labelled += len(table) - table["_label"].null_count
            digest = running_digest(digest, _as_batch(table))
    beside.replace(to)
    return Backfilled(
        rows=rows,
        labelled=labelled,
        parts=len(parts),
        truth=spec.truth,
        fingerprint=pipeline.fingerprint,
        digest=f"{digest:016x}",
    )


def _as_batch(table: pa.Table) -> Batch:
    """Return rows of a training set as a batch of one stream, to take their digest."""
    rows = table.drop_columns(["_id"]).combine_chunks().to_batches()[0]
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    nothing = np.zeros(len(table), np.int64)
    ids = table["_id"].combine_chunks()
    payload = pa.RecordBatch.from_arrays(plain, names=rows.schema.names)
    stream = np.zeros(len(table), np.uint8)
    return Batch(nothing, nothing, stream, nothing, nothing, stream, ids, (payload,))


def _by_event_time(archive: Archive, folder: Path, memory_mb: int) -> Archive:
    """Return the same rows sorted by event time, ties in the order of the log, as another archive."""
    try:
        known = Archive(folder)
    except StateError:
        pass
    else:
        if known.told["of"] == archive.digest:
            return known
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writer = ArchiveWriter(folder, archive.streams)
    if archive.groups:
        order = "_event_time, _arrival_time, _sub"
        ordered = folder / "sorted"
        for path in sort_files(archive.files, ordered, by="_event_time", order=order, memory_mb=memory_mb, keep=True):
            with pq.ParquetFile(path) as file:
                for place in range(file.metadata.num_row_groups):
                    writer.write(batch_of(file.read_row_group(place, use_threads=False), archive.streams))
        shutil.rmtree(ordered)
    writer.close(
        {**{name: archive.told[name] for name in (_SOURCES, "declared")}, "order": "event", "of": archive.digest}
    )
    return Archive(folder)
