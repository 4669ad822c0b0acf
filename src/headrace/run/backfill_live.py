"""From a backfill to a live run: the log of a project, standing behind the last row of an archive.

`ingest` stands where the import stood, `featurize` where the backfill stood, and [events] begins at a cut there, with
the last row of the archive below it. So a start is checked as every start is: without their snapshots, neither task
begins in front of a past that it does not have.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError, StateError
from headrace.core.position import ALL, Position
from headrace.core.records import NO_ID, Batch, StreamSchema, strings
from headrace.edge.archive_import import STAND
from headrace.run.deployment import EVENTS, Deployment
from headrace.store.offline import Archive
from headrace.store.snapshots import Snapshots, unpacked
from headrace.topics.manifest import conformed
from headrace.topics.schemas import PROGRESS, no_rows
from headrace.topics.writer import Writer

__all__ = ["go_live"]

_INGEST: Final = "ingest"
_FEATURIZE: Final = "featurize"


def go_live(deployment: Deployment, archive: Path, state: Path) -> None:
    """Let the tasks of a deployment, which has not run yet, stand behind the last row of an archive.

    state: what `backfill` kept of `featurize`.

    Raises ConfigError if the archive has other sources than the pipeline, or another order of them; StateError if the
    log has rows already, or the archive has none.
    """
    source = Archive(archive)
    wanted = [settings.name for settings in deployment.pipeline.source_settings()]
    if source.told["sources"] != wanted or source.told["order"] != "arrival":
        raise ConfigError(
            "go live", wanted=f"an archive of the sources {', '.join(wanted)}", got=source.told["sources"]
        )
    topic = deployment.topic(EVENTS)
    snapshots = [_snapshots(deployment, name) for name in (_INGEST, _FEATURIZE)]
    if topic.end(0) > 0 or any(kept.metas() for kept in snapshots):
        raise StateError("go live", wanted="a project that has not run (another [run] folder)", got="rows in its log")
    if not source.groups:
        raise StateError("go live", wanted="an archive with at least one row", got="none")
    last = source.batch(source.groups[-1])
    last = conformed(last.slice(len(last) - 1, len(last)), source.streams, topic.manifest.streams)
    reached = last.position(0)
    writer = Writer(topic, _INGEST)
    writer.start()
    writer.write(last, reached)
    deployment.log.sync()
    writer.settle()
    reader = deployment.events_reader()
    list(reader.read(1))
    topic.trim(0, reader.cut())
    arrays, meta = unpacked(state.read_bytes())
    place = Position(reader.offset - 1, 0)
    done = Position(place.offset, ALL)
    output = Writer(deployment.topic("features"), _FEATURIZE)
    output.start()
    # Those who wait for promises must hear how far arrival time had come: nobody reads what announced it before.
    output.write(_progress(output.topic.manifest.streams, meta["reached_us"], place), done)
    deployment.log.sync()
    output.settle()
    stand, where = unpacked((archive / STAND).read_bytes())
    snapshots[0].save(reached, stand, {"ingest": where, "done": list(reached), "writer": writer.snapshot()})
    snapshots[1].save(
        done,
        arrays,
        {
            "stage": meta,
            "done": list(done),
            "cut": reader.snapshot(),
            "writers": {"features": output.snapshot()},
            "rows": source.rows,
        },
    )


def _progress(streams: Sequence[StreamSchema], until_us: int, place: Position) -> Batch:
    """Return one row of progress, caused by the row at `place`."""
    until = np.array([until_us], np.int64)
    own = pa.RecordBatch.from_arrays([pa.array(until)], schema=PROGRESS.schema)
    payloads = tuple(own if stream.name == PROGRESS.name else no_rows(stream.schema) for stream in streams)
    number = next(number for number, stream in enumerate(streams) if stream.name == PROGRESS.name)
    return Batch(
        np.array([place.offset], np.int64),
        np.array([place.sub], np.int64),
        np.array([number], np.uint8),
        until,
        until,
        np.zeros(1, np.uint8),
        strings([NO_ID]),
        payloads,
    )


def _snapshots(deployment: Deployment, task: str) -> Snapshots:
    found = deployment.snapshots(task)
    if found is None:
        raise ConfigError("go live", wanted="a deployment with a place for snapshots", got="none")
    return found
