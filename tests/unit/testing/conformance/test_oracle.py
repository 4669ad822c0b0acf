from dataclasses import replace

from headrace.testing.conformance.definitions import (
    Decay,
    Definition,
    Feature,
    Hopping,
    LastN,
    Session,
    Sliding,
    Tumbling,
    Window,
)
from headrace.testing.conformance.events import Event
from headrace.testing.conformance.oracle import Oracle, in_window, verdicts
from headrace.testing.conformance.values import Record

HOUR_US = 3_600_000_000


def event(at_us: int, *, id: str = "", arrived_us: int | None = None, key: str = "a", value: float = 1.0) -> Event:
    return Event(
        id=id or f"{key}{at_us}",
        key=key,
        at_us=at_us,
        arrived_us=at_us if arrived_us is None else arrived_us,
        value=value,
    )


def counts(definition: Definition, *events: Event) -> list[float | None]:
    found = Oracle(definition).answers(events)
    return [None if row is None else row[0].value for row in found]


def inside(window: Window, now_us: int, *times_us: int, watermark_us: int = 0) -> list[int]:
    records = [Record(at_us, place, 1.0, None, None) for place, at_us in enumerate(times_us)]
    return [record.at_us for record in in_window(window, records, now_us, now_us, watermark_us)]


def test_a_window_begins_with_its_first_microsecond_and_ends_before_its_last() -> None:
    #  us   90   99  100        now 100, size 10
    #        x    x    -
    assert inside(Sliding(10), 100, 89, 90, 99, 100) == [90, 99]


def test_of_the_newest_those_before_the_bound_do_not_count() -> None:
    assert inside(LastN(2), 100, 10, 20, 30) == [20, 30]
    assert inside(LastN(2, 75), 100, 10, 20, 30) == [30]


def test_a_session_goes_back_to_the_first_silence_and_is_over_after_one() -> None:
    #  us   10       20 24   28      now 30, gap 4
    assert inside(Session(4, 100), 30, 10, 20, 24, 28) == [20, 24, 28]
    assert inside(Session(4, 100), 33, 10, 20, 24, 28) == []
    assert inside(Session(4, 7), 30, 10, 20, 24, 28) == [24, 28]


def test_a_closed_window_waits_for_the_watermark() -> None:
    #  us   0    10   20   30      now 35, size 10, every 10
    assert inside(Hopping(10, 10), 35, 5, 15, 25, 34, watermark_us=35) == [25]
    assert inside(Hopping(10, 10), 35, 5, 15, 25, 34, watermark_us=29) == [15]


def test_a_local_day_in_spring_has_23_hours() -> None:
    #  Berlin, 2026-03-29: midnight to midnight is 23:00 to 22:00 UTC
    midnight_us = 1_774_738_800_000_000
    records = [midnight_us - 1, midnight_us, midnight_us + 23 * HOUR_US - 1, midnight_us + 23 * HOUR_US]
    now_us = midnight_us + 30 * HOUR_US
    assert inside(Tumbling(24 * HOUR_US, "Europe/Berlin"), now_us, *records, watermark_us=now_us) == records[1:3]


def test_a_decay_ends_with_the_epoch_before_the_one_before() -> None:
    #  half-life 1 us: epochs of 32 us; now 100 is in [96, 128), so that [32, 100) counts
    assert inside(Decay(1), 100, 31, 32, 99, 100) == [32, 99]


def test_an_event_is_judged_by_those_that_arrived_before_it() -> None:
    definition = Definition(features=(), disorder_us=10, future_skew_us=100, duplicate_horizon_us=50)
    events = [
        event(100, id="1"),
        event(90, id="2"),
        event(89, id="3"),
        event(100, id="1"),
        event(700, id="4", arrived_us=599),
        event(100, id="5", value=float("inf")),
        event(200, id="6"),
        event(100, id="1", arrived_us=200),
    ]
    told = ["ok", "ok", "late", "duplicate", "future", "rejected", "ok", "late"]
    assert verdicts(definition, events) == told  # The last is a copy of what has been forgotten.


def test_what_is_late_counts_under_update_only_and_asks_under_update_only() -> None:
    definition = Definition(features=(Feature(aggregate="count", window=Sliding(100)),))
    events = [event(100), event(60), event(101)]
    assert counts(definition, *events) == [0.0, 0.0, 2.0]
    assert counts(replace(definition, late="drop"), *events) == [0.0, None, 1.0]


def test_what_is_complete_knows_what_came_later_but_happened_before() -> None:
    definition = Definition(features=(Feature(aggregate="count", window=Sliding(100)),))
    events = [event(100), event(60), event(101)]
    assert counts(replace(definition, truth="complete"), *events) == [1.0, 0.0, 2.0]


def test_of_one_moment_those_that_came_before_are_seen_with_the_event_itself() -> None:
    own = Definition(features=(Feature(aggregate="count", window=Sliding(9), include_current=True),))
    assert counts(own, event(50, id="1"), event(50, id="2"), event(50, key="b")) == [1.0, 2.0, 1.0]


def test_an_event_that_only_asks_is_not_a_record() -> None:
    definition = Definition(features=(Feature(aggregate="count", window=Sliding(9)),))
    assert counts(definition, replace(event(50), counts=False), event(51), event(52)) == [0.0, 0.0, 1.0]
