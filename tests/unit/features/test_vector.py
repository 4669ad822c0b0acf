"""A vector names its features by rule, binds them to the request, and says how they are laid out."""

from datetime import datetime, timedelta
from types import new_class
from typing import Any

import pytest

import headrace as hr
from headrace.core.time import ENDED_US, HOUR_US
from headrace.features.aggregates import AggregateRead
from tests.unit.definitions import Arrival, Departure, arrivals, carrier, delayed, departures, risk

miles: Any = Departure.distance
dest = arrivals.by(Arrival.dest)


def name_of(feature: Any) -> str:
    (name,) = departures.vector("v", feature).features
    return name


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (Departure.distance, "distance"),
        ("distance", "distance"),
        (hr.hour(Departure.at, tz="UTC"), "hour_at"),
        (hr.weekday(Departure.at, tz="UTC"), "weekday_at"),
        (hr.category(Departure.tail, bits=4), "tail"),
        (hr.cross(Departure.origin, Departure.dest, bits=4), "origin_x_dest"),
        (hr.cross(Departure.origin, hr.hour(Departure.at, tz="UTC"), bits=4), "origin_x_hour_at"),
        (hr.fill(carrier.mean(Arrival.delay, "3h"), 0.0), "carrier_mean_delay_min_3h"),
        (carrier.mean(Arrival.delay, "24h", default=0.0), "carrier_mean_delay_min_24h"),
        (carrier.sum(Arrival.delay, timedelta(hours=2)), "carrier_sum_delay_min_2h"),
        (carrier.count("1h", offset="1d"), "carrier_count_1h_before_1d"),
        (carrier.count(hr.FOREVER), "carrier_count_forever"),
        (carrier.seconds_since("2d", default=None), "carrier_seconds_since_2d"),
        (arrivals.by("carrier", "dest").max(Arrival.taxi, "1h", default=None), "carrier_dest_max_taxi_min_1h"),
        (delayed.by(Departure.origin).mean(delayed.value, "28d", default=0.2), "origin_mean_label_28d"),
        (delayed.by(Departure.origin).count("28d"), "origin_count_28d"),
    ],
)
def test_a_feature_without_a_keyword_is_named_by_rule(feature: Any, name: str) -> None:
    assert name_of(feature) == name


def test_features_stand_in_the_order_in_which_they_are_written() -> None:
    assert list(risk.features) == ["distance", "carrier", "carrier_mean_delay_min_3h", "late"]


def test_the_blocks_hold_numbers_and_categories_apart_each_in_order() -> None:
    made = departures.vector(
        "v",
        hr.category(Departure.carrier, bits=6),
        Departure.distance,
        hr.cross(Departure.origin, Departure.dest, bits=10),
        far=miles > 1000,
    )
    blocks = made.blocks()
    assert (blocks.dense, blocks.categories, blocks.sizes) == (
        ("distance", "far"),
        ("carrier", "origin_x_dest"),
        (64, 1024),
    )


def test_left_out_equals_are_the_fields_of_the_same_names() -> None:
    given = departures.vector("v", n=arrivals.by(Arrival.dest, equals=Departure.dest).count("1h"))
    left_out = departures.vector("v", n=dest.count("1h"))
    assert repr(given) == repr(left_out)
    (read,) = left_out.aggregates()
    assert [key.canonical for key in read.equals] == ["Departure.dest"]


def test_other_equals_are_kept_and_shown() -> None:
    made = departures.vector("v", n=arrivals.by(Arrival.dest, equals=Departure.origin).count("1h"))
    (read,) = made.aggregates()
    assert [key.canonical for key in read.equals] == ["Departure.origin"]
    assert "equals=[Departure.origin]" in repr(made)


def test_aggregates_are_bound_wherever_they_stand_in_a_feature() -> None:
    counts = hr.when(dest.count("1h") > 5, hr.fill(dest.count("1h") / dest.count("24h"), 0.0), -dest.count("3h"))
    made = departures.vector(
        "v", a=counts, b=hr.cross(dest.count("1h"), Departure.origin, bits=4), c=~(dest.count("3h") > 1)
    )
    reads = [node for feature in made.features.values() for node in feature.walk() if isinstance(node, AggregateRead)]
    assert len(reads) == 6
    assert all(len(read.equals) == 1 for read in reads)
    assert [read.window_text for read in made.aggregates()] == ["1h", "24h", "3h"]


def test_a_window_is_kept_in_microseconds() -> None:
    (read,) = departures.vector("v", n=dest.count("3h", offset="1h", include_current=True)).aggregates()
    assert (read.window.reach_us, read.offset_us, read.include_current) == (3 * HOUR_US, HOUR_US, True)
    (read,) = departures.vector("v", n=dest.count(hr.FOREVER)).aggregates()
    assert read.window.reach_us == ENDED_US


def test_count_and_sum_start_at_zero_and_none_is_a_choice() -> None:
    made = departures.vector(
        "v", a=dest.count("1h"), b=dest.sum("delay", "1h"), c=dest.last("delay", "1h", default=None)
    )
    assert [(read.default, read.defaulted) for read in made.aggregates()] == [(0.0, True), (0.0, True), (None, True)]
    (read,) = departures.vector("v", a=hr.fill(dest.last("delay", "1h"), 1.0)).aggregates()
    assert (read.default, read.defaulted) == (None, False)


def test_conditions_of_a_stream_add_up() -> None:
    delay: Any = Arrival.delay
    stream = arrivals.where(delay > 0).where(delay < 60)
    assert repr(stream) == "arrivals.where(((Arrival.delay > 0) & (Arrival.delay < 60)))"
    assert stream.source is arrivals
    made = departures.vector("v", n=stream.by("dest").count("1h"))
    assert [source.name for source in made.streams()] == ["departures", "arrivals"]
    assert made.streams()[1] is arrivals


def test_the_fingerprint_of_an_aggregate_covers_it_and_the_fields_it_reads() -> None:
    def read(**changed: Any) -> AggregateRead:
        settings: dict[str, Any] = {"time": Arrival.at, **changed}
        stream = hr.source("arrivals", Arrival, **settings)
        (found,) = departures.vector("v", n=stream.by("dest").mean("delay", "1h", default=0.0)).aggregates()
        return found

    one = read()
    assert one.fingerprint == read().fingerprint
    assert one.fingerprint != read(disorder="1min").fingerprint
    assert one.fingerprint != read(late="drop").fingerprint
    other = departures.vector("v", n=dest.mean("delay", "2h", default=0.0), m=dest.mean("taxi", "1h", default=0.0))
    assert len({found.fingerprint for found in (one, *other.aggregates())}) == 3


def test_the_fingerprint_of_an_aggregate_changes_with_a_field_it_reads_and_with_no_other() -> None:
    def fingerprint(**fields: Any) -> str:
        hints = {"dest": str, "delay": float, "at": datetime, **fields}
        body = {"__annotations__": hints, "__module__": __name__}
        made: Any = new_class("Landing", (hr.Event,), {}, lambda namespace: namespace.update(body))
        stream: Any = hr.source("landings", made, time="at")
        (found,) = departures.vector("v", n=stream.by("dest").mean("delay", "1h", default=0.0)).aggregates()
        return str(found.fingerprint)

    assert fingerprint() == fingerprint(gate=str)
    assert fingerprint() != fingerprint(delay=int)
    assert fingerprint() != fingerprint(delay=float | None)


def test_a_label_feature_says_all_that_decides_the_label() -> None:
    def fingerprint(**changed: Any) -> str:
        settings: dict[str, Any] = {"on": "flight_id", "within": "24h", "otherwise": hr.DROP, **changed}
        label = departures.label(arrivals, Arrival.delay > 15, **settings)
        (found,) = departures.vector("v", n=label.by("origin").mean(label.value, "1h", default=0.0)).aggregates()
        return found.fingerprint

    variants: list[dict[str, Any]] = [
        {},
        {"within": "23h"},
        {"after": "1h"},
        {"otherwise": False},
        {"how": "last"},
        {"on": {"carrier": "carrier"}},
    ]
    assert len({fingerprint(**changed) for changed in variants}) == len(variants)
    assert fingerprint() == fingerprint(within=timedelta(days=1))
