"""What a user gets wrong in the first hour: each is refused where it stands, with the word to use instead."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pytest

import headrace as hr
from tests.unit.definitions import (
    Arrival,
    Departure,
    Recipe,
    arrivals,
    carrier,
    delayed,
    departures,
    risk,
)

landed = arrivals.label(departures, Departure.distance, on="flight_id", within="1h", otherwise=hr.DROP)
anonymous = hr.source("anonymous", Departure, time=Departure.at)
asked = anonymous.label(arrivals, Arrival.delay, on="flight_id", within="24h", otherwise=hr.DROP)
column: Any = Departure.carrier
number: Any = Departure.distance
arrival_status: Any = Arrival.status
arrival_delay: Any = Arrival.delay
arrival_at: Any = Arrival.at


def vector(*features: Any, **named: Any) -> Any:
    return departures.vector("v", *features, **named)


def pipeline(**changed: Any) -> Any:
    return hr.Pipeline("x", **{"features": risk, "label": delayed, "model": Recipe(), **changed})


def label(value: Any = arrival_delay > 15, **changed: Any) -> Any:
    return departures.label(arrivals, value, **{"on": "flight_id", "within": "24h", "otherwise": hr.DROP, **changed})


def source(**changed: Any) -> Any:
    return hr.source("s", Departure, **{"time": Departure.at, **changed})


def without_a_window() -> object:
    count: Any = carrier.count
    return count()


WRONG: Final[dict[str, tuple[Callable[[], object], str]]] = {
    # What Python's own words mean on a column.
    "and": (lambda: departures.where(number > 5 and number < 9), "& | ~"),
    "or": (lambda: departures.where(number > 5 or number < 9), "& | ~"),
    "not": (lambda: departures.where(not number > 5), "& | ~"),
    "a chained comparison": (lambda: departures.where(5 < number < 9), "hr.between"),
    "if": (lambda: 1 if number > 5 else 2, "& | ~"),
    "a column in a list": (lambda: departures.where(column in ("AA", "UA")), "hr.isin"),
    "a value in a column": (lambda: departures.where("A" in column), "hr.isin"),
    "a loop over a column": (lambda: list(column), "hr.isin"),
    "a method": (
        lambda: departures.where(column.startswith("A")),
        "hr.starts_with(x, ...), got .startswith of a column",
    ),
    "a method of pandas": (lambda: column.fillna(0), "hr.fill(x, ...), got .fillna of a column"),
    "an unknown method": (lambda: column.frobnicate("x"), "or a @hr.function"),
    "a function of math": (lambda: math.log(number), "float() of a column"),
    "a function of NumPy": (lambda: np.log(number), "hr.log(x)"),
    "another function of NumPy": (lambda: np.arctan(number), "a @hr.function"),
    "where of NumPy": (lambda: np.where(number > 5, 1, 0), "hr.when(x, ...), got np.where of a column"),
    "a power": (lambda: number**2, "hr.power(x, exponent)"),
    "a remainder": (lambda: number % 7, "hr.cyclical(x, period)"),
    "a whole division": (lambda: number // 7, "hr.floor(x / n)"),
    "abs()": (lambda: abs(number), "hr.abs(x)"),
    "round()": (lambda: round(number, 2), "hr.round(x, ...)"),
    "math.floor()": (lambda: math.floor(number), "hr.floor(x)"),
    "len()": (lambda: len(column), "hr.length(x)"),
    "a slice of a text": (lambda: column[:2], "a field of several numbers"),
    "NumPy's scalar before a column": (lambda: np.float64(2) * number, "plain numbers"),
    "int()": (lambda: int(number), "float() of a column"),
    "an f-string": (lambda: departures.by(f"{column}-x"), "hr.cross"),
    "str()": (lambda: departures.by(str(column)), "repr()"),
    "is None": (lambda: departures.where(Departure.tail is None), "hr.is_missing"),
    "== None": (lambda: departures.where(Departure.tail == None), "hr.is_missing"),  # noqa: E711
    # Columns that do not exist, or are of another kind.
    "a misspelt field of a class": (lambda: Departure.distence, "did you mean 'distance'?"),  # type: ignore[attr-defined]
    "a misspelt field in by()": (lambda: departures.by("carier"), "did you mean 'carrier'?"),
    "a field of another class in by()": (lambda: departures.by(Arrival.carrier), "columns of Departure"),
    "a field of another class in where()": (lambda: departures.where(arrival_delay > 1), "columns of Departure"),
    "a field of another class in a vector": (lambda: vector(Arrival.delay), "columns of Departure"),
    "a misspelt choice": (lambda: arrivals.where(arrival_status == "canceled"), "did you mean 'cancelled'?"),
    "a misspelt choice in isin": (lambda: hr.isin(Arrival.status, ["landd"]), "did you mean 'landed'?"),
    "a misspelt choice in fill": (lambda: hr.fill(Arrival.status, "landd"), "did you mean 'landed'?"),
    "texts are added": (lambda: column + column, "a number or a bool"),
    "a text is added": (lambda: number + "1", "a number or a bool"),
    "texts are ordered": (lambda: column > "A", "between which > is defined"),
    "a text is compared with a number": (lambda: column == 5, "between which == is defined"),
    "a datetime is compared": (lambda: arrivals.where(Arrival.at > datetime(2026, 1, 1)), "a column, a number"),  # noqa: DTZ001
    "ids are compared": (lambda: hr.category(column, bits=4) == hr.category(column, bits=4), "a category"),
    "ids are hashed again": (lambda: hr.category(hr.category(column, bits=4), bits=4), "which is a category"),
    "numbers are joined with &": (lambda: number & (number > 5), "a bool"),
    "a number is inverted": (lambda: ~number, "a bool"),
    "a text is negated": (lambda: -column, "a number"),
    "hour of a text": (lambda: hr.hour(column, tz="UTC"), "a time"),
    "a zone that does not exist": (lambda: hr.hour(Departure.at, tz="Europe/Bärlin"), "a time zone"),
    "a zone that is a number": (lambda: hr.hour(Departure.at, tz=number), "a text"),
    "a zone that is nothing": (lambda: hr.hour(Departure.at, tz=None), "a time zone"),
    "a time less a number": (lambda: arrival_at - 5, "a number or a bool"),
    "a period of a time as a number": (lambda: hr.cyclical(Arrival.at, 24, tz="UTC"), "a duration such as"),
    "a period of a time without a zone": (lambda: hr.cyclical(Arrival.at, "1d"), 'tz="Europe/Berlin"'),
    "words of a number": (lambda: hr.words(number, bits=4), "a text"),
    "words in a condition": (lambda: departures.where(hr.words(column, bits=4)), "a condition"),
    "cross of one": (lambda: hr.cross(column, bits=4), "two columns or more"),
    "too many bits": (lambda: hr.category(column, bits=40), "from 1 to 28"),
    "fill with another kind": (lambda: hr.fill(Departure.tail, 0), "a value for a text"),
    "fill of a time": (lambda: hr.fill(Arrival.boarded, 0), "to fill"),
    "isin with a text": (lambda: hr.isin(column, "AA"), "a list of texts"),
    "isin with another kind": (lambda: hr.isin(column, ["AA", 5]), "values that are each a text"),
    "isin with nothing": (lambda: hr.isin(column, []), "at least one value"),
    "when of a text and a number": (lambda: hr.when(number > 5, "far", 0), "two numbers or two texts"),
    "a function of a constant": (lambda: hr.is_missing(5), "a column"),
    # Aggregates.
    "count without a window": (without_a_window, "window"),
    "mean of a text": (lambda: carrier.mean(Arrival.dest, "1h"), "which is a text"),
    "a misspelt column": (lambda: carrier.mean("dealy", "1h"), "did you mean 'delay'?"),
    "a column of the request": (lambda: carrier.mean(Departure.distance, "1h"), "columns of Arrival"),
    "a bad duration": (lambda: carrier.count("1hr"), "a duration such as"),
    "a bare number as a window": (lambda: carrier.count(3600), "a duration such as"),  # type: ignore[arg-type]
    "a window of nothing": (lambda: carrier.count("0s"), "longer than nothing"),
    "a negative window": (lambda: carrier.count(timedelta(hours=-1)), "not negative"),
    "a bad offset": (lambda: carrier.count("1h", offset="a day"), "a duration such as"),
    "prior without default": (lambda: carrier.mean(Arrival.delay, "1h", prior=5), "toward which prior="),
    "prior toward NaN": (lambda: carrier.mean(Arrival.delay, "1h", prior=5, default=None), "toward which prior="),
    "a negative prior": (lambda: carrier.mean(Arrival.delay, "1h", prior=-1, default=0.0), "0 or more"),
    "a default that is NaN": (lambda: carrier.mean(Arrival.delay, "1h", default=math.nan), "None for NaN"),
    "a default that is a text": (lambda: carrier.last(Arrival.delay, "1h", default="x"), "a finite number"),  # type: ignore[arg-type]
    "no key": (arrivals.by, "at least one column"),
    "no room for keys": (lambda: arrivals.by("carrier", max_keys=0), "at least 1"),
    "two keys, one equal": (lambda: arrivals.by("carrier", "dest", equals=Departure.origin), "one a key"),
    "equals by name": (lambda: arrivals.by("carrier", equals="carrier"), "columns of the request"),
    "an aggregate in a condition": (lambda: arrivals.where(carrier.count("1h") > 5), "by itself"),
    "an aggregate of an aggregate": (lambda: carrier.mean(carrier.count("1h"), "1h"), "by itself"),
    "a condition that is a number": (lambda: arrivals.where(Arrival.delay), "a condition"),
    # Vectors.
    "a feature without a default": (lambda: vector(carrier.mean(Arrival.delay, "1h")), "default="),
    "seconds without a default": (lambda: vector(carrier.seconds_since("1h")), "default="),
    "a text": (lambda: vector(Departure.carrier), "hr.category"),
    "an optional text": (lambda: vector(Departure.tail), "hr.category"),
    "a time": (lambda: vector(Departure.at), "which is a time"),
    "a constant": (lambda: vector(5), "the constant 5"),
    "two features of one name": (lambda: vector(Departure.distance, Departure.distance), "a name of its own"),
    "a division without fill": (lambda: vector(rate=number / carrier.count("1h")), "hr.fill"),
    "a feature that needs a name": (lambda: vector(number * 2), "a keyword that names it"),
    "a name with an underscore first": (lambda: vector(_x=number), "a letter first"),
    "a key that the request lacks": (
        lambda: vector(arrivals.by(arrival_delay > 15).count("1h")),
        "equals=...",
    ),
    "a key of another kind": (
        lambda: vector(n=arrivals.by(Arrival.carrier, equals=Departure.seats).count("1h")),
        "a key of the request that is a text",
    ),
    "equals of another class": (
        lambda: vector(n=arrivals.by(Arrival.carrier, equals=Arrival.dest).count("1h")),
        "columns of Departure",
    ),
    "the answer itself": (lambda: vector(leak=delayed.value), "what is known before the answer"),
    "the answer in arithmetic": (lambda: vector(leak=delayed.value * 2), "what is known before the answer"),
    "no feature": (vector, "at least one feature"),
    "a vector of a filtered stream": (
        lambda: departures.where(number > 5).vector("v", Departure.distance),
        "a source that asks",
    ),
    # Labels.
    "a key that the events lack": (lambda: label(on="origin"), "a field of Arrival"),
    "a misspelt key": (lambda: label(on="fligth_id"), "did you mean 'flight_id'?"),
    "a key that may be missing": (lambda: label(on="tail"), "every request has"),
    "keys of two kinds": (lambda: label(on={"flight_id": "delay"}), "an event's text"),
    "no key to find it by": (lambda: label(on={}), "the field that request and event share"),
    "an answer from the request": (lambda: label(number > 5), "columns of Arrival"),
    "an answer that is a text": (lambda: label(Arrival.dest), "a condition or a number"),
    "an answer that is no column": (lambda: label("delay"), "a column of Arrival"),
    "a window that ends first": (lambda: label(after="1h", within="1h"), "more than after="),
    "an unknown how": (lambda: label(how="sum"), "'first' or 'last'"),
    "another kind otherwise": (lambda: label(otherwise=0.5), "True, False or hr.DROP"),
    "NaN otherwise": (lambda: label(Arrival.delay, otherwise=math.nan), "a number or hr.DROP"),
    "a label of a label": (lambda: departures.label(delayed, on="flight_id", within="1h", otherwise=False), "events"),  # type: ignore[arg-type]
    "another label's value": (
        lambda: delayed.by("origin").mean(landed.value, "1h", default=0.0),
        "this label's own .value",
    ),
    "a request's field over the label": (
        lambda: delayed.by("origin").mean(Departure.distance, "1h", default=0.0),
        "this label's own .value",
    ),
    # Sources.
    "a time that is a text": (lambda: source(time=Departure.carrier), "a datetime field"),
    "no time": (lambda: source(time=None), "a datetime field"),
    "a time that may be missing": (lambda: hr.source("s", Arrival, time=Arrival.boarded), "never None"),
    "an id that is a number": (lambda: source(id=Departure.distance), "a text field"),
    "an unknown late policy": (lambda: source(late="wait"), "'update', 'aside' or 'drop'"),
    "a source with the engine's name": (lambda: hr.source("tick", Departure, time=Departure.at), "another word"),
    "a source with a dash": (lambda: hr.source("air-port", Departure, time=Departure.at), "letters, digits"),
    "no event class": (lambda: hr.source("s", dict, time="at"), "hr.Event"),  # type: ignore[type-var]
    # Pipelines.
    "a label of another stream": (lambda: pipeline(label=landed), "a label of 'departures'"),
    "a type as a model": (lambda: pipeline(model=dict), "a recipe"),
    "a recipe's class": (lambda: pipeline(model=Recipe), "a recipe"),
    "a number as a model": (lambda: pipeline(model=5), "a recipe"),
    "a model without a text": (lambda: pipeline(model=_Nameless()), "prints as the code"),
    "a source as features": (lambda: pipeline(features=departures), "a vector"),
    "events as a label": (lambda: pipeline(label=arrivals), "a label"),
    "a name as a detector": (lambda: pipeline(watch=["features"]), "detectors"),
    "a name as a sink": (lambda: pipeline(act=["holds"]), "hr.sink"),
    "two sinks of one name": (lambda: pipeline(act=[hr.sink("a"), hr.sink("a")]), "each name once"),
    "no seed": (lambda: pipeline(seed=None), "a whole number"),
    "requests without an id": (
        lambda: pipeline(features=anonymous.vector("v", Departure.distance), label=asked),
        "finds its request by it",
    ),
    "two sources of one name": (
        lambda: pipeline(
            features=departures.vector(
                "v", n=hr.source("arrivals", Arrival, time=Arrival.at).by(Arrival.dest).count("1h")
            )
        ),
        "each name once",
    ),
    "a pipeline with a dash": (lambda: hr.Pipeline("a-b", features=risk, label=delayed, model=Recipe()), "letters"),
    "a feature of another label": (
        lambda: pipeline(
            features=departures.vector(
                "v",
                m=departures.label(arrivals, Arrival.delay, on="flight_id", within="1h", otherwise=hr.DROP)
                .by(Departure.origin)
                .count("1h"),
            )
        ),
        "the pipeline's own label",
    ),
    # Settings.
    "no time to answer": (lambda: hr.Serve(deadline="0s"), "more than nothing"),
    "no fallback": (lambda: hr.Serve(fallback=[]), "hr.Constant"),
    "a number as a fallback": (lambda: hr.Serve(fallback=[0.2]), "hr.Constant"),  # type: ignore[list-item]
    "a fallback that is NaN": (lambda: hr.Constant(math.nan), "a finite score"),
    "a pace below a second": (lambda: hr.Learn(every="10ms"), "1s or more"),
    "a sink with a number": (lambda: hr.sink("a", when=hr.Prediction.score), "a condition"),
    "a sink with a constant": (lambda: hr.sink("a", when=True), "a condition"),
    "a sink over another class": (lambda: hr.sink("a", when=number > 5), "columns of hr.Prediction"),
}


class _Nameless:
    def __call__(self, columns: object, seed: int) -> None: ...


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_refused_where_it_stands_with_the_way_out(mistake: str) -> None:
    mistaken, remedy = WRONG[mistake]
    error: Exception
    if mistake == "count without a window":  # Python itself refuses a missing argument.
        with pytest.raises(TypeError, match=remedy):
            mistaken()
        return
    with pytest.raises(hr.ConfigError) as caught:
        mistaken()
    error = caught.value
    assert remedy in str(error)
    assert "wanted" in str(error)
    assert "got" in str(error)


def test_arithmetic_of_a_field_that_may_be_missing_is_legal_where_a_default_is_given() -> None:
    read = arrivals.by(Arrival.carrier).mean(hr.fill(Arrival.taxi, 0.0) * 2, "1h", default=0.0)
    sparse: Any = Arrival.taxi
    assert not read.missing
    assert not arrivals.by(Arrival.carrier).mean(sparse * 2, "1h", default=0.0).missing
