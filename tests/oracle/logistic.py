"""The logistic learner by definition: dicts of weights, one row at a time. Imports nothing of ours."""

import math


class Logistic:
    """AdaGrad on scaled numbers, their bins of half a deviation, categories, and words, each as often as it stands."""

    def __init__(self, rate: float, clip: float, bins: float, categories: float, words: float) -> None:
        self.rate, self.clip, self.bins, self.categories, self.words = rate, clip, bins, categories, words
        self.weight: dict[object, float] = {}
        self.squares: dict[object, float] = {}
        self.seen: dict[int, list[float]] = {}

    def tokens(self, numbers: list[float], ids: list[int], words: list[int]) -> list[tuple[object, float]]:
        """Return what is not 0 of a row, by name."""
        found: list[tuple[object, float]] = [("bias", 1.0)]
        for column, x in enumerate(numbers):
            values = self.seen.get(column, [])
            if math.isnan(x):
                found.append((("bin", column, "missing"), self.bins))
                continue
            mean = math.fsum(values) / len(values) if values else 0.0
            spread = math.fsum((value - mean) ** 2 for value in values)
            z = (x - mean) / math.sqrt(spread / len(values)) if spread > 0 else 0.0
            found.append((("number", column), max(-self.clip, min(self.clip, z))))
            found.append((("bin", column, math.floor(max(-8.0, min(8.0, z)) * 2 + 0.5)), self.bins))
        for column, number in enumerate(ids):
            found.append((("id", column, number), self.categories))
        found += [(("word", word), self.words / math.sqrt(len(words))) for word in words]
        return found

    def predict(self, numbers: list[float], ids: list[int], words: list[int]) -> float:
        """Return the probability of a positive label."""
        logit = math.fsum(self.weight.get(name, 0.0) * value for name, value in self.tokens(numbers, ids, words))
        return 1 / (1 + math.exp(-max(-35.0, min(35.0, logit))))

    def learn(self, numbers: list[float], ids: list[int], words: list[int], y: float, w: float) -> None:
        """Take one step of each weight that the row touches, then let the scaler see the row."""
        slope = (self.predict(numbers, ids, words) - y) * w
        for name, value in self.tokens(numbers, ids, words):
            gradient = slope * value
            self.squares[name] = self.squares.get(name, 1e-8) + gradient**2
            self.weight[name] = self.weight.get(name, 0.0) - self.rate * gradient / math.sqrt(self.squares[name])
        for column, x in enumerate(numbers):
            if not math.isnan(x):
                self.seen.setdefault(column, []).append(x)
