"""The columns of every topic, in one place: what stages agree on, since they never see each other.

A vector of features travels as three blocks: `dense` (numbers, NaN where a value is missing), `ids` (hashed
categories) and `reasons` (one code a feature, `core.reasons`). Their order is the vector's. A vector with words has a
fourth, `tokens`: the ids of all its words, one list a row; where there are no words there is no such column.
"""

from functools import cache
from typing import Final

import pyarrow as pa

from headrace.core.records import Batch, Kind, StreamSchema
from headrace.core.time import ENDED_US
from headrace.core.tokens import Tokens

__all__ = [
    "COMMAND",
    "CONTROL",
    "INBOX",
    "LABEL",
    "PROGRESS",
    "REJECTED",
    "SKETCHES",
    "TICK",
    "example_streams",
    "feature_streams",
    "has_ended",
    "no_rows",
    "prediction_streams",
    "tokens_of",
]

TICK: Final = StreamSchema("tick", Kind.TICK, pa.schema([("source", pa.string()), ("reason", pa.string())]))
"""A source says that nothing more will come: "ended"."""

REJECTED: Final = StreamSchema(
    "rejected",
    Kind.EVENT,
    pa.schema([("source", pa.string()), ("reason", pa.string()), ("error", pa.string()), ("raw", pa.binary())]),
)
"""A record that cannot be used, with its reason code and original bytes."""

PROGRESS: Final = StreamSchema("progress", Kind.PROGRESS, pa.schema([("until", pa.int64())]))
"""Every row that arrived before `until` stands above in the log (on [control]: no version or score before it)."""

COMMAND: Final = StreamSchema(
    "command",
    Kind.COMMAND,
    pa.schema(
        [
            ("command", pa.string()),
            ("goal", pa.string()),
            ("expected", pa.string()),
            ("source", pa.string()),
            ("key", pa.string()),
        ]
    ),
)
"""A person's command to all that read [events]. "activate": let generation `goal` act if now `expected` does.
"forget": drop what is known of one `key` (JSON, field: value) of `source`. Its id names it once and for ever.
"""

LABEL: Final = StreamSchema(
    "label",
    Kind.LABEL,
    pa.schema(
        [("value", pa.float64()), ("weight", pa.float64()), ("request_time", pa.int64()), ("correction", pa.bool_())]
    ),
)
"""The answer to a request; the row's event time is when it became known, its id is the request's."""

CONTROL: Final = (
    StreamSchema(
        "version",
        Kind.CONTROL,
        pa.schema(
            [
                ("number", pa.int32()),
                ("name", pa.string()),
                ("parent", pa.string()),
                ("in_force", pa.int64()),
                ("examples", pa.int64()),
                ("metrics", pa.string()),
                ("bundle", pa.binary()),
            ]
        ),
    ),
    StreamSchema(
        "pointer",
        Kind.CONTROL,
        pa.schema(
            [("command", pa.string()), ("champion", pa.string()), ("expected", pa.string()), ("hold", pa.bool_())]
        ),
    ),
    StreamSchema(
        "score",
        Kind.CONTROL,
        pa.schema(
            [
                ("in_force", pa.int64()),
                ("detector", pa.string()),
                ("column", pa.string()),
                ("value", pa.float64()),
                ("threshold", pa.float64()),
            ]
        ),
    ),
    StreamSchema(
        "alarm",
        Kind.CONTROL,
        pa.schema(
            [
                ("detector", pa.string()),
                ("column", pa.string()),
                ("value", pa.float64()),
                ("threshold", pa.float64()),
                ("text", pa.string()),
            ]
        ),
    ),
    StreamSchema(
        "decision",
        Kind.CONTROL,
        pa.schema([("action", pa.string()), ("why", pa.string())]),
    ),
    PROGRESS,
    StreamSchema(
        "skip",
        Kind.CONTROL,
        pa.schema(
            [
                ("task", pa.string()),
                ("offset", pa.int64()),
                ("row", pa.int64()),
                ("why", pa.string()),
                ("refused", pa.string()),
            ]
        ),
    ),
)
"""The order of all decisions: versions, pointer moves, scores in force, alarms, decisions, promises, skips.

A skip leaves one row of a task's input out, unless `refused` says why not.
"""

SKETCHES: Final = (
    StreamSchema(
        "sketch",
        Kind.CONTROL,
        pa.schema(
            [
                ("of", pa.string()),
                ("column", pa.string()),
                ("until", pa.int64()),
                ("buckets", pa.list_(pa.int32())),
                ("counts", pa.list_(pa.int64())),
            ]
        ),
    ),
    StreamSchema(
        "error",
        Kind.CONTROL,
        pa.schema([("until", pa.int64()), ("count", pa.int64()), ("mean", pa.float64()), ("m2", pa.float64())]),
    ),
    PROGRESS,
)
"""Mergeable summaries that `watch` tasks make and `judge` reads."""


INBOX: Final = (
    StreamSchema(
        "command",
        Kind.COMMAND,
        pa.schema(
            [("command", pa.string()), ("champion", pa.string()), ("expected", pa.string()), ("hold", pa.bool_())]
        ),
    ),
    StreamSchema(
        "skip",
        Kind.COMMAND,
        pa.schema([("task", pa.string()), ("offset", pa.int64()), ("row", pa.int64()), ("why", pa.string())]),
    ),
)
"""A person's commands. `command`: move `champion` there if it now is `expected`; `hold` keeps later versions from
taking over. `skip`: leave one row of the input of `task` out, if the task has not passed it.
"""


def feature_streams(dense: int, ids: int, words: int = 0) -> tuple[StreamSchema, ...]:
    """Return the streams of [features]: requests with their vectors, labels, progress, commands.

    `dense`, `ids` and `words` are how many features there are of each kind.
    """
    request = StreamSchema(
        "request",
        Kind.REQUEST,
        pa.schema(
            [
                ("dense", pa.list_(pa.float64(), dense)),
                ("ids", pa.list_(pa.int32(), ids)),
                *_tokens(words),
                ("reasons", pa.list_(pa.uint8(), dense + ids + words)),
            ]
        ),
    )
    return request, LABEL, PROGRESS, COMMAND


def prediction_streams(dense: int, ids: int, words: int = 0) -> tuple[StreamSchema, ...]:
    """Return the streams of [predictions]: answered requests, labels, progress, commands.

    `version` is the number of the model that was in force (-1: none), `fallback` the reason why its score was not
    used, `control` the offset in [control] up to which `predict` had read, `drift` the highest score in force in
    units of its threshold, and `drift_of` whose it is. The last three and the choice itself are recorded choices.
    """
    request = StreamSchema(
        "request",
        Kind.REQUEST,
        pa.schema(
            [
                ("dense", pa.list_(pa.float64(), dense)),
                ("ids", pa.list_(pa.int32(), ids)),
                *_tokens(words),
                ("score", pa.float64()),
                ("version", pa.int32()),
                ("fallback", pa.string()),
                ("control", pa.int64()),
                ("drift", pa.float64()),
                ("drift_of", pa.string()),
            ]
        ),
    )
    return request, LABEL, PROGRESS, COMMAND


def example_streams(dense: int, ids: int, words: int = 0) -> tuple[StreamSchema, ...]:
    """Return the streams of [examples]: requests with their answers (`score` is the one that was served), progress."""
    example = StreamSchema(
        "example",
        Kind.LABEL,
        pa.schema(
            [
                ("dense", pa.list_(pa.float64(), dense)),
                ("ids", pa.list_(pa.int32(), ids)),
                *_tokens(words),
                ("y", pa.float64()),
                ("weight", pa.float64()),
                ("score", pa.float64()),
                ("version", pa.int32()),
                ("request_time", pa.int64()),
                ("correction", pa.bool_()),
            ]
        ),
    )
    return example, PROGRESS


def _tokens(words: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Return the column of words, if a vector has any: an absent column leaves all that was without words as it was."""
    return (("tokens", pa.list_(pa.int32())),) if words else ()


def tokens_of(payload: pa.RecordBatch) -> Tokens | None:
    """Return the words of a payload with vectors, None where it has no such column."""
    return Tokens.of_arrow(payload["tokens"]) if "tokens" in payload.schema.names else None


def has_ended(batch: Batch, progress: int) -> bool:
    """Return whether the rows of stream `progress` in a batch say that nothing more will come."""
    rows = batch.payloads[progress]
    return rows.num_rows > 0 and bool(rows["until"][-1].as_py() >= ENDED_US)


@cache
def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """Return a payload without rows."""
    return pa.RecordBatch.from_pylist([], schema=schema)
