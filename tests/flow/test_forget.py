"""`forget`: later requests see nothing of a key from before; nothing else changes, however the run is cut."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.run.orders import forget
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.testing.sent import Sent
from headrace.topics.digest import value_digest
from headrace.topics.memory import MemoryLog
from tests.flow.generations import CLOCK, OLD, START, Pay, Result, Side, bad, end, pays, pipeline, put
from tests.oracle.forgetting import features as features_by_definition

SHOPS = pipeline(
    pays.by(Pay.shop).count("7d"),
    pays.by(Pay.card, Pay.shop).count("7d"),
    pays.by(Pay.card, Pay.shop).sum(Pay.amount, "7d"),
    bad.by(Pay.card).count("7d"),
)
THREE = pipeline(large=pays.where(Pay.amount > 5).by(Pay.card).count("7d"), labels=bad.by(Pay.card).count("7d"))
Steps = list[tuple[str, str, int, float]]
PAYS = st.tuples(st.just("pay"), st.sampled_from("abc"), st.integers(0, 12_000), st.integers(1, 9).map(float))
FORGETS = st.tuples(st.just("forget"), st.sampled_from("abc"), st.just(0), st.just(0.0))


def run_steps(side: Side, sent: Sent, steps: Steps, *, budget: int = 16_384, rounds: int = 10_000) -> None:
    """Send payments and commands in this order, each behind the last in [events]."""
    for number, (what, card, minute, amount) in enumerate(steps):
        if what == "forget":
            forget(side.deployment, "pays", [f"card={card}"], clock=CLOCK)
        else:
            at = START + timedelta(minutes=minute)
            put(sent, Pay(pay_id=f"p{number}", card=card, shop="s", amount=amount, at=at))
            side.run(sent, budget=budget, rounds=rounds)
    side.run(sent, budget=budget)


def vectors(side: Side) -> tuple[dict[str, list[float]], list[list[str]]]:
    payload = taken_rows(side.deployment.topic("features")).payloads[0]
    dense = np.array(payload["dense"].to_pylist())
    names = side.deployment.pipeline.features.blocks().dense
    told = [[reasons.NAMES[code] for code in row] for row in payload["reasons"].to_pylist()]
    return dict(zip(names, dense.T.tolist(), strict=True)), told


@settings(max_examples=25, deadline=None)
@given(st.lists(PAYS | FORGETS, min_size=1, max_size=14), st.integers(1, 4), st.integers(1, 4))
@example([("pay", "a", 5, 2.0), ("forget", "a", 0, 0.0), ("pay", "a", 3, 1.0), ("pay", "a", 9, 1.0)], 1, 1)
@example([("pay", "a", 5, 2.0), ("forget", "a", 0, 0.0), ("pay", "b", 6, 1.0), ("pay", "a", 9, 1.0)], 1, 1)
def test_features_after_a_forget_follow_the_definition(steps: Steps, budget: int, rounds: int) -> None:
    side, sent = Side(MemoryLog(), OLD), Sent(OLD.source_settings())
    side.run(sent)
    run_steps(side, sent, steps, budget=budget, rounds=rounds)
    wanted = features_by_definition(steps)
    if not wanted:
        return
    found, told = vectors(side)
    columns = list(found.values())[1:]
    assert list(zip(*columns, strict=True)) == [row[:3] for row in wanted]
    assert [row[1] for row in told] == [row[3] for row in wanted]
    assert verify(side.deployment).differ == 0


def test_a_forget_changes_no_bit_of_other_keys_and_other_groupings() -> None:
    #  a 1, a 2, b 4 | forget a | b 8, a 16      by shop every payment still counts; by card and shop, too
    steps: Steps = [("pay", "a", 1, 1.0), ("pay", "a", 2, 2.0), ("pay", "b", 3, 4.0)]
    later: Steps = [("pay", "b", 4, 8.0), ("pay", "a", 5, 16.0)]
    sides = []
    for middle in ([], [("forget", "a", 0, 0.0)]):
        side, sent = Side(MemoryLog(), SHOPS), Sent(SHOPS.source_settings())
        side.run(sent)
        run_steps(side, sent, [*steps, *middle, *later])
        sides.append(vectors(side)[0])
    kept, forgotten = sides
    mine = [name for name in kept if name.startswith("card_") and "shop" not in name]
    for name in kept:
        same = kept[name] if name not in mine else kept[name][:4]
        assert forgotten[name][: len(same)] == same, name
    assert {name: values[4] for name, values in forgotten.items() if name.endswith("count_1d")} == {
        name: 0.0 for name in mine if name.endswith("count_1d")
    }


def test_every_grouping_by_these_fields_forgets() -> None:
    #  three histories of one card: all payments, the large ones, and labels that were known before the forget
    side, sent = Side(MemoryLog(), THREE), Sent(THREE.source_settings())
    side.run(sent)
    run_steps(side, sent, [("pay", "a", 1, 9.0), ("pay", "a", 2, 9.0)])
    put(sent, Result(pay_id="p0", bad=True, at=START + timedelta(minutes=3)))
    side.run(sent)
    for number, minute in ((7, 4), (8, 5)):
        put(sent, Pay(pay_id=f"p{number}", card="a", shop="s", amount=1.0, at=START + timedelta(minutes=minute)))
        side.run(sent)
        if number == 7:
            forget(side.deployment, "pays", ["card=a"], clock=CLOCK)
    found, _ = vectors(side)
    assert {name: found[name][-2:] for name in ("card_count_1d", "large", "labels")} == {
        "card_count_1d": [2.0, 0.0],
        "large": [2.0, 0.0],
        "labels": [1.0, 0.0],
    }


def test_a_label_of_a_request_from_before_is_nobodys_when_it_comes() -> None:
    side, sent = Side(MemoryLog(), SHOPS), Sent(SHOPS.source_settings())
    side.run(sent)
    run_steps(side, sent, [("pay", "a", 1, 1.0), ("pay", "b", 2, 1.0), ("forget", "a", 0, 0.0)])
    results = [Result(pay_id=f"p{number}", bad=True, at=START + timedelta(minutes=10 + number)) for number in (0, 1)]
    put(sent, *results)
    for number, card in ((7, "a"), (8, "b")):
        put(sent, Pay(pay_id=f"p{number}", card=card, shop="s", amount=1.0, at=START + timedelta(minutes=20)))
    end(sent)
    side.run(sent)
    found, _ = vectors(side)
    assert found["card_count_7d"][-2:] == [0.0, 1.0]
    stage = side.deployment.featurize()
    stage.process(taken_rows(side.deployment.topic("events")))
    (kept,) = [state for name, state in stage.engine.state.items() if name.startswith("pays.label")]
    assert (kept["keys"], kept["rows"]) == (1, 1)  # b's alone: a's label stands under no key at all.
    assert taken_rows(side.deployment.topic("features")).payloads[1].num_rows == 4  # Two of them close unanswered.
    assert verify(side.deployment).differ == 0


def test_a_new_generation_forgets_in_the_same_place() -> None:
    log, sent = MemoryLog(), Sent(OLD.source_settings())
    old = Side(log, OLD)
    old.run(sent)
    run_steps(old, sent, [("pay", "a", 1, 1.0), ("forget", "a", 0, 0.0), ("pay", "a", 2, 2.0)])
    new = Side(log, SHOPS)
    new.run(sent)
    found, _ = vectors(new)
    assert found["card_count_1d"] == [0.0, 0.0]
    assert found["shop_count_7d"] == [0.0, 1.0]


def test_a_key_that_was_forgotten_takes_no_place_among_the_keys() -> None:
    side, sent = Side(MemoryLog(), OLD), Sent(OLD.source_settings())
    side.run(sent)
    run_steps(side, sent, [("pay", "a", 1, 1.0), ("pay", "b", 2, 1.0), ("forget", "a", 0, 0.0)])
    stage = side.deployment.featurize()
    stage.process(taken_rows(side.deployment.topic("events")))
    (kept,) = stage.engine.state.values()
    assert (kept["keys"], kept["rows"]) == (1, 1)


def test_a_snapshot_taken_behind_a_forget_restores_the_state_that_a_replay_gives() -> None:
    steps: Steps = [("pay", "a", 1, 1.0), ("pay", "b", 2, 1.0), ("forget", "a", 0, 0.0), ("pay", "c", 3, 1.0)]
    side, sent = Side(MemoryLog(), OLD), Sent(OLD.source_settings())
    side.run(sent)
    run_steps(side, sent, steps)  # Each run starts from the snapshots of the last.
    put(sent, Pay(pay_id="x", card="a", shop="s", amount=1.0, at=START + timedelta(minutes=9)))
    side.run(sent)
    replayed = [
        batch
        for stage in [side.deployment.featurize()]
        for batch in stage.process(taken_rows(side.deployment.topic("events"))).batches.values()
    ]
    assert value_digest(replayed[0]) == value_digest(taken_rows(side.deployment.topic("features")))


@pytest.mark.parametrize(
    ("source", "key", "wanted"),
    [
        ("pay", ["card=a"], "did you mean 'pays'"),
        ("pays", ["cart=a"], "did you mean 'card'"),
        ("pays", ["card"], "FIELD=VALUE"),
        ("pays", ["amount=many"], "wanted a number"),
        ("pays", ["shop=s"], "a key by which features group it (card=...)"),
        ("pays", ["card=a", "shop=s"], "(card=...)"),
        ("results", ["pay_id=p0"], "(none)"),
    ],
)
def test_what_cannot_be_forgotten_is_refused_with_what_can(source: str, key: list[str], wanted: str) -> None:
    side = Side(MemoryLog(), OLD)
    with pytest.raises(ConfigError) as error:
        forget(side.deployment, source, key, clock=CLOCK)
    assert wanted in str(error.value)
