"""Rows as JSON, as sinks send them: one object a row, times as text in UTC, a number that is none as null."""

import json
import math

import pyarrow as pa

from headrace.core.time import instant_text

__all__ = ["json_rows"]


def json_rows(rows: pa.Table) -> list[str]:
    """Return each row as one line of JSON, without an end of line.

    >>> json_rows(pa.table({"id": ["a"], "score": [float("nan")]}))
    ['{"id": "a", "score": null}']
    """
    columns = [_plain(rows.column(place)) for place in range(rows.num_columns)]
    return [json.dumps(dict(zip(rows.column_names, row, strict=True))) for row in zip(*columns, strict=True)]


def _plain(column: pa.ChunkedArray) -> list[object]:
    if pa.types.is_timestamp(column.type):
        times = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
        return [None if time_us is None else instant_text(time_us) for time_us in times]
    values: list[object] = column.to_pylist()
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
