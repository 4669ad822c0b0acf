from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.core.errors import ConfigError
from headrace.core.records import Batch
from headrace.edge.history import MergedHistory
from headrace.edge.paced import PacedHistory
from tests.unit.edge.rows import SECOND, drained, files, ping, settings, written


def history(folder: Path) -> MergedHistory:
    file = written(folder, "p", "csv", [ping(f"n{number}", number // 3) for number in range(9)])
    return MergedHistory([(settings(), files("csv", file))])


def at(times: list[int]) -> Callable[[], int]:
    """Return a clock that shows these times, one a look."""
    return lambda: times.pop(0)


def test_a_row_is_given_when_it_is_due_and_stamped_with_that_time(tmp_path: Path) -> None:
    #  row   0    1     2     3       4
    #  due   100  400k  800k  1,200k  1,600k  (2.5 a second, start 100)
    looks = [100, 400_099, 400_100, 1_250_000, 1_600_100]
    paced = PacedHistory(history(tmp_path), rate=2.5, now_us=at(looks))
    given = [paced.next(100) for _ in range(5)]
    assert [0 if batch is None else len(batch) for batch in given] == [1, 0, 1, 2, 1]
    stamps = [stamp for batch in given if batch is not None for stamp in batch.arrival_time.tolist()]
    assert stamps == [100, 400_100, 800_100, 1_200_100, 1_600_100]
    assert not paced.ended


@pytest.mark.parametrize("rate", [1.0, 3.0, 7.0, 1e6 / 3])
def test_pacing_changes_nothing_but_the_stamp(tmp_path: Path, rate: float) -> None:
    plain = Batch.concat(drained(history(tmp_path), 100))
    clock = iter(range(0, 20 * SECOND, 33_333))
    paced = PacedHistory(history(tmp_path), rate=rate, now_us=lambda: next(clock))
    batches = []
    while not paced.ended:
        batch = paced.next(2)
        if batch is not None:
            batches.append(batch)
    played = Batch.concat(batches)
    for name in ("offset", "sub", "stream", "event_time", "verdict"):
        assert getattr(played, name).tolist() == getattr(plain, name).tolist()
    assert played.id.equals(plain.id)
    assert all(own.equals(other) for own, other in zip(played.payloads, plain.payloads, strict=True))
    assert played.arrival_time.tolist() == [int(row * (SECOND / rate)) for row in range(10)]
    assert paced.ledger.balances()


def test_after_a_restore_the_rest_is_due_from_there_on(tmp_path: Path) -> None:
    paced = PacedHistory(history(tmp_path), rate=1.0, now_us=lambda: 50)
    assert len(paced.next(9) or ()) == 1
    fresh = PacedHistory(history(tmp_path), rate=1.0, now_us=at([3 * SECOND, 7 * SECOND, 8 * SECOND]))
    assert len(fresh.next(9) or ()) == 1
    fresh.restore(*paced.snapshot())
    first, second = fresh.next(9), fresh.next(9)
    assert first is not None
    assert second is not None
    assert (first.id.to_pylist(), first.arrival_time.tolist()) == (["n1"], [7 * SECOND])
    assert (second.id.to_pylist(), second.arrival_time.tolist()) == (["n2"], [8 * SECOND])


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(ConfigError, match="rate"):
        PacedHistory(history(tmp_path), rate=rate, now_us=lambda: 0)
