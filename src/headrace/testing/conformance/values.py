"""Aggregates by definition, in plain Python on exact fractions; nothing of an engine is used here.

Each returns the wanted value with the slack that is allowed around it. Where the slack is 0 the value is promised to
the last bit, and the docstring says what is rounded, and when. To round is to take the nearest float64, ties to even.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final, final

from headrace.testing.conformance.definitions import Decay, Feature, Hopping, Sliding
from headrace.testing.conformance.events import Value

__all__ = ["Record", "Wanted", "exact_sum", "wanted"]

_RELATIVE: Final = 1e-12
"""The slack of what takes a root or a power: twelve digits."""
_ENTROPY: Final = 1e-9
_QUANTILE: Final = 1 / 128
_LEAST: Final = 2.0**-1028
"""The slack of a quantile among the subnormal numbers, of which buckets cannot be as narrow."""
_PRECISE: Final = Context(prec=60)
_SECOND_US: Final = 1_000_000


@final
@dataclass(frozen=True, slots=True)
class Record:
    """A record of a window: its time, its place in the log, and its fields."""

    at_us: int
    place: int
    value: float | None
    other: float | None
    category: str | None


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """A value, None for none, and how far from it an engine may be."""

    value: Value
    slack: float = 0.0

    def allows(self, given: Value) -> bool:
        """Return whether a given value is this one; both zeros are one value."""
        if isinstance(self.value, str) or isinstance(given, str):
            return self.value == given
        if self.value is None or given is None or math.isnan(given):
            return self.value is None and (given is None or math.isnan(given))
        return given == self.value or abs(given - self.value) <= self.slack


def wanted(feature: Feature, records: Sequence[Record], now_us: int) -> Wanted:
    """Return the aggregate of the records of a window, oldest first, seen from `now_us` = t - offset.

    Records without the field that is looked at have been left out.
    """
    if isinstance(feature.window, Decay):
        return _decayed(feature, records, now_us, feature.window.half_life_us)
    if feature.aggregate == "count":
        return Wanted(float(len(records)))
    if feature.aggregate == "rate" and isinstance(feature.window, Sliding | Hopping):
        return Wanted(len(records) / (feature.window.size_us / _SECOND_US))
    if feature.aggregate == "seconds_since":
        newest = records[-1].at_us if records else 0
        return Wanted((now_us + feature.offset_us - newest) / _SECOND_US if records else None)
    if feature.field == "category":
        return _of_categories(feature, [record.category or "" for record in records])
    if feature.aggregate in ("argmax", "argmin"):
        return Wanted(_at_extreme(feature.aggregate, records))
    if feature.aggregate == "trend":
        return _trend(records)
    return _of_values(feature, [record.value for record in records if record.value is not None])


def exact_sum(values: Sequence[float]) -> float:
    """Return the sum, rounded once; an infinity if it is beyond the greatest float64."""
    return _rounded(sum((Fraction(value) for value in values), Fraction(0)))


def _of_values(feature: Feature, values: Sequence[float]) -> Wanted:
    count = len(values)
    match feature.aggregate:
        case "sum":
            return Wanted(exact_sum(values))
        case "mean":
            return Wanted(_mean(values, feature.parameters.get("prior", 0.0), feature.parameters.get("default", 0.0)))
        case "var":
            return Wanted(_variance(values))
        case "std":
            variance = _variance(values)
            return Wanted(None if variance is None else math.sqrt(variance))
        case "skew":
            return _skew(values)
    if not count:
        return Wanted(None)
    match feature.aggregate:
        case "min":
            return Wanted(min(values))
        case "max":
            return Wanted(max(values))
        case "range":
            return Wanted(max(values) - min(values))
        case "first":
            return Wanted(values[0])
        case "last":
            return Wanted(values[-1])
        case "last_k":
            rank = feature.parameters["rank"]
            return Wanted(values[-rank] if rank <= count else None)
        case "quantile":
            place = max(math.ceil(Fraction(feature.parameters["q"]) * count), 1)
            middle = sorted(values)[place - 1]
            return Wanted(middle, max(abs(middle) * _QUANTILE, _LEAST))
    raise ValueError(f"no definition of {feature.aggregate!r}")


def _mean(values: Sequence[float], prior: float, default: float) -> float | None:
    """Return the exact sum, rounded, over the count; a prior is that many further records of the default value."""
    if prior:
        return (exact_sum(values) + prior * default) / (len(values) + prior)
    return exact_sum(values) / len(values) if values else None


def _variance(values: Sequence[float]) -> float | None:
    """Return (n sum of squares - square of the sum), exact and rounded once, over n (n - 1); none of one value."""
    count = len(values)
    if count < 2:
        return None
    exact = [Fraction(value) for value in values]
    above = count * sum((value * value for value in exact), Fraction(0)) - sum(exact, Fraction(0)) ** 2
    return _rounded(above) / (count * (count - 1))


def _skew(values: Sequence[float]) -> Wanted:
    """Return Fisher and Pearson's g1 = m3 / m2 ** 1.5 of the moments about the mean, within twelve digits.

    None where all values are the same, or there is none.
    """
    exact = [Fraction(value) for value in values]
    if len(set(exact)) < 2:
        return Wanted(None)
    mean = sum(exact, Fraction(0)) / len(exact)
    second = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / len(exact)
    third = sum(((value - mean) ** 3 for value in exact), Fraction(0)) / len(exact)
    square = third * third / second**3
    root = _PRECISE.sqrt(_PRECISE.divide(Decimal(square.numerator), Decimal(square.denominator)))
    value = -float(root) if third < 0 else float(root)
    return Wanted(value, _RELATIVE * max(abs(value), 1e-3))


def _trend(records: Sequence[Record]) -> Wanted:
    """Return the slope of the least-squares line of the values over event time, a second, within twelve digits."""
    points = [(Fraction(record.at_us), Fraction(record.value)) for record in records if record.value is not None]
    count = len(points)
    times, values = sum((t for t, _ in points), Fraction(0)), sum((x for _, x in points), Fraction(0))
    below = count * sum((t * t for t, _ in points), Fraction(0)) - times * times
    if below == 0:
        return Wanted(None)
    above = count * sum((t * x for t, x in points), Fraction(0)) - times * values
    value = _rounded(above / below * _SECOND_US)
    return Wanted(value, _RELATIVE * abs(value))


def _at_extreme(aggregate: str, records: Sequence[Record]) -> float | None:
    """Return `other` where the value is greatest, or least; of several, of the newest."""
    found: Record | None = None
    for record in records:
        if record.value is None:
            continue
        sign = 1 if aggregate == "argmax" else -1
        if found is None or found.value is None or sign * record.value >= sign * found.value:
            found = record
    return None if found is None else found.other


def _of_categories(feature: Feature, categories: Sequence[str]) -> Wanted:
    counts = sorted(Counter(categories).values(), reverse=True)
    count = len(categories)
    match feature.aggregate:
        case "distinct":
            return Wanted(float(len(counts)))
        case "counts":
            return Wanted(float(categories.count(feature.parameters["of"])))
        case "top":
            last = {category: place for place, category in enumerate(categories)}
            ranked = sorted(last, key=lambda one: (-categories.count(one), -last[one]))
            rank = feature.parameters["rank"]
            return Wanted(ranked[rank - 1] if rank <= len(ranked) else None)
        case "top_share":
            top = sum(counts[: int(feature.parameters.get("k", 1))])
            return Wanted(top / count if count else None)
        case "entropy":
            # In bits: the logarithm of n less the mean of the logarithms of the counts.
            return Wanted(-sum(one / count * math.log2(one / count) for one in counts) + 0.0, _ENTROPY)
    raise ValueError(f"no definition of {feature.aggregate!r}")


def _decayed(feature: Feature, records: Sequence[Record], now_us: int, half_life_us: int) -> Wanted:
    """Return the weighted count, sum or mean, within twelve digits of what would be lost by cancellation."""
    weights = [2.0 ** -((now_us - record.at_us) / half_life_us) for record in records]
    if feature.aggregate == "count":
        total = exact_sum(weights)
        return Wanted(total, _RELATIVE * total)
    parts = [weight * (record.value or 0.0) for weight, record in zip(weights, records, strict=True)]
    total, size = exact_sum(parts), exact_sum([abs(part) for part in parts])
    if feature.aggregate == "sum":
        return Wanted(total, _RELATIVE * size)
    return Wanted(total / exact_sum(weights), _RELATIVE * size / exact_sum(weights)) if records else Wanted(None)


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
