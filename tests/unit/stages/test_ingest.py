from pathlib import Path

import pytest

from headrace.core.position import START
from headrace.core.records import Batch
from headrace.edge.history import MergedHistory
from headrace.edge.ledger import Ledger
from headrace.stages.ingest import Ingest
from headrace.store.snapshots import packed, unpacked
from headrace.topics.digest import value_digest
from tests.unit.edge.rows import files, ping, settings, written


def ingest(folder: Path) -> Ingest:
    a = written(folder, "a", "parquet", [ping("a", 1), ping("b", 2, ms=-1), ping("a", 1), ping("c", 2)])
    b = written(folder, "b", "jsonl", [ping("d", 2), ping("e", 1), ping("f", 9)])
    return Ingest(MergedHistory([(settings("a"), files("parquet", a)), (settings("b"), files("jsonl", b))]))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pulls_join_without_gap_or_overlap_and_the_ledger_can_be_counted_again(tmp_path: Path, limit: int) -> None:
    whole, batches, reached = ingest(tmp_path), [], START
    again = Ledger([settings("a"), settings("b")])
    while not whole.ended:
        pulled = whole.pull(limit)
        assert pulled is not None
        batch, through = pulled
        assert reached < batch.position(0)
        assert through == batch.position(len(batch) - 1)
        reached = through
        batches.append(batch)
        again.add(batch)
    assert whole.pull(limit) is None
    assert again.as_dict() == whole.ledger.as_dict()
    assert whole.ledger.balances()
    assert sum(counts["received"] for counts in whole.ledger.as_dict().values()) == 7
    assert value_digest(Batch.concat(batches)) == value_digest(
        Batch.concat([pull[0] for pull in [ingest(tmp_path).pull(99)] if pull])
    )


def test_a_restart_between_a_last_record_and_its_tick_gives_the_tick_once(tmp_path: Path) -> None:
    expected, _ = ingest(tmp_path).pull(99) or pytest.fail("nothing was pulled")
    for cut in range(1, len(expected)):
        first, second = ingest(tmp_path), ingest(tmp_path)
        head, _ = first.pull(cut) or pytest.fail("nothing was pulled")
        second.restore(*unpacked(packed(*first.snapshot())))
        tail, _ = second.pull(99) or pytest.fail("nothing was pulled")
        assert value_digest(Batch.concat([head, tail])) == value_digest(expected)
        assert second.ended
