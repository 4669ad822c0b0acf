"""Operations are grouped stably, and a bound is found from any hint."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernels import spans

numbers = st.lists(st.integers(-1, 5), max_size=30)


@given(numbers)
def test_operations_are_grouped_by_key_in_log_order_and_those_of_no_key_are_left_out(drawn: list[int]) -> None:
    key = np.array(drawn, np.int64)
    state = np.zeros((6, spans.STATE_COLUMNS), np.int64)
    order, starts, keys = (np.full(len(drawn) + 1, -9, np.int64) for _ in range(3))
    groups = spans.group(key, state, order, starts, keys)
    found = {int(keys[j]): order[starts[j] : starts[j + 1]].tolist() for j in range(groups)}
    expected: dict[int, list[int]] = {}
    for number, k in enumerate(drawn):
        if k >= 0:
            expected.setdefault(k, []).append(number)
    assert list(found.items()) == list(expected.items())
    assert not state.any()


@given(
    st.lists(st.integers(0, 12), max_size=30).map(sorted), st.integers(0, 40), st.integers(-1, 13), st.integers(0, 3)
)
def test_a_lower_bound_does_not_depend_on_the_hint(times: list[int], hint: int, time: int, before: int) -> None:
    ts = np.array([99] * before + times + [-99] * 3, np.int64)
    end = before + len(times)
    found = spans.lower_bound(ts, before, end, before + min(hint, len(times)), time)
    assert found == before + sum(other < time for other in times)
