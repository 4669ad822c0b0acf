"""Logistic regression by definition: dictionaries and loops. Imports nothing of ours."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Logistic:
    """Weights by name of token; the scaler keeps every number it has seen."""

    rate: float
    clip: float
    bins: float
    categories: float
    seen: dict[int, list[float]] = field(default_factory=dict)
    weights: dict[Any, float] = field(default_factory=dict)
    squares: dict[Any, float] = field(default_factory=dict)

    def tokens(self, numbers: list[float], ids: list[int]) -> dict[Any, float]:
        found: dict[Any, float] = {"bias": 1.0}
        for column, x in enumerate(numbers):
            if math.isnan(x):
                found["bin", column, "missing"] = self.bins
                continue
            z = self.scaled(column, x)
            found["number", column] = max(-self.clip, min(self.clip, z))
            found["bin", column, math.floor(2 * max(-8.0, min(8.0, z)) + 0.5)] = self.bins
        for column, chosen in enumerate(ids):
            found["id", column, chosen] = self.categories
        return found

    def scaled(self, column: int, x: float) -> float:
        seen = self.seen.get(column, [])
        if not seen or min(seen) == max(seen):
            return 0.0
        mean = math.fsum(seen) / len(seen)
        return (x - mean) / math.sqrt(math.fsum((one - mean) ** 2 for one in seen) / len(seen))

    def predict(self, numbers: list[float], ids: list[int]) -> float:
        logit = sum(self.weights.get(token, 0.0) * value for token, value in self.tokens(numbers, ids).items())
        return 1.0 / (1.0 + math.exp(-logit))

    def learn(self, numbers: list[float], ids: list[int], y: float, weight: float) -> float:
        score = self.predict(numbers, ids)
        if weight > 0:
            for token, value in self.tokens(numbers, ids).items():
                gradient = (score - y) * weight * value
                self.squares[token] = self.squares.get(token, 1e-8) + gradient**2
                step = self.rate * gradient / math.sqrt(self.squares[token])
                self.weights[token] = self.weights.get(token, 0.0) - step
            for column, x in enumerate(numbers):
                if not math.isnan(x):
                    self.seen.setdefault(column, []).append(x)
        return score
