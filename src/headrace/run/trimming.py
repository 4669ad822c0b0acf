"""Retention: forget the oldest frames of a topic, as far as nobody can need them again.

A topic is trimmed only up to a cut, which the log keeps: the place, how far each producer was taken there, and the
digests. The cut lies

- not above where the oldest kept snapshot of any task that reads the topic would read on, in any generation;
- not above where the oldest kept snapshot of any task that writes to it knows its own tail;
- not above the oldest prediction that still waits for its label;
- not above a frame with a row that is younger than the retention, counted from the newest arrival in the topic.

Of [control] a summary is kept of what stood below (see `ControlView.summary`); with it go the bundles that no kept
row names any more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from headrace.core.errors import ConfigError
from headrace.core.records import Batch
from headrace.core.time import ENDED_US, UNSPOKEN_US, duration_text
from headrace.run.clock import Clock
from headrace.run.deployment import EVENTS, INPUTS, OUTPUTS, TOPICS, Deployment
from headrace.store.control import summary_name
from headrace.store.snapshots import Meta
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.frame import Frame
from headrace.topics.reader import Reader

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["Trimmed", "Trimming", "check_retention", "least_retention_us", "trim"]

_FRAMES: Final = 64
_NEWEST_FRAMES: Final = 16
_PAUSE_US: Final = 300_000_000
_COMMANDS: Final = ("pointer", "skip", "command")
"""Streams with the times of a person's clock, not of the records: they do not tell how far the rest has come."""


@final
@dataclass(frozen=True, slots=True)
class Trimmed:
    """What became of one topic: how many frames went, where reading begins now, and what keeps the next one."""

    topic: str
    frames: int
    begin: int
    kept_by: str


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """What the kept snapshots of every task say of themselves: of this generation, and of all that share its input.

    generations: of `featurize`, for every generation of vectors. readers: of the tasks of other generations that may
    read [features], by name and generation.
    """

    tasks: Mapping[str, Sequence[Meta]]
    generations: Mapping[str, Sequence[Meta]]
    readers: Mapping[tuple[str, str], Sequence[Meta]]
    ingests: Mapping[str, Sequence[Meta]]


def least_retention_us(pipeline: "Pipeline[Any]") -> int:
    """Return how long [events] must be kept: longest window + its offset + the label's `within`; ENDED_US: for ever."""
    reads = pipeline.features.aggregates()
    longest_us: int = max((read.window.reach_us + read.offset_us for read in reads), default=0)
    return min(longest_us + int(pipeline.label.within_us), ENDED_US)


def check_retention(pipeline: "Pipeline[Any]", retention: Mapping[str, int]) -> None:
    """Raise ConfigError if [events] would be forgotten before its records have done their work."""
    wanted_us, given_us = least_retention_us(pipeline), retention.get(EVENTS)
    if given_us is None or given_us >= wanted_us:
        return
    where = f"[retention] {EVENTS}"
    if wanted_us >= ENDED_US:
        raise ConfigError(where, wanted="none: a window without end needs every event", got=duration_text(given_us))
    wanted = f"{duration_text(wanted_us)} or more (longest window + offset + the label's within)"
    raise ConfigError(where, wanted=wanted, got=duration_text(given_us))


def kept_snapshots(deployment: Deployment, users: "Users") -> Kept:
    """Return what the snapshots say; touches no log, so that another thread may look."""
    mine = deployment.generation
    return Kept(
        {name: _metas(deployment, name, deployment.generation_of(name)) for name in INPUTS},
        {generation: _metas(deployment, "featurize", generation) for generation in users.generations},
        {
            (name, generation): _metas(deployment, name, generation)
            for generation in users.others
            for name, source in INPUTS.items()
            if source == "features"
        },
        {name: _metas(deployment, name, mine) for name in users.ingests},
    )


@final
@dataclass(frozen=True, slots=True)
class Users:
    """Who reads [events], by generation of vectors, and who writes it but for a person's commands, by task.

    `others` are the generations besides this one that may read the same [features].
    """

    generations: tuple[str, ...]
    others: tuple[str, ...]
    ingests: tuple[str, ...]


def users_of_events(deployment: Deployment) -> Users:
    """Return every generation whose `featurize` has a topic in this log, and every task that brings records in."""
    manifests = [deployment.log.open(name).manifest for name in deployment.log.names()]
    generations = {one.generation for one in manifests if one.generation and "featurize" in one.producers}
    predicting = {one.generation for one in manifests if "predict" in one.producers}
    producers = deployment.topic(EVENTS).manifest.producers
    others = tuple(sorted(predicting - {deployment.generation}))
    return Users(tuple(sorted(generations)), others, tuple(name for name in producers if name not in INPUTS))


def _metas(deployment: Deployment, task: str, generation: str) -> list[Meta]:
    snapshots = deployment.snapshots(task, generation)
    return snapshots.metas() if snapshots is not None else []


def trim(
    deployment: Deployment, retention: Mapping[str, int], *, kept: Kept | None = None, dry_run: bool = False
) -> list[Trimmed]:
    """Trim every topic that has a retention, in microseconds, and collect the bundles that nobody names any more.

    With `kept`, what is known of the snapshots already; they only become newer. With `dry_run` nothing is changed.

    Raises ConfigError if [events] would be forgotten too early.
    """
    check_retention(deployment.pipeline, retention)
    users = users_of_events(deployment)
    if kept is None:
        kept = kept_snapshots(deployment, users)
    elif not _all_seen(users, kept):
        return []  # Somebody has come since the snapshots were looked at.
    found = [
        _trim_topic(deployment, name, retention[name], kept, dry_run=dry_run) for name in TOPICS if name in retention
    ]
    deployment.log.commit()
    if "control" in retention:
        _collect(deployment, dry_run=dry_run)
    return found


def _all_seen(users: Users, kept: Kept) -> bool:
    """Return whether the snapshots of every user were looked at."""
    seen = {generation for _, generation in kept.readers}
    return (
        set(users.generations) <= set(kept.generations)
        and set(users.ingests) <= set(kept.ingests)
        and set(users.others) <= seen
    )


def _trim_topic(deployment: Deployment, name: str, keep_us: int, kept: Kept, *, dry_run: bool) -> Trimmed:
    topic = deployment.topic(name)
    begin = topic.begin(0)
    limit, needed_by = _limit(topic, name, kept)
    newest_us = _newest_us(topic)
    reader = deployment.events_reader() if name == EVENTS else Reader(topic)
    cut, young = _cut(reader, limit, newest_us - keep_us)
    kept_by = f"rows of the last {duration_text(keep_us)}" if young else needed_by
    if cut.offset > begin and name == "control":
        cut, kept_by = _summarise(deployment, cut, kept_by, dry_run=dry_run)
    if cut.offset > begin and not dry_run:
        topic.trim(0, cut)
    frames = sum(1 for _ in _frames(topic, begin, cut.offset)) if dry_run else cut.offset - begin
    return Trimmed(name, frames, cut.offset, kept_by)


def _limit(topic: Topic, name: str, kept: Kept) -> tuple[int, str]:
    """Return the offset above which nobody allows a cut, and who that is."""
    limits = [(topic.end(0), "its end")]

    def add(task: str, cuts: Sequence[Mapping[str, Any]], *, needed: bool) -> None:
        mine = [cut["offset"] for cut in cuts if cut["incarnation"] == topic.manifest.incarnation]
        if mine:
            limits.append((min(mine), f"task {task}, whose oldest kept snapshot reads on there"))
        elif needed:
            limits.append((topic.begin(0), f"task {task}, of which there is no snapshot"))

    if name == EVENTS:
        for generation, metas in kept.generations.items():
            add(f"featurize of generation {generation[:8]}", [meta["cut"] for meta in metas], needed=True)
        for task, metas in kept.ingests.items():
            add(task, [meta["writer"]["tail"] for meta in metas], needed=False)
    if name == "features":
        for (task, generation), metas in kept.readers.items():
            if _may_read(
                topic, [meta for (_, other), own in kept.readers.items() if other == generation for meta in own]
            ):
                add(f"{task} of generation {generation[:8]}", [meta["cut"] for meta in metas], needed=True)
    for task, source in INPUTS.items():
        metas = kept.tasks[task]
        if source == name:
            add(task, [meta["cut"] for meta in metas], needed=True)
        if name in OUTPUTS[task.partition(".")[0]]:
            add(task, [meta["writers"][name]["tail"] for meta in metas], needed=False)
    if name == "predictions":
        waiting = [meta["stage"].get("lowest_waiting") for meta in kept.tasks["join"]]
        limits += [(place, "a prediction that waits for its label") for place in waiting if place is not None]
    return min(limits)


def _may_read(topic: Topic, metas: Sequence[Meta]) -> bool:
    """Return whether tasks with these snapshots may read a topic: one does, or there is none to tell."""
    return not metas or any(meta["cut"]["incarnation"] == topic.manifest.incarnation for meta in metas)


def _cut(reader: Reader, limit: int, before_us: int) -> tuple[Cut, bool]:
    """Return the highest cut that is not above `limit` nor above a row that arrived at `before_us` or later.

    With it: whether it was such a row that ended the walk. A frame of commands goes with the frames behind it.
    """
    cut = reader.cut()
    for offset, frame in _frames(reader.topic, reader.offset, limit):
        newest_us = _newest_of(reader.topic, frame.batch)
        if newest_us is not None and newest_us >= before_us:
            return cut, True
        reader.take(offset, frame)
        reader.offset = offset + 1
        if newest_us is not None:
            cut = reader.cut()
    return cut, False


def _frames(topic: Topic, start: int, stop: int) -> Iterator[tuple[int, Frame]]:
    """Yield the frames whose offsets lie in [start, stop)."""
    while found := topic.read(0, start, _FRAMES):
        for offset, frame in found:
            if offset >= stop:
                return
            yield offset, frame
        start = found[-1][0] + 1


def _newest_us(topic: Topic) -> int:
    """Return the newest arrival time in a topic, as the last frames tell it; UNSPOKEN_US if none tells any."""
    for first in (max(topic.begin(0), topic.end(0) - _NEWEST_FRAMES), topic.begin(0)):
        found = [_newest_of(topic, frame.batch) for _, frame in _frames(topic, first, topic.end(0))]
        told = [newest for newest in found if newest is not None and newest < ENDED_US]
        if told:
            return max(told)
    return UNSPOKEN_US


def _newest_of(topic: Topic, batch: Batch) -> int | None:
    """Return the newest arrival of a batch by the clock of the records, ENDED_US if it is the end of a history.

    None if no row tells any: none is there, or they are a person's commands among records.
    """
    streams = topic.manifest.streams
    told = np.array([stream.name not in _COMMANDS for stream in streams])
    if not told.any():
        told[:] = True  # Here are commands and nothing else: they have one clock.
    rows = told[batch.stream]
    return int(batch.arrival_time[rows].max()) if rows.any() else None


def _summarise(deployment: Deployment, cut: Cut, kept_by: str, *, dry_run: bool) -> tuple[Cut, str]:
    """Keep a summary of [control] below a cut, and return the cut; where it cannot be kept, the present one and why."""
    topic = deployment.topic("control")
    summaries = deployment.summaries()
    if summaries is None:
        return topic.cut(0), "the lack of a place for a summary of what stands below"
    view = deployment.control()
    view.follow(cut.offset)
    if dry_run:
        return view.cut(), kept_by
    summaries.put(summary_name(view.cut().offset), view.summary(_first_asked_us(deployment)))
    # That of the present cut stays until the next trim: the new cut is not committed, and others may be reading it.
    for old in summaries.names():
        if old < summary_name(topic.begin(0)):
            summaries.delete(old)
    return view.cut(), kept_by


def _first_asked_us(deployment: Deployment) -> int:
    """Return the earliest arrival among the kept predictions, or else among what waits for one."""
    for name in ("predictions", "features"):
        topic = deployment.topic(name)
        for _, frame in _frames(topic, topic.begin(0), topic.end(0)):
            if len(frame.batch):
                return int(frame.batch.arrival_time.min())
    return UNSPOKEN_US


def _collect(deployment: Deployment, *, dry_run: bool) -> list[str]:
    control = deployment.control()
    control.follow()
    return deployment.bundles().collect(control.named(), control.newest_number, dry_run=dry_run)


@final
class Trimming:
    """What a worker does about retention while it runs: seldom, and each part on the thread that may do it."""

    def __init__(self, deployment: Deployment, retention: Mapping[str, int], clock: Clock) -> None:
        """Raise ConfigError if [events] would be forgotten too early."""
        check_retention(deployment.pipeline, retention)
        self._deployment = deployment
        self._retention = dict(retention)
        self._clock = clock
        self._users = users_of_events(deployment)
        self._kept: Kept | None = None
        self._next_us = clock.elapsed_us()

    def look(self) -> None:
        """Read what the snapshots that have just been kept say. May be called by another thread."""
        if self._retention and self._clock.elapsed_us() >= self._next_us:
            self._kept = kept_snapshots(self._deployment, self._users)

    def trim(self) -> None:
        """Trim by what was seen last, if there is anything new; on the thread that writes to the log."""
        kept, self._kept = self._kept, None
        if kept is None:
            return
        trim(self._deployment, self._retention, kept=kept)
        self._users = users_of_events(self._deployment)
        self._next_us = self._clock.elapsed_us() + _PAUSE_US
