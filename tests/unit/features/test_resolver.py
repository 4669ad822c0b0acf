"""The resolver answers as the definition does, wherever the stream is cut, and forgets what cannot matter any more."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.records import strings
from headrace.core.time import ENDED_US
from headrace.features.resolver import LabelPlan, Resolver
from tests.oracle.labels import Labels, Row

ROLES = {"request": 0, "event": 1, "events ended": 2, "requests ended": 3}
Label = tuple[int, str, float, int]


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Draw requests and events in the order of a log: late, tied and repeated ones among them."""
    now = 0
    rows = []
    for number in range(draw(st.integers(1, 40))):
        now += draw(st.integers(0, 6))
        time = now - draw(st.sampled_from([0, 0, 0, 3, 9, 25]))
        role = draw(st.sampled_from(["request", "event"]))
        value = draw(st.sampled_from([0.0, 1.0, 2.5, math.nan])) if role == "event" else 0.0
        rows.append(Row(role, draw(st.integers(0, 3)), time, value, f"r{number}"))
    if draw(st.booleans()):
        rows.append(Row("events ended"))
        rows.append(Row("requests ended"))
    return rows


plans = st.builds(
    LabelPlan,
    after_us=st.sampled_from([0, 4]),
    within_us=st.sampled_from([5, 20]),
    how=st.sampled_from(["first", "last"]),
    otherwise=st.sampled_from([math.nan, -1.0]),
    event_disorder_us=st.sampled_from([0, 5]),
    request_disorder_us=st.sampled_from([0, 5]),
    carried=st.just(1),
)


def run(resolver: Resolver, rows: list[Row], first: int) -> list[Label]:
    key = np.array([[row.key, 7] for row in rows], np.uint64).reshape(-1, 2)
    time = [ENDED_US if "ended" in row.role else row.time for row in rows]
    found = resolver.resolve(
        role=np.array([ROLES[row.role] for row in rows], np.uint8),
        key=key,
        time=np.array(time, np.int64),
        value=np.array([row.value for row in rows]),
        id=strings([row.name for row in rows]),
        carried=key.reshape(-1, 1, 2) + np.uint64(100),
    )
    names = {row.name: row for row in rows}
    for name, carried, asked in zip(found.id.to_pylist(), found.carried, found.request_time.tolist(), strict=True):
        if name in names:
            assert carried.tolist() == [[names[name].key + 100, 107]]
            assert asked == names[name].time
    return [
        (first + row, name, value, known)
        for row, name, value, known in zip(
            found.row.tolist(), found.id.to_pylist(), found.value.tolist(), found.known.tolist(), strict=True
        )
    ]


def by_definition(plan: LabelPlan, rows: list[Row]) -> list[Label]:
    oracle = Labels(
        plan.after_us, plan.within_us, plan.how, plan.otherwise, plan.event_disorder_us, plan.request_disorder_us
    )
    return [label for number, row in enumerate(rows) for label in oracle.step(number, row)]


def same(one: list[Label], other: list[Label]) -> bool:
    return str(one) == str(other)


@given(plans, logs())
def test_labels_follow_the_definition(plan: LabelPlan, rows: list[Row]) -> None:
    assert same(run(Resolver(plan), rows, 0), by_definition(plan, rows))


@given(plans, logs(), st.integers(1, 9))
def test_cutting_the_log_changes_nothing(plan: LabelPlan, rows: list[Row], size: int) -> None:
    resolver = Resolver(plan)
    cut = [label for start in range(0, len(rows), size) for label in run(resolver, rows[start : start + size], start)]
    assert same(cut, run(Resolver(plan), rows, 0))


@given(plans, logs(), st.integers(0, 40))
def test_a_restored_resolver_goes_on_as_if_nothing_had_happened(plan: LabelPlan, rows: list[Row], place: int) -> None:
    place = min(place, len(rows))
    whole = Resolver(plan)
    start = run(whole, rows[:place], 0)
    late = Resolver(plan)
    late.restore(*whole.snapshot())
    assert same(start + run(late, rows[place:], place), run(Resolver(plan), rows, 0))
    assert late.waiting >= 0


@given(plans, logs())
def test_when_both_sides_have_ended_nothing_waits_and_every_request_is_counted(
    plan: LabelPlan, rows: list[Row]
) -> None:
    ended = [row for row in rows if "ended" not in row.role] + [Row("requests ended"), Row("events ended")]
    resolver = Resolver(plan)
    run(resolver, ended, 0)
    ledger = resolver.ledger
    assert resolver.waiting == 0
    assert len(resolver._keys) == 0  # noqa: SLF001 - the law is about what is kept
    assert ledger["answered"] + ledger["closed"] == sum(row.role == "request" for row in ended)


def test_a_label_for_an_unknown_request_and_a_label_twice_are_counted() -> None:
    #  us   0        5        6        7
    #  a    request  label    label
    #  b                               label
    plan = LabelPlan(
        after_us=0,
        within_us=100,
        how="first",
        otherwise=math.nan,
        event_disorder_us=0,
        request_disorder_us=0,
        carried=1,
    )
    resolver = Resolver(plan)
    rows = [Row("request", 1, 0, 0.0, "a"), Row("event", 1, 5, 1.0), Row("event", 1, 6, 0.0), Row("event", 2, 7, 1.0)]
    assert run(resolver, [*rows, Row("requests ended"), Row("events ended")], 0) == [(1, "a", 1.0, 5)]
    assert resolver.ledger == {"answered": 1, "repeated": 1, "unmatched": 1, "closed": 0}
