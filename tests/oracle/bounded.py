"""Bounded state by definition: every row ever, and which of them are kept. Imports nothing of ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.oracle.windows import Row


@dataclass(frozen=True)
class Kept:
    """What is kept: at most `keys` keys, of each the newest `most` rows (0: all), none older than `age` when read.

    With `keep`, so many rows that lie before what may be read stay for windows of the newest rows.
    """

    keys: int
    most: int = 0
    age: int = 0
    keep: int = 0


@dataclass
class Life:
    """A key from the moment it enters until it is evicted: times and values of its rows, in log order."""

    rows: list[tuple[int, float]] = field(default_factory=list)


@dataclass
class Bounded:
    """The keys that live, the one written longest ago first, and every row of every key that ever was."""

    kept: Kept
    live: dict[int, Life] = field(default_factory=dict)
    all: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    evicted: list[int] = field(default_factory=list)

    def write(self, row: Row) -> None:
        """Take in a row; where the key is new and there is no room, the key written longest ago goes."""
        if row.key not in self.live and len(self.live) == self.kept.keys:
            oldest = next(iter(self.live))
            del self.live[oldest]
            self.evicted.append(oldest)
        life = self.live.pop(row.key, Life())
        life.rows.append((row.time, row.values[0]))
        self.live[row.key] = life
        self.all.setdefault(row.key, []).append((row.time, row.values[0]))

    def rows(self, row: Row, *, newest: bool) -> list[tuple[int, float]]:
        """Return the rows that a read may see, oldest first; `newest` for windows that `keep` is for."""
        if row.key not in self.live:
            return []
        counted, _ = self._newest(row)
        clip = max(row.lowest, row.time - self.kept.age) if self.kept.age else row.lowest
        before = [kept for kept in counted if kept[0] < clip]
        stay = before[len(before) - min(self.kept.keep, len(before)) :] if newest else []
        return stay + [kept for kept in counted if kept[0] >= clip]

    def everything(self, row: Row) -> list[tuple[int, float]]:
        """Return every row that the key ever had, oldest first."""
        return sorted(self.all.get(row.key, []), key=lambda kept: kept[0])

    def gone(self, row: Row) -> list[int]:
        """Return the times of rows that lived long enough ago to be evicted or to be beyond the newest."""
        seen = self.everything(row)
        if row.key not in self.live:
            return [time for time, _ in seen]
        _, older = self._newest(row)
        earlier = self.all[row.key][: len(self.all[row.key]) - len(self.live[row.key].rows)]
        return [time for time, _ in earlier + older]

    def _newest(self, row: Row) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Return the rows of a life that count, oldest first, and those beyond the newest `most`.

        A row that the operation itself wrote takes no other's place, as long as it is among the newest itself.
        """
        rows = self.live[row.key].rows
        mine = sorted(rows, key=lambda kept: kept[0])
        if not self.kept.most:
            return mine, []
        most = self.kept.most
        if row.insert and rows[-1] in mine[-most - 1 :]:
            most += 1
        cut = max(len(mine) - most, 0)
        return mine[cut:], mine[:cut]


def lru_by_definition(most: int, operations: Sequence[tuple[int, bool]]) -> tuple[list[bool], list[int]]:
    """Return, for (key, writes) in log order, whether the key was known or entered, and the keys evicted, in order."""
    live: list[int] = []
    known, evicted = [], []
    for key, writes in operations:
        known.append(key in live or writes)
        if not writes:
            continue
        if key in live:
            live.remove(key)
        elif len(live) == most:
            evicted.append(live.pop(0))
        live.append(key)
    return known, evicted
