"""Expressions print as the code that makes them, know what may be missing, and keep what they are made of."""

from typing import Any, Final

import pytest

import headrace as hr
from headrace.core.expressions import Comparison, Expression, FieldColumn, expression_of
from tests.unit.definitions import Arrival, Departure, arrivals, carrier

miles: Any = Departure.distance
seats: Any = Departure.seats
taxi: Any = Arrival.taxi
tail: Any = Departure.tail
origin: Any = Departure.origin

SAMPLES: Final[dict[str, Expression]] = {
    "sum": miles + 1,
    "difference from the right": 1 - miles,
    "product from the right": 2 * miles,
    "quotient from the right": 1 / (miles + 1),
    "negative": -miles,
    "greater": miles > 5,
    "at least": miles >= 5,
    "less": miles < 5,
    "at most": miles <= 5,
    "equal": origin == "JFK",
    "not equal": origin != Departure.dest,
    "and": (miles > 5) & (miles < 9),
    "or from the right": True | (miles > 5),
    "not": ~(miles > 5),
    "fill": hr.fill(tail, "none"),
    "is_missing": hr.is_missing(tail),
    "isin": hr.isin(origin, ["JFK", "LGA"]),
    "between": hr.between(miles, 5, 9),
    "when": hr.when(miles > 5, miles, 0.0),
    "hour": hr.hour(Departure.at, tz="America/New_York"),
    "weekday": hr.weekday(Departure.at, tz="UTC"),
    "category": hr.category(origin, bits=4),
    "cross": hr.cross(origin, Departure.dest, bits=4),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_expression_prints_as_the_code_that_makes_it(name: str) -> None:
    made = SAMPLES[name]
    again = eval(repr(made), {"hr": hr, "Departure": Departure, "Arrival": Arrival})
    assert type(again) is type(made)
    assert again.canonical == made.canonical
    assert (again.kind, again.unit, again.missing) == (made.kind, made.unit, made.missing)


def test_expressions_with_different_values_have_different_texts() -> None:
    texts = [made.canonical for made in SAMPLES.values()]
    assert len(set(texts)) == len(texts)


def test_a_value_may_be_missing_where_anything_it_reads_may_be() -> None:
    missing = [
        taxi,
        taxi + 1,
        -taxi,
        taxi > 5,
        (taxi > 5) & (taxi < 9),
        ~(taxi > 5),
        hr.isin(taxi, [1.0]),
        hr.when(taxi > 5, 1.0, 2.0),
        hr.when(Departure.seats == 1, miles, None),
        hr.hour(Arrival.boarded, tz="UTC"),
        1 / miles,
        miles / seats,
        miles / 0,
    ]
    never = [
        miles,
        miles + 1,
        miles / 2,
        hr.fill(taxi, 0.0),
        hr.fill(taxi, None),
        hr.fill(miles / seats, 0.0),
        hr.is_missing(taxi),
        hr.category(tail, bits=4),
        hr.cross(tail, origin, bits=4),
    ]
    assert [repr(made) for made in missing if not made.missing] == []
    assert [repr(made) for made in never if made.missing] == []


def test_a_unit_stays_where_the_arithmetic_keeps_it() -> None:
    assert (miles + miles).unit == "mi"
    assert (-miles).unit == "mi"
    assert hr.fill(taxi, 0.0).unit == "min"
    assert (miles * miles).unit == ""
    assert (miles + seats).unit == ""
    assert carrier.mean(Arrival.delay, "1h", default=0.0).unit == "min"
    assert carrier.count("1h").unit == ""


def test_the_kind_says_what_can_be_computed_of_it() -> None:
    kinds = {name: made.kind for name, made in SAMPLES.items()}
    assert kinds["sum"] == kinds["hour"] == kinds["when"] == "number"
    assert kinds["and"] == kinds["equal"] == kinds["isin"] == "bool"
    assert kinds["fill"] == "text"
    assert kinds["category"] == kinds["cross"] == "category"
    assert hr.when(miles > 5, True, 0.5).kind == "number"


def test_walk_reaches_every_field_below() -> None:
    made = hr.when((miles > 5) & hr.isin(origin, ["JFK"]), hr.fill(miles / seats, 0.0), -miles)
    names = [node.name for node in made.walk() if isinstance(node, FieldColumn)]
    assert names == ["distance", "origin", "distance", "seats", "distance"]


def test_between_takes_both_ends_in() -> None:
    one, two = hr.between(miles, 5, 9).children
    assert isinstance(one, Comparison)
    assert isinstance(two, Comparison)
    assert (one.operator, two.operator) == (">=", "<=")


def test_equality_builds_a_comparison_and_a_hash_is_identity() -> None:
    assert isinstance(miles == miles, Comparison)  # noqa: PLR0124
    assert len({miles: 1, seats: 2, miles + 0: 3}) == 3


def test_a_number_prints_alike_whoever_made_it() -> None:
    import numpy  # noqa: ICN001, PLC0415 - a mistake is tried with the module as users name it

    assert expression_of(numpy.float64(0.5)).canonical == expression_of(0.5).canonical == "0.5"


def test_a_node_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        miles.name = "seats"


def test_the_history_of_a_column_that_may_be_missing_is_its_own() -> None:
    reads: Any = [
        carrier.mean(Arrival.delay, "1h", default=0.0),
        carrier.count("3h"),
        carrier.mean(Arrival.taxi, "1h", default=0.0),
        arrivals.where(taxi > 5).by("carrier").count("1h"),
    ]
    histories = [read.history for read in reads]
    assert histories[0] == histories[1]
    assert len(set(histories)) == 3
