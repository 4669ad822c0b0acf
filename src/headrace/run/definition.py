"""What an aggregate is, in plain Python over a list of records: the other path by which a served value is recomputed.

It shares nothing with the engine but the settings: no hash, no span, no prefix sum, no state.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import fsum, inf, isnan, log2, nan, sqrt
from typing import Any, Final, final
from zoneinfo import ZoneInfo

from headrace.core.time import DAY_US, ENDED_US, UNSPOKEN_US
from headrace.features.aggregates import AggregateRead
from headrace.features.windows import EPOCH_HALF_LIVES, Decay, Hopping, LastN, Session, Tumbling

__all__ = ["Past", "Seen", "seen", "value_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ONE: Final = date(1970, 1, 1)
_SECOND_US: Final = 1e6
_FAINTEST: Final = 1074
"""2**-1074 is the least positive float64."""


@final
@dataclass(frozen=True, slots=True)
class Past:
    """One record of the request's key that stood before it in the log.

    time_us: when it happened, or a label was known. told_us: how far the watermark of its stream had come with it.
    value, other: of the aggregate's columns, None where it has none.
    """

    time_us: int
    told_us: int = UNSPOKEN_US
    value: Any = None
    other: Any = None


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """What an aggregate reads: [since, until), the places in the list of records, oldest first, and the weight of each.

    corrected: how many of them came after the window was closed. weights: only of a decay, else empty.
    """

    since_us: int
    until_us: int
    places: list[int]
    corrected: int = 0
    weights: tuple[float, ...] = ()


def seen(read: AggregateRead, time_us: int, told_us: int, records: Sequence[Past]) -> Seen:
    """Return what an aggregate reads at a time.

    told_us: how far the watermark had come with the request. records: in the order of the log.
    """
    since_us, until_us = _bounds(read, time_us, told_us)
    tile_us = read.resolution_us or 1
    inside = [place for place, one in enumerate(records) if since_us <= one.time_us // tile_us * tile_us < until_us]
    inside.sort(key=lambda place: records[place].time_us)  # Stable: ties stay in the order of the log.
    window = read.window
    if isinstance(window, LastN):
        inside = inside[-window.n :]
    if isinstance(window, Session):
        inside = _session(inside, records, time_us - read.offset_us, window.gap_us)
        since_us = records[inside[0]].time_us if inside else until_us
    corrected = sum(records[place].told_us >= until_us for place in inside) if window.closes else 0
    weights: tuple[float, ...] = ()
    if isinstance(window, Decay):
        end_us = time_us - read.offset_us
        weights = tuple(_half_to((end_us - records[place].time_us) / window.half_life_us) for place in inside)
    return Seen(since_us, until_us, inside, corrected, weights)


def _bounds(read: AggregateRead, time_us: int, told_us: int) -> tuple[int, int]:
    end_us = time_us - read.offset_us
    match read.window:
        case Tumbling() as window:
            return _days(window, min(end_us, told_us))
        case Hopping() as window:
            until_us = min(end_us, told_us) // window.every_us * window.every_us
            return until_us - window.size_us, until_us
        case Decay() as window:
            epoch_us = EPOCH_HALF_LIVES * window.half_life_us
            return (end_us // epoch_us - 2) * epoch_us, end_us + int(read.include_current)
        case window:
            since_us = UNSPOKEN_US if window.reach_us >= ENDED_US else end_us - window.reach_us
            return since_us, end_us + int(read.include_current)


def _days(window: Tumbling, end_us: int) -> tuple[int, int]:
    """Return the last whole window before an instant; in a zone windows are cut at local midnights."""
    if window.tz == "UTC" or end_us <= UNSPOKEN_US:
        until_us = end_us // window.size_us * window.size_us
        return until_us - window.size_us, until_us
    zone, days = ZoneInfo(window.tz), window.size_us // DAY_US
    local = (_EPOCH + timedelta(microseconds=end_us)).astimezone(zone).date()
    number = (local - _DAY_ONE).days // days * days
    return _midnight(number - days, zone), _midnight(number, zone)


def _midnight(day: int, zone: ZoneInfo) -> int:
    local = _DAY_ONE + timedelta(days=day)
    moment = datetime(local.year, local.month, local.day, tzinfo=zone)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _session(inside: list[int], records: Sequence[Past], end_us: int, gap_us: int) -> list[int]:
    """Return the newest of some places, oldest first, back to the first silence longer than the gap."""
    later_us, begin = end_us, len(inside)
    while begin > 0 and later_us - records[inside[begin - 1]].time_us <= gap_us:
        begin -= 1
        later_us = records[inside[begin]].time_us
    return inside[begin:]


def _half_to(power: float) -> float:
    return 0.5**power if power < _FAINTEST else 0.0


def value_of(read: AggregateRead, time_us: int, found: Seen, records: Sequence[Past]) -> float | str | None:
    """Return the value of an aggregate: NaN, or None of a text, where it has none and no default.

    Raises LookupError for an aggregate that is not defined here.
    """
    chosen = [records[place] for place in found.places]
    if read.operation in _OF_TIMES:
        value = _OF_TIMES[read.operation](read, time_us, chosen, found.weights)
    elif read.operation in _OF_VALUES:
        value = _OF_VALUES[read.operation](chosen, read.settings, found.weights, read.default)
    else:
        raise LookupError(read.operation)
    if value is None or (isinstance(value, float) and isnan(value)):
        return read.default if read.default is not None else (None if read.kind == "text" else nan)
    return float(value) if read.kind != "text" else str(value)


def _sum(chosen: Sequence[Past], weights: Sequence[float]) -> float:
    if weights:
        return fsum(one.value * weight for one, weight in zip(chosen, weights, strict=True))
    try:
        return fsum(one.value for one in chosen)
    except OverflowError:  # On the way, not at the end.
        return _rounded(sum((Fraction(one.value) for one in chosen), Fraction(0)))


def _rounded(total: Fraction) -> float:
    try:
        return float(total)
    except OverflowError:
        return inf if total > 0 else -inf


def _mean(chosen: Sequence[Past], settings: Mapping[str, Any], weights: Sequence[float], default: Any) -> float:
    count = fsum(weights) if weights else float(len(chosen))
    prior = float(settings.get("prior", 0.0))
    if prior > 0:
        return (_sum(chosen, weights) + prior * float(default)) / (count + prior)
    return _sum(chosen, weights) / count if count else nan


def _moment(chosen: Sequence[Past], power: int) -> Fraction:
    values = [Fraction(one.value) for one in chosen]
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((value - mean) ** power for value in values), Fraction(0))


def _var(chosen: Sequence[Past]) -> float:
    return _rounded(_moment(chosen, 2) / (len(chosen) - 1)) if len(chosen) > 1 else nan


def _extreme(chosen: Sequence[Past], *, greatest: bool) -> Any:
    """Return the value where the other column is extreme; of several, at the newest."""
    if not chosen:
        return None
    wanted = (max if greatest else min)(one.other for one in chosen)
    return [one.value for one in chosen if one.other == wanted][-1]


def _entropy(chosen: Sequence[Past]) -> float:
    shares = [count / len(chosen) for count in Counter(one.value for one in chosen).values()]
    return -fsum(share * log2(share) for share in shares)


def _distinct(chosen: Sequence[Past], settings: Mapping[str, Any]) -> float:
    count = len({one.value for one in chosen})
    if count > settings.get("cap", inf):
        raise LookupError("a sketch")
    return float(count)


def _rate(read: AggregateRead, _time_us: int, chosen: Sequence[Past], _weights: Sequence[float]) -> float:
    window = read.window
    size_us = window.size_us if isinstance(window, Hopping | Tumbling) else window.reach_us
    return len(chosen) / (size_us / _SECOND_US)


def _count(read: AggregateRead, _time_us: int, chosen: Sequence[Past], weights: Sequence[float]) -> float:
    return fsum(weights) if isinstance(read.window, Decay) else float(len(chosen))


def _since(_read: AggregateRead, time_us: int, chosen: Sequence[Past], _weights: Sequence[float]) -> float:
    return (time_us - chosen[-1].time_us) / _SECOND_US if chosen else nan


_OF_TIMES: Final[Mapping[str, Callable[[AggregateRead, int, Sequence[Past], Sequence[float]], float]]] = {
    "count": _count,
    "rate": _rate,
    "seconds_since": _since,
}
_OF_VALUES: Final[Mapping[str, Callable[[Sequence[Past], Mapping[str, Any], Sequence[float], Any], Any]]] = {
    "sum": lambda chosen, _settings, weights, _default: _sum(chosen, weights),
    "mean": _mean,
    "min": lambda chosen, *_: min((one.value for one in chosen), default=nan),
    "max": lambda chosen, *_: max((one.value for one in chosen), default=nan),
    "range": lambda chosen, *_: _rounded(_spread(chosen)) if chosen else nan,
    "first": lambda chosen, *_: chosen[0].value if chosen else None,
    "last": lambda chosen, settings, *_: _newest(chosen, int(settings.get("rank", 1))),
    "argmax": lambda chosen, *_: _extreme(chosen, greatest=True),
    "argmin": lambda chosen, *_: _extreme(chosen, greatest=False),
    "var": lambda chosen, *_: _var(chosen),
    "std": lambda chosen, *_: sqrt(_var(chosen)) if len(chosen) > 1 else nan,
    "distinct": lambda chosen, settings, *_: _distinct(chosen, settings),
    "entropy": lambda chosen, *_: _entropy(chosen) if chosen else 0.0,
}


def _spread(chosen: Sequence[Past]) -> Fraction:
    values = [Fraction(one.value) for one in chosen]
    return max(values) - min(values)


def _newest(chosen: Sequence[Past], rank: int) -> Any:
    return chosen[-rank].value if len(chosen) >= rank else None
