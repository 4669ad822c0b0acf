"""What a table is to us: anything that hands itself over as a stream of Arrow batches."""

from typing import Any, Protocol, runtime_checkable

__all__ = ["Arrow"]


@runtime_checkable
class Arrow(Protocol):
    """A table of pyarrow, pandas, polars or DuckDB: anything with `__arrow_c_stream__`, which costs no copy.

    >>> import pyarrow as pa
    >>> isinstance(pa.table({"x": [1]}), Arrow), isinstance([1, 2], Arrow)
    (True, False)
    """

    def __arrow_c_stream__(self, requested_schema: Any = None) -> object:
        """Return a PyCapsule with an ArrowArrayStream."""
