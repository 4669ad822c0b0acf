"""How a backfill is cut into parts by time, each of which gives the rows that the whole gives.

A part computes the rows of some groups of the archive, after a **warm-up**: the groups before them in which a record
may lie that any of those rows can see. That is exact because a value depends on what its window holds and on nothing
else. How far event time had come before the warm-up need not be known: every group before it ends earlier than whatever
matters, be it a record, the close of a window or that of a label. What is known beyond windows is told:

- which sources had ended: their ticks;
- which keys had ever been seen, and since when (`run.backfill_keys`): it decides between `no_key` and `expired`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

from headrace.core.errors import ConfigError
from headrace.core.time import ENDED_US, MINUTE_US, UNSPOKEN_US
from headrace.edge.archive_import import source_text
from headrace.features.tables import Truth
from headrace.features.vector import aggregates_of
from headrace.store.offline import Archive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.features.aggregates import AggregateRead
    from headrace.run.pipeline import Pipeline

__all__ = ["Manifest", "Part", "Spec", "check_archive", "check_cut", "parts_of"]

What: TypeAlias = Literal["keys", "rows"]
_SLACK_US: Final = 10 * MINUTE_US
"""More than the engine keeps rows beyond their windows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is the same for all parts of one backfill; plain values, so that it can be sent to any machine.

    file, config, pipeline: where the definition stands, and its name. fingerprint: of the pipeline. archive, digest:
    the folder of the archive, and what tells it from others. folder: where parts write. truth: whose order the archive
    has. keep_state: whether the last part keeps the state behind its last row.
    """

    file: str
    config: str | None
    pipeline: str
    fingerprint: str
    archive: str
    digest: str
    folder: str
    truth: Truth
    keep_state: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The groups `first` to `stop` of an archive, after a warm-up from group `warm`.

    what: "rows" computes vectors and labels, "keys" finds which keys occur.
    """

    number: int
    what: What
    warm: int
    first: int
    stop: int
    last: bool

    @property
    def name(self) -> str:
        """Return the word by which its files are named."""
        return f"{self.what}-{self.number:05d}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a part gave: how many vectors and labels, and a digest over the values of both.

    It stands beside the part's files and is written last; whoever finds it need not compute the part again.
    """

    part: str
    inputs: str
    rows: int
    labels: int
    digest: str


def parts_of(archive: Archive, pipeline: "Pipeline[Any]", count: int, what: What = "rows") -> list[Part]:
    """Cut an archive into at most `count` parts, of about as many groups each."""
    groups = len(archive.groups)
    count = max(1, min(count, groups))
    edges = [groups * number // count for number in range(count + 1)]
    return [
        Part(
            number=number,
            what=what,
            warm=_warm(archive, pipeline, edges[number], what),
            first=edges[number],
            stop=edges[number + 1],
            last=number == count - 1,
        )
        for number in range(count)
    ]


def check_cut(pipeline: "Pipeline[Any]") -> None:
    """Refuse a definition that needs more of the past than a warm-up has, or whose values depend on the way there.

    Raises ConfigError, naming the feature or the source.
    """
    for name, feature in pipeline.features.features.items():
        for read in aggregates_of(feature):
            where = f"backfill, feature {name!r}"
            if read.window.reach_us >= ENDED_US:
                wanted = "a window with an end, so that the archive can be cut by time (or --parts 1)"
                raise ConfigError(where, wanted=wanted, got=read.canonical)
            if read.limits.max_events_per_key or read.limits.max_bytes:
                wanted = "no max_events_per_key and no max_bytes, so that the archive can be cut by time (or --parts 1)"
                raise ConfigError(where, wanted=wanted, got=read.canonical)
    for settings in pipeline.source_settings():
        if settings.producer is not None:
            wanted = "sources without producer=, so that the archive can be cut by time (or --parts 1)"
            raise ConfigError(f"backfill, source {settings.name!r}", wanted=wanted, got=f"producer={settings.producer}")


def check_archive(archive: Archive, pipeline: "Pipeline[Any]") -> None:
    """Raise ConfigError unless the archive has the sources of a pipeline, declared as they are now."""
    declared: Mapping[str, str] = archive.told["declared"]
    for settings in pipeline.source_settings():
        if settings.name not in declared:
            wanted = f"an archive with source {settings.name!r} (import it again)"
            raise ConfigError("backfill", wanted=wanted, got=f"one of {', '.join(declared)}")
        if declared[settings.name] != source_text(settings):
            wanted = "the declaration with which it was imported (import it again: it decides verdicts)"
            raise ConfigError(f"backfill, source {settings.name!r}", wanted=wanted, got="another one")


def _reach_us(reads: "tuple[AggregateRead, ...]") -> int:
    return min(max((read.window.reach_us + read.offset_us for read in reads), default=0), ENDED_US)


def _warm(archive: Archive, pipeline: "Pipeline[Any]", first: int, what: What) -> int:
    """Return the group with which the warm-up of group `first` begins."""
    if first == 0:
        return 0
    group, label = archive.groups[first], pipeline.label
    sources = {settings.name: settings for settings in pipeline.source_settings()}
    reached = {name: group.reached[name] for name in sources if name in group.reached}
    reads = pipeline.features.aggregates() if what == "rows" else ()
    slack_us = _SLACK_US + 2 * max(settings.disorder_us for settings in sources.values())
    slack_us += (pipeline.features.wait_us or 0) + max((read.resolution_us for read in reads), default=0)
    newest_us = max(reached.values(), default=UNSPOKEN_US)
    within_us = int(label.within_us)
    # A label that a feature sees was asked for up to `within` before it became known.
    since = [newest_us - _reach_us(reads) - (within_us if any(read.of_label for read in reads) else 0)]
    if label.events.name not in group.ended:
        # What had not been answered nor closed before.
        since.append(reached.get(label.events.name, UNSPOKEN_US) - within_us)
    if label.of.name not in group.ended:
        # Events that wait for their request.
        since.append(reached.get(label.of.name, UNSPOKEN_US))
    earliest_us = min(since) - slack_us
    before = archive.groups[:first]
    return next((number for number, one in enumerate(before) if one.newest_us >= earliest_us), first)
