"""The population stability index by definition. Imports nothing of ours."""

import math


def psi(was: list[int], now: list[int]) -> float:
    """Return the sum of (q - p) log(q / p), with half a row added to each group."""
    before = [(count + 0.5) / (sum(was) + 0.5 * len(was)) for count in was]
    after = [(count + 0.5) / (sum(now) + 0.5 * len(now)) for count in now]
    return math.fsum((q - p) * math.log(q / p) for p, q in zip(before, after, strict=True))
