"""respond: write down, for each alarm, what would be done and why.

A person acts by command (`headrace versions rollback`); what responds by itself comes with the response ladder.
"""

from typing import Final, final

from headrace.core.records import Batch
from headrace.core.time import ENDED_US
from headrace.stages.contract import Outputs, Stage
from headrace.store.snapshots import Arrays, Meta
from headrace.topics.entries import Entry, batch_of, entries_of
from headrace.topics.schemas import CONTROL

__all__ = ["Respond"]

_ENOUGH: Final = 2
"""learn and judge both announce the end of a history; only then is [control] at its end."""


@final
class Respond(Stage):
    """Read [control], and answer each alarm with one decision in [control]; its own rows cause nothing."""

    def __init__(self, *, output: str) -> None:
        self._output = output
        self._ends = 0
        self.decided = 0

    def process(self, batch: Batch) -> Outputs:
        """Turn alarms into decisions."""
        made: list[Entry] = []
        for entry in entries_of(batch, CONTROL):
            if entry.stream == "progress" and entry.columns["until"] >= ENDED_US:
                self._ends += 1
            elif entry.stream == "alarm":
                made.append(self._decision(entry))
        self.decided += len(made)
        self.ended = self._ends >= _ENOUGH
        return Outputs(len(batch), {self._output: batch_of(made, CONTROL)} if made else {})

    def _decision(self, alarm: Entry) -> Entry:
        what = alarm.columns
        action = "retrain" if what["detector"] == "adwin" else "review"
        why = f"{what['text']}; would {action}, decided by a person: headrace versions rollback"
        return Entry("decision", alarm.offset, alarm.sub, alarm.time_us, {"action": action, "why": why})

    def snapshot(self) -> tuple[Arrays, Meta]:
        """Return counters."""
        return {}, {"ends": self._ends, "decided": self.decided, "ended": self.ended}

    def restore(self, arrays: Arrays, meta: Meta) -> None:
        """Stand where a snapshot stood."""
        self._ends, self.decided, self.ended = meta["ends"], meta["decided"], meta["ended"]
