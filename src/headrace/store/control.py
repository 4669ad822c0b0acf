"""What [control] says, folded: versions, the champion, the scores in force, and how far each writer promises.

Every reader folds the same rows in the same order, so all agree on what was in force when. Where [control] was
trimmed, folding begins with the summary that was kept of what stood below the cut (see `ControlView.summary`).
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import StateError
from headrace.core.position import Position, sub_of
from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.store.blobs import Blobs
from headrace.store.bundles import Bundles
from headrace.store.snapshots import packed, unpacked
from headrace.topics.contract import Topic
from headrace.topics.cut import Cut
from headrace.topics.entries import entries_of
from headrace.topics.reader import Reader, Taken
from headrace.topics.schemas import CONTROL

__all__ = ["Champion", "ControlView", "ScoreInForce", "Skip", "Version", "summary_name"]

_READ_FRAMES: Final = 256
_TOLD: Final = 5
"""Alarms and decisions below the cut that a summary tells in full; the others are counted."""
_TRIES: Final = 3


def summary_name(offset: int) -> str:
    """Return the name of the summary of everything below an offset; names sort as offsets do.

    >>> summary_name(12)
    '00000000000000000012'
    """
    return f"{offset:020d}"


@final
@dataclass(frozen=True, slots=True)
class Version:
    """One published version. `in_force` is the arrival time from which it may answer, microseconds UTC."""

    number: int
    name: str
    parent: str
    in_force: int
    examples: int
    metrics: dict[str, Any]
    bundle: bytes
    """What of the bundle stands in [control]: nothing of a large one. `ControlView.bundle` has it either way."""


@final
@dataclass(frozen=True, slots=True)
class Champion:
    """A move of the pointer `champion`: to which version, and from which arrival time on."""

    in_force: int
    version: Version


@final
@dataclass(frozen=True, slots=True)
class ScoreInForce:
    """The drift of one bucket: the highest score in units of its threshold, and whose it is."""

    in_force: int
    drift: float
    drift_of: str


@final
@dataclass(frozen=True, slots=True)
class Skip:
    """A decision to leave one row of a task's input out; `refused` says why it came to nothing, else it is empty."""

    task: str
    offset: int
    row: int
    why: str
    refused: str = ""

    @property
    def position(self) -> Position:
        """Return the place of the row in the topic that the task reads."""
        return Position(self.offset, sub_of(self.row))


@final
class ControlView:
    """[control] as it stands so far. Follow it, then ask; nothing here writes.

    `promises` names the producers whose promises must be waited for in history. `summaries` holds what was kept of
    the rows below the cut, `bundles` the bundles that are too large for a row.

    Raises StateError if [control] was trimmed and the summary of what stood below is gone.
    """

    def __init__(
        self,
        topic: Topic,
        *,
        promises: tuple[str, ...] = (),
        summaries: Blobs | None = None,
        bundles: Bundles | None = None,
    ) -> None:
        self._topic = topic
        self._waited_for = promises
        self._summaries = summaries
        self._bundles = bundles or Bundles(None)
        self._begin()

    def _begin(self) -> None:
        """Stand at the cut of [control], with what was in force there."""
        for _ in range(_TRIES):  # Another process may trim between our two looks.
            self._reader = Reader(self._topic)
            self._promises: dict[str, int] = dict.fromkeys(self._topic.manifest.producers, UNSPOKEN_US)
            self.versions: list[Version] = []
            self.moves: list[Champion] = []
            self.scores: list[ScoreInForce] = []
            self.alarms: list[dict[str, Any]] = []
            self.decisions: list[dict[str, Any]] = []
            self.refused: list[dict[str, Any]] = []
            self.skips: list[Skip] = []
            self.held = False
            self.newest_number = -1
            self._below: Counter[str] = Counter()
            if self._reader.offset == 0:
                return
            kept = self._summaries.get(summary_name(self._reader.offset)) if self._summaries is not None else None
            if kept is not None:
                self._restore(kept)
                return
        raise StateError(
            f"topic {self._topic.manifest.topic!r}",
            wanted=f"the summary of what stood below offset {self._reader.offset} (restore control/ from a copy)",
            got="none",
        )

    @property
    def offset(self) -> int:
        """Return the offset up to which [control] has been read."""
        return self._reader.offset

    @property
    def promise_us(self) -> int:
        """Return the arrival time before which nothing new will come into force; ENDED_US if nobody need be asked."""
        return min((self._promises[name] for name in self._waited_for), default=ENDED_US)

    @property
    def champion(self) -> Version | None:
        """Return the version to which the last move of the pointer leads."""
        return self.moves[-1].version if self.moves else None

    @property
    def previous(self) -> Version | None:
        """Return the version that was champion before the present one."""
        now = self.champion
        return next((move.version for move in reversed(self.moves) if now and move.version.name != now.name), None)

    def version(self, name: str) -> Version | None:
        """Return a version by its name or its number."""
        return next((known for known in self.versions if name in (known.name, str(known.number))), None)

    def bundle(self, version: Version) -> bytes:
        """Return the bundle of a version; StateError, with the remedy, if it is gone."""
        return self._bundles.load(version.name, version.bundle)

    def count(self, what: str) -> int:
        """Return how many "versions", "alarms", "decisions" or "skips" there were in all, below the cut too."""
        there = {
            "versions": len(self.versions),
            "alarms": len(self.alarms),
            "decisions": len(self.decisions),
            "skips": len(self.done),
        }
        return self._below[what] + there[what]

    @property
    def done(self) -> list[Skip]:
        """Return the skips that were not refused."""
        return [skip for skip in self.skips if not skip.refused]

    def skipped(self, task: str) -> frozenset[Position]:
        """Return the positions that a task leaves out of its input."""
        return frozenset(skip.position for skip in self.done if skip.task == task)

    def follow(self, below: int | None = None) -> bool:
        """Read [control] to its end, or up to an offset that is a frame's; True if there was something new."""
        moved = False
        if self._topic.begin(0) > self._reader.offset:
            self._begin()  # It was trimmed above us while we looked away.
            moved = True
        while below is None or self._reader.offset < below:
            before = self._reader.offset
            for taken in self._reader.read(_READ_FRAMES if below is None else 1):
                self._fold(taken)
            if self._reader.offset == before:
                return moved
            moved = True
        return moved

    def cut(self) -> Cut:
        """Return where the view stands."""
        return self._reader.cut()

    def named(self) -> frozenset[str]:
        """Return the names of the versions that are known: their bundles are kept."""
        return frozenset(version.name for version in self.versions)

    def summary(self, needed_us: int) -> bytes:
        """Return what must be kept of the rows up to here once they are trimmed.

        `needed_us` is the earliest arrival for which anybody may still ask who answered: older moves and scores are
        left out, with the versions that only they lead to, but for the champion and the one before it.
        """
        previous = self.previous
        first = _in_force([move.in_force for move in self.moves], needed_us)
        if previous is not None:
            places = [place for place, move in enumerate(self.moves) if move.version is previous]
            first = min(first, places[-1])
        moves = self.moves[first:]
        used = {move.version.name for move in moves}
        versions = [one for one in self.versions if one.name in used or one.in_force >= needed_us]
        scores = self.scores[_in_force([score.in_force for score in self.scores], needed_us) :]
        gone = {
            "versions": len(self.versions) - len(versions),
            "alarms": len(self.alarms[:-_TOLD]),
            "decisions": len(self.decisions[:-_TOLD]),
        }
        names = [version.name for version in versions]
        meta = {
            "versions": [{**asdict(version), "bundle": None} for version in versions],
            "moves": [[move.in_force, names.index(move.version.name)] for move in moves],
            "scores": [asdict(score) for score in scores],
            "alarms": self.alarms[-_TOLD:],
            "decisions": self.decisions[-_TOLD:],
            "skips": [asdict(skip) for skip in self.skips],
            "held": self.held,
            "newest_number": self.newest_number,
            "promises": self._promises,
            "below": {what: self._below[what] + count for what, count in gone.items()},
        }
        inline = {version.name: np.frombuffer(version.bundle, np.uint8) for version in versions if version.bundle}
        return packed(inline, meta)

    def _restore(self, summary: bytes) -> None:
        inline, meta = unpacked(summary)
        for entry in meta["versions"]:
            bundle = inline[entry["name"]].tobytes() if entry["name"] in inline else b""
            self.versions.append(Version(**{**entry, "bundle": bundle}))
        self.moves += [Champion(in_force, self.versions[place]) for in_force, place in meta["moves"]]
        self.scores += [ScoreInForce(**entry) for entry in meta["scores"]]
        self.skips += [Skip(**entry) for entry in meta["skips"]]
        self.alarms, self.decisions = meta["alarms"], meta["decisions"]
        self.held, self.newest_number = meta["held"], meta["newest_number"]
        self._promises |= meta["promises"]
        self._below.update(meta["below"])

    def champion_at(self, arrival_us: int) -> tuple[Version | None, int]:
        """Return who answers a request that arrived then, and the arrival time at which that may change."""
        change_us = ENDED_US
        for move in reversed(self.moves):
            if move.in_force <= arrival_us:
                return move.version, change_us
            change_us = move.in_force
        return None, change_us

    def score_at(self, arrival_us: int) -> tuple[ScoreInForce | None, int]:
        """Return the drift in force then, and the arrival time at which that may change."""
        change_us = ENDED_US
        for score in reversed(self.scores):
            if score.in_force <= arrival_us:
                return score, change_us
            change_us = score.in_force
        return None, change_us

    def _fold(self, taken: Taken) -> None:
        producer = self._reader.topic.manifest.producers[taken.producer]
        for entry in entries_of(taken.batch, CONTROL):
            columns = {**entry.columns, "time": entry.time_us}
            match entry.stream:
                case "progress":
                    self._promises[producer] = max(self._promises[producer], columns["until"])
                case "version":
                    self._fold_version(columns)
                case "pointer":
                    self._fold_pointer(columns)
                case "score":
                    self._fold_score(columns)
                case "alarm":
                    self.alarms.append(columns)
                case "skip":
                    self._fold_skip(columns)
                case _:
                    self.decisions.append(columns)

    def _fold_version(self, entry: dict[str, Any]) -> None:
        version = Version(
            number=entry["number"],
            name=entry["name"],
            parent=entry["parent"],
            in_force=entry["in_force"],
            examples=entry["examples"],
            metrics=json.loads(entry["metrics"]),
            bundle=entry["bundle"],
        )
        self.versions.append(version)
        self.newest_number = max(self.newest_number, version.number)
        if not self.held:
            self.moves.append(Champion(version.in_force, version))

    def _fold_pointer(self, entry: dict[str, Any]) -> None:
        """Move the pointer if the precondition holds; a second copy of a command finds it broken and does nothing."""
        champion = self.champion
        wanted = self.version(entry["champion"])
        if champion is None or wanted is None or champion.name != entry["expected"]:
            self.refused.append(entry)
            return
        self.moves.append(Champion(UNSPOKEN_US, wanted))
        self.held = entry["hold"]

    def _fold_skip(self, entry: dict[str, Any]) -> None:
        """Keep a skip; a second one of the same place is refused, whatever it says of itself."""
        skip = Skip(entry["task"], entry["offset"], entry["row"], entry["why"], entry["refused"])
        if not skip.refused and skip.position in self.skipped(skip.task):
            skip = Skip(skip.task, skip.offset, skip.row, skip.why, "it is skipped already")
        self.skips.append(skip)

    def _fold_score(self, entry: dict[str, Any]) -> None:
        drift = entry["value"] / entry["threshold"] if entry["threshold"] > 0 else 0.0
        of = f"{entry['detector']}:{entry['column']}"
        if self.scores and self.scores[-1].in_force == entry["in_force"]:
            if drift > self.scores[-1].drift:
                self.scores[-1] = ScoreInForce(entry["in_force"], drift, of)
        else:
            self.scores.append(ScoreInForce(entry["in_force"], drift, of))


def _in_force(since: list[int], needed_us: int) -> int:
    """Return the place of the last entry that was in force at an instant; 0 if there is none."""
    return max((place for place, time in enumerate(since) if time <= needed_us), default=0)
