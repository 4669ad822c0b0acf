import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from headrace.core.errors import ConfigError, StateError, SurroundingsError
from headrace.core.records import Batch, Kind, Verdict
from headrace.core.time import UNSPOKEN_US
from headrace.edge.files import Format
from headrace.edge.history import MergedHistory
from headrace.edge.ledger import OUTCOMES, Ledger
from headrace.store.snapshots import packed, unpacked
from tests.unit.edge.rows import FORMATS, SECOND, Row, content, drained, files, lines, ping, settings, written

TICK, REJECTED = 0, 1


def names(batch: Batch) -> list[str]:
    """Return one word a row: the id, `tick:<source>`, or `rejected:<reason>`."""
    left = {stream: iter(payload.to_pylist()) for stream, payload in enumerate(batch.payloads)}
    told = []
    for stream, name in zip(batch.stream.tolist(), batch.id.to_pylist(), strict=True):
        payload = next(left[stream])
        words = {TICK: f"tick:{payload.get('source')}", REJECTED: f"rejected:{payload.get('reason')}"}
        told.append(words.get(stream, name))
    return told


def whole(history: MergedHistory, limit: int = 1000) -> Batch:
    return Batch.concat(drained(history, limit))


def history(*sources: tuple[Any, Any]) -> MergedHistory:
    return MergedHistory(list(sources))


@pytest.mark.parametrize("kind", FORMATS)
def test_sources_are_merged_by_arrival_then_by_source_then_by_row(tmp_path: Path, kind: Format) -> None:
    #  s   1        2              3          4
    #  a        a2, a0 (came 2)                a1 + tick
    #  b  b1    b0                 b2 + tick
    a = written(tmp_path, "a", kind, [ping("a0", 1, came=2), ping("a1", 3, came=4), ping("a2", 2, came=2)])
    b = written(tmp_path, "b", kind, [ping("b0", 2), ping("b1", 1), ping("b2", 3)])
    batch = whole(history((settings("a"), files(kind, a)), (settings("b"), files(kind, b))))
    assert names(batch) == ["b1", "a0", "a2", "b0", "b2", "tick:b", "a1", "tick:a"]
    assert (batch.offset // SECOND).tolist() == [1, 2, 2, 2, 3, 3, 4, 4]
    assert (batch.arrival_time == batch.offset).all()
    assert batch.payloads[2]["at"].cast(pa.int64()).to_pylist() == [1 * SECOND, 2 * SECOND, 3 * SECOND]


@pytest.mark.parametrize("kind", FORMATS)
def test_positions_rise_strictly_and_the_tick_stands_one_sub_above_the_last_record(
    tmp_path: Path, kind: Format
) -> None:
    a = written(tmp_path, "a", kind, [ping("a1", 5), ping("a2", 5), ping("a0", 1)])
    b = written(tmp_path, "b", kind, [ping("b1", 5)])
    batch = whole(history((settings("a"), files(kind, a)), (settings("b"), files(kind, b))))
    positions = [batch.position(row) for row in range(len(batch))]
    assert all(before < after for before, after in pairwise(positions))
    assert names(batch) == ["a0", "a1", "a2", "tick:a", "b1", "tick:b"]
    assert positions[3] == (positions[2].offset, positions[2].sub + 1)
    assert positions[2].through_row() > positions[3]


def test_a_source_without_files_or_records_ends_at_the_beginning(tmp_path: Path) -> None:
    header = written(tmp_path, "b", "csv", [])
    c = written(tmp_path, "c", "csv", [ping("c", -5)])
    merged = history(
        (settings("a"), files("csv")), (settings("b"), files("csv", header)), (settings("c"), files("csv", c))
    )
    batch = whole(merged)
    assert names(batch) == ["tick:a", "tick:b", "c", "tick:c"]
    assert merged.ended


def test_no_sources_have_ended() -> None:
    assert MergedHistory([]).ended
    assert MergedHistory([]).next(5) is None


def test_a_declared_delay_stands_in_for_a_missing_arrival(tmp_path: Path) -> None:
    rows = written(tmp_path, "a", "jsonl", [ping("x", 1), ping("y", 1, came=9)])
    batch = whole(history((settings("a", delay_us=3 * SECOND), files("jsonl", rows))))
    assert (batch.offset // SECOND).tolist() == [4, 9, 9]
    batch = whole(history((settings("a", arrived=None, delay_us=2 * SECOND), files("jsonl", rows))))
    assert (batch.offset // SECOND).tolist() == [3, 3, 3]


BAD: dict[str, Row] = {
    "missing": ping("bad", 3, ms=None),
    "mistyped": {**ping("bad", 3), "ms": "fast"},
    "out_of_range": ping("bad", 3, ms=1001.0),
    "not_finite": ping("bad", 3, ms=float("inf")),
}


def spoilt(folder: Path, kind: Format, bad: Row) -> Path:
    """Write three good rows and a bad one among them; a Parquet column cannot hold text beside numbers."""
    good = [ping("g0", 1), ping("g1", 2), bad, ping("g2", 4)]
    if kind != "parquet" or not isinstance(bad["ms"], str):
        return written(folder, "pings", kind, good)
    file = folder / "pings.parquet"
    columns = {field: [row[field] for row in good] for field in ("name", "hops")}
    at = pa.array([row["at"] for row in good], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({**columns, "ms": [str(row["ms"]) for row in good], "at": at}), file)
    return file


def ledger_of(merged: MergedHistory, late: str = "update") -> dict[str, Any]:
    """Drain a history and return its ledger, after checking that a count over [events] finds the same."""
    batches = drained(merged)
    again = Ledger([settings(late=late)])
    for batch in batches:
        again.add(batch)
    assert again.as_dict() == merged.ledger.as_dict()
    assert merged.ledger.balances()
    counts = merged.ledger.as_dict()["pings"]
    assert counts["received"] == sum(counts[outcome] for outcome in OUTCOMES)
    return counts


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("reason", BAD)
def test_a_bad_field_rejects_its_row_alone_and_keeps_its_bytes(tmp_path: Path, kind: Format, reason: str) -> None:
    file = spoilt(tmp_path, kind, BAD[reason])
    merged = history((settings(), files(kind, file)))
    counts = ledger_of(merged)
    if kind == "parquet" and reason == "mistyped":
        assert counts["reasons"] == {"mistyped": 4}  # A column of text makes every row mistyped.
        return
    assert counts == {**dict.fromkeys(OUTCOMES, 0), "received": 4, "ok": 3, "rejected": 1, "reasons": {reason: 1}}
    batch = whole(history((settings(), files(kind, file))))
    assert names(batch) == ["g0", "g1", f"rejected:{reason}", "g2", "tick:pings"]
    assert batch.verdict.tolist() == [0, 0, Verdict.REJECTED, 0, 0]
    (kept,) = batch.payloads[REJECTED].to_pylist()
    assert kept["error"].startswith("ms: wanted")
    if kind == "parquet":
        assert json.loads(kept["raw"])["name"] == "bad"
    else:
        assert kept["raw"] == file.read_bytes().splitlines()[2 if kind == "jsonl" else 3]


@pytest.mark.parametrize("kind", FORMATS)
def test_far_future_and_duplicate_rows_are_counted_and_given(tmp_path: Path, kind: Format) -> None:
    rows = [ping("a", 1, came=1), ping("b", 10_000, came=2), ping("a", 3, came=3), ping("c", 2, came=4)]
    file = written(tmp_path, "pings", kind, rows)
    counts = ledger_of(history((settings(disorder_us=SECOND), files(kind, file))))
    assert counts == {**dict.fromkeys(OUTCOMES, 0), "received": 4, "ok": 2, "duplicate": 1, "future": 1, "reasons": {}}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("late", "outcome"), [("update", "late_kept"), ("aside", "late_aside"), ("drop", "late_dropped")]
)
def test_late_rows_are_counted_by_the_policy_of_their_source(
    tmp_path: Path, kind: Format, late: str, outcome: str
) -> None:
    file = written(tmp_path, "pings", kind, [ping("a", 9, came=9), ping("b", 3, came=10)])
    counts = ledger_of(history((settings(late=late), files(kind, file))), late)
    assert (counts["ok"], counts[outcome], counts["received"]) == (1, 1, 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_in_the_middle_and_an_empty_file_stop_nothing(tmp_path: Path, kind: Format) -> None:
    first = written(tmp_path, "first", kind, [ping("a", 1), ping("b", 2)])
    cut = written(tmp_path, "cut", kind, [ping("c", 3), ping("d", 4), ping("e", 5)])
    cut.write_bytes(cut.read_bytes()[:-9])
    empty = tmp_path / f"empty.{kind}"
    empty.write_bytes(b"")
    last = written(tmp_path, "last", kind, [ping("f", 6)])
    counts = ledger_of(history((settings(), files(kind, first, cut, empty, last))))
    if kind == "parquet":
        assert (counts["received"], counts["ok"], counts["reasons"]) == (5, 3, {"empty_file": 1, "unreadable_file": 1})
    else:
        assert (counts["received"], counts["ok"], counts["reasons"]) == (7, 5, {"empty_file": 1, "malformed": 1})


def test_a_record_without_a_readable_arrival_arrives_with_the_one_before_it(tmp_path: Path) -> None:
    head, *good = lines("csv", [ping("a", 5, came=5), ping("b", 6, came=8)])
    bad = b"x,fast,,1970-01-01T00:00:01Z,1970-01-01T00:00:07Z"
    file = tmp_path / "pings.csv"
    file.write_bytes(b"\n".join([head, b"broken", good[0], b"broken", bad, b"broken", good[1]]) + b"\n")
    batch = whole(history((settings(), files("csv", file))))
    assert (batch.offset // SECOND).tolist() == [5, 5, 5, 7, 7, 8, 8]
    assert names(batch)[0] == "rejected:malformed"
    assert batch.event_time[3] == 1 * SECOND
    alone = tmp_path / "alone.csv"
    alone.write_bytes(head + b"\nbroken\n")
    lonely = whole(history((settings(), files("csv", alone, file))))
    assert lonely.offset[0] == UNSPOKEN_US
    assert lonely.offset[1:].tolist() == batch.offset.tolist()


def test_a_rejected_record_does_not_arrive_by_its_event_time(tmp_path: Path) -> None:
    late_row = {**ping("late", 1, came=9), "came": "soon"}
    file = written(tmp_path, "pings", "jsonl", [ping("a", 5, came=7), late_row, ping("b", 6, came=8)])
    batch = whole(history((settings(), files("jsonl", file))))
    assert names(batch) == ["a", "rejected:mistyped", "b", "tick:pings"]
    assert (batch.offset // SECOND).tolist() == [7, 7, 8, 8]


def test_a_null_event_time_is_missing_even_where_the_field_may_be_null(tmp_path: Path) -> None:
    file = written(tmp_path, "pings", "jsonl", [ping("a", 1, came=1), ping("b", 2)])
    counts = ledger_of(history((settings(time="came", arrived=None), files("jsonl", file))))
    assert (counts["ok"], counts["reasons"]) == (1, {"missing": 1})


def two_sources(folder: Path, seed: int = 0) -> list[tuple[Any, Any]]:
    """Write two sources with every kind of trouble."""
    random = np.random.default_rng(seed)

    def rows(count: int) -> list[Row]:
        at = random.integers(0, 40, count).tolist()
        return [
            ping(
                f"n{random.integers(0, 15)}",
                time,
                came=time + int(random.integers(-9, 9)),
                ms=float(random.integers(0, 1100)),
            )
            for time in at
        ]

    a1, a2 = written(folder, "a1", "csv", rows(20)), written(folder, "a2", "csv", rows(9))
    a1.write_bytes(a1.read_bytes() + b'"open\nshort\n')
    b = written(folder, "b", "jsonl", rows(25))
    b.write_bytes(b.read_bytes() + b'{"name": 7}\n{"nam')
    first = settings("a", max_future_skew_us=3 * SECOND, duplicate_horizon_us=9 * SECOND, disorder_us=2 * SECOND)
    second = settings("b", kind=Kind.REQUEST, late="drop", max_future_skew_us=3 * SECOND)
    return [(first, files("csv", a1, a2)), (second, files("jsonl", b))]


@given(st.integers(0, 30), st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 7))
@profile(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cuts_and_restarts_change_no_bit(tmp_path: Path, seed: int, cuts: list[int], stop: int) -> None:
    sources = two_sources(tmp_path, seed)
    undisturbed = MergedHistory(sources)
    expected = content(drained(undisturbed, 1000))
    merged, batches = MergedHistory(sources), []
    for number in range(1000):
        batch = merged.next(cuts[number % len(cuts)])
        if batch is None:
            break
        batches.append(batch)
        if number == stop:
            state = unpacked(packed(*merged.snapshot()))
            merged = MergedHistory(sources)
            merged.restore(*state)
    assert content(batches) == expected
    assert merged.ledger.as_dict() == undisturbed.ledger.as_dict()
    assert merged.ledger.balances()


def test_a_snapshot_is_not_changed_by_what_follows(tmp_path: Path) -> None:
    merged = MergedHistory(two_sources(tmp_path))
    merged.next(9)
    arrays, meta = merged.snapshot()
    before = packed(arrays, meta)
    drained(merged)
    assert packed(arrays, meta) == before


def test_every_cut_and_the_end_can_be_restored(tmp_path: Path) -> None:
    sources = two_sources(tmp_path)
    expected, _ = content(drained(MergedHistory(sources), 1000))
    for given_rows in range(len(expected) + 1):
        merged = MergedHistory(sources)
        if given_rows:
            merged.next(given_rows)
        fresh = MergedHistory(sources)
        fresh.restore(*merged.snapshot())
        rest = drained(fresh)
        assert (content(rest)[0] if rest else []) == expected[given_rows:]


def test_a_rewritten_or_missing_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    sources = two_sources(tmp_path)
    merged = MergedHistory(sources)
    merged.next(9)
    state = merged.snapshot()
    (first, listed), second = sources
    with pytest.raises(StateError, match=r"file a2.csv \(put it back"):
        MergedHistory([(first, files("csv", listed.paths[0])), second]).restore(*state)
    with pytest.raises(StateError, match="history: wanted the sources"):
        MergedHistory([second, (first, listed)]).restore(*state)
    listed.paths[0].write_bytes(listed.paths[0].read_bytes().replace(b"n1,", b"n2,"))
    with pytest.raises(StateError, match=r"file a1\.csv as it was read, .* or start a new run"):
        MergedHistory(sources).restore(*state)


def test_a_file_appended_to_a_list_moves_no_record_even_after_its_source_ended(tmp_path: Path) -> None:
    a1, a2 = written(tmp_path, "a1", "csv", [ping("a", 1)]), written(tmp_path, "a2", "csv", [ping("c", 8)])
    b = written(tmp_path, "b", "csv", [ping("b", 5), ping("d", 9)])
    merged = history((settings("a"), files("csv", a1)), (settings("b"), files("csv", b)))
    batch = merged.next(3)
    assert batch is not None
    assert names(batch) == ["a", "tick:a", "b"]
    longer = history((settings("a"), files("csv", a1, a2)), (settings("b"), files("csv", b)))
    longer.restore(*merged.snapshot())
    assert names(whole(longer)) == ["c", "tick:a", "d", "tick:b"]
    assert longer.ledger.as_dict()["a"]["received"] == 2


def test_an_appended_file_whose_records_arrived_before_is_refused(tmp_path: Path) -> None:
    a1, a2 = (
        written(tmp_path, "a1", "csv", [ping("a", 5), ping("b", 7)]),
        written(tmp_path, "a2", "csv", [ping("c", 4)]),
    )
    merged = history((settings("a"), files("csv", a1)))
    merged.next(1)
    with pytest.raises(StateError, match="arrived after 1970-01-01T00:00:05Z"):
        history((settings("a"), files("csv", a1, a2))).restore(*merged.snapshot())


def test_impossible_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted a field of Ping, got when"):
        history((settings(time="when"), files("csv")))
    with pytest.raises(ConfigError, match="at most 127 sources"):
        MergedHistory([(settings(str(number)), files("csv")) for number in range(128)])
    with pytest.raises(SurroundingsError):
        history((settings(), files("csv", tmp_path / "none.csv")))


def test_more_sources_than_bits_of_a_byte_keep_their_positions_apart(tmp_path: Path) -> None:
    file = written(tmp_path, "a", "csv", [ping("a", 1)])
    batch = whole(MergedHistory([(settings(str(number)), files("csv", file)) for number in range(127)]))
    assert len(batch) == 254
    assert len({*zip(batch.offset.tolist(), batch.sub.tolist(), strict=True)}) == 254
    assert batch.payloads[TICK]["source"].to_pylist() == [str(number) for number in range(127)]
