"""ADWIN by definition: a list of buckets, each the list of the items in it. Imports nothing of ours."""

import math
from dataclasses import dataclass, field

Item = tuple[float, float, float]


def pooled(items: list[Item]) -> Item:
    """Return count, mean and summed squared deviation of all values behind some items."""
    count = math.fsum(item[0] for item in items)
    if not count:
        return 0.0, 0.0, 0.0
    mean = math.fsum(item[0] * item[1] for item in items) / count
    return count, mean, math.fsum(item[2] + item[0] * (item[1] - mean) ** 2 for item in items)


@dataclass
class Adwin:
    """Buckets from the oldest to the newest; one of level k holds 2**k items, at most five of a level stand."""

    delta: float
    buckets: list[tuple[int, list[Item]]] = field(default_factory=list)

    def whole(self) -> Item:
        return pooled([item for _, items in self.buckets for item in items])

    def add(self, item: Item) -> float:
        self.buckets.append((0, [item]))
        level = 0
        while len(places := [at for at, bucket in enumerate(self.buckets) if bucket[0] == level]) > 5:
            one, two = places[:2]
            self.buckets[one : two + 1] = [(level + 1, self.buckets[one][1] + self.buckets[two][1])]
            level += 1
        change = 0.0
        while (found := self.cut()) is not None:
            change = found
            del self.buckets[0]
        return change

    def cut(self) -> float | None:
        count, _, m2 = self.whole()
        if count < 10:
            return None
        log_term = math.log(2 * math.log(count) / self.delta)
        for place in range(1, len(self.buckets)):
            old = pooled([item for _, items in self.buckets[:place] for item in items])
            new = pooled([item for _, items in self.buckets[place:] for item in items])
            if old[0] < 5 or new[0] < 5:
                continue
            inverse = 1 / old[0] + 1 / new[0]
            bound = math.sqrt(2 * inverse * (m2 / count) * log_term) + 2 / 3 * inverse * log_term
            if abs(new[1] - old[1]) > bound:
                return new[1] - old[1]
        return None
