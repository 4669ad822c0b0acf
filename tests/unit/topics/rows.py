"""Small batches for the tests of topics."""

import numpy as np
import pyarrow as pa

from headrace.core.position import sub_of
from headrace.core.records import Batch, Kind, StreamSchema, block, strings
from headrace.topics.manifest import Manifest
from headrace.topics.schemas import PROGRESS

STREAMS = (
    StreamSchema(
        "request",
        Kind.REQUEST,
        pa.schema([("dense", pa.list_(pa.float64(), 2)), ("note", pa.string()), ("raw", pa.binary())]),
    ),
    PROGRESS,
)


def manifest(
    *, producers: tuple[str, ...] = ("a", "b"), digested: bool = True, generation: str = "00000000000000aa"
) -> Manifest:
    """Return the manifest of a topic with two streams and two producers."""
    return Manifest(topic="topic", streams=STREAMS, producers=producers, digested=digested, generation=generation)


def rows(places: list[tuple[int, int]], *, seed: int = 0) -> Batch:
    """Return one row for each (offset, row) of an input; every third is a progress row."""
    count = len(places)
    random = np.random.default_rng(seed)
    stream = np.array([1 if row % 3 == 2 else 0 for _, row in places], np.uint8)
    asked = int(np.count_nonzero(stream == 0))
    dense = random.normal(size=(asked, 2))
    if asked:
        dense[0, 0] = np.nan
    request = pa.RecordBatch.from_arrays(
        [
            block(dense, 2),
            pa.array([None if number % 4 == 1 else f"note {number}" for number in range(asked)], pa.string()),
            pa.array([bytes([number % 256]) * (number % 20) for number in range(asked)], pa.binary()),
        ],
        schema=STREAMS[0].schema,
    )
    progress = pa.RecordBatch.from_arrays([pa.array(np.arange(count - asked))], schema=PROGRESS.schema)
    offset = np.array([place[0] for place in places], np.int64)
    return Batch(
        offset,
        np.array([sub_of(place[1]) for place in places], np.int64),
        stream,
        offset * 1_000,
        offset * 1_000 + 5,
        np.zeros(count, np.uint8),
        strings([f"id-{offset}-{row}" for offset, row in places]),
        (request, progress),
    )
