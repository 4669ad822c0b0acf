"""Variance, skewness and trend by definition, over `fractions.Fraction`. Imports nothing of ours."""

import math
from collections.abc import Sequence
from fractions import Fraction


def nearest(number: Fraction) -> float:
    """Return the float64 nearest to a number, an infinity beyond the range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def spread(values: Sequence[float]) -> Fraction:
    """Return n * (sum of squares) - (sum)**2, which is n (n - 1) variances."""
    exact = [Fraction(value) for value in values]
    return len(exact) * sum((value * value for value in exact), Fraction(0)) - sum(exact, Fraction(0)) ** 2


def variance(values: Sequence[float]) -> float:
    """Return the sample variance: the nearest float to `spread`, over n (n - 1); NaN of one value or none."""
    count = len(values)
    return nearest(spread(values)) / (count * (count - 1)) if count > 1 else math.nan


def bare(number: Fraction) -> tuple[float, int]:
    """Return m and an even e so that m * 4**(e / 2) is nearest to a number with 53 bits, and 1 <= |m| < 4."""
    exponent = 0
    if number:
        exponent = number.numerator.bit_length() - number.denominator.bit_length()
        exponent -= exponent % 2
        while abs(number) / Fraction(2) ** exponent >= 4:
            exponent += 2
        while abs(number) / Fraction(2) ** exponent < 1:
            exponent -= 2
    return float(number / Fraction(2) ** exponent), exponent


def skewness(values: Sequence[float]) -> float:
    """Return m3 / m2**1.5 of the moments about the mean; n**3 m3 and n**2 m2 are rounded to 53 bits each."""
    if not values:
        return math.nan
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    third = len(exact) ** 2 * sum(((value - mean) ** 3 for value in exact), Fraction(0))
    second = spread(values)
    if not second:
        return math.nan
    upper, upper_exponent = bare(third)
    lower, lower_exponent = bare(second)
    ratio = upper / (lower * math.sqrt(lower))
    return math.ldexp(ratio, upper_exponent - 3 * lower_exponent // 2) + 0.0  # There is one zero.


def trend(times: Sequence[int], values: Sequence[float]) -> float:
    """Return the slope of the line of least squares, a second, with times in microseconds; NaN of one moment."""
    count = len(times)
    exact = [Fraction(value) for value in values]
    below = count * sum(time * time for time in times) - sum(times) ** 2
    if not below:
        return math.nan
    above = count * sum((time * value for time, value in zip(times, exact, strict=True)), Fraction(0))
    above -= sum(times) * sum(exact, Fraction(0))
    return nearest(above * 1_000_000) / nearest(Fraction(below))
