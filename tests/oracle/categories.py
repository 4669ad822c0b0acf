"""How often each value stands in a window, by definition: dictionaries over lists. Imports nothing of ours."""

import math
import struct
from collections import Counter
from collections.abc import Sequence

_ALL = (1 << 64) - 1
VALUES = 4096


def distinct(values: Sequence[float], cap: int, *, told: bool = False) -> float:
    """Return how many different values there are; of more than `cap`, what those of the least sufficient level say."""
    different, level = set(values), 0
    while len(different) > cap:
        level += 1
        different = {value for value in different if level_of(value, told=told) >= level}
    return float(len(different) << level)


def level_of(value: float, *, told: bool = False) -> int:
    """Return how many zeros the hash of a value ends in, 40 at most; told: its last 6 bits say so."""
    if told:
        return int(value) % 64
    (word,) = struct.unpack("<Q", struct.pack("<d", value + 0.0))
    word = mixed(word ^ 0x9E3779B97F4A7C15)
    return next((place for place in range(40) if word >> place & 1), 40)


def mixed(word: int) -> int:
    """Return MurmurHash3's finish of a 64-bit word."""
    word = (word ^ (word >> 33)) * 0xFF51AFD7ED558CCD & _ALL
    word = (word ^ (word >> 33)) * 0xC4CEB9FE1A85EC53 & _ALL
    return word ^ (word >> 33)


def entropy(values: Sequence[float]) -> float:
    """Return the entropy in bits; 0 for none."""
    return math.fsum(-count / len(values) * math.log2(count / len(values)) for count in Counter(values).values()) + 0.0


def ranked(values: Sequence[float]) -> list[tuple[float, int]]:
    """Return the values, oldest first, by how often they come; of several that come equally often the newest first."""
    last = {value: place for place, value in enumerate(values)}
    return sorted(Counter(values).items(), key=lambda entry: (-entry[1], -last[entry[0]]))


def of_newest(values: Sequence[float]) -> Sequence[float]:
    """Return the values that `top` and `top_share` look at."""
    return values if len(set(values)) <= VALUES else values[-VALUES:]


def top(values: Sequence[float], rank: int) -> float:
    """Return the value of a rank, counted from 1; NaN where there are fewer."""
    found = ranked(of_newest(values))
    return found[rank - 1][0] if rank <= len(found) else math.nan


def top_share(values: Sequence[float], k: int) -> float:
    """Return the share of the records that have one of the k most frequent values; NaN of none."""
    counted = of_newest(values)
    return sum(count for _, count in ranked(counted)[:k]) / len(counted) if values else math.nan
