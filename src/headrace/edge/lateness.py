"""Lateness: how far the records of a source come behind one another, and how far the clocks of its producers are off.

Two things are told of each record, both from the log alone:

    delay      its arrival less its event time, by the clock of whoever sent it; negative if that clock is ahead
    lateness   how far it stands behind the newest of its producer (of its source, if that names none) before it

A record would not be late under a disorder that is no shorter than its lateness. How many these are is counted, for
each of some disorders; delays go into sketches, which add up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.records import I8, Batch, Verdict
from headrace.core.source_settings import SourceSettings
from headrace.core.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US, UNSPOKEN_US, duration_text
from headrace.drift.sketch import Sketch
from headrace.features.producers import Producers
from headrace.kernels import sketch as kernel

__all__ = ["DISORDERS_US", "Delay", "Disorder", "Lateness", "Offset", "SourceLateness"]

DISORDERS_US: Final = (
    0,
    SECOND_US // 1_000,
    SECOND_US // 100,
    SECOND_US // 10,
    *(SECOND_US * n for n in (1, 2, 5, 10, 15, 30)),
    *(MINUTE_US * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR_US * n for n in (1, 2, 3, 6, 12)),
    *(DAY_US * n for n in (1, 2, 3, 7, 14, 30, 60)),
)
"""The disorders for which it is counted exactly how many records would be late, besides the one that is declared."""
_QUANTILES: Final = (0.01, 0.5, 0.9, 0.99, 0.999, 1.0)
_NAMED: Final = 5
_FIRST_SOURCE: Final = 2
_BUCKETS: Final = kernel.BUCKETS
_CODES_MAX: Final = 1 << 16


@final
@dataclass(frozen=True, slots=True)
class Delay:
    """Arrival less event time of n records, in seconds, each within 3 %: p1, p50, p90, p99, p99.9 and the longest."""

    records: int
    p1: float
    p50: float
    p90: float
    p99: float
    p999: float
    longest: float

    @classmethod
    def of(cls, sketch: Sketch) -> "Delay":
        """Return the quantiles of a sketch of seconds."""
        return cls(sketch.rows, *(sketch.quantile(share) for share in _QUANTILES))


@final
@dataclass(frozen=True, slots=True)
class Disorder:
    """What one disorder would keep: the exact share of records that were not late, and how many were.

    `adds_seconds` is what waiting for it costs: how much later a window closes or a vector with `wait=` is computed.
    """

    disorder: str
    kept: float
    late: int
    adds_seconds: float


@final
@dataclass(frozen=True, slots=True)
class Offset:
    """A producer whose clock, or whose way, is off: its median delay less that of the producers' middle, in seconds.

    `ahead` of its `records` stood ahead of their arrival; `future` were too far ahead, and `late` too far behind.
    """

    producer: str
    offset_seconds: float
    records: int
    ahead: int
    future: int
    late: int


@final
@dataclass(frozen=True, slots=True)
class SourceLateness:
    """What is to be said of one source.

    `stamped` tells whether arrival was told by a field; where it was not, delays say what was declared. `ahead` counts
    records whose event time lies ahead of their arrival, `behind` those that came behind a newer one of their producer.
    `recommended` is the shortest disorder that keeps what was asked for, None if none of the listed ones does.
    """

    source: str
    late_policy: str
    declared: Disorder
    records: int
    future: int
    ahead: int
    behind: int
    stamped: bool
    delay: Delay
    disorders: tuple[Disorder, ...]
    recommended: Disorder | None
    producers: int
    producers_ahead: tuple[Offset, ...]
    producers_behind: tuple[Offset, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as one JSON object."""
        return asdict(self)


@final
class Lateness:
    """A fold of [events], in the order of the log: its streams are tick, rejected, then the sources in order.

    >>> Lateness([]).report()
    ()
    """

    def __init__(self, sources: Sequence[SourceSettings], *, disorders_us: Iterable[int] = DISORDERS_US) -> None:
        wanted = tuple(disorders_us)
        self._sources = [_Source(source, wanted) for source in sources]

    def add(self, batch: Batch) -> None:
        """Take the next rows of [events]."""
        for number, source in enumerate(self._sources, start=_FIRST_SOURCE):
            if batch.payloads[number].num_rows:
                row = batch.rows_of(number)
                source.add(
                    batch.event_time[row],
                    batch.arrival_time[row],
                    batch.verdict[row].astype(np.int64),
                    batch.payloads[number],
                )

    def report(self, *, keep: float = 0.999) -> tuple[SourceLateness, ...]:
        """Return what was found for each source. keep: the share of records that a recommended disorder keeps."""
        return tuple(source.report(keep) for source in self._sources)


@final
class _Source:
    """The counts of one source, all of them sums over its records."""

    def __init__(self, settings: SourceSettings, disorders_us: Sequence[int]) -> None:
        self._settings = settings
        self._disorders_us = np.array(sorted({*disorders_us, settings.disorder_us}), np.int64)
        self._within = np.zeros(len(self._disorders_us) + 1, np.int64)
        self._producers = Producers(settings) if settings.producer is not None else None
        self._newest_us = UNSPOKEN_US
        self._numbers: dict[str, int] = {}
        self._ahead = np.zeros(0, np.int64)
        self._verdicts = np.zeros((0, len(Verdict)), np.int64)
        self._behind = 0
        self._codes, self._counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._fresh: list[I8] = []
        self._waiting = 0

    def add(self, time: I8, arrival: I8, verdict: I8, fields: pa.RecordBatch) -> None:
        """Take n records; a copy tells nothing of a clock, nor does one that was rejected for whoever sent it."""
        counts = verdict <= Verdict.FUTURE
        if not counts.all():
            time, arrival, verdict = time[counts], arrival[counts], verdict[counts]
            fields = fields.filter(pa.array(counts))
        number = self._number(fields)
        width = len(Verdict)
        self._verdicts += np.bincount(number * width + verdict, minlength=self._verdicts.size).reshape(-1, width)
        self._ahead += np.bincount(number[time > arrival], minlength=len(self._ahead))
        bucket = np.empty(len(time), np.int64)
        kernel.bucket_numbers((arrival - time) / SECOND_US, bucket)
        self._fresh.append(number * _BUCKETS + bucket)
        self._waiting += len(time)
        if self._waiting > max(_CODES_MAX, len(self._codes)):
            self._compact()
        speaks = verdict <= Verdict.LATE
        lateness = self._lateness(time[speaks], fields.filter(pa.array(speaks)))
        self._behind += int(np.count_nonzero(lateness))
        place = np.searchsorted(self._disorders_us, lateness, side="left")
        self._within += np.bincount(place, minlength=len(self._within))

    def report(self, keep: float) -> SourceLateness:
        """Return what was found."""
        self._compact()
        settings, total = self._settings, int(self._within.sum())
        within = np.cumsum(self._within[:-1])
        disorders = tuple(
            Disorder(duration_text(us) if us else "0s", count / total if total else 1.0, total - count, us / SECOND_US)
            for us, count in zip(self._disorders_us.tolist(), within.tolist(), strict=True)
        )
        found = [Sketch(*self._sketch(number)) for number in range(len(self._numbers))]
        ahead, behind = self._offsets(found)
        return SourceLateness(
            source=settings.name,
            late_policy=settings.late,
            declared=disorders[int(np.searchsorted(self._disorders_us, settings.disorder_us))],
            records=int(self._verdicts.sum()),
            future=int(self._verdicts[:, Verdict.FUTURE].sum()),
            ahead=int(self._ahead.sum()),
            behind=self._behind,
            stamped=settings.arrived is not None,
            delay=Delay.of(Sketch.merged(found)),
            disorders=disorders,
            recommended=next((one for one in disorders if one.kept >= keep), None) if total else None,
            producers=len(found) if settings.producer is not None else 0,
            producers_ahead=ahead,
            producers_behind=behind,
        )

    def _number(self, fields: pa.RecordBatch) -> I8:
        """Return the number of the producer of each record, in order of first appearance; 0 if none is named."""
        if self._settings.producer is None:
            number, names = np.zeros(fields.num_rows, np.int64), [""]
        else:
            encoded = pc.dictionary_encode(fields.column(self._settings.producer))
            names = encoded.dictionary.to_pylist()
            number = encoded.indices.to_numpy(zero_copy_only=False)
        for name in names:
            self._numbers.setdefault(name, len(self._numbers))
        more = len(self._numbers) - len(self._ahead)
        if more:
            self._ahead = np.concatenate([self._ahead, np.zeros(more, np.int64)])
            self._verdicts = np.concatenate([self._verdicts, np.zeros((more, len(Verdict)), np.int64)])
        return np.array([self._numbers[name] for name in names], np.int64)[number]

    def _lateness(self, time: I8, fields: pa.RecordBatch) -> I8:
        """Return how far each record stands behind the newest before it, in microseconds."""
        if self._producers is not None:
            newest = np.maximum(self._producers.speak(fields, time)[0], time)
        else:
            newest = np.maximum(np.maximum.accumulate(time), self._newest_us)
            self._newest_us = int(newest[-1]) if len(newest) else self._newest_us
        lateness: I8 = newest - time
        return lateness

    def _compact(self) -> None:
        """Add what is new to the counts by producer and bucket."""
        fresh, count = np.unique(np.concatenate([np.zeros(0, np.int64), *self._fresh]), return_counts=True)
        codes, place = np.unique(np.concatenate([self._codes, fresh]), return_inverse=True)
        counts = np.zeros(len(codes), np.int64)
        np.add.at(counts, place, np.concatenate([self._counts, count]))
        self._codes, self._counts, self._fresh, self._waiting = codes, counts, [], 0

    def _sketch(self, number: int) -> tuple[I8, I8]:
        first, last = np.searchsorted(self._codes, [number * _BUCKETS, (number + 1) * _BUCKETS]).tolist()
        return self._codes[first:last] - number * _BUCKETS, self._counts[first:last]

    def _offsets(self, sketches: Sequence[Sketch]) -> tuple[tuple[Offset, ...], tuple[Offset, ...]]:
        """Return the producers that are furthest ahead and behind of the middle one, by more than the disorder."""
        median = np.array([sketch.quantile(0.5) for sketch in sketches])
        if len(median) == 0 or self._settings.producer is None:
            return (), ()
        off = median - np.sort(median, kind="stable")[(len(median) - 1) // 2]
        least = max(self._settings.disorder_us, SECOND_US) / SECOND_US
        names = list(self._numbers)
        told = [
            Offset(
                names[number],
                float(off[number]),
                int(self._verdicts[number].sum()),
                int(self._ahead[number]),
                int(self._verdicts[number, Verdict.FUTURE]),
                int(self._verdicts[number, Verdict.LATE]),
            )
            for number in np.argsort(off, kind="stable").tolist()
        ]
        ahead = [one for one in told if one.offset_seconds < -least]
        behind = [one for one in told if one.offset_seconds > least]
        return tuple(ahead[:_NAMED]), tuple(behind[::-1][:_NAMED])
