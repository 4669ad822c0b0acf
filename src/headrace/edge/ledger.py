"""The ledger of what was received: every record is counted once under what became of it, or the ledger shows it.

received = ok + late_kept + late_aside + late_dropped + duplicate + future + rejected, for each source. Ingest counts
while it reads; anybody may count again from [events] and must find the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from headrace.core.errors import StateError
from headrace.core.records import Batch, Verdict
from headrace.core.source_settings import SourceSettings
from headrace.edge.reasons import TOO_MANY_PRODUCERS

__all__ = ["OUTCOMES", "Ledger"]

OUTCOMES: Final = ("ok", "late_kept", "late_aside", "late_dropped", "duplicate", "future", "rejected")
_RECEIVED: Final = "received"
_REASONS: Final = "reasons"
_REJECTED_STREAM: Final = 1
_FIRST_SOURCE: Final = 2
_LATE: Final = {"update": "late_kept", "aside": "late_aside", "drop": "late_dropped"}


@final
class Ledger:
    """Counts of records by source and outcome, and of rejected ones by reason.

    >>> Ledger([]).balances()
    True
    """

    def __init__(self, sources: Sequence[SourceSettings]) -> None:
        self._outcome = {
            source.name: {
                Verdict.OK: "ok",
                Verdict.LATE: _LATE[source.late],
                Verdict.DUPLICATE: "duplicate",
                Verdict.FUTURE: "future",
                # A usable record is rejected for one reason only: for whoever sent it.
                **({Verdict.REJECTED: "rejected"} if source.producer is not None else {}),
            }
            for source in sources
        }
        self._counts = {name: Counter[str]() for name in self._outcome}
        self._reasons = {name: Counter[str]() for name in self._outcome}

    def add(self, batch: Batch) -> None:
        """Count the rows of a batch of [events], whose streams are tick, rejected, then the sources in order.

        Raises StateError if a rejected record names a source that is not of this ledger.
        """
        width = len(Verdict)
        cells = np.bincount(
            batch.stream.astype(np.int64) * width + batch.verdict, minlength=(len(batch.payloads)) * width
        ).reshape(-1, width)
        for number, (name, outcomes) in enumerate(self._outcome.items(), start=_FIRST_SOURCE):
            self._counts[name][_RECEIVED] += int(cells[number].sum())
            for verdict, outcome in outcomes.items():
                self._counts[name][outcome] += int(cells[number, verdict])
            if Verdict.REJECTED in outcomes:
                self._reasons[name][TOO_MANY_PRODUCERS] += int(cells[number, Verdict.REJECTED])
        payload = batch.payloads[_REJECTED_STREAM]
        if payload.num_rows:
            verdicts = batch.verdict[batch.stream == _REJECTED_STREAM].tolist()
            pairs = zip(payload["source"].to_pylist(), payload["reason"].to_pylist(), verdicts, strict=True)
            for name, reason, verdict in pairs:
                self._reject(name, reason, counted=verdict == Verdict.REJECTED)

    def _reject(self, name: str, reason: str, *, counted: bool) -> None:
        if name not in self._counts:
            raise StateError("ledger", wanted=f"a source of {sorted(self._counts)}", got=name)
        self._counts[name][_RECEIVED] += 1
        self._counts[name]["rejected"] += counted
        self._reasons[name][reason] += counted

    def balances(self) -> bool:
        """Return whether every received record has one outcome, and every rejected one a reason."""
        return all(
            counts[_RECEIVED] == sum(counts[outcome] for outcome in OUTCOMES)
            and counts["rejected"] == sum(self._reasons[name].values())
            for name, counts in self._counts.items()
        )

    def merge(self, other: "Ledger") -> None:
        """Add what another ledger counted of the same sources.

        Raises StateError if it has other sources.
        """
        counts = other.as_dict()
        self._check(counts)
        for name, theirs in counts.items():
            self._counts[name].update({column: theirs[column] for column in (_RECEIVED, *OUTCOMES)})
            self._reasons[name].update(theirs[_REASONS])

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return, by source, `received`, every outcome, and `reasons` with the count of each reason that occurred."""
        return {
            name: {
                **{column: counts[column] for column in (_RECEIVED, *OUTCOMES)},
                _REASONS: {reason: count for reason, count in sorted(self._reasons[name].items()) if count},
            }
            for name, counts in self._counts.items()
        }

    def restore(self, counts: Mapping[str, Mapping[str, Any]]) -> None:
        """Stand where `as_dict` stood.

        Raises StateError if it has other sources.
        """
        self._check(counts)
        for name in self._counts:
            self._counts[name] = Counter({column: counts[name][column] for column in (_RECEIVED, *OUTCOMES)})
            self._reasons[name] = Counter(counts[name][_REASONS])

    def _check(self, counts: Mapping[str, Mapping[str, Any]]) -> None:
        if set(counts) != set(self._counts):
            raise StateError("ledger", wanted=f"the sources {sorted(self._counts)}", got=sorted(counts))
