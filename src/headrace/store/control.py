"""What [control] says, folded: versions, the champion, the scores in force, and how far each writer promises.

Every reader folds the same rows in the same order, so all agree on what was in force when.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, final

from headrace.core.time import ENDED_US, UNSPOKEN_US
from headrace.topics.contract import Topic
from headrace.topics.entries import entries_of
from headrace.topics.reader import Reader, Taken
from headrace.topics.schemas import CONTROL

__all__ = ["Champion", "ControlView", "ScoreInForce", "Version"]

_READ_FRAMES: Final = 256


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
class ControlView:
    """[control] as it stands so far. Follow it, then ask; nothing here writes.

    `promises` names the producers whose promises must be waited for in history.
    """

    def __init__(self, topic: Topic, *, promises: tuple[str, ...] = ()) -> None:
        self._reader = Reader(topic)
        self._promises = dict.fromkeys(promises, UNSPOKEN_US)
        self.versions: Final[list[Version]] = []
        self.moves: Final[list[Champion]] = []
        self.scores: Final[list[ScoreInForce]] = []
        self.alarms: Final[list[dict[str, Any]]] = []
        self.decisions: Final[list[dict[str, Any]]] = []
        self.refused: Final[list[dict[str, Any]]] = []
        self.held = False

    @property
    def offset(self) -> int:
        """Return the offset up to which [control] has been read."""
        return self._reader.offset

    @property
    def promise_us(self) -> int:
        """Return the arrival time before which nothing new will come into force; ENDED_US if nobody need be asked."""
        return min(self._promises.values(), default=ENDED_US)

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

    def follow(self) -> bool:
        """Read [control] to its end; True if there was something new."""
        moved = False
        while True:
            before = self._reader.offset
            for taken in self._reader.read(_READ_FRAMES):
                self._fold(taken)
            if self._reader.offset == before:
                return moved
            moved = True

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
                    if producer in self._promises:
                        self._promises[producer] = max(self._promises[producer], columns["until"])
                case "version":
                    self._fold_version(columns)
                case "pointer":
                    self._fold_pointer(columns)
                case "score":
                    self._fold_score(columns)
                case "alarm":
                    self.alarms.append(columns)
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

    def _fold_score(self, entry: dict[str, Any]) -> None:
        drift = entry["value"] / entry["threshold"] if entry["threshold"] > 0 else 0.0
        of = f"{entry['detector']}:{entry['column']}"
        if self.scores and self.scores[-1].in_force == entry["in_force"]:
            if drift > self.scores[-1].drift:
                self.scores[-1] = ScoreInForce(entry["in_force"], drift, of)
        else:
            self.scores.append(ScoreInForce(entry["in_force"], drift, of))
