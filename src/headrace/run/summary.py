"""What a run came to, counted from the log itself: records, answers, labels, versions, alarms, reasons."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import reasons
from headrace.core.records import Kind, flat_block
from headrace.edge.ledger import Ledger
from headrace.run.deployment import EVENTS, Deployment, event_streams
from headrace.run.evaluation import answered
from headrace.run.taken import taken
from headrace.topics.manifest import chosen

__all__ = ["ledger_of", "summary"]

_REQUEST: Final = 0
_REJECTED: Final = 1


def ledger_of(deployment: Deployment) -> Ledger:
    """Return the ledger of [events], counted again from what was taken."""
    ledger = Ledger(deployment.pipeline.source_settings())
    topic, streams = deployment.topic(EVENTS), event_streams(deployment.pipeline)
    mine = pa.array([source.name for source in deployment.pipeline.source_settings()])
    for piece in taken(topic):
        batch = chosen(piece.batch, topic.manifest.streams, streams)
        rejected = pc.is_in(batch.payloads[_REJECTED]["source"], value_set=mine).to_numpy(zero_copy_only=False)
        if not rejected.all():  # Another definition reads a source whose record it was.
            kept = np.ones(len(batch), bool)
            kept[batch.rows_of(_REJECTED)[~rejected]] = False
            batch = batch.take(np.flatnonzero(kept))
        ledger.add(batch)
    return ledger


def summary(deployment: Deployment) -> dict[str, Any]:
    """Return the figures of everything that was taken so far and is kept, as one JSON object."""
    ledger = ledger_of(deployment)
    outcomes = ledger.as_dict()
    control = deployment.control()
    control.follow()
    vectors = _vectors(deployment)
    answers = _answers(deployment)
    found = answered(deployment.topic("predictions"), deployment.topic("examples"))
    quality = found.metrics()
    events = deployment.topic(EVENTS)
    ticking = [number for number, stream in enumerate(events.manifest.streams) if stream.kind == Kind.TICK]
    ticks = sum(piece.batch.payloads[number].num_rows for piece in taken(events) for number in ticking)
    dead = ("rejected", "future", "duplicate")
    return {
        "pipeline": deployment.pipeline.name,
        "generation": deployment.generation,
        "events": sum(counts["received"] for counts in outcomes.values()),
        "ticks": ticks,
        "late": sum(
            counts["late_kept"] + counts["late_aside"] + counts["late_dropped"] for counts in outcomes.values()
        ),
        "dead": sum(counts[outcome] for counts in outcomes.values() for outcome in dead),
        "ledger": outcomes,
        "ledger_balances": ledger.balances(),
        **vectors,
        **answers,
        "labels": len(found.y),
        "coverage": found.coverage,
        "auc": quality.get("auc"),
        "log_loss": quality.get("log_loss"),
        "accuracy": quality.get("accuracy"),
        "baseline_log_loss": quality.get("running_mean_log_loss"),
        "no_change_log_loss": quality.get("no_change_log_loss"),
        "no_change_accuracy": quality.get("no_change_accuracy"),
        "versions": control.count("versions"),
        "champion": control.champion.name if control.champion is not None else None,
        "alarms": control.count("alarms"),
        "decisions": control.count("decisions"),
        "skips": control.count("skips"),
    }


def _vectors(deployment: Deployment) -> dict[str, Any]:
    """Count the values that have a reason, and those that are missing without one."""
    counts = np.zeros(len(reasons.NAMES), np.int64)
    silent = 0
    for piece in taken(deployment.topic("features")):
        payload = piece.batch.payloads[_REQUEST]
        if payload.num_rows:
            codes = flat_block(payload["reasons"], np.uint8)
            counts += np.bincount(codes.reshape(-1), minlength=len(counts))
            dense = flat_block(payload["dense"], np.float64)
            silent += int(np.count_nonzero(np.isnan(dense) & (codes[:, : dense.shape[1]] == reasons.OK)))
    named = {name: int(count) for name, count in zip(reasons.NAMES, counts, strict=True) if name != "ok" and count}
    return {"defaults": named, "missing_without_reason": silent}


def _answers(deployment: Deployment) -> dict[str, Any]:
    """Count predictions, those without a version, and those that a fallback answered, by its reason."""
    predictions, without = 0, 0
    fallbacks: dict[str, int] = {}
    for piece in taken(deployment.topic("predictions")):
        payload = piece.batch.payloads[_REQUEST]
        predictions += payload.num_rows
        without += int(np.count_nonzero(payload["version"].to_numpy() < 0))
        if payload["fallback"].null_count < payload.num_rows:
            for entry in payload["fallback"].value_counts().to_pylist():
                if entry["values"] is not None:
                    fallbacks[entry["values"]] = fallbacks.get(entry["values"], 0) + entry["counts"]
    return {"predictions": predictions, "predictions_without_version": without, "fallbacks": fallbacks}
