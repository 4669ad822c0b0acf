from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import StateError
from headrace.core.records import Verdict
from headrace.edge.history import MergedHistory
from headrace.edge.ledger import Ledger
from tests.unit.edge.rows import drained, files, ping, settings, written


def test_merged_parts_equal_the_whole_and_a_restored_ledger_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path, "p", "jsonl", [ping("a", 1), ping("a", 1), ping("b", 2, ms=-1), ping("c", 3)])
    merged = MergedHistory([(settings(), files("jsonl", file))])
    batches = drained(merged, 2)
    left, right = Ledger([settings()]), Ledger([settings()])
    left.add(batches[0])
    for batch in batches[1:]:
        right.add(batch)
    restored = Ledger([settings()])
    restored.restore(left.as_dict())
    assert restored.as_dict() == left.as_dict()
    restored.merge(right)
    assert restored.as_dict() == merged.ledger.as_dict()
    assert restored.balances()


def test_a_record_without_an_outcome_shows(tmp_path: Path) -> None:
    file = written(tmp_path, "p", "jsonl", [ping("a", 1), ping("b", 2, ms=-1)])
    (batch,) = drained(MergedHistory([(settings(), files("jsonl", file))]), 9)
    for row in range(2):
        verdict = batch.verdict.copy()
        verdict[row] = Verdict.OK if row else Verdict.REJECTED
        ledger = Ledger([settings()])
        ledger.add(replace(batch, verdict=verdict))
        assert not ledger.balances()
        assert ledger.as_dict()["pings"]["received"] == 2
    assert np.array_equal(batch.verdict, [0, Verdict.REJECTED, 0])


def test_another_source_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "p", "jsonl", [ping("b", 2, ms=-1)])
    (batch,) = drained(MergedHistory([(settings(), files("jsonl", file))]), 9)
    with pytest.raises(StateError, match="wanted a source of"):
        Ledger([settings("others")]).add(batch)
    with pytest.raises(StateError):
        Ledger([settings()]).merge(Ledger([settings("others")]))
