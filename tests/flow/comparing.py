"""Runs compared by their records as taken: values, writer by writer; never files, frames, resends or positions."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks._flights import flights_project
from headrace.core.records import Batch
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.project import Project
from headrace.run.taken import taken
from headrace.topics.digest import row_digests

DATA = Path(".demo/data")


def flights(folder: Path, events: int | None = None) -> Project:
    """Return the flights, cut to about `events`, as a project below `folder`."""
    return flights_project(folder, data=DATA, events=events)


def records(deployment: Deployment) -> dict[str, list[int]]:
    """Return the value digests of all rows, by topic and writer, in the order in which they were taken.

    A topic with several writers is a merge that only its log recorded, so its writers are compared apart. How far
    [control] had been read is a recorded choice, and left out.
    """
    found: dict[str, list[int]] = {}
    for name in TOPICS:
        topic = deployment.topic(name)
        for producer in topic.manifest.producers:
            found[f"{name} by {producer}"] = []
        for piece in taken(topic):
            batch = _without_choice(piece.batch) if name == "predictions" else piece.batch
            found[f"{name} by {topic.manifest.producers[piece.producer]}"] += row_digests(batch).tolist()
    return found


def _without_choice(batch: Batch) -> Batch:
    request = batch.payloads[0]
    place = request.schema.get_field_index("control")
    same = request.set_column(place, "control", pa.array(np.zeros(request.num_rows, np.int64)))
    return dataclasses.replace(batch, payloads=(same, *batch.payloads[1:]))


def differing(one: dict[str, list[int]], other: dict[str, list[int]]) -> dict[str, str]:
    """Return what differs, for a message that can be read."""
    return {
        name: f"{len(one.get(name, []))} rows against {len(other.get(name, []))}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    }
