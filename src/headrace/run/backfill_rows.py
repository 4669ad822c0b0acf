"""The rows of a training set: a vector with a reason beside each value, and the label where it is known.

`_row` is the record's number in the archive, `_label_known` when the label became known. Features bear their names;
whatever else is in the file begins with `_`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core import reasons
from headrace.core.records import I8, Batch, flat_block
from headrace.topics.schemas import no_rows, tokens_of

if TYPE_CHECKING:
    from headrace.features.vector import Vector

__all__ = ["LABELS", "VectorRows", "joined", "with_labels"]

_TIME: Final = pa.timestamp("us", tz="UTC")
LABELS: Final = pa.schema(
    [("row", pa.int64()), ("value", pa.float64()), ("weight", pa.float64()), ("known", pa.int64())]
)
"""The labels that the rows of a part decided, of whatever part their requests are."""
_ANSWERS: Final = (
    pa.field("_label", pa.float64()),
    pa.field("_weight", pa.float64()),
    pa.field("_label_known", _TIME),
)
_BUCKET_BITS: Final = 18
_LABEL: Final = np.dtype([("row", "i8"), ("value", "f8"), ("weight", "f8"), ("known", "i8")])


@final
class VectorRows:
    """How the outputs of `featurize` become columns, for one vector."""

    def __init__(self, vector: "Vector[Any]") -> None:
        blocks = vector.blocks()
        self._features = tuple(vector.features)
        self._blocks = blocks
        self.schema: Final = pa.schema(
            [
                pa.field("_row", pa.int64()),
                pa.field("_id", pa.string()),
                pa.field("_event_time", _TIME),
                pa.field("_arrival_time", _TIME),
                *(pa.field(name, blocks.arrow(name)) for name in self._features),
                *(pa.field(f"_reason_{name}", pa.string()) for name in self._features),
            ]
        )
        """The columns of the vectors alone."""

    def table(self, number: I8, ids: pa.StringArray, vectors: Batch) -> pa.Table:
        """Return n vectors as columns. number: i8[n]. vectors: rows of [features], all of them requests."""
        payload = vectors.payloads[0]
        dense = flat_block(payload["dense"], np.float64)
        categories = flat_block(payload["ids"], np.int32)
        why = flat_block(payload["reasons"], np.uint8)
        values = self._blocks.columns(dense, categories, tokens_of(payload))
        texts = pa.array(reasons.NAMES)
        columns = [
            pa.array(number),
            ids,
            pa.array(vectors.event_time).cast(_TIME),
            pa.array(vectors.arrival_time).cast(_TIME),
            *(values[name] for name in self._features),
            *(texts.take(pa.array(why[:, self._blocks.names.index(name)])) for name in self._features),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)


def with_labels(schema: pa.Schema, told: dict[str, str], features: Sequence[str]) -> pa.Schema:
    """Return the columns of a training set, with what it is told in the metadata of the file."""
    metadata = {f"headrace.{name}": text for name, text in told.items()}
    metadata["headrace.features"] = json.dumps(list(features))
    return pa.schema([*schema, *_ANSWERS], metadata=metadata)


def joined(rows: Sequence[Path], labels: Sequence[Path], folder: Path) -> Iterator[pa.Table]:
    """Yield the vectors of all parts in order, each with its label; the later of two labels of one request wins.

    Labels are dealt out to files by the number of their request first, so that memory holds those of a few groups.
    """
    buckets = _Buckets(folder)
    for path in labels:
        with pq.ParquetFile(path) as file:
            for place in range(file.metadata.num_row_groups):
                for batch in file.read_row_group(place, use_threads=False).to_batches():
                    buckets.deal(batch)
    for path in rows:
        with pq.ParquetFile(path) as file:
            for place in range(file.metadata.num_row_groups):
                table = file.read_row_group(place, use_threads=False)
                yield _answered(table, buckets)


def _answered(table: pa.Table, buckets: "_Buckets") -> pa.Table:
    found = buckets.find(table["_row"].to_numpy())
    known = found["row"] >= 0
    missing = ~known | np.isnan(found["value"])
    columns = [
        pa.array(np.ascontiguousarray(found["value"]), mask=missing),
        pa.array(np.ascontiguousarray(found["weight"]), mask=missing),
        pa.array(np.ascontiguousarray(found["known"]), mask=missing).cast(_TIME),
    ]
    for field, column in zip(_ANSWERS, columns, strict=True):
        table = table.append_column(field, column)
    return table


@final
class _Buckets:
    """Labels on disk, by the number of their request."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.iterdir()):
            old.unlink()
        self._folder = folder
        self._held: dict[int, Any] = {}

    def deal(self, labels: pa.RecordBatch) -> None:
        """Append labels to the files of their buckets."""
        rows = np.empty(labels.num_rows, _LABEL)
        for name in LABELS.names:
            rows[name] = labels[name].to_numpy()
        bucket = rows["row"] >> _BUCKET_BITS
        for number in np.unique(bucket).tolist():
            with self._path(number).open("ab") as file:
                file.write(rows[bucket == number].tobytes())

    def find(self, numbers: I8) -> Any:
        """Return the label of each request, its `row` -1 where there is none. numbers: i8[n], rising."""
        found = np.zeros(len(numbers), _LABEL)
        found["row"] = -1
        bucket = numbers >> _BUCKET_BITS
        for number in np.unique(bucket).tolist():
            mine = bucket == number
            found[mine] = self._bucket(number)[numbers[mine] - (number << _BUCKET_BITS)]
        return found

    def _bucket(self, number: int) -> Any:
        if number not in self._held:
            dense = np.zeros(1 << _BUCKET_BITS, _LABEL)
            dense["row"] = -1
            if self._path(number).exists():
                rows = np.frombuffer(self._path(number).read_bytes(), _LABEL)
                dense[rows["row"] - (number << _BUCKET_BITS)] = rows  # The later one stands in the end.
            self._held = {old: kept for old, kept in self._held.items() if old == number - 1} | {number: dense}
        return self._held[number]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.labels"


def label_table(labels: Batch, row: I8) -> pa.Table:
    """Return labels as they stand in a part's file. labels: rows of [features]. row: i8[n], of their requests."""
    payload = labels.payloads[1]
    columns = [pa.array(row), payload["value"], payload["weight"], pa.array(labels.event_time)]
    return pa.Table.from_arrays(columns, schema=LABELS) if len(row) else no_rows(LABELS)
