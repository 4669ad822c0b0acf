"""The flights as a project in a folder of its own, whole or cut to their first events, for the benchmarks."""

import dataclasses
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from examples.flights.prepare import prepare
from headrace.core.config import Config, RunConfig, SinkConfig, SourceConfig
from headrace.run.project import Project

__all__ = ["flights_project"]

_PIPELINE = Path(__file__).parent.parent / "examples" / "flights" / "pipeline.py"
_SOURCES = ("departures", "arrivals", "weather")
_EVENTS_A_DAY = 1_890


def flights_project(folder: Path, *, data: Path, events: int | None = None) -> Project:
    """Return the example's project with its log and results below `folder`.

    `events` cuts the sources at a moment before which about that many lie. `data` holds or gets the prepared files.
    """
    prepare(data)
    files = {name: data / f"{name}.parquet" for name in _SOURCES}
    if events is not None:
        files = {name: _cut(path, folder / f"{name}.parquet", events) for name, path in files.items()}
    declared = Project.load(_PIPELINE)
    config = Config(
        run=RunConfig(folder="run"),
        sources={name: SourceConfig(path=str(path.resolve())) for name, path in files.items()},
        sinks={"holds": SinkConfig(kind="file", path="holds")},
        base=str(folder),
    )
    return dataclasses.replace(declared, config=config)


def _cut(path: Path, to: Path, events: int) -> Path:
    table = pq.read_table(path)
    start = pc.min(table["at"]).as_py()
    limit = start + (events / _EVENTS_A_DAY) * (type(start - start)(days=1))
    to.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.filter(pc.less(table["at"], limit)), to)
    return to
