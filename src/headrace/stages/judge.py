"""judge: compare sketches with their reference, run the detectors, and put scores and alarms on [control].

One judge decides, whatever the number of watchers. It decides for a day when every watcher has announced that day,
in the order of the columns, so that the order in which their frames landed changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np

from headrace.core.records import I8, Batch
from headrace.core.time import ENDED_US, UNSPOKEN_US, duration_us, instant_text
from headrace.drift.adwin import ADWIN, AdaptiveWindow
from headrace.drift.psi import GROUPS, PSI, psi, psi_threshold
from headrace.drift.sketch import Sketch
from headrace.models.contract import Columns
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL, SKETCHES

__all__ = ["Judge"]

_TOPIC_OF: Final = {"features": "features", "score": "predictions"}


@final
class _Watched:
    """One column under one PSI: its reference, the last days in the reference's groups, whether it is out of bounds."""

    def __init__(self, detector: PSI, column: str) -> None:
        self.detector = detector
        self.column = column
        self.reference_us = duration_us("PSI reference", detector.reference)
        self.over_us = duration_us("PSI over", detector.over)
        self.first_us = UNSPOKEN_US
        self.reference = Sketch.empty()
        self.edges = np.zeros(0, np.int64)
        self.was = np.zeros(0, np.int64)
        self.days: list[int] = []
        self.recent: list[I8] = []
        self.out = False

    def add(self, until_us: int, found: Sketch, every_us: int) -> tuple[float, float] | None:
        """Take in one day; return the index and its bound once there is a reference and a whole window."""
        if self.first_us == UNSPOKEN_US:
            self.first_us = until_us - every_us
        if until_us <= self.first_us + self.reference_us:
            self.reference = Sketch.merged([self.reference, found])
            self.edges = self.reference.edges(GROUPS)
            self.was = self.reference.grouped(self.edges)
            return None
        while self.days and self.days[0] <= until_us - self.over_us:
            del self.days[0], self.recent[0]
        self.days.append(until_us)
        self.recent.append(found.grouped(self.edges))
        if until_us < self.first_us + self.reference_us + self.over_us:
            return None
        now = np.sum(self.recent, axis=0)
        bound = psi_threshold(len(now), int(self.was.sum()), int(now.sum()), self.detector.false_alarm)
        return psi(self.was, now), max(self.detector.threshold, bound)


@final
class Judge(Stage):
    """Read [sketches]; write scores in force, alarms and promises to [control].

    An alarm sounds once when a score passes its bound, and again only after it was back within it.
    """

    def __init__(
        self,
        *,
        detectors: Sequence[PSI | ADWIN],
        columns: Columns,
        every_us: int,
        watchers: int,
        output: str,
    ) -> None:
        self._every_us = every_us
        self._watchers = watchers
        self._output = output
        self._psi = [
            _Watched(detector, column)
            for detector in detectors
            if isinstance(detector, PSI)
            for column in (columns.single if detector.of == "features" else ("score",))
        ]
        self._adwin: list[AdaptiveWindow] = [detector.start() for detector in detectors if isinstance(detector, ADWIN)]
        self._days: dict[int, dict[str, Any]] = {}
        self.alarms = 0

    def process(self, batch: Batch) -> Outputs:
        """Collect what the watchers say of each day, and decide where the last of them has spoken."""
        made: list[Entry] = []
        for entry in entries_of(batch, SKETCHES):
            until_us = entry.columns["until"]
            day = self._days.setdefault(until_us, {"spoken": 0, "sketches": {}, "errors": []})
            if entry.stream == "sketch":
                day["sketches"][entry.columns["of"], entry.columns["column"]] = (
                    entry.columns["buckets"],
                    entry.columns["counts"],
                )
            elif entry.stream == "error":
                day["errors"].append((entry.columns["count"], entry.columns["mean"], entry.columns["m2"]))
            else:
                day["spoken"] += 1
                if day["spoken"] == self._watchers:
                    made += self._decided(until_us, self._days.pop(until_us), entry)
        return Outputs(len(batch), {self._output: batch_of(made, CONTROL)} if made else {})

    def _decided(self, until_us: int, day: dict[str, Any], cause: Entry) -> list[Entry]:
        made: list[Entry] = []
        over = until_us >= ENDED_US
        self.ended |= over

        def put(stream: str, columns: dict[str, Any]) -> None:
            made.append(Entry(stream, cause.offset, cause.sub + len(made), until_us, columns))

        if not over:  # What is left of the last day is no whole day.
            for watched in self._psi:
                self._judge_column(watched, until_us, day, put)
            for window in self._adwin:
                self._judge_error(window, until_us, day, put)
        promise_us = ENDED_US if over else until_us // self._every_us * self._every_us + self._every_us
        put("progress", {"until": promise_us})
        return made

    def _judge_column(self, watched: _Watched, until_us: int, day: dict[str, Any], put: Any) -> None:
        key = (_TOPIC_OF[watched.detector.of], watched.column)
        if key not in day["sketches"]:
            return
        buckets, counts = day["sketches"][key]
        sketch = Sketch(np.array(buckets, np.int64), np.array(counts, np.int64))
        found = watched.add(until_us, sketch, self._every_us)
        if found is None:
            return
        value, bound = found
        score = {"detector": "psi", "column": watched.column, "value": value, "threshold": bound}
        put("score", {**score, "in_force": until_us})
        if value > bound and not watched.out:
            where = "score" if watched.detector.of == "score" else f"feature {watched.column}"
            text = f"PSI of {where} is {value:.3f}, above {bound:.3f}, in the window before {instant_text(until_us)}"
            put("alarm", {**score, "text": text})
            self.alarms += 1
        watched.out = value > bound

    def _judge_error(self, window: AdaptiveWindow, until_us: int, day: dict[str, Any], put: Any) -> None:
        for count, mean, m2 in day["errors"]:
            before = window.mean
            rise = window.add(count, mean, m2)
            if rise > 0:
                where = f"(window: {before:.4f} to {window.mean:.4f}) before {instant_text(until_us)}"
                text = f"the mean error rose by {rise:.4f} {where}"
                columns = {"detector": "adwin", "column": "error", "value": window.mean, "threshold": before}
                put("alarm", {**columns, "text": text})
                self.alarms += 1

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return references, recent days and windows."""
        arrays: Arrays = {}
        columns = []
        for number, watched in enumerate(self._psi):
            arrays[f"{number}.buckets"], arrays[f"{number}.counts"] = (
                watched.reference.buckets,
                watched.reference.counts,
            )
            arrays[f"{number}.recent"] = np.array(watched.recent, np.int64).reshape(-1, len(watched.edges) + 1)
            columns.append({"first_us": watched.first_us, "out": watched.out, "days": list(watched.days)})
        for number, window in enumerate(self._adwin):
            arrays |= {f"adwin{number}.{name}": array for name, array in window.snapshot().items()}
        waiting = [
            [day, entry["spoken"], [[*key, *value] for key, value in entry["sketches"].items()], list(entry["errors"])]
            for day, entry in sorted(self._days.items())
        ]
        return arrays, {"columns": columns, "waiting": waiting, "alarms": self.alarms, "ended": self.ended}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        for number, (watched, kept) in enumerate(zip(self._psi, meta["columns"], strict=True)):
            watched.reference = Sketch(arrays[f"{number}.buckets"].copy(), arrays[f"{number}.counts"].copy())
            watched.edges = watched.reference.edges(GROUPS)
            watched.was = watched.reference.grouped(watched.edges)
            watched.recent = list(arrays[f"{number}.recent"].copy())
            watched.first_us, watched.out, watched.days = kept["first_us"], kept["out"], list(kept["days"])
        for number, window in enumerate(self._adwin):
            window.restore({name: arrays[f"adwin{number}.{name}"] for name in ("buckets", "sizes")})
        self._days = {
            day: {
                "spoken": spoken,
                "sketches": {(of, column): (buckets, counts) for of, column, buckets, counts in sketches},
                "errors": [tuple(error) for error in errors],
            }
            for day, spoken, sketches, errors in meta["waiting"]
        }
        self.alarms, self.ended = meta["alarms"], meta["ended"]
