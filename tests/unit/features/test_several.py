"""Several columns under one name: a vector spreads them, and nothing else takes them."""

from collections.abc import Callable
from typing import Any

import pytest

import headrace as hr
from headrace.core.expressions import Several
from tests.unit.definitions import Arrival, Departure, arrivals, departures

miles: Any = Departure.distance
pair: Any = Several((("far", miles), ("near", -miles)), miles)


def names_of(*features: Any, **named: Any) -> list[str]:
    return list(departures.vector("v", *features, **named).features)


def test_each_part_is_a_feature_with_its_suffix_in_the_place_of_the_whole() -> None:
    made = departures.vector("v", hr.category(Departure.carrier, bits=4), two=pair, far=miles > 5)
    assert list(made.features) == ["carrier", "two_far", "two_near", "far"]
    assert made.features["two_near"].canonical == "-Departure.distance"
    assert made.blocks().dense == ("two_far", "two_near", "far")


def test_without_a_keyword_the_names_begin_with_what_the_parts_are_made_of() -> None:
    assert names_of(pair) == ["distance_far", "distance_near"]


def test_parts_that_nothing_names_name_themselves() -> None:
    dest = arrivals.by(Arrival.dest)
    counts = Several((("1", dest.count("1h")), ("2", dest.count("2h"))))
    assert names_of(counts) == ["dest_count_1h", "dest_count_2h"]
    assert names_of(n=counts) == ["n_1", "n_2"]


def test_aggregates_are_bound_in_every_part() -> None:
    dest = arrivals.by(Arrival.dest)
    made = departures.vector("v", n=Several((("1", dest.count("1h")), ("2", dest.count("2h") * 2))))
    assert [len(read.equals) for read in made.aggregates()] == [1, 1]


def test_a_part_that_may_be_missing_is_refused_by_its_name() -> None:
    dest = arrivals.by(Arrival.dest)
    late: Any = dest.mean(Arrival.delay, "1h")
    with pytest.raises(hr.ConfigError, match="feature 'n_2': wanted a default"):
        departures.vector("v", n=Several((("1", dest.count("1h")), ("2", late))))


REFUSED: dict[str, Callable[[], object]] = {
    "a sum": lambda: pair + 1,
    "a sum with it on the right": lambda: 1 - pair,
    "a comparison": lambda: pair > 1,
    "two of them compared": lambda: pair == pair,  # noqa: PLR0124 - the two are columns
    "a negative": lambda: -pair,
    "an opposite": lambda: ~pair,
    "one of some": lambda: hr.isin(pair, [1]),
    "a choice": lambda: hr.when(miles > 1, pair, pair),
    "a condition": lambda: hr.when(pair, 1, 2),
    "a cross": lambda: hr.cross(pair, miles, bits=4),
    "a filter": lambda: departures.where(pair),
    "a key": lambda: departures.vector("v", n=departures.by(pair).count("1h")),
    "an aggregate": lambda: departures.vector("v", n=departures.by("carrier").mean(pair, "1h", default=0.0)),
    "a part of another": lambda: Several((("a", pair),)),
}


@pytest.mark.parametrize("mistaken", REFUSED.values(), ids=REFUSED.keys())
def test_nothing_but_a_vector_takes_several_columns(mistaken: Callable[[], object]) -> None:
    with pytest.raises(hr.ConfigError, match="several"):
        mistaken()


def test_a_suffix_stands_once_and_there_is_a_part() -> None:
    with pytest.raises(hr.ConfigError, match="a suffix of its own for each column"):
        Several((("a", miles), ("a", miles)))
    with pytest.raises(hr.ConfigError, match="at least one column"):
        Several(())
