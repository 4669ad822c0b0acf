"""ADWIN by definition: a list of buckets, cut wherever two parts differ. Imports nothing of ours."""

import math


class Adwin:
    """Buckets (count, mean, m2), newest level first, at most five a level."""

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self.levels: list[list[tuple[float, float, float]]] = [[]]

    @staticmethod
    def join(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the aggregate of two."""
        count = one[0] + other[0]
        mean = (one[0] * one[1] + other[0] * other[1]) / count
        m2 = one[2] + other[2] + one[0] * (one[1] - mean) ** 2 + other[0] * (other[1] - mean) ** 2
        return count, mean, m2

    def buckets(self) -> list[tuple[float, float, float]]:
        """Return all buckets, oldest first."""
        return [bucket for level in reversed(self.levels) for bucket in level]

    def whole(self) -> tuple[float, float, float]:
        """Return the aggregate of the window."""
        total = (0.0, 0.0, 0.0)
        for bucket in self.buckets():
            total = self.join(total, bucket) if total[0] else bucket
        return total

    def add(self, count: float, mean: float, m2: float) -> float:
        """Take in an item; return the last rise for which the window was cut, 0 for none."""
        self.levels[0].append((count, mean, m2))
        for number in range(len(self.levels)):
            if len(self.levels[number]) > 5:
                if number + 1 == len(self.levels):
                    self.levels.append([])
                first, second = self.levels[number][:2]
                self.levels[number + 1].append(self.join(first, second))
                del self.levels[number][:2]
        rise = 0.0
        while (found := self.difference()) is not None:
            rise = found
            oldest = max(number for number, level in enumerate(self.levels) if level)
            del self.levels[oldest][0]
        return rise

    def difference(self) -> float | None:
        """Return new mean - old mean at the first cut where they differ by more than chance allows."""
        total = self.whole()
        if total[0] < 10:
            return None
        confidence = math.log(2 * math.log(total[0]) / self.delta)
        old = (0.0, 0.0, 0.0)
        for bucket in self.buckets():
            old = self.join(old, bucket) if old[0] else bucket
            rest = total[0] - old[0]
            if rest < 5 or old[0] < 5:
                continue
            new_mean = (total[0] * total[1] - old[0] * old[1]) / rest
            harmonic = 1 / old[0] + 1 / rest
            bound = math.sqrt(2 * harmonic * total[2] / total[0] * confidence) + 2 / 3 * harmonic * confidence
            if abs(new_mean - old[1]) > bound:
                return new_mean - old[1]
        return None
