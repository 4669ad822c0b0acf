"""explain: what one prediction was made of, found again in the log by plain search, not by the engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Final, final

import numpy as np
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.core.position import START, Position
from headrace.core.records import Batch, Verdict
from headrace.core.time import UNSPOKEN_US, duration_text, instant_text
from headrace.features.aggregates import AggregateRead
from headrace.features.vector import aggregates_of
from headrace.features.windows import Decay, Hopping, LastN, Session, Tumbling
from headrace.run.behind import Request, Search, labels_in, watched
from headrace.run.definition import Past, Seen, seen, value_of
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.skipped import without
from headrace.run.taken import taken, taken_from
from headrace.topics.frame import empty_batch

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
    sources = {source.name: source for source in pipeline.source_settings()}
    events = without(watched(_events(deployment), topic.manifest.streams, sources), deployment.skipped("featurize"))
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
    values = blocks.values(vector)
    codes = dict(zip(blocks.names, vector["reasons"], strict=True))
    labels = labels_in(taken(deployment.topic("features"))) if _asks_labels(deployment) else ()
    search = Search(events, topic.manifest.streams, sources, labels)
    computed = None if pipeline.features.wait_us is None else search.row_at(_cause(deployment, id))
    asked = search.request(row, computed)
    kept_us = int(events.event_time.min()) if begin > 0 else UNSPOKEN_US
    features = []
    for name, feature in pipeline.features.features.items():
        features.append(
            {
                "feature": name,
                "value": values[name],
                "reason": reasons.NAMES[codes[name]],
                "is": feature.canonical,
                "windows": [
                    _window(search, asked, read, kept_us=kept_us, reason=codes[name]) for read in aggregates_of(feature)
                ],
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


def _window(search: Search, request: Request, read: AggregateRead, *, kept_us: int, reason: int) -> dict[str, Any]:
    """Return the window that an aggregate read, how many records lie in it, the newest of them, and what is special.

    kept_us: the earliest event time that is kept in the log, UNSPOKEN_US if nothing was trimmed.
    """
    past, described = search.past(request, read)
    told_us = search.told_us(request, read)
    found = seen(read, request.time_us, told_us, past)
    newest = found.places[-_SHOWN:]
    weights = found.weights[-_SHOWN:]
    shown = []
    for order, (place, entry) in enumerate(zip(newest, described(newest), strict=True)):
        weight = {"weight": weights[order]} if weights else {}
        late = {"late": "came after the window was closed"} if _came_late(read, past[place], found) else {}
        shown.append({"event_time": instant_text(past[place].time_us), **entry, **weight, **late})
    whole = found.since_us >= kept_us
    return {
        "aggregate": read.operation,
        "of": read.records.name + (" label" if read.of_label else ""),
        "window": read.window.canonical,
        "since": instant_text(found.since_us),
        "until": instant_text(found.until_us),
        "records": len(found.places),
        "value": _value(read, request.time_us, found, past),
        "whole": whole,
        "note": "; ".join(_notes(read, found, len(past), told_us, reason, whole=whole)),
        "newest": shown[::-1],
    }


def _value(read: AggregateRead, time_us: int, found: Seen, past: Sequence[Past]) -> float | str | None:
    """Return what the aggregate is by definition; None where it has no value, or its definition is a sketch."""
    try:
        value = value_of(read, time_us, found, past)
    except LookupError:
        return None
    return None if isinstance(value, float) and isnan(value) else value


def _came_late(read: AggregateRead, one: Past, found: Seen) -> bool:
    return read.window.closes and one.told_us >= found.until_us


def _notes(read: AggregateRead, found: Seen, past: int, told_us: int, reason: int, *, whole: bool) -> Iterator[str]:
    """Yield what must be known of a window to understand its value, a clause each."""
    match read.window:
        case Tumbling() | Hopping():
            yield f"closed: the watermark stood at {instant_text(told_us)}"
            if found.corrected:
                yield f"corrected: {found.corrected} of its records came after it was closed"
        case Session():
            yield f"the session began at {instant_text(found.since_us)}" if found.places else "no session is open"
        case LastN() as window:
            yield f"the newest {len(found.places)} of {window.n}, out of {past} that it may reach"
        case Decay() as window:
            yield f"half of the weight in {duration_text(window.half_life_us)}, {sum(found.weights):.6g} in all"
        case _:
            pass
    if read.resolution_us:
        yield f"in tiles of {duration_text(read.resolution_us)}: those that begin in it"
    if reason == reasons.TRUNCATED:
        yield "truncated: the state is bounded, and a part of these records was no longer kept"
    if not whole:
        yield "a part of it may have been trimmed from the log"


def _events(deployment: Deployment) -> Batch:
    """Return all of [events] that is kept, each row with the watermark behind it where a reader waits for several."""
    batches = [piece.batch for piece in taken_from(deployment.events_reader())]
    return Batch.concat(batches) if batches else empty_batch(deployment.topic(EVENTS).manifest)


def _asks_labels(deployment: Deployment) -> bool:
    return any(read.of_label for read in deployment.pipeline.features.aggregates())


def _row_of(batch: Batch, stream: int, id: str) -> int | None:
    rows = batch.rows_of(stream)
    found = pc.equal(batch.id, id).to_numpy(zero_copy_only=False)[rows] & (batch.verdict[rows] <= Verdict.LATE)
    return int(rows[np.argmax(found)]) if found.any() else None


def _cause(deployment: Deployment, id: str) -> Position:
    """Return the place in [events] of the row at which the vector of a request was computed."""
    for piece in taken(deployment.topic("features")):
        rows = piece.batch.rows_of(_REQUEST)
        found = pc.equal(piece.batch.id, id).to_numpy(zero_copy_only=False)[rows]
        if found.any():
            return piece.causes.position(int(rows[np.argmax(found)]))
    return START


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
