"""PSI and its sketches: what is counted, how it is grouped, and how far chance alone goes."""

import math
from collections import Counter as Counts

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import ConfigError
from headrace.drift import PSI
from headrace.drift.psi import GROUPS, psi, psi_threshold
from headrace.drift.sketch import Counter, Sketch, bucket_value

numbers = st.lists(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


def sketch(values: list[float]) -> Sketch:
    return Sketch.of(np.array(values))


@given(numbers)
def test_every_value_is_counted_in_a_bucket_that_keeps_the_order(values: list[float]) -> None:
    found = sketch(values)
    assert found.rows == len(values)
    edges = [bucket_value(int(bucket)) for bucket in found.buckets if bucket < 65_536]
    assert edges == sorted(edges)
    finite = sorted(value for value in values if not math.isnan(value))
    assert found.rows - len(finite) == int(found.counts[found.buckets == 65_536].sum())
    for value in finite:
        own = int(sketch([value]).buckets[0])
        assert abs(bucket_value(own) - value) <= abs(value) / 16 + 1e-300


@given(numbers, numbers)
def test_sketches_of_parts_add_up_to_that_of_the_whole(one: list[float], other: list[float]) -> None:
    whole, merged = sketch(one + other), Sketch.merged([sketch(one), sketch(other)])
    assert whole.buckets.tolist() == merged.buckets.tolist()
    assert whole.counts.tolist() == merged.counts.tolist()


def test_draining_leaves_nothing_and_filling_brings_it_back() -> None:
    counter = Counter(numbers=2, categories=1)
    counter.add(np.array([[1.0, math.nan], [2.0, 3.0]]), np.array([[5], [5]], np.int32))
    first = counter.drain()
    assert [found.rows for found in first] == [2, 2, 2]
    assert first[2].buckets.tolist() == [5]
    assert [found.rows for found in counter.drain()] == [0, 0, 0]
    counter.fill(first)
    assert [found.counts.tolist() for found in counter.drain()] == [found.counts.tolist() for found in first]


def by_definition(was: list[int], now: list[int]) -> float:
    before = [(count + 0.5) / (sum(was) + 0.5 * len(was)) for count in was]
    after = [(count + 0.5) / (sum(now) + 0.5 * len(now)) for count in now]
    return sum((a - b) * math.log(a / b) for a, b in zip(after, before, strict=True))


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=2, max_size=10))
def test_the_index_follows_the_definition(groups: list[tuple[int, int]]) -> None:
    was, now = ([pair[side] for pair in groups] for side in (0, 1))
    assert psi(np.array(was), np.array(now)) == pytest.approx(by_definition(was, now), abs=1e-12)


@given(st.lists(st.integers(0, 500), min_size=30, max_size=300))
def test_groups_of_the_reference_hold_every_value_and_about_a_tenth_each(values: list[int]) -> None:
    found = sketch([float(value) for value in values])
    counts = found.grouped(found.edges(GROUPS))
    assert counts.sum() == len(values)
    most = max(Counts(int(bucket) for value in values for bucket in sketch([float(value)]).buckets).values())
    assert counts.max() <= len(values) / GROUPS + most + 1


def test_the_bound_holds_off_chance_at_the_declared_rate() -> None:
    draw = np.random.default_rng(5)
    reference = sketch(draw.normal(size=2_000).tolist())
    edges = reference.edges(GROUPS)
    was = reference.grouped(edges)
    bound = psi_threshold(len(was), 2_000, 300, 0.05)
    over = sum(psi(was, sketch(draw.normal(size=300).tolist()).grouped(edges)) > bound for _ in range(400))
    assert 4 <= over <= 50  # 20 are expected
    assert psi(was, sketch((draw.normal(size=300) + 1).tolist()).grouped(edges)) > bound


@pytest.mark.parametrize("setting", [{"threshold": 0.0}, {"over": "1h"}, {"false_alarm": 0.7}, {"of": "error"}])
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PSI(**setting)  # type: ignore[arg-type] # that is the point
