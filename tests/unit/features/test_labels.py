"""A label says what is asked, where the answer is looked for, and what no answer means."""

import math
from typing import Any

import headrace as hr
from headrace.core.time import DAY_US, HOUR_US
from tests.unit.definitions import Arrival, arrivals, delayed, departures

delay: Any = Arrival.delay


def test_a_label_keeps_its_settings() -> None:
    label = departures.label(
        arrivals,
        delay > 15,
        on={"flight_id": "flight_id", "dest": "dest"},
        after="1h",
        within="24h",
        otherwise=False,
        how="last",
    )
    assert (label.after_us, label.within_us, label.how, label.otherwise_value) == (HOUR_US, DAY_US, "last", 0.0)
    assert [key.canonical for key in label.asked_keys] == ["Departure.flight_id", "Departure.dest"]
    assert [key.canonical for key in label.event_keys] == ["Arrival.flight_id", "Arrival.dest"]
    assert (label.of, label.events) == (departures, arrivals)


def test_the_kind_of_the_answer_is_the_task() -> None:
    regression = departures.label(arrivals, Arrival.delay, on="flight_id", within="24h", otherwise=0.0)
    assert (delayed.value.kind, regression.value.kind, regression.value.unit) == ("bool", "number", "min")
    assert math.isnan(delayed.otherwise_value)


def test_that_an_event_came_is_the_shortest_answer() -> None:
    assert departures.label(arrivals, on="flight_id", within="1h", otherwise=False).answer.canonical == "True"


def test_an_answer_may_be_missing_since_such_an_event_is_none() -> None:
    label = departures.label(arrivals, Arrival.taxi, on="flight_id", within="1h", otherwise=hr.DROP)
    assert label.answer.missing
    assert not label.value.missing


def test_events_may_be_filtered_and_their_key_may_be_missing() -> None:
    filtered = arrivals.where(delay > 0)
    label = departures.label(filtered, on={"flight_id": "tail"}, within="1h", otherwise=False)
    assert label.sources == (departures, arrivals)
    assert "where((Arrival.delay > 0))" in label.canonical


def test_a_label_prints_as_the_code_that_makes_it() -> None:
    scope = {"hr": hr, "departures": departures, "arrivals": arrivals, "Arrival": Arrival}
    again = eval(repr(delayed), scope)
    assert again.canonical == delayed.canonical
