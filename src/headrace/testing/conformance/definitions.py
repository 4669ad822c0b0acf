"""What an engine is asked to compute, in words that are no engine's: windows, features, and when a record is late.

All times are microseconds. `t` is the event time of the event that asks, `end` is t less the feature's offset, one
microsecond later if the event itself is included.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, final

__all__ = [
    "AGGREGATES",
    "Decay",
    "Definition",
    "Feature",
    "Forever",
    "Hopping",
    "LastN",
    "Late",
    "Session",
    "Sliding",
    "Truth",
    "Tumbling",
    "Window",
]

_DAY_US: Final = 86_400_000_000

AGGREGATES: Final = {
    "count": "",
    "rate": "",
    "seconds_since": "",
    "sum": "value",
    "mean": "value",
    "var": "value",
    "std": "value",
    "skew": "value",
    "trend": "value",
    "min": "value",
    "max": "value",
    "range": "value",
    "first": "value",
    "last": "value",
    "last_k": "value",
    "argmax": "value",
    "argmin": "value",
    "quantile": "value",
    "distinct": "category",
    "entropy": "category",
    "top": "category",
    "top_share": "category",
    "counts": "category",
}
"""Every aggregate with the field that it looks at.

`argmax` gives the `other` of the record with the greatest value. `last_k` gives the value of the newest record but some
(`rank` from 1), `top` the text that stands at a `rank` by frequency, of equally frequent ones the one that came last
first; `counts` how many records have the text `of`.
"""


@final
@dataclass(frozen=True, slots=True)
class Sliding:
    """The records of [end - size, end)."""

    size_us: int


@final
@dataclass(frozen=True, slots=True)
class Forever:
    """All records before `end`."""


@final
@dataclass(frozen=True, slots=True)
class LastN:
    """The newest n records before `end`, of those in [end - within, end) if `within_us` is given."""

    n: int
    within_us: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Session:
    """The records before `end`, back from the newest while neighbours are at most `gap` apart.

    None if the newest is more than `gap` before t - offset; none further back than `longest` before it.
    """

    gap_us: int
    longest_us: int


@final
@dataclass(frozen=True, slots=True)
class Hopping:
    """The last window of `size` that ends at a multiple of `every` and that the watermark has closed.

    The watermark is the greatest event time so far, that of the event itself included, less the disorder. The window
    ends at the greatest multiple that is neither after t - offset nor after the watermark.
    """

    size_us: int
    every_us: int


@final
@dataclass(frozen=True, slots=True)
class Tumbling:
    """The last window of `size`, cut from 1970-01-01 00:00 local time on, that the watermark has closed."""

    size_us: int
    zone: str = "UTC"


@final
@dataclass(frozen=True, slots=True)
class Decay:
    """All records before `end` with the weight 2 ** -(age / half_life), for count, sum and mean.

    Time is cut into epochs of 32 half-lives from 1970 on; those of the epoch of `end` and the two before it count.
    """

    half_life_us: int


Late: TypeAlias = Literal["update", "aside", "drop"]
Truth: TypeAlias = Literal["served", "complete"]
Window: TypeAlias = Sliding | Forever | LastN | Session | Hopping | Tumbling | Decay


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One aggregate over one window of the records that share the event's key.

    parameters: its own: `q` of a quantile, `k` of a top share, `prior` and `default` of a mean, `rank`, `of`.
    """

    aggregate: str
    window: Window
    offset_us: int = 0
    include_current: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for an aggregate that does not exist."""
        if self.aggregate not in AGGREGATES:
            raise ValueError(f"wanted one of {', '.join(AGGREGATES)}, got {self.aggregate!r}")

    @property
    def field(self) -> str:
        """Return the field that it looks at, nothing if records alone matter."""
        return AGGREGATES[self.aggregate]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Features, and what is done with records that are not in order.

    An event is, by the first that applies,

    - "rejected" if a number of it is infinite,
    - "future" if its time is more than `future_skew` after its arrival,
    - "duplicate" if its id was seen at a time at most `duplicate_horizon` from its own, and not further than that
      behind the watermark,
    - "late" if its time is before the watermark, the greatest event time so far less `disorder`,
    - "ok".

    The first three count nowhere and ask nothing. A late one does so only under "update". NaN is a number that is
    not there. truth: "served" is what had come when the event asked; "complete" what had happened before it, however
    late it came: the same on events sorted by (event time, arrival), each judged as it arrived.
    """

    features: tuple[Feature, ...]
    disorder_us: int = 0
    late: Late = "update"
    future_skew_us: int = 300_000_000
    duplicate_horizon_us: int = 2 * _DAY_US
    truth: Truth = "served"
