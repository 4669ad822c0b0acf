"""explain: what one prediction was made of, found again in the log by plain search, not by the engine."""

from dataclasses import dataclass
from math import isnan
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression
from headrace.core.records import Batch, Verdict
from headrace.core.time import ENDED_US, UNSPOKEN_US, instant_text
from headrace.features.aggregates import AggregateRead
from headrace.features.evaluator import Evaluator
from headrace.features.vector import aggregates_of
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.skipped import without
from headrace.run.taken import taken, taken_rows

__all__ = ["Explanation", "explain"]

_REQUEST: Final = 0
_LABEL: Final = 1
_SHOWN: Final = 5


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """The request, each feature with what it is made of, the answer, and the label if it came back."""

    request: dict[str, Any]
    features: list[dict[str, Any]]
    prediction: dict[str, Any]
    label: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as one JSON object."""
        return {
            "request": self.request,
            "features": self.features,
            "prediction": self.prediction,
            "label": self.label,
        }


def explain(deployment: Deployment, id: str) -> Explanation:
    """Return what the prediction of one request was made of.

    Raises ConfigError if no request of that id was answered.
    """
    pipeline = deployment.pipeline
    control = deployment.control()
    control.follow()
    topic = deployment.topic(EVENTS)
    begin = topic.begin(0)
    events = without(taken_rows(topic), control.skipped("featurize"))
    names = [stream.name for stream in topic.manifest.streams]
    asking = names.index(pipeline.features.of.name)
    row = _row_of(events, asking, id)
    if row is None:
        kept = f", kept (events begins at offset {begin}: what stood below was trimmed)" if begin else ""
        raise ConfigError("explain", wanted=f"the id of a request of {pipeline.features.of.name!r}{kept}", got=id)
    time_us = int(events.event_time[row])
    fields = events.payloads[asking].slice(int(np.count_nonzero(events.stream[:row] == asking)), 1)
    vector = _payload(deployment, "features", _REQUEST, id)
    answer = _payload(deployment, "predictions", _REQUEST, id)
    if vector is None or answer is None:
        gone = max(deployment.topic(name).begin(0) for name in ("features", "predictions")) > 0
        got = f"{id}, which waits{' or was trimmed from [features] or [predictions]' if gone else ''}"
        raise ConfigError("explain", wanted="a request that was answered", got=got)
    blocks = pipeline.features.blocks()
    values = dict(zip((*blocks.dense, *blocks.categories), [*vector["dense"], *vector["ids"]], strict=True))
    codes = dict(zip((*blocks.dense, *blocks.categories), vector["reasons"], strict=True))
    search = _Search(deployment, events, names, row, time_us, fields, trimmed=begin > 0)
    features = []
    for name, feature in pipeline.features.features.items():
        features.append(
            {
                "feature": name,
                "value": values[name],
                "reason": reasons.NAMES[codes[name]],
                "is": feature.canonical,
                "windows": [search.window(read) for read in aggregates_of(feature)],
            }
        )
    request = {key: column[0] for key, column in fields.to_pydict().items()}
    label = _payload(deployment, "features", _LABEL, id)
    version = control.version(str(answer["version"]))
    return Explanation(
        {**request, "event_time": instant_text(time_us), "verdict": Verdict(int(events.verdict[row])).name.lower()},
        features,
        {
            "score": answer["score"],
            "version": version.name if version is not None else None,
            "fallback": answer["fallback"],
            "drift": answer["drift"],
            "drift_of": answer["drift_of"],
        },
        None if label is None else {"value": label["value"], "known": label["known"]},
    )


@final
class _Search:
    """Finds the records behind an aggregate: those with the request's key, in its window, above it in the log."""

    def __init__(
        self,
        deployment: Deployment,
        events: Batch,
        names: list[str],
        row: int,
        time_us: int,
        fields: pa.RecordBatch,
        *,
        trimmed: bool,
    ) -> None:
        self._kept_us = int(events.event_time.min()) if trimmed else UNSPOKEN_US
        self._deployment = deployment
        self._events = events
        self._names = names
        self._row = row
        self._time_us = time_us
        self._asked = Evaluator(fields)

    def window(self, read: AggregateRead) -> dict[str, Any]:
        """Return the window, how many kept records lie in it, whether it may reach back to trimmed ones, the newest."""
        until_us = self._time_us - read.offset_us + int(read.include_current)
        reach_us = read.window.reach_us
        since_us = UNSPOKEN_US if reach_us >= ENDED_US else self._time_us - read.offset_us - reach_us
        found = self._of_label(read) if read.of_label else self._of_source(read)
        inside = [entry for entry in found if since_us <= entry["event_time_us"] < until_us]
        inside.sort(key=lambda entry: entry["event_time_us"])
        shown = [{"event_time": instant_text(entry.pop("event_time_us")), **entry} for entry in inside[-_SHOWN:]]
        return {
            "aggregate": read.operation,
            "of": read.records.name + (" label" if read.of_label else ""),
            "since": instant_text(since_us),
            "until": instant_text(until_us),
            "records": len(inside),
            "whole": since_us >= self._kept_us,
            "newest": shown[::-1],
        }

    def _of_source(self, read: AggregateRead) -> list[dict[str, Any]]:
        number = self._names.index(read.stream_name)
        rows = self._events.rows_of(number)
        last = self._row + 1 if read.include_current else self._row
        kept = (rows < last) & (self._events.verdict[rows] <= Verdict.LATE)
        payload = self._events.payloads[number]
        evaluator = Evaluator(payload)
        kept &= self._same_key(evaluator, read.keys, read.equals)
        if read.where is not None:
            kept &= evaluator.mask(read.where)
        if read.column is not None:
            kept &= ~evaluator.column(read.column).missing
        places = np.flatnonzero(kept)
        entries = payload.take(pa.array(places)).to_pylist()
        return [
            {"event_time_us": int(time), **{key: str(value) for key, value in entry.items()}}
            for time, entry in zip(self._events.event_time[rows[places]].tolist(), entries, strict=True)
        ]

    def _of_label(self, read: AggregateRead) -> list[dict[str, Any]]:
        """Return the labels that were known, by the requests that they answer."""
        number = self._names.index(read.stream_name)
        payload = self._events.payloads[number]
        same = self._same_key(Evaluator(payload), read.keys, read.equals)
        ids = set(self._events.id.take(pa.array(self._events.rows_of(number)[same])).to_pylist())
        mine = self._events.position(self._row)
        found = []
        for piece in taken(self._deployment.topic("features")):
            batch, causes = piece.batch, piece.causes
            for place, row in enumerate(batch.rows_of(_LABEL).tolist()):
                value = batch.payloads[_LABEL]["value"][place].as_py()
                if batch.id[row].as_py() in ids and causes.position(row) < mine and not isnan(value):
                    found.append(
                        {"event_time_us": int(batch.event_time[row]), "id": batch.id[row].as_py(), "value": value}
                    )
        return found

    def _same_key(self, evaluator: Evaluator, keys: tuple[Expression, ...], equals: tuple[Expression, ...]) -> Any:
        same = None
        for key, other in zip(keys, equals, strict=True):
            wanted = self._asked.column(other).as_arrow()[0]
            column = evaluator.column(key).as_arrow()
            equal = (
                np.zeros(len(column), bool)
                if not wanted.is_valid
                else pc.equal(column, wanted).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
            )
            same = equal if same is None else same & equal
        return same


def _row_of(batch: Batch, stream: int, id: str) -> int | None:
    rows = batch.rows_of(stream)
    found = pc.equal(batch.id, id).to_numpy(zero_copy_only=False)[rows] & (batch.verdict[rows] <= Verdict.LATE)
    return int(rows[np.argmax(found)]) if found.any() else None


def _payload(deployment: Deployment, topic: str, stream: int, id: str) -> dict[str, Any] | None:
    """Return the first row of one stream with this id, with the time of its row as `known`."""
    for piece in taken(deployment.topic(topic)):
        batch = piece.batch
        rows = batch.rows_of(stream)
        if len(rows):
            found = pc.equal(batch.id, id).to_numpy(zero_copy_only=False)[rows]
            if found.any():
                place = int(np.argmax(found))
                entry: dict[str, Any] = batch.payloads[stream].slice(place, 1).to_pylist()[0]
                return {**entry, "known": instant_text(int(batch.event_time[rows[place]]))}
    return None
