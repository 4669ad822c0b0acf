"""A pipeline over tables that are in memory: the real stages, over a log in memory, with no folder left behind."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from headrace.edge.files import SourceFiles
from headrace.edge.history import MergedHistory
from headrace.evaluate.report import Report
from headrace.features.tables import typed_table
from headrace.run.clock import VirtualClock
from headrace.run.deployment import Deployment
from headrace.run.evaluation import answered
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.topics.memory import MemoryLog

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["evaluate"]

_STAGES = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond")


def evaluate(pipeline: "Pipeline[Any]", tables: Mapping[str, object]) -> Report:
    """Return how good the answers would have been: prequential, with the declared delays and pace."""
    clock = VirtualClock(start_us=0)
    deployment = Deployment(pipeline=pipeline, log=MemoryLog(), blobs=None, clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for settings in pipeline.source_settings():
            path = Path(folder) / f"{settings.name}.parquet"
            pq.write_table(typed_table(settings, tables), path)
            sources.append((settings, SourceFiles(paths=(path,), format="parquet")))
        ingest = Ingest(MergedHistory(sources))
    worker = Worker(deployment.log, deployment.place(_STAGES, ingest=ingest), clock=clock)
    worker.start()
    worker.run()
    return answered(deployment.topic("predictions"), deployment.topic("examples"))
