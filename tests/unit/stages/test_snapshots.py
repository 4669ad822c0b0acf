"""A snapshot is written down later, by another thread: what was handed out must be nobody's state any more."""

import json

from headrace.drift import ADWIN, PSI
from headrace.models import Columns
from headrace.stages.judge import Judge
from headrace.topics.entries import Entry, batch_of
from headrace.topics.schemas import SKETCHES

DAY_US = 86_400_000_000


def test_a_snapshot_of_the_judge_does_not_change_while_the_judge_goes_on() -> None:
    judge = Judge(
        detectors=[PSI("score"), ADWIN("error")],
        columns=Columns(dense=("x",)),
        every_us=DAY_US,
        watchers=2,
        output="control",
    )

    def error(offset: int) -> Entry:
        return Entry("error", offset, 0, DAY_US, {"until": DAY_US, "count": 5, "mean": 0.5, "m2": 1.0})

    judge.process(batch_of([error(0)], SKETCHES))
    arrays, meta = judge.snapshot()
    before = json.dumps(meta, sort_keys=True), {name: array.tobytes() for name, array in arrays.items()}
    judge.process(batch_of([error(1)], SKETCHES))
    assert (json.dumps(meta, sort_keys=True), {name: array.tobytes() for name, array in arrays.items()}) == before
