"""An archive holds what ingest gives of the same files: row for row, verdict for verdict, whatever the pieces."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.records import Batch, StreamSchema, Verdict
from headrace.core.schema import EventSchema, FieldSchema
from headrace.edge import archive_sort
from headrace.edge.archive_import import STAND, import_archive
from headrace.edge.archive_sort import sort_files
from headrace.edge.files import Format, SourceFiles
from headrace.edge.history import MergedHistory
from headrace.store.offline import PARTITION, Archive
from headrace.store.snapshots import packed
from headrace.topics.schemas import REJECTED, TICK
from tests.unit.edge.rows import FORMATS, SECOND, content, drained, files, ping, settings, written

Sources = Sequence[tuple[Any, SourceFiles]]


def streams(sources: Sources) -> tuple[StreamSchema, ...]:
    return (TICK, REJECTED, *(StreamSchema(one.name, one.kind, one.schema.arrow) for one, _ in sources))


def rows_of(archive: Archive) -> list[Batch]:
    return [batch for _, batch in archive.batches()]


def assert_same_as_ingest(sources: Sources, folder: Path, **how: Any) -> Archive:
    """Compare positions, values, the ledger, and where ingest would stand."""
    history = MergedHistory(list(sources))
    expected = drained(history, 50)
    found = import_archive(sources, streams(sources), folder, **how)
    archive = Archive(folder)
    assert content(rows_of(archive)) == content(expected)
    assert found.ledger == history.ledger.as_dict()
    assert found.rows == archive.rows == len(history)
    assert (folder / STAND).read_bytes() == packed(*history.snapshot())
    assert not (folder / "staging").exists()
    return archive


def drawn(draw: random.Random, folder: Path, kind: Format, count: int) -> list[Path]:
    """Write files of pings in no order, some bad, many of them at one time."""
    paths = []
    for number in range(count):
        rows = [
            ping(
                f"{kind}{draw.randrange(20)}",
                draw.randrange(40),
                came=None if draw.random() < 0.2 else draw.randrange(40),
                ms=draw.choice([1.0, 5.0, 7.5, 2000.0, None]),
            )
            for _ in range(draw.randrange(0, 30))
        ]
        path = written(folder, f"{kind}{number}", kind, rows)
        if kind != "parquet" and draw.random() < 0.6:
            text = path.read_bytes().split(b"\n")
            for _ in range(draw.randrange(1, 4)):
                text.insert(draw.randrange(len(text)), draw.choice([b"broken", b'"open', b"", b"\xff,\xfe", b"{}"]))
            path.write_bytes(b"\n".join(text))
        elif kind == "parquet" and draw.random() < 0.2:
            path.write_bytes(path.read_bytes()[: draw.randrange(1, 200)])
        paths.append(path)
    return paths


@given(st.integers(0, 10_000), st.integers(20, 400), st.integers(1, 40), st.integers(3, 70))
@profile(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_is_what_ingest_gives_however_the_files_are_cut(
    seed: int, piece_bytes: int, piece_rows: int, group_rows: int
) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sources = [
            (
                settings(f"s_{kind}", disorder_us=draw.choice([0, 5 * SECOND]), late=draw.choice(["update", "drop"])),
                files(kind, *drawn(draw, folder, kind, draw.randrange(1, 4))),
            )
            for kind in FORMATS
        ]
        how = {"piece_bytes": piece_bytes, "piece_rows": piece_rows, "group_rows": group_rows}
        assert_same_as_ingest(sources, folder / "archive", **how)


def test_groups_know_what_stood_before_them(tmp_path: Path) -> None:
    #  a  1  9  3          b  (ended at the beginning)   groups of two rows
    a = written(tmp_path, "a", "csv", [ping("1", 1), ping("9", 9, came=2), ping("3", 3), ping("x", 4)])
    sources = [(settings("a", max_future_skew_us=60 * SECOND), files("csv", a)), (settings("b"), files("csv"))]
    archive = assert_same_as_ingest(sources, tmp_path / "archive", group_rows=2)
    assert [group.first for group in archive.groups] == [0, 2, 4]
    assert [dict(group.reached) for group in archive.groups] == [{}, {"a": SECOND}, {"a": 9 * SECOND}]
    assert [group.ended for group in archive.groups] == [(), ("b",), ("b",)]
    assert archive.groups[1].newest_us == 9 * SECOND


@pytest.mark.parametrize("kind", FORMATS)
def test_files_in_order_are_not_sorted(tmp_path: Path, kind: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_sort, "sort_files", None)
    one = written(tmp_path, "one", kind, [ping("a", 1), ping("b", 2)])
    two = written(tmp_path, "two", kind, [ping("c", 2), ping("d", 5)])
    assert_same_as_ingest([(settings(), files(kind, one, two))], tmp_path / "archive")


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 1_000]), st.booleans())
@profile(deadline=None, max_examples=10)
def test_what_does_not_fit_into_memory_is_sorted_by_ranges(seed: int, distinct: int, keep: bool) -> None:
    draw = np.random.default_rng(seed)
    count = 3_000
    by = draw.integers(0, distinct, count) * 7
    by[draw.random(count) < 0.5] = 7  # A value that is more than a range of its own.
    table = pa.table({"moment": by, "number": np.arange(count), "text": [f"{n:0200}" for n in range(count)]})
    order = np.lexsort((np.arange(count), by))
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_sort, "_SHARES", 10_000)  # 51 kB at a time, of 600 kB.
        files = [Path(place) / f"{number}.parquet" for number in range(2)]
        pq.write_table(table.slice(0, 1_000), files[0], row_group_size=300)
        pq.write_table(table.slice(1_000), files[1], row_group_size=700)
        found = sort_files(files, Path(place) / "sorted", by="moment", order="moment, number", memory_mb=512, keep=keep)
        parts = [pq.read_table(path).cast(table.schema) for path in found]
        assert pa.concat_tables(parts).equals(table.take(pa.array(order)))
        assert [path.exists() for path in files] == [keep, keep]
        assert len(found) > 1


@pytest.mark.parametrize("first", [b"\xff,\xfe", b'"open', b"name,ms,hops,at,came\nbroken\nbroken\nbroken\nbroken"])
def test_what_stands_in_front_of_the_first_time_of_a_file_arrives_with_it(tmp_path: Path, first: bytes) -> None:
    path = written(tmp_path, "a", "csv", [ping(str(at), at) for at in (5, 6, 7)])
    path.write_bytes(first + b"\n" + path.read_bytes().split(b"\n", 1)[1])
    sources = [(settings(), files("csv", path))]
    assert_same_as_ingest(sources, tmp_path / "archive", piece_bytes=20)


def test_the_past_of_a_stream_ends_where_it_is_told_to(tmp_path: Path) -> None:
    path = written(tmp_path, "a", "csv", [ping(str(at), at) for at in range(10)])
    sources = [(settings(), files("csv", path))]
    expected, _ = content(drained(MergedHistory(sources)))
    import_archive(sources, streams(sources), tmp_path / "until", before_us=4 * SECOND)
    import_archive(sources, streams(sources), tmp_path / "rows", rows=7)
    assert content(rows_of(Archive(tmp_path / "until")))[0] == expected[:4]
    assert content(rows_of(Archive(tmp_path / "rows")))[0] == expected[:7]
    goes_on = MergedHistory(sources)
    goes_on.restore(*_stand(tmp_path / "rows"))
    assert content(drained(goes_on))[0] == expected[7:]


def _stand(folder: Path) -> Any:
    from headrace.store.snapshots import unpacked  # noqa: PLC0415 - beside what it reads

    return unpacked((folder / STAND).read_bytes())


def test_an_archive_is_whole_or_none(tmp_path: Path) -> None:
    path = written(tmp_path, "a", "csv", [ping("a", 1)])
    sources = [(settings(), files("csv", path))]
    missing = [(settings(), files("csv", path, tmp_path / "none.csv"))]
    with pytest.raises(SurroundingsError, match=r"none\.csv"):
        import_archive(missing, streams(sources), tmp_path / "archive")
    with pytest.raises(StateError, match="headrace import FILE"):
        Archive(tmp_path / "archive")
    import_archive(sources, streams(sources), tmp_path / "archive")
    with pytest.raises(SurroundingsError, match="a folder without an archive"):
        import_archive(sources, streams(sources), tmp_path / "archive")


def test_what_ingest_would_reject_is_kept_with_its_reason(tmp_path: Path) -> None:
    path = written(tmp_path, "a", "csv", [ping("a", 1), ping("b", 2, ms=-1.0)])
    sources = [(settings(), files("csv", path))]
    archive = assert_same_as_ingest(sources, tmp_path / "archive")
    (batch,) = rows_of(archive)
    assert batch.payloads[1].to_pylist()[0]["reason"] == "out_of_range"
    assert batch.verdict.tolist() == [Verdict.OK, Verdict.REJECTED, Verdict.OK]
    table = pq.read_table(tmp_path / "archive" / PARTITION)
    assert table["rejected"].to_pylist()[1]["raw"].startswith(b"b,-1.0")


@pytest.mark.parametrize("order", [1, -1])
def test_lists_of_numbers_survive_the_sort_and_the_archive(tmp_path: Path, order: int) -> None:
    fields = (
        FieldSchema(name="name", kind="text"),
        FieldSchema(name="e", kind="numbers", length=2, nullable=True),
        FieldSchema(name="at", kind="time"),
    )
    schema = EventSchema(name="Seen", fields=fields)
    values = [[1.0, 2.0], None, [3.0, 4.0]]
    table = pa.table(
        {
            "name": ["a", "b", "c"],
            "e": pa.array(values, pa.list_(pa.float64())),
            "at": pa.array(np.array([1, 2, 3])[::order] * SECOND).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    other = written(tmp_path, "b", "csv", [ping("a", 1), ping("b", 2)])
    seen = settings("seen", schema=schema, arrived=None)
    sources = [(seen, files("parquet", tmp_path / "a.parquet")), (settings("pings"), files("csv", other))]
    archive = assert_same_as_ingest(sources, tmp_path / "archive")
    (batch,) = rows_of(archive)
    assert batch.payloads[2]["e"].to_pylist() == values[::order]
