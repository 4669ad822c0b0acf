"""Bounds: how much of a history is kept, as the user declares it."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from headrace.core.checks import is_whole
from headrace.core.errors import ConfigError
from headrace.core.time import Duration, duration_text, duration_us

__all__ = ["KEYS", "KEY_BYTES", "Bounds", "Bytes", "bounds_of"]

Bytes: TypeAlias = int | str
"""A number of bytes, or a text such as "512MB" or "2GiB"."""
KEYS: Final = 1_000_000
KEY_BYTES: Final = 120
"""What a key costs beside its rows: its hash and its places in the tables."""

_UNITS: Final = {"B": 1} | {
    f"{prefix}{middle}B": base**power
    for power, prefix in enumerate("kMGT", start=1)
    for middle, base in (("", 1000), ("i", 1024))
}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?i?B)\s*")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """At most so many keys, rows of a key, age of a row in microseconds, and bytes; 0 for no such bound.

    >>> Bounds(max_keys=10, ttl_us=60_000_000).canonical
    "max_keys=10, ttl='1min'"
    """

    max_keys: int = KEYS
    max_events_per_key: int = 0
    ttl_us: int = 0
    max_bytes: int = 0

    @property
    def canonical(self) -> str:
        """Return the arguments that make it."""
        parts = [f"max_keys={self.max_keys}"]
        parts += [f"max_events_per_key={self.max_events_per_key}"] if self.max_events_per_key else []
        parts += [f"ttl={duration_text(self.ttl_us)!r}"] if self.ttl_us else []
        parts += [f"max_bytes={self.max_bytes}"] if self.max_bytes else []
        return ", ".join(parts)


def bounds_of(
    where: str, *, max_keys: int, max_events_per_key: int | None, ttl: Duration | None, max_bytes: Bytes | None
) -> Bounds:
    """Return the bounds as the user gave them.

    Raises ConfigError for a bound that is no number from 1 on, no duration, or too few bytes for a row of each key.
    """
    for name, number in (("max_keys", max_keys), ("max_events_per_key", max_events_per_key)):
        if number is not None and (not is_whole(number) or number < 1):
            raise ConfigError(f"{where} {name}", wanted="a whole number, at least 1", got=number)
    ttl_us = 0 if ttl is None else duration_us(f"{where} ttl", ttl)
    if ttl is not None and ttl_us <= 0:
        raise ConfigError(f"{where} ttl", wanted="a duration longer than nothing", got=ttl)
    most = 0 if max_bytes is None else _bytes(f"{where} max_bytes", max_bytes)
    if most and max_events_per_key is None and most < KEY_BYTES * max_keys:
        wanted = f"at least {KEY_BYTES * max_keys} for {max_keys} keys (or fewer max_keys)"
        raise ConfigError(f"{where} max_bytes", wanted=wanted, got=max_bytes)
    return Bounds(max_keys=max_keys, max_events_per_key=max_events_per_key or 0, ttl_us=ttl_us, max_bytes=most)


def _bytes(where: str, size: Bytes) -> int:
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is not None and isinstance(size, str):
        count = int(float(found[1]) * _UNITS[found[2]]) if found[2] in _UNITS else 0
    else:
        count = size if not isinstance(size, str) and is_whole(size) else 0
    if count < 1:
        raise ConfigError(where, wanted="a number of bytes, such as 2_000_000 or '512MB' or '2GiB'", got=size)
    return count
