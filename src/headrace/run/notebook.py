"""A pipeline over tables that are in memory: the real stages, over a log in memory, with no folder left behind."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import ConfigError
from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.evaluate.report import Report
from headrace.features.engine import Engine
from headrace.features.tables import Truth, check_leak, run_in_pieces, typed_table
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment, event_streams
from headrace.run.evaluation import answered
from headrace.run.examples import Examples
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.topics.memory import MemoryLog

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["evaluate", "examples"]

_STAGES = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond")


def evaluate(pipeline: "Pipeline[Any]", tables: Mapping[str, object]) -> Report:
    """Return how good the answers would have been: prequential, with the declared delays and pace."""
    clock = VirtualClock(start_us=0)
    deployment = Deployment(pipeline=pipeline, log=MemoryLog(), blobs=None, clock=clock)
    ingest = Ingest(_history(pipeline, tables))
    worker = Worker(deployment.log, deployment.place(_STAGES, ingest=ingest), clock=clock)
    worker.start()
    worker.run()
    return answered(deployment.topic("predictions"), deployment.topic("examples"))


def examples(pipeline: "Pipeline[Any]", tables: Mapping[str, object], truth: Truth) -> Examples:
    """Return the vectors of the requests whose label is known, with their labels, in the order of the log.

    Raises ConfigError for a table that is missing or has a record that ingest would reject, and, under "complete", for
    a label whose answers are back-dated.
    """
    if truth not in ("served", "complete"):
        raise ConfigError("truth", wanted="'served' or 'complete'", got=truth)
    if truth == "complete":
        check_leak(pipeline.features)
    history = _history(pipeline, tables)
    engine = Engine(pipeline.features, pipeline.label, event_streams(pipeline), pipeline.source_settings())
    whole = history.next(len(history))
    if whole is None:
        return Examples.of(pipeline.features, [])
    # An id may be used again, so the label finds its request by the number of the row.
    numbered = replace(whole, id=pa.array(np.arange(len(whole))).cast(pa.string()))
    if truth == "complete":
        return Examples.of(pipeline.features, [(whole, 0, engine.run_complete(numbered))])
    return Examples.of(pipeline.features, [(whole, *found) for found in run_in_pieces(engine, numbered)])


def _history(pipeline: "Pipeline[Any]", tables: Mapping[str, object]) -> MergedHistory:
    """Return tables as a history, judged like any other."""
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for settings in pipeline.source_settings():
            path = Path(folder) / f"{settings.name}.parquet"
            pq.write_table(typed_table(settings, tables), path)
            sources.append((settings, SourceFiles(paths=(path,), format="parquet")))
        return MergedHistory(sources)
