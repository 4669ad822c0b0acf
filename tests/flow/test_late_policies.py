"""Late policies, skew and duplicates against the definition: the ledger, who is answered, and what everybody sees."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import pyarrow as pa
import pytest

import headrace as hr
from headrace.run.notebook import _history
from tests.oracle.verdicts import DUPLICATE, FUTURE, LATE, OK, REJECTED, verdicts

START: Final = datetime(2026, 1, 1, tzinfo=UTC)

WORDS: Final = {OK: "ok", DUPLICATE: "duplicate", FUTURE: "future", REJECTED: "rejected"}
KEPT: Final = {"update": "late_kept", "aside": "late_aside", "drop": "late_dropped"}
Policy = Literal["update", "aside", "drop"]


class Reading(hr.Event):
    id: str
    sensor: str
    card: str
    at: datetime
    came: datetime


class Answer(hr.Event):
    id: str
    at: datetime


def definition(late: Policy, *, producers: bool) -> hr.Pipeline[Any]:
    readings = hr.source(
        "readings",
        Reading,
        time=Reading.at,
        id=Reading.id,
        arrived=Reading.came,
        disorder="5s",
        late=late,
        max_future_skew="3s",
        duplicates="40s",
        **({"producer": Reading.sensor, "max_producers": 3, "silent": "1d"} if producers else {}),  # type: ignore[arg-type]
    )
    answers = hr.source("answers", Answer, time=Answer.at)
    label = readings.label(answers, on="id", within="1s", otherwise=False)
    card = readings.by(Reading.card)
    vector = readings.vector("v", n=card.count("20s"), oldest=card.seconds_since("20s", default=-1.0))
    return hr.Pipeline("policies", features=vector, label=label, model=hr.models.Logistic())


def sent(seed: int) -> list[tuple[int, int, str, str, str]]:
    """Return event time, arrival, id, sensor and card of 300 records, in the order of arrival; times in seconds."""
    draw = random.Random(seed)
    made, came = [], 100
    for number in range(300):
        came += draw.choice([0, 0, 1, 2])
        at = came + draw.choice([0, 0, 0, 2, 3, 4, 9, -2, -5, -6, -15, -60])
        id = f"r{draw.choice([number, number, number, number - 1, number - 7])}"
        made.append((at, came, id, draw.choice("ppppqqrst"), draw.choice("ab")))
    return made


def when(second: int) -> datetime:
    return START + timedelta(seconds=second)


@pytest.mark.parametrize("producers", [False, True], ids=["one clock", "by producer"])
@pytest.mark.parametrize("late", ["update", "aside", "drop"])
@pytest.mark.parametrize("seed", range(2))
def test_what_becomes_of_each_record_and_what_each_request_sees_follow_the_definition(
    seed: int, late: Policy, producers: bool
) -> None:
    records = sent(seed)
    pipeline = definition(late, producers=producers)
    given = verdicts(
        [record[:3] for record in records],
        disorder=5,
        skew=3,
        horizon=40,
        senders=[record[3] for record in records] if producers else None,
        most=3 if producers else 1,
    )
    table = pa.table(
        {
            "id": [record[2] for record in records],
            "sensor": [record[3] for record in records],
            "card": [record[4] for record in records],
            "at": [when(record[0]) for record in records],
            "came": [when(record[1]) for record in records],
        }
    )
    nothing = pa.table({"id": pa.array([], pa.string()), "at": pa.array([], pa.timestamp("us", tz="UTC"))})

    history = _history(pipeline, {"readings": table, "answers": nothing})
    while history.next(17) is not None:
        assert history.ledger.balances()
    counts = Counter(KEPT[late] if verdict == LATE else WORDS[verdict] for verdict in given)
    found = {name: count for name, count in history.ledger.as_dict()["readings"].items() if count}
    assert found.pop("reasons", {}) == ({"too_many_producers": counts["rejected"]} if counts["rejected"] else {})
    assert found == {"received": 300, **counts}
    assert counts["future"] > 5
    assert counts["duplicate"] > 5
    assert counts[KEPT[late]] > 5
    assert (counts["rejected"] > 5) == producers

    usable = [place for place in range(300) if given[place] == OK or (given[place] == LATE and late == "update")]
    examples = pipeline.examples(readings=table, answers=nothing)
    assert examples.ids.to_pylist() == [records[place][2] for place in usable]
    for place, (n, since) in zip(usable, examples.X.tolist(), strict=True):
        time, _, _, _, card = records[place]
        seen = [
            records[p][0] for p in usable if p < place and records[p][4] == card and time - 20 <= records[p][0] < time
        ]
        assert (n, since) == (len(seen), float(time - max(seen)) if seen else -1.0)
