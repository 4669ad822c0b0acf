"""Two definitions over one [events]: each has its own topics, and for each request exactly one of them acts."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import reasons
from headrace.core.position import ALL, Position
from headrace.core.time import DAY_US
from headrace.edge.file_sink import FileSink
from headrace.run.clock import VirtualClock
from headrace.run.orders import acting_generation, activate, generations
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.stages.ingest import Ingest
from headrace.testing.sent import Sent, SentInlet
from headrace.topics.digest import value_digest
from headrace.topics.embedded import EmbeddedLog
from headrace.topics.entries import Entry, batch_of
from headrace.topics.memory import MemoryLog
from headrace.topics.schemas import COMMAND
from headrace.topics.writer import Writer
from tests.flow.generations import CLOCK, NEW, OLD, START, WIDER, Heard, Place, Side, end, pay, put


def heard(side: Side) -> list[str]:
    assert isinstance(side.sink, Heard)
    return side.sink.ids


def both() -> tuple[Side, Side, Sent]:
    log = MemoryLog()
    return Side(log, OLD), Side(log, NEW), Sent(OLD.source_settings())


def test_a_second_definition_gives_what_it_would_give_alone_and_changes_nothing_of_the_first() -> None:
    old, new, sent = both()
    put(sent, *(pay(number, card="ab"[number % 2]) for number in range(20)))
    end(sent)
    old.run(sent)
    before = value_digest(taken_rows(old.deployment.topic("features")))
    new.run(sent)
    old.run(sent)
    alone = Side(MemoryLog(), NEW)
    alone.run(sent)
    assert value_digest(taken_rows(old.deployment.topic("features"))) == before
    for topic in ("features", "predictions", "examples"):
        one, two = (taken_rows(side.deployment.topic(topic)) for side in (new, alone))
        assert value_digest(one) == value_digest(two)
    assert generations(old.deployment) == {OLD.fingerprint: "pays", NEW.fingerprint: "pays"}
    assert verify(old.deployment).differ == verify(new.deployment).differ == 0


def test_the_generation_that_made_the_log_acts_until_another_is_activated() -> None:
    #  p0 p1 p2 | activate | p3 p4      the old one acts for 0 to 2, the new one for 3 and 4
    old, new, sent = both()
    put(sent, *(pay(number) for number in range(3)))
    old.run(sent)
    new.run(sent)
    done = activate(new.deployment, clock=CLOCK)
    assert (done["moved"], done["was"], done["acting"]) == (True, OLD.fingerprint, NEW.fingerprint)
    put(sent, pay(3), pay(4))
    old.run(sent)
    new.run(sent)
    assert (heard(old), heard(new)) == (["p0", "p1", "p2"], ["p3", "p4"])
    assert verify(old.deployment).differ == verify(new.deployment).differ == 0


def test_the_clock_of_a_person_announces_no_progress() -> None:
    #  p0 at minute 0 | activate, written years later | p1 at minute 1      progress stays where the records are
    reached = []
    for years_later in (False, True):
        old, new, sent = both()
        put(sent, pay(0))
        old.run(sent)
        if years_later:
            clock = VirtualClock(start_us=sent.shipments[0].arrival_us + 9 * 365 * DAY_US)
            assert activate(new.deployment, clock=clock)["moved"] is True
        put(sent, pay(1))
        end(sent)
        old.run(sent)
        reached.append(taken_rows(old.deployment.topic("features")).payloads[2]["until"].to_pylist())
    assert reached[0] == reached[1]


def test_a_second_activate_of_the_same_generation_does_nothing() -> None:
    old, new, sent = both()
    put(sent, pay(0))
    old.run(sent)
    assert activate(old.deployment, clock=CLOCK)["moved"] is False
    assert activate(new.deployment, clock=CLOCK)["moved"] is True
    assert activate(new.deployment, clock=CLOCK)["moved"] is False
    assert acting_generation(old.deployment) == NEW.fingerprint


def test_a_command_that_comes_too_late_moves_nothing() -> None:
    #  both were written when the old one acted; the first replaces it, and the second no longer finds it
    old, new, sent = both()
    put(sent, pay(0))
    old.run(sent)
    activate(new.deployment, clock=CLOCK)
    topic = old.deployment.topic("commands")
    columns = {"command": "activate", "goal": "f" * 16, "expected": OLD.fingerprint, "source": None, "key": None}
    place = topic.end(0)
    door = Writer(topic, "door")
    door.start()
    door.write(batch_of([Entry("command", place, 0, 0, columns, "late")], (COMMAND,)), Position(place, ALL))
    put(sent, pay(1))
    old.run()
    old.run(sent)
    new.run(sent)
    assert acting_generation(old.deployment) == NEW.fingerprint
    assert (heard(old), heard(new)) == (["p0"], ["p1"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["pay", "old", "new"]), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 9))
def test_exactly_one_generation_acts_for_each_request_whatever_the_turns_and_restarts(
    steps: list[str], budget: int, cut: int
) -> None:
    old, new, sent = both()
    put(sent, pay(0))
    old.run(sent)
    acting, wanted, number = "old", {"old": ["p0"], "new": []}, 0
    for step in steps:
        if step == "pay":
            number += 1
            put(sent, pay(number))
            wanted[acting].append(f"p{number}")
            old.run(sent, budget=budget, rounds=cut)  # Stopped in the midst, and started anew from its snapshots.
            old.run(sent, budget=budget)
        else:
            side = old if step == "old" else new
            assert activate(side.deployment, clock=CLOCK)["moved"] == (step != acting)
            acting = step
    new.run(sent, budget=budget, rounds=cut)
    new.run(sent, budget=budget)
    old.run(sent)
    assert {"old": heard(old), "new": heard(new)} == wanted


def test_a_folder_that_two_generations_share_holds_every_row_once(tmp_path: Path) -> None:
    log, sent = MemoryLog(), Sent(OLD.source_settings())
    old = Side(log, OLD, sink=FileSink(tmp_path, writer=OLD.fingerprint[:8]))
    new = Side(log, NEW, sink=FileSink(tmp_path, writer=NEW.fingerprint[:8]))
    put(sent, *(pay(number) for number in range(5)))
    old.run(sent)
    activate(new.deployment, clock=CLOCK)
    put(sent, *(pay(number) for number in range(5, 8)))
    for side in (new, old, new):
        side.run(sent)
    lines = [line for file in sorted(tmp_path.glob("*.jsonl")) for line in file.read_text().splitlines()]
    assert sorted(line.split('"')[3] for line in lines) == [f"p{number}" for number in range(8)]


def test_a_definition_that_reads_one_more_source_has_an_ingest_task_for_it() -> None:
    old, _, sent = both()
    wider = Side(old.deployment.log, WIDER)
    put(sent, *(pay(number) for number in range(3)))
    old.run(sent)
    extra = Sent([source for source in WIDER.source_settings() if source.name == "places"])
    put(extra, Place(shop="s", risk=0.7, at=START))
    end(extra)
    assert [source.name for source in wider.deployment.added_sources()] == ["places"]
    wider.run(sent, added={"places": Ingest(SentInlet(extra))})
    put(sent, pay(3))
    end(sent)
    wider.run(sent, added={"places": Ingest(SentInlet(extra))})
    old.run(sent)
    manifest = old.deployment.topic("events").manifest
    assert manifest.revision == 2
    assert manifest.producers == ("ingest", "events_command", "ingest.places")
    last = taken_rows(wider.deployment.topic("features")).payloads[0]["dense"].to_pylist()[-1]
    assert last[-1] == pytest.approx(0.7)
    assert verify(old.deployment).differ == verify(wider.deployment).differ == 0


def test_the_slower_history_of_two_says_what_may_be_forgotten() -> None:
    #  places runs a year ahead of pays; were it to move the watermark alone, the payments' own windows would be cut
    old, _, sent = both()
    wider = Side(old.deployment.log, WIDER)
    put(sent, pay(0), pay(1))
    old.run(sent)
    extra = Sent([source for source in WIDER.source_settings() if source.name == "places"])
    put(extra, Place(shop="s", risk=0.7, at=START), Place(shop="s", risk=0.8, at=START + timedelta(days=365)))
    wider.run(sent, added={"places": Ingest(SentInlet(extra))})
    put(sent, pay(2))
    wider.run(sent, added={"places": Ingest(SentInlet(extra))})
    payload = taken_rows(wider.deployment.topic("features")).payloads[0]
    names = wider.deployment.pipeline.features.blocks().dense
    assert payload["dense"].to_pylist()[-1][names.index("shop_count_1d")] == 2.0
    assert "truncated" not in {reasons.NAMES[code] for code in payload["reasons"].to_pylist()[-1]}
    assert verify(wider.deployment).differ == 0


def test_a_process_that_runs_on_reads_what_another_made_grow_meanwhile(tmp_path: Path) -> None:
    sent = Sent(OLD.source_settings())
    here, there = EmbeddedLog(tmp_path / "log.sqlite"), EmbeddedLog(tmp_path / "log.sqlite")
    old = Side(here, OLD)
    put(sent, pay(0))
    old.run(sent)
    wider = Side(there, WIDER)
    activate(wider.deployment, clock=CLOCK)
    put(sent, pay(1))
    old.run(sent)
    wider.run()
    assert (heard(old), heard(wider)) == (["p0"], ["p1"])
    assert verify(old.deployment).differ == 0
    here.close()
    there.close()
