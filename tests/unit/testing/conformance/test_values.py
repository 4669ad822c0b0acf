import math
import random
import statistics

import pytest

from headrace.testing.conformance.definitions import Decay, Feature, Forever, Hopping, Sliding
from headrace.testing.conformance.values import Record, Wanted, exact_sum, wanted

SECOND_US = 1_000_000


def records(*values: float, category: str | None = "c") -> list[Record]:
    return [Record(place * SECOND_US, place, value, value * 10, category) for place, value in enumerate(values)]


def value(aggregate: str, *values: float, window: object = Forever(), **parameters: float) -> float | None:
    feature = Feature(aggregate=aggregate, window=window, parameters=parameters)  # type: ignore[arg-type]
    return wanted(feature, records(*values), len(values) * SECOND_US).value


def test_a_sum_is_rounded_once_and_so_cancels_exactly() -> None:
    assert exact_sum([1e16, 1.0, -1e16, 1.0]) == 2.0
    assert exact_sum([0.1] * 10) == 1.0
    assert exact_sum([1.7e308, 1.7e308]) == math.inf
    assert exact_sum([]) == 0.0


def test_moments_are_those_of_the_textbook() -> None:
    draw = random.Random(1)
    values = [draw.gauss(3.0, 2.0) for _ in range(50)]
    mean, spread = statistics.fmean(values), statistics.pstdev(values)
    third = sum((one - mean) ** 3 for one in values) / len(values)
    assert value("mean", *values) == pytest.approx(mean, rel=1e-15)
    assert value("var", *values) == pytest.approx(statistics.variance(values), rel=1e-13)
    assert value("std", *values) == pytest.approx(statistics.stdev(values), rel=1e-13)
    assert value("skew", *values) == pytest.approx(third / spread**3, rel=1e-10)


def test_the_variance_of_numbers_near_a_billion_keeps_its_digits() -> None:
    assert value("var", 1e9 + 0.25, 1e9 + 0.5, 1e9 + 0.75) == 0.0625


def test_what_has_no_value_has_none() -> None:
    assert value("var", 1.0) is None
    assert value("skew", 2.0, 2.0) is None
    assert value("trend", 2.0) is None
    assert all(value(aggregate) is None for aggregate in ("mean", "min", "max", "range", "first", "last", "argmax"))
    assert all(value(aggregate) == 0.0 for aggregate in ("count", "sum", "distinct", "entropy"))


def test_a_trend_is_the_slope_a_second() -> None:
    assert value("trend", 1.0, 3.0, 5.0) == 2.0


def test_of_several_extremes_the_newest_is_meant() -> None:
    #  s       0    1    2    3
    #  value   1    5    1    5
    found = [Record(at, at, one, float(at), None) for at, one in enumerate((1.0, 5.0, 1.0, 5.0))]
    assert wanted(Feature(aggregate="argmax", window=Forever()), found, 4).value == 3.0
    assert wanted(Feature(aggregate="argmin", window=Forever()), found, 4).value == 2.0


def test_a_quantile_is_the_value_of_that_rank_within_its_slack() -> None:
    feature = Feature(aggregate="quantile", window=Forever(), parameters={"q": 0.5})
    found = wanted(feature, records(1.0, 2.0, 64.0, 9.0), 9)
    assert found.value == 2.0
    assert found.allows(2.0 + 2.0 / 128)
    assert not found.allows(2.02)


def test_categories_are_counted() -> None:
    found = [Record(place, place, None, None, one) for place, one in enumerate("aabc")]
    told = {name: wanted(Feature(aggregate=name, window=Forever()), found, 9).value for name in _OF_CATEGORIES}
    assert told == {"distinct": 3.0, "entropy": 1.5, "top_share": 0.5}


_OF_CATEGORIES = ("distinct", "entropy", "top_share")


def test_a_weight_halves_with_every_half_life() -> None:
    #  s   0    1    2    3 (now)   half-life 1 s: weights 1/8, 1/4, 1/2
    decay = Decay(SECOND_US)
    assert value("count", 8.0, 4.0, 2.0, window=decay) == 0.875
    assert value("sum", 8.0, 4.0, 2.0, window=decay) == 3.0
    assert value("mean", 8.0, 4.0, 2.0, window=decay) == 3.0 / 0.875


def test_a_rate_is_the_count_over_the_length_of_the_window() -> None:
    assert value("rate", 1.0, 2.0, 3.0, window=Sliding(2 * SECOND_US)) == 1.5
    assert value("rate", 1.0, 2.0, 3.0, window=Hopping(6 * SECOND_US, SECOND_US)) == 0.5


def test_a_prior_is_that_many_records_more() -> None:
    assert value("mean", 4.0, prior=3.0, default=0.0) == 1.0
    assert value("mean", prior=3.0, default=2.0) == 2.0


def test_nothing_but_the_value_is_allowed_where_there_is_no_slack() -> None:
    assert Wanted(1.0).allows(1.0)
    assert not Wanted(1.0).allows(math.nextafter(1.0, 2.0))
    assert Wanted(0.0).allows(-0.0)
    assert Wanted(None).allows(math.nan)
    assert not Wanted(None).allows(0.0)
    assert not Wanted(0.0).allows(None)
