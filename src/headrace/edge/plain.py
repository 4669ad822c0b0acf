"""Arrow columns of any type as plain ones: fewer types for `decode` to know, and values that Python can hold."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["plain_column", "plain_values"]

_UNHELD: Final = (OverflowError, ValueError, KeyError, NotImplementedError, pa.ArrowException)
"""What Arrow raises for a value that Python cannot hold: a far time, bytes that are no UTF-8, a zone nobody knows."""


def plain_column(column: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    """Return a column without dictionary, with text as `string` and bytes as `binary`. Nothing is judged here.

    >>> plain_column(pa.array(["a"], pa.large_string())).type
    DataType(string)

    Raises pa.ArrowInvalid if one piece of the column holds more text than `string` can.
    """
    if pa.types.is_dictionary(column.type):
        column = _without_dictionary(column)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(column, pa.string(), safe=False)  # Whether the bytes are UTF-8 is asked of the result.
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pc.cast(column, pa.binary())
    return column


def _without_dictionary(column: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    if isinstance(column, pa.ChunkedArray):
        chunks = [_without_dictionary(chunk) for chunk in column.chunks]
        return pa.chunked_array(chunks, plain_column(pa.array([], column.type.value_type)).type)
    values = plain_column(column.dictionary)  # Some types can be taken from only once they are plain.
    return values.take(column.indices)


def plain_values(column: "pa.Array | pa.ChunkedArray") -> list[object]:
    """Return the values of a column as Python's; a time as text, and what Python cannot hold as a word for it.

    >>> plain_values(pa.array([0], pa.timestamp("s", tz="Mars/Olympus")))
    ['1970-01-01 00:00:00Z']
    """
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.int64()).cast(pa.timestamp(kind.unit, tz="UTC"))
    try:
        values: list[object] = (pc.cast(column, pa.string()) if pa.types.is_temporal(kind) else column).to_pylist()
    except _UNHELD:
        return [_value(column[row]) for row in range(len(column))]
    return values


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except _UNHELD:
        return f"a {scalar.type} that cannot be shown"
