"""Pipelines of one vector share [features]: it is computed once, and each gives what it would give alone."""

from typing import Any, final

import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.run.deployment import Deployment
from headrace.run.online import OnlineFeatures
from headrace.run.orders import generations
from headrace.run.skipping import skip
from headrace.run.status import status
from headrace.run.taken import taken_rows
from headrace.run.task import StageTask
from headrace.run.together import place_together
from headrace.run.trimming import trim
from headrace.run.verification import verify
from headrace.run.worker import Placed, Worker
from headrace.stages.ingest import Ingest
from headrace.store.blobs import MemoryBlobs
from headrace.testing.sent import Sent, SentInlet
from headrace.topics.contract import Log
from headrace.topics.digest import value_digest
from headrace.topics.memory import MemoryLog
from tests.flow.generations import CLOCK, NEW, Pay, bad, end, pay, pays, pipeline, put

STAGES = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond", "command")
OWN = ("predictions", "examples", "sketches")


def beside(first: hr.Pipeline[Pay], name: str, **changed: Any) -> hr.Pipeline[Pay]:
    """Return another pipeline of the same vector, with a model of its own."""
    settings: dict[str, Any] = {
        "model": hr.models.Logistic(rate=0.5),
        "serve": hr.Serve(fallback=[hr.Constant(0.3)]),
        "learn": first.learn,
        "features": first.features,
    }
    return hr.Pipeline(name, label=bad, **{**settings, **changed})


CHALLENGER = beside(NEW, "challenger")


@final
class House:
    """One log and one place for snapshots, for several pipelines."""

    def __init__(self, log: Log | None = None) -> None:
        self._log = log or MemoryLog()
        self._kept: dict[str, MemoryBlobs] = {}

    def deployment(self, made: hr.Pipeline[Any]) -> Deployment:
        return Deployment(pipeline=made, log=self._log, blobs=self._blobs, clock=CLOCK)

    def _blobs(self, place: str) -> MemoryBlobs:
        return self._kept.setdefault(place, MemoryBlobs())

    def run(self, *made: hr.Pipeline[Any], sent: Sent, stages: tuple[str, ...] = STAGES) -> list[Placed]:
        ingest = Ingest(SentInlet(sent)) if "ingest" in stages else None
        placed = place_together([self.deployment(one) for one in made], stages, ingest=ingest)
        worker = Worker(self._log, placed, clock=CLOCK)
        worker.start()
        while worker.round():
            pass
        worker.save()
        return placed


def payments(count: int = 60) -> Sent:
    sent = Sent(NEW.source_settings())
    put(sent, *(pay(number, card="abc"[number % 3], shop="st"[number % 2]) for number in range(count)))
    return sent


def rows_of(placed: list[Placed], name: str) -> list[int]:
    return [place.task.rows for place in placed if place.task.name == name and isinstance(place.task, StageTask)]


def digests(deployment: Deployment, topics: tuple[str, ...] = ("features", *OWN)) -> list[str]:
    return [value_digest(taken_rows(deployment.topic(topic))) for topic in topics]


def test_two_pipelines_of_one_vector_compute_it_once_and_each_gives_what_it_gives_alone() -> None:
    sent = payments()
    end(sent)
    house = House()
    placed = house.run(NEW, CHALLENGER, sent=sent)
    events = len(taken_rows(house.deployment(NEW).topic("events")))
    assert rows_of(placed, "featurize") == [events]
    assert len(rows_of(placed, "predict")) == len(rows_of(placed, "learn")) == len(rows_of(placed, "command")) == 2
    assert len(rows_of(placed, "events_command")) == 1
    for made in (NEW, CHALLENGER):
        alone = House()
        alone.run(made, sent=sent)
        assert digests(house.deployment(made)) == digests(alone.deployment(made))
        assert verify(house.deployment(made)).differ == 0
        assert verify(house.deployment(made)).vectors == 60


def test_a_pipeline_that_comes_later_finds_the_vectors_computed() -> None:
    sent = payments()
    house = House()
    house.run(NEW, sent=sent)
    before = digests(house.deployment(NEW))
    placed = house.run(CHALLENGER, sent=sent)
    (featurized,) = rows_of(placed, "featurize")
    assert featurized == len(taken_rows(house.deployment(NEW).topic("events")))  # As its snapshot has it:
    assert digests(house.deployment(NEW)) == before
    assert len(taken_rows(house.deployment(CHALLENGER).topic("predictions"))) >= 60
    topic = house.deployment(CHALLENGER).topic("features")
    assert topic.manifest.topic == house.deployment(NEW).topic("features").manifest.topic
    assert sum(1 for _ in topic.read(0, 0, 1000)) == topic.end(0)
    rows = taken_rows(topic)
    assert len(rows) == len({rows.position(row) for row in range(len(rows))})


def test_only_what_may_change_a_row_of_features_parts_them() -> None:
    same = beside(NEW, "same", model=hr.models.Logistic(rate=0.01), watch=[hr.PSI("features")])
    slower = beside(NEW, "slower", learn=hr.Learn(every="2h"))
    renamed = beside(NEW, "renamed", features=pays.vector("again", **NEW.features.features))
    other = beside(NEW, "other", features=pays.vector("risk", Pay.amount))
    assert same.vectors_fingerprint == renamed.vectors_fingerprint == NEW.vectors_fingerprint
    assert len({one.vectors_fingerprint for one in (NEW, slower, other)}) == 3
    assert len({one.fingerprint for one in (NEW, same, renamed, slower, other, CHALLENGER)}) == 6


def test_a_name_a_field_and_a_condition_change_the_version_of_a_vector_and_an_unread_field_does_not() -> None:
    base = pays.vector("v", pays.by(Pay.card).count("1h"))
    assert base.fingerprint == pays.vector("w", pays.by(Pay.card).count("1h")).fingerprint
    changed = [
        pays.vector("v", pays.by(Pay.card).count("2h")),
        pays.vector("v", pays.by(Pay.shop).count("1h")),
        pays.vector("v", named=pays.by(Pay.card).count("1h")),
        pays.vector("v", pays.where(Pay.amount > 1).by(Pay.card).count("1h"), Pay.amount),
        pays.vector("v", pays.by(Pay.card).count("1h"), Pay.amount),
    ]
    assert len({base.fingerprint, *(one.fingerprint for one in changed)}) == len(changed) + 1


def test_generations_are_those_of_pipelines() -> None:
    house = House()
    house.run(NEW, CHALLENGER, sent=payments(5))
    wanted = {NEW.fingerprint: "pays", CHALLENGER.fingerprint: "challenger"}
    assert generations(house.deployment(NEW)) == generations(house.deployment(CHALLENGER)) == wanted
    assert [one["pipeline"] for one in status(house.deployment(NEW))["generations"] if one["acts"]] == ["pays"]


def test_what_one_of_them_skips_in_featurize_all_leave_out() -> None:
    #  p0 p1 p2 | skip p1, told by the challenger | both run
    sent = payments(3)
    house = House()
    house.run(NEW, CHALLENGER, sent=sent, stages=("ingest",))
    one, two = house.deployment(NEW), house.deployment(CHALLENGER)
    events = taken_rows(one.topic("events"))
    row = next(row for row in range(len(events)) if events.id[row].as_py() == "p1")
    place = f"{events.offset[row]}/{events.sub[row] >> 24}"
    done = skip(two, "featurize", place, why="it kills", clock=CLOCK)
    assert (done.task, done.refused) == ("featurize", "")
    house.run(NEW, CHALLENGER, sent=sent)
    for deployment in (one, two):
        features = taken_rows(deployment.topic("features"))
        assert [features.id[row].as_py() for row in features.rows_of(0).tolist()] == ["p0", "p2"]
        assert verify(deployment).differ == 0
    late = skip(one, "featurize", place, why="again", clock=CLOCK)
    assert late.refused


def test_features_are_kept_for_every_pipeline_that_reads_them() -> None:
    house = House()
    sent = payments(30)
    house.run(NEW, sent=sent)
    house.run(CHALLENGER, sent=sent, stages=("predict",))
    put(sent, *(pay(number) for number in range(30, 60)))
    house.run(NEW, sent=sent)
    one = house.deployment(NEW)
    stood = house.deployment(CHALLENGER).snapshots("predict")
    assert stood is not None
    offset = min(meta["cut"]["offset"] for meta in stood.metas())
    (found,) = trim(one, {"features": 1})
    assert found.begin <= offset < one.topic("features").end(0)
    assert CHALLENGER.fingerprint[:8] in found.kept_by
    house.run(CHALLENGER, sent=sent)
    assert len(taken_rows(house.deployment(CHALLENGER).topic("predictions")).rows_of(0)) == 60


def test_one_look_up_serves_every_pipeline_of_the_vector() -> None:
    house = House()
    house.run(NEW, sent=payments(30))
    found = [OnlineFeatures(house.deployment(made)).get({"card": ["a"]}) for made in (NEW, CHALLENGER)]
    assert found[0].table.equals(found[1].table)
    assert found[0].position == found[1].position


def test_pipelines_that_cannot_run_together_are_refused() -> None:
    house = House()
    with pytest.raises(ConfigError, match="a name of its own"):
        place_together([house.deployment(NEW), house.deployment(pipeline())], STAGES)
    with pytest.raises(ConfigError, match="one or more"):
        place_together([], STAGES)
