"""The drive runs a pipeline as it will run: judged, answered, taught, crashed, and the same afterwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar, Final, final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from examples.flights import pipeline as flights
from headrace.core.records import F8
from headrace.edge.ledger import Ledger
from headrace.models.contract import Block, Columns
from headrace.run.taken import taken_rows
from headrace.testing import Drive, drive
from headrace.testing.sent import SentInlet
from tests.flow.comparing import differing, records
from tests.unit import definitions
from tests.unit.testing.payments import START, Txn, fraud, outcome, outcomes, pipeline, risk, started, txn, txns

HOUR: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)


def test_a_card_does_not_count_its_own_transaction() -> None:
    d = drive(pipeline, start="2026-01-01T00:00Z")
    d.send(txns, Txn(txn_id="1", card="a", amount=9.0, at=datetime(2026, 1, 1, tzinfo=UTC)))
    d.advance("1min")
    d.crash()
    d.verify()
    assert d.features()["surge"] == 0.0
    assert d.reasons()["surge"] == "no_key"


def test_a_card_counts_the_transactions_strictly_before_and_no_others() -> None:
    #  min  0    1    2    62
    #  a    1    2,3  4    5     at 2, a knows 1, 2 and 3; at 1, neither 2 nor 3 knows the other; at 62 all are gone
    #  b         6
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("1min")
    d.send(txns, txn(d, "2"), txn(d, "3"), txn(d, "6", "b"))
    d.advance("1min")
    d.send(txns, txn(d, "4"))
    d.advance("1h")
    d.send(txns, txn(d, "5"))
    seen = {id: (d.features(id)["seen"], d.reasons(id)["seen"]) for id in "12346"}
    assert seen == {"1": (0, "no_key"), "2": (1, "ok"), "3": (1, "ok"), "4": (3, "ok"), "6": (0, "no_key")}
    assert (d.features()["seen"], d.reasons()["seen"]) == (1, "ok")  # The window begins with minute 2.
    d.advance("61min")
    d.send(txns, txn(d, "7"))
    assert (d.features()["seen"], d.reasons()["seen"]) == (0, "expired")
    d.verify()


def test_features_and_reasons_are_named_and_ordered_as_the_vector_is() -> None:
    d = started()
    d.send(txns, txn(d, "1", amount=7.5))
    assert list(d.features()) == list(d.reasons()) == list(risk.features)
    assert d.features()["amount"] == 7.5
    assert d.features()["card"] == int(d.features()["card"])


def test_a_request_is_answered_at_once_with_the_constant_until_there_is_a_version() -> None:
    d = started()
    d.send(txns, txn(d, "1"), txn(d, "2"))
    assert d.predictions() == [
        hr.Prediction(id=id, score=0.25, version=-1, fallback="no_version", drift=0.0, drift_of=None) for id in "12"
    ]


def test_a_label_that_comes_back_teaches_a_version_that_answers_from_the_next_hour_on() -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("10min")
    d.send(outcomes, outcome(d, "1"))
    assert d.labels() == {"1": 1.0}
    d.advance("50min")
    assert [version.examples for version in d.versions()] == [0]  # Time alone publishes nothing.
    d.send(txns, txn(d, "2"))  # With it the log passes the hour; it is itself answered by what stood ready before.
    assert (d.predictions()[-1].id, d.predictions()[-1].fallback) == ("2", "untrained")
    assert [version.examples for version in d.versions()] == [0, 1]
    d.send(txns, txn(d, "3"))
    last = d.predictions()[-1]
    assert (last.id, last.fallback, last.version) == ("3", None, d.versions()[-1].number)
    assert last.score != 0.25
    d.verify()


def test_a_label_closes_when_a_record_of_the_answering_source_passes_its_time_never_by_the_clock() -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("3h")
    d.send(txns, txn(d, "2"))
    assert d.labels() == {}
    d.send(outcomes, outcome(d, "another"))
    assert d.labels() == {"1": 0.0}
    d.verify()


def test_an_end_closes_all_labels_and_nothing_can_be_sent_afterwards() -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.end(outcomes)
    d.send(txns, txn(d, "2"))
    d.end()
    d.crash()
    assert d.labels() == {"1": 0.0, "2": 0.0}
    assert taken_rows(d.deployment.topic("events")).payloads[0]["source"].to_pylist() == ["outcomes", "txns"]
    d.verify()
    for stream in (txns, outcomes):
        with pytest.raises(hr.ConfigError, match="wanted a source that has not ended, got "):
            d.send(stream)


def test_a_request_that_closes_unanswered_has_a_label_without_a_value() -> None:
    d = drive(flights.pipeline, start=START)
    d.send(flights.departures, departure(d, "UA1"))
    d.end()
    assert list(d.labels()) == ["UA1"]
    assert math.isnan(d.labels()["UA1"])


def departure(d: Drive, flight_id: str) -> flights.Departure:
    return flights.Departure(
        flight_id=flight_id, carrier="UA", tail=None, origin="EWR", dest="SFO", distance=2565.0, at=d.now
    )


def test_the_flights_are_driven_with_weather_that_is_missing_or_impossible() -> None:
    d = drive(flights.pipeline, start=START)
    d.send(flights.weather, flights.Weather(origin="EWR", wind=1048.0, visibility=None, at=d.now))
    d.send(flights.weather, flights.Weather(origin="EWR", wind=12.0, visibility=None, at=d.now))
    d.advance("1h")
    d.crash(keep_snapshots=False)
    d.send(flights.departures, departure(d, "UA1"))
    assert (d.features()["wind"], d.reasons()["wind"]) == (12.0, "ok")
    assert (d.features()["visibility"], d.reasons()["visibility"]) == (10.0, "no_key")
    assert d.reasons()["tail_last_delay_min_2d"] == "missing_input"
    assert d.ledger()["weather"]["reasons"] == {"out_of_range": 1}
    d.verify()


def test_definitions_with_optional_fields_choices_and_whole_numbers_are_driven() -> None:
    d = drive(
        hr.Pipeline("p", features=definitions.risk, label=definitions.delayed, model=hr.models.Logistic()), start=START
    )
    one = definitions.Departure(
        flight_id="1", carrier="UA", tail=None, origin="EWR", dest="SFO", seats=180, distance=9.0, at=d.now
    )
    d.send(definitions.departures, one)
    d.advance("2h")
    wrong: dict[str, Any] = {"carrier": "UA", "tail": None, "dest": "SFO", "taxi": None, "boarded": d.now, "at": d.now}
    d.send(
        definitions.arrivals,
        definitions.Arrival(flight_id="1", delay=30.0, status="landed", **wrong),
        definitions.Arrival(flight_id="2", delay=1.0, status="lost", **wrong),  # type: ignore[arg-type]
    )
    assert d.labels() == {"1": 1.0}
    assert d.ledger()["arrivals"]["reasons"] == {"not_a_choice": 1}
    d.verify()


# What is sent is judged.


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"amount": -1.0}, "out_of_range"),
        ({"amount": None}, "missing"),
        ({"amount": math.nan}, "missing"),
        ({"amount": math.inf}, "not_finite"),
        ({"amount": "9"}, "mistyped"),
        ({"amount": True}, "mistyped"),
        ({"amount": Decimal(9)}, "mistyped"),
        ({"amount": [9.0]}, "mistyped"),
        ({"card": 7}, "mistyped"),
        ({"card": None}, "missing"),
        ({"card": b"a"}, "mistyped"),
        ({"card": "x" * 300_000}, "too_large"),
        ({"card": "\ud800"}, "malformed"),
        ({"at": datetime(2026, 1, 1)}, "mistyped"),  # noqa: DTZ001 - without a zone it is no instant
        ({"at": "soon"}, "mistyped"),
        ({"at": None}, "missing"),
    ],
)
def test_a_value_that_is_wrong_makes_a_rejected_record_with_the_reason_a_file_would_give(
    values: dict[str, Any], reason: str
) -> None:
    d = started()
    d.send(txns, txn(d, "1"), txn(d, "2", **values), txn(d, "3"))
    ledger = d.ledger()["txns"]
    assert (ledger["received"], ledger["ok"], ledger["rejected"]) == (3, 2, 1)
    assert ledger["reasons"] == {reason: 1}
    assert [answer.id for answer in d.predictions()] == ["1", "3"]
    d.verify()


def test_numbers_of_numpy_and_whole_numbers_are_numbers() -> None:
    d = started()
    d.send(txns, txn(d, "1", amount=np.float32(1.5)), txn(d, "2", amount=np.int64(3)), txn(d, "3", amount=4))
    assert [d.features(id)["amount"] for id in "123"] == [1.5, 3.0, 4.0]


def test_a_second_record_of_an_id_is_a_duplicate_and_asks_nothing() -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.advance("1min")
    d.crash(keep_snapshots=False)
    d.send(txns, txn(d, "1", amount=5.0))
    assert d.ledger()["txns"]["duplicate"] == 1
    assert [answer.id for answer in d.predictions()] == ["1"]
    assert d.features()["amount"] == 9.0
    d.verify()


def test_a_record_behind_the_watermark_is_late_and_still_counts() -> None:
    #  s    0    31   60   61      disorder 30 s: at 61 the watermark stands at 30
    #  a    late in       1  2
    d = started()
    d.advance("1min")
    d.send(txns, txn(d, "1"))
    d.send(txns, txn(d, "in", at=d.now - timedelta(seconds=30)), txn(d, "late", at=d.now - timedelta(seconds=31)))
    d.advance("1s")
    d.send(txns, txn(d, "2"))
    ledger = d.ledger()["txns"]
    assert (ledger["ok"], ledger["late_kept"]) == (3, 1)
    assert d.features("2")["seen"] == 3.0
    assert d.features("late")["seen"] == 0.0
    d.verify()


def test_a_record_too_far_ahead_of_the_virtual_now_is_of_the_future_until_the_clock_has_come_nearer() -> None:
    d = started()
    ahead = d.now + timedelta(minutes=6)
    d.send(txns, txn(d, "1", at=ahead))
    assert d.ledger()["txns"]["future"] == 1
    assert d.predictions() == []
    d.advance("1min")
    d.send(txns, txn(d, "1", at=ahead))
    assert (d.ledger()["txns"]["future"], d.ledger()["txns"]["ok"]) == (1, 1)
    d.verify()


def test_every_record_arrives_at_the_virtual_now() -> None:
    d = started()
    d.advance("90s")
    d.send(txns, txn(d, "1", at=d.now - 5 * SECOND), txn(d, "2", amount=-1.0, at=d.now - 5 * SECOND))
    assert d.now == datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
    assert repr(d) == "<drive of 'card_fraud' at 2026-01-01T00:01:30Z>"
    topic = records_of(d, "events")
    assert topic == [("1", d.now - 5 * SECOND, d.now), ("2", d.now, d.now)]  # What is rejected has no time of its own.


def records_of(d: Drive, topic: str) -> list[tuple[str, datetime, datetime]]:
    batch = taken_rows(d.deployment.topic(topic))
    moments = [
        [datetime.fromtimestamp(us / 1e6, UTC) for us in column]
        for column in (batch.event_time.tolist(), batch.arrival_time.tolist())
    ]
    return list(zip(batch.id.to_pylist(), *moments, strict=True))


# What is asked wrongly is refused.


def test_whoever_asks_too_early_is_told_what_to_send_and_what_became_of_what_was_sent() -> None:
    d = started()
    for ask in (d.features, d.reasons):
        with pytest.raises(hr.ConfigError, match=r"send a record to 'txns' first, got none \(nothing was sent\)"):
            ask()
    assert (d.predictions(), d.labels(), d.versions(), d.alarms()) == ([], {}, [], [])
    d.send(txns, txn(d, "1", amount=-1.0))
    with pytest.raises(hr.ConfigError, match="'rejected': 1"):
        d.features()


def test_an_unknown_id_is_refused_with_the_nearest_or_with_what_became_of_it() -> None:
    d = started()
    d.send(txns, txn(d, "first"), txn(d, "second", amount=-1.0), txn(d, "third", at=d.now + HOUR))
    for id, told in (
        ("frist", "did you mean 'first'?"),
        ("second", r"which is rejected \(amount: wanted at least 0 usd, got -1.0\)"),
        ("third", "which is future"),
    ):
        with pytest.raises(hr.ConfigError, match=told):
            d.features(id)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (
            lambda d: d.send(hr.source("txn", Txn, time=Txn.at)),
            r"a source of 'card_fraud' \(txns, outcomes\), got txn; ",
        ),
        (lambda d: d.send(txns.where(Txn.amount > 5)), r"a source of 'card_fraud'"),
        (lambda d: d.send(risk), r"a source of 'card_fraud'"),
        (lambda d: d.send(txns, outcome(d, "1")), r"send to 'txns': wanted records of Txn, got Outcome\("),
        (lambda d: d.send(txns, {"txn_id": "1"}), r"wanted records of Txn, got \{"),
        (lambda d: d.advance("1hr"), "advance: wanted a duration such as"),
        (lambda d: d.advance(timedelta(seconds=-1)), "a duration that is not negative"),
        (lambda _: drive(pipeline, start="2026-01-01T00:00"), "drive start: wanted an instant with its zone"),
        (lambda _: drive(pipeline, start="soon"), "drive start: wanted an instant with its zone"),
        (lambda _: drive(risk, start=START), r"drive: wanted a pipeline"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused_with_what_was_wanted(ask: Callable[[Drive], object], told: str) -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    before = d.now
    with pytest.raises(hr.ConfigError, match=told):
        ask(d)
    assert d.now == before
    assert d.ledger()["txns"]["received"] == 1
    assert d.ledger()["outcomes"]["received"] == 0


def test_the_start_may_be_a_moment_or_a_text_of_any_zone() -> None:
    moments = [START, "2026-01-01T01:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)]
    assert [drive(pipeline, start=moment).now for moment in moments] == [datetime(2026, 1, 1, tzinfo=UTC)] * 3


# What verify finds.


@final
class Planted:
    """A running mean into which something leaks that is not in its snapshot: while it answers, or while it learns."""

    accepts: Final = "block"

    def __init__(self, plant: "Plant") -> None:
        self._mean = hr.models.RunningMean()(Columns(dense=("x",)), 0)
        self._plant = plant

    def predict(self, X: Block, /) -> F8:  # noqa: N803
        return self._mean.predict(X) + (self._plant.drawn() if self._plant.of == "predict" else 0.0)

    def learn(self, X: Block, y: F8, w: F8, /) -> F8:  # noqa: N803
        return self._mean.learn(X, y, w + (self._plant.drawn() if self._plant.of == "learn" else 0.0))

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._mean.snapshot()

    def restore(self, arrays: dict[str, Any], meta: dict[str, Any], /) -> None:
        self._mean.restore(arrays, meta)

    def warm_up(self) -> None: ...


@dataclass(frozen=True)
class Plant:
    """The recipe of a model that is not a function of what it is given: a count leaks into it."""

    of: str
    leak: ClassVar = count()

    def __call__(self, columns: Columns, seed: int, /) -> Planted:
        return Planted(self)

    def drawn(self) -> float:
        return next(self.leak) * 1e-6


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ("nothing", ""),
        (
            "predict",
            r"1 of 6 rows do not come out again:\n  \[predictions\] '3' of .*, score: logged 0.75, recomputed 0.75",
        ),
        ("learn", r"give others where nothing is disturbed: \[control\], row 2"),
    ],
)
def test_verify_tells_of_a_model_that_does_not_come_out_again(of: str, told: str) -> None:
    d = started(of=hr.Pipeline("p", features=risk, label=fraud, model=Plant(of), learn=hr.Learn(every="1h")))
    d.send(txns, txn(d, "1"))
    d.send(outcomes, outcome(d, "1"))
    d.advance("1h")
    d.send(txns, txn(d, "2"))
    assert [version.examples for version in d.versions()] == [0, 1]
    d.send(txns, txn(d, "3"))
    if not told:
        d.verify()
        return
    with pytest.raises(AssertionError, match=told):
        d.verify()


@final
class Forgetful:
    """A running mean that gives every other row a double weight, and does not write down which one is next."""

    accepts: Final = "block"

    def __init__(self) -> None:
        self._mean = hr.models.RunningMean()(Columns(dense=("x",)), 0)
        self._seen = 0

    def predict(self, X: Block, /) -> F8:  # noqa: N803
        return self._mean.predict(X)

    def learn(self, X: Block, y: F8, w: F8, /) -> F8:  # noqa: N803
        number = self._seen + np.arange(len(y))
        self._seen += len(y)
        return self._mean.learn(X, y, w * (1.0 + number % 2))

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._mean.snapshot()

    def restore(self, arrays: dict[str, Any], meta: dict[str, Any], /) -> None:
        self._mean.restore(arrays, meta)

    def warm_up(self) -> None: ...


def forgetful(columns: Columns, seed: int, /) -> Forgetful:
    del columns, seed
    return Forgetful()


def test_verify_finds_a_model_that_forgets_a_part_of_its_state_but_only_where_a_snapshot_was_used() -> None:
    told = dict.fromkeys((True, False), "")
    for seed in range(3):
        for keep in told:
            d = started(of=hr.Pipeline("p", features=risk, label=fraud, model=forgetful), seed=seed)
            for number in range(5):
                d.send(txns, txn(d, f"{number}"))
                d.send(outcomes, outcome(d, f"{number}", "ok" if number % 3 else "fraud"))
                d.advance("1h")
                d.crash(keep_snapshots=keep)
            d.end()
            try:
                d.verify()
            except AssertionError as error:
                told[keep] = str(error)
    assert "others where nothing is disturbed: [control], row " in told[True]
    assert told[False] == ""


def test_verify_finds_a_ledger_that_counts_otherwise_than_events_do(monkeypatch: pytest.MonkeyPatch) -> None:
    d = started()
    d.send(txns, txn(d, "1"))
    d.verify()
    monkeypatch.setattr(SentInlet, "ledger", property(lambda _: Ledger(pipeline.source_settings())))
    with pytest.raises(AssertionError, match=r"the ledger of ingest is .* 0, .*, but \[events\] holds .* 1, "):
        d.verify()
    monkeypatch.setattr(Ledger, "balances", lambda _: False)
    with pytest.raises(AssertionError, match="the ledger does not balance: "):
        d.verify()


# A crash changes nothing.

Step = Callable[[Drive], None]
STEPS: Final[list[Step]] = [
    lambda d: d.send(txns, txn(d, "1"), txn(d, "2", "b"), txn(d, "3", amount=-1.0)),
    lambda d: d.advance("20min"),
    lambda d: d.send(outcomes, outcome(d, "1"), outcome(d, "2", "ok")),
    lambda d: d.advance("41min"),
    lambda d: d.send(txns, txn(d, "4"), txn(d, "1")),
    lambda d: d.send(txns, txn(d, "5", "b", at=d.now - timedelta(minutes=2))),
    lambda d: d.advance("3h"),
    lambda d: d.send(outcomes, outcome(d, "7"), outcome(d, "5")),
    lambda d: d.send(txns, txn(d, "6")),
    lambda d: d.end(),
]


def undisturbed() -> dict[str, list[int]]:
    d = started()
    for step in STEPS:
        step(d)
    assert d.predictions()[-1].version > 0
    assert len(d.labels()) == 5
    return records(d.deployment)


def test_verify_may_be_called_at_every_point_and_changes_nothing() -> None:
    d = started()
    for step in STEPS:
        step(d)
        d.verify()
    assert differing(undisturbed(), records(d.deployment)) == {}


@pytest.mark.parametrize("keep_snapshots", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_crash_at_every_point_changes_nothing(seed: int, *, keep_snapshots: bool) -> None:
    d = started(seed=seed)
    for step in STEPS:
        step(d)
        d.crash(keep_snapshots=keep_snapshots)
    assert differing(undisturbed(), records(d.deployment)) == {}
    d.verify()


INSTANT = st.integers(-120, 0).map(lambda seconds: timedelta(seconds=seconds))
ID = st.sampled_from(["1", "2", "3", "4", "5", "6"])
SENT: Final[st.SearchStrategy[Step]] = st.builds(
    lambda id, card, amount, late: lambda d: d.send(txns, txn(d, id, card, amount=amount, at=d.now + late)),
    ID,
    st.sampled_from("ab"),
    st.sampled_from([1.0, 100.0, -1.0]),
    INSTANT,
)
ANSWERED: Final[st.SearchStrategy[Step]] = st.builds(
    lambda id, kind: lambda d: d.send(outcomes, outcome(d, id, kind)), ID, st.sampled_from(["ok", "fraud"])
)
ADVANCED: Final[st.SearchStrategy[Step]] = st.builds(
    lambda duration: lambda d: d.advance(duration), st.sampled_from(["1s", "1min", "40min", "2h"])
)
CRASHED: Final[st.SearchStrategy[bool]] = st.booleans()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.one_of(SENT, SENT, ANSWERED, ADVANCED), st.none() | CRASHED), min_size=3, max_size=14),
    st.integers(0, 2**32 - 1),
)
def test_crashes_wherever_they_come_change_nothing(steps: list[tuple[Step, bool | None]], seed: int) -> None:
    crashed, calm = started(seed=seed), started()
    for step, keep_snapshots in steps:
        step(calm)
        step(crashed)
        if keep_snapshots is not None:
            crashed.crash(keep_snapshots=keep_snapshots)
    assert differing(records(calm.deployment), records(crashed.deployment)) == {}
    assert crashed.ledger() == calm.ledger()
    assert crashed.predictions() == calm.predictions()
    crashed.verify()
