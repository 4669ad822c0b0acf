"""Sampling verify: a share of the vectors is recomputed by another path, and what goes wrong in state is counted."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import headrace as hr
from headrace.core.errors import ConfigError
from headrace.features import groups
from headrace.features.columns.contract import Span
from headrace.features.engine import Engine
from headrace.run.deployment import Deployment
from headrace.run.orders import forget
from headrace.run.project import Project
from headrace.run.running import run
from headrace.run.sampling import Sampling
from headrace.run.starter import write_starter
from headrace.run.status import status
from headrace.run.taken import taken_rows
from headrace.run.task import StageTask
from headrace.run.together import place_together
from headrace.run.trimming import trim
from headrace.run.worker import Placed, Worker
from headrace.stages.featurize import Featurize
from headrace.stages.ingest import Ingest
from headrace.store.blobs import MemoryBlobs
from headrace.testing.sent import Sent, SentInlet
from headrace.topics.digest import value_digest
from headrace.topics.memory import MemoryLog
from tests.flow.generations import CLOCK, NEW, START, Pay, Place, bad, end, pay, pays, pipeline, places, put
from tests.unit.run.test_explanation import MADE, drawn

STAGES = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond", "command")


class Running:
    """One pipeline over a log in memory, with sampling verify beside it."""

    def __init__(self, made: object = MADE, *, share: float = 1.0) -> None:
        self._kept: dict[str, MemoryBlobs] = {}
        self.deployment = Deployment(
            pipeline=made,  # type: ignore[arg-type]
            log=MemoryLog(),
            blobs=lambda place: self._kept.setdefault(place, MemoryBlobs()),
            clock=CLOCK,
            verify_share=share,
        )

    def place(self, sent: Sent) -> tuple[Worker, list[Placed]]:
        placed = place_together([self.deployment], STAGES, ingest=Ingest(SentInlet(sent)))
        worker = Worker(self.deployment.log, placed, clock=CLOCK, budget=64)
        worker.start()
        return worker, placed

    def run(self, sent: Sent, *, rounds: int = 100_000) -> Sampling:
        worker, placed = self.place(sent)
        while rounds and worker.round():
            rounds -= 1
        worker.save()
        return sampling(placed)


def sampling(placed: list[Placed]) -> Sampling:
    return next(place.task for place in placed if isinstance(place.task, Sampling))


def engine(placed: list[Placed]) -> Engine:
    tasks = [place.task for place in placed if isinstance(place.task, StageTask)]
    stage = next(task.stage for task in tasks if task.name == "featurize")
    assert isinstance(stage, Featurize)
    return stage.engine


def test_what_the_engine_served_is_what_the_records_say() -> None:
    running = Running()
    checked = running.run(drawn(5)).checked
    features = len(MADE.features.features)
    assert (checked.vectors, checked.differ, checked.first) == (120, 0, [])
    assert checked.values + checked.beyond == 120 * features
    assert checked.values > 0.9 * 120 * features


def test_the_log_is_the_same_with_it_and_without() -> None:
    one, two = Running(), Running(share=0.0)
    one.run(drawn(1))
    worker, _ = two.place(drawn(1))
    while worker.round():
        pass
    for topic in ("events", "features", "predictions", "examples", "control"):
        found = [value_digest(taken_rows(running.deployment.topic(topic))) for running in (one, two)]
        assert found[0] == found[1]


def test_a_value_that_is_damaged_in_state_is_found() -> None:
    #  40 payments | one value of a column is damaged in memory | 40 more
    running, sent = Running(NEW), Sent(NEW.source_settings())
    put(sent, *(pay(number, amount=2.0) for number in range(40)))
    worker, placed = running.place(sent)
    while worker.round():
        pass
    assert sampling(placed).checked.differ == 0
    arrays, meta = engine(placed).snapshot()
    name = next(name for name in arrays if name.endswith("history.value0") and len(arrays[name]))
    damaged = arrays[name].copy()
    damaged[-1] += 7
    engine(placed).restore({**arrays, name: damaged}, meta)
    put(sent, *(pay(number, amount=2.0) for number in range(40, 80)))
    while worker.round():
        pass
    checked = sampling(placed).checked
    assert checked.differ > 0
    assert checked.first[0]["id"] >= "p40"
    assert checked.first[0]["feature"] in NEW.features.features
    assert checked.first[0]["served"] != checked.first[0]["recomputed"]


def test_a_mistake_in_the_definition_of_a_window_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = vars(groups)["_span"]

    def wrong(*given: object) -> Span:
        span: Span = right(*given)
        return replace(span, size_us=span.size_us - 1) if span.kind == "sliding" else span

    monkeypatch.setattr(groups, "_span", wrong)
    running, sent = Running(), Sent(MADE.source_settings())
    put(sent, *(pay(number) for number in range(0, 60, 5)))
    checked = running.run(sent).checked
    assert checked.differ > 0
    assert {one["feature"] for one in checked.first} <= {"own", "before", "large"}


def test_the_share_is_chosen_by_the_id_and_is_about_what_was_asked_for() -> None:
    sent = Sent(NEW.source_settings())
    put(sent, *(pay(number) for number in range(200)))
    found = [Running(NEW, share=0.25).run(sent).checked.vectors for _ in range(2)]
    assert found[0] == found[1]
    assert 30 < found[0] < 70


def test_a_share_that_is_none_is_refused_and_without_one_there_is_no_task() -> None:
    sent = Sent(NEW.source_settings())
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="share"):
            Running(NEW, share=share).place(sent)
    _, placed = Running(NEW, share=0.0).place(sent)
    assert not any(isinstance(place.task, Sampling) for place in placed)


def test_each_vector_is_counted_once_however_often_the_worker_starts_anew() -> None:
    sent = Sent(NEW.source_settings())
    put(sent, *(pay(number) for number in range(60)))
    end(sent)
    running = Running(NEW)
    running.run(sent, rounds=12)
    for turns in range(1, 30, 2):
        task = sampling(running.place(sent)[1])
        for _ in range(turns):
            task.turn(0)
        task.capture()()
    assert running.run(sent).checked.vectors == 60
    assert running.run(sent).checked.vectors == 60
    assert sampling(running.place(sent)[1]).ended


def test_each_row_is_read_about_once_more_however_slowly_they_come() -> None:
    running, sent = Running(NEW), Sent(NEW.source_settings())
    worker, placed = running.place(sent)
    for number in range(200):
        put(sent, pay(number))
        while worker.round():
            pass
    checked = sampling(placed).checked
    assert checked.vectors >= 50
    assert checked.read <= 2 * 200
    end(sent)
    while worker.round():
        pass
    assert checked.vectors == 200


def test_what_was_forgotten_or_trimmed_is_no_mismatch() -> None:
    sent = Sent(NEW.source_settings())
    put(sent, *(pay(number, card="ab"[number % 2]) for number in range(40)))
    running = Running(NEW)
    running.run(sent)
    forget(running.deployment, "pays", ["card=a"], clock=CLOCK)
    put(sent, *(pay(number, card="ab"[number % 2]) for number in range(40, 60)))
    checked = running.run(sent).checked
    assert (checked.vectors, checked.differ) == (60, 0)
    trimmed = Running(NEW)
    trimmed.run(sent, rounds=30)
    trimmed.run(sent)
    trim(trimmed.deployment, {"features": 1})
    put(sent, *(pay(number, card="ab"[number % 2]) for number in range(60, 70)))
    checked = trimmed.run(sent).checked
    assert checked.differ == 0


def test_trimmed_events_are_beyond_and_no_mismatch() -> None:
    sent = Sent(NEW.source_settings())
    put(sent, *(pay(number) for number in range(50)))
    running = Running(NEW)
    running.run(sent)
    topic = running.deployment.topic("events")
    reader = running.deployment.events_reader()
    while reader.offset < topic.end(0) - 1:
        list(reader.read(1))
    topic.trim(0, reader.cut())
    put(sent, *(pay(number) for number in range(50, 60)))
    checked = running.run(sent).checked
    assert checked.differ == 0
    assert checked.beyond > 0


def test_status_and_configuration_know_of_it(tmp_path: Path) -> None:
    files = write_starter(tmp_path)
    for file in files[2:]:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:200]))
    files[1].write_text(files[1].read_text() + "\n[verify]\nshare = 0.5\n")
    project = Project.load(files[0])
    running = run(project, clock=CLOCK)
    running.worker.run()
    checked = sampling(list(running.placed)).checked
    found = status(running.deployment)["verified"]
    running.log.close()
    assert found == checked.as_dict()
    assert 60 < checked.vectors < 140
    assert (checked.differ, checked.unseen) == (0, 0)


def test_a_vector_that_waits_is_recomputed_as_of_the_row_at_which_it_was_computed() -> None:
    waiting = pipeline(name="waiting")
    vector = pays.vector(
        "waiting",
        pays.by(Pay.card).count("10min"),
        pays.by(Pay.card).sum(Pay.amount, hr.Tumbling("10min")),
        pays.by(Pay.shop).mean(Pay.amount, hr.LastN(3), default=-1.0),
        wait="8min",
    )
    made = hr.Pipeline(
        "waiting", features=vector, label=bad, model=waiting.model, serve=waiting.serve, learn=waiting.learn
    )
    checked = Running(made).run(drawn(3, made=made)).checked
    assert (checked.differ, checked.first) == (0, [])
    assert checked.vectors > 100
    assert checked.values > 3 * 90


def test_a_request_is_found_where_nothing_reads_its_own_stream() -> None:
    other = pipeline(name="other")
    vector = pays.vector(
        "other", Pay.amount, places.by(Place.shop, equals=Pay.shop).last(Place.risk, hr.FOREVER, default=-1.0)
    )
    made = hr.Pipeline("other", features=vector, label=bad, model=other.model, serve=other.serve, learn=other.learn)
    sent = Sent(made.source_settings())
    for number in range(0, 300, 30):  # Each hour begins with a row of progress before the request's own.
        put(sent, pay(number, amount=number + 0.5))
        put(sent, Place(shop="s", risk=float(number), at=START + timedelta(minutes=number + 1)))
    checked = Running(made).run(sent).checked
    assert (checked.vectors, checked.values, checked.differ) == (10, 20, 0)
