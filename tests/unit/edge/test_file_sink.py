import json
import os
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.position import ALL, START, Position
from headrace.edge.file_sink import FileSink

P = Position


def rows(*names: str) -> pa.Table:
    at = pa.array([0] * len(names), pa.timestamp("us", tz="UTC"))
    return pa.table({"id": pa.array(names, pa.string()), "at": at, "score": [float("nan")] * len(names)})


def taken(folder: Path) -> list[str]:
    segments = sorted(folder.glob("*.jsonl"))
    return [json.loads(line)["id"] for segment in segments for line in segment.read_text().splitlines()]


def test_segments_sort_by_position_negative_offsets_too(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    assert sink.reached() is None
    borders = [START, P(-(2**62), -1), P(-5, 3), P(-5, ALL), P(0, 0), P(7, 1), P(2**62, 0)]
    for number, (after, through) in enumerate(pairwise(borders)):
        sink.write(rows(f"r{number}"), after, through)
        assert FileSink(tmp_path).reached() == through
    assert taken(tmp_path) == [f"r{number}" for number in range(6)]
    line = min(tmp_path.glob("*.jsonl")).read_text()
    assert json.loads(line) == {"id": "r0", "at": "1970-01-01T00:00:00Z", "score": None}


def test_what_was_taken_is_not_taken_twice(tmp_path: Path) -> None:
    first, second = FileSink(tmp_path), FileSink(tmp_path)
    first.write(rows("a", "b"), START, P(2, 0))
    second.write(rows("a", "b"), START, P(2, 0))
    second.write(rows("a"), START, P(1, 0))
    assert taken(tmp_path) == ["a", "b"]


def test_the_second_of_two_owners_is_told_to_start_again(tmp_path: Path) -> None:
    first, second = FileSink(tmp_path), FileSink(tmp_path)
    first.write(rows("a"), START, P(1, 0))
    with pytest.raises(StateError, match="start the task again"):
        second.write(rows("a", "b"), START, P(2, 0))
    assert second.reached() == P(1, 0)
    second.write(rows("b"), P(1, 0), P(2, 0))
    assert taken(tmp_path) == ["a", "b"]


def test_a_segment_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(*_: object) -> None:
        raise OSError("power cut")

    sink = FileSink(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", power_cut)
        with pytest.raises(SurroundingsError, match="power cut"):
            sink.write(rows("a"), START, P(1, 0))
    assert sink.reached() is None
    assert list(tmp_path.glob("*.part"))
    again = FileSink(tmp_path)
    assert not list(tmp_path.glob("*.part"))
    again.write(rows("a"), START, P(1, 0))
    assert taken(tmp_path) == ["a"]


def test_a_segment_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, link = os.fsync, os.link

    def told_sync(file: int) -> None:
        order.append("sync")
        sync(file)

    def told_link(old: Path, new: Path) -> None:
        order.append("link")
        link(old, new)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(os, "link", told_link)
    FileSink(tmp_path).write(rows("a"), START, P(1, 0))
    assert order == ["sync", "link", "sync"]


def test_a_foreign_file_is_named_and_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    (tmp_path / "notes.jsonl").write_text("{}\n")
    with pytest.raises(StateError, match=r"notes.jsonl"):
        sink.reached()
    with pytest.raises(SurroundingsError, match="a disk to write to"):
        FileSink(tmp_path / "notes.jsonl")
