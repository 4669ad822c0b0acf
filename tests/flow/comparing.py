"""Runs compared by their records as taken: values, writer by writer; never files, frames, resends or positions."""

from pathlib import Path

from benchmarks._flights import flights_project
from headrace.run.deployment import TOPICS, Deployment
from headrace.run.project import Project
from headrace.run.taken import taken
from headrace.testing.comparison import without_columns
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
            batch = without_columns(piece.batch, {"control"}) if name == "predictions" else piece.batch
            found[f"{name} by {topic.manifest.producers[piece.producer]}"] += row_digests(batch).tolist()
    return found


def differing(one: dict[str, list[int]], other: dict[str, list[int]]) -> dict[str, str]:
    """Return what differs, for a message that can be read."""
    return {
        name: f"{len(one.get(name, []))} rows against {len(other.get(name, []))}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    }
