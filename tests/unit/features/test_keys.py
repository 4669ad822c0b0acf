"""A key is the same everywhere; a table gives each a dense id, and keeps it until the key is removed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import StateError
from headrace.features.keys import Hashes, KeyTable, hash_columns

texts = st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=30)


def crowded(numbers: list[int]) -> Hashes:
    """Return keys that all want the same few places of the table, so that runs form and wrap around its end."""
    return np.array([[(number % 3) - 1, number] for number in numbers], np.int64).reshape(-1, 2).view(np.uint64)


@given(texts, st.integers(0, 5), st.integers(0, 5))
def test_a_text_has_the_same_hash_wherever_it_stands_in_a_column(
    column: list[str | None], before: int, after: int
) -> None:
    whole = pa.array(["x" * before, *column, "y" * after], pa.string())
    hashes, valid = hash_columns([whole.slice(1, len(column))])
    assert valid.tolist() == [value is not None for value in column]
    for value, hashed in zip(column, hashes, strict=True):
        if value is not None:
            assert hashed.tolist() == hash_columns([pa.array([value])])[0][0].tolist()


@given(texts)
def test_chunks_and_wide_offsets_change_no_hash(column: list[str | None]) -> None:
    array = pa.array(column, pa.string())
    hashes, valid = hash_columns([array])
    for other in (pa.chunked_array([array[:3], array[3:]], pa.string()), array.cast(pa.large_string())):
        again, still = hash_columns([other])
        assert again.tolist() == hashes.tolist()
        assert still.tolist() == valid.tolist()


def test_an_empty_text_is_a_key_and_a_null_is_none() -> None:
    _, valid = hash_columns([pa.array(["", None, "a"])])
    assert valid.tolist() == [True, False, True]


def test_a_key_of_several_columns_needs_all_of_them_and_their_order() -> None:
    one, two = pa.array(["a", "ab", None, "a"]), pa.array(["bc", "c", "c", None])
    hashes, valid = hash_columns([one, two])
    assert valid.tolist() == [True, True, False, False]
    assert hashes[0].tolist() != hashes[1].tolist()
    assert hashes[0].tolist() != hash_columns([two, one])[0][0].tolist()
    assert hashes[0].tolist() == hash_columns([one[:1], two[:1]])[0][0].tolist()


def test_both_zeros_are_one_key_and_the_width_of_a_whole_number_does_not_matter() -> None:
    zeros, _ = hash_columns([pa.array([0.0, -0.0])])
    assert zeros[0].tolist() == zeros[1].tolist()
    narrow, _ = hash_columns([pa.array([5, -1], pa.int16())])
    wide, _ = hash_columns([pa.array([5, -1], pa.int64())])
    assert narrow.tolist() == wide.tolist()
    large, _ = hash_columns([pa.array([2**63, 2**64 - 1], pa.uint64())])
    assert large[0].tolist() != large[1].tolist()
    times, valid = hash_columns([pa.array([7, None], pa.timestamp("us", "UTC"))])
    assert times[0].tolist() == hash_columns([pa.array([7])])[0][0].tolist()
    assert valid.tolist() == [True, False]


def test_no_rows_have_no_hashes() -> None:
    hashes, valid = hash_columns([pa.array([], pa.string()), pa.array([], pa.int64())])
    assert hashes.shape == (0, 2)
    assert len(valid) == 0


def test_a_list_is_no_key() -> None:
    with pytest.raises(StateError, match="a text, a number"):
        hash_columns([pa.array([[1]])])


steps = st.lists(
    st.tuples(st.sampled_from(["add", "find", "remove", "restore"]), st.lists(st.integers(0, 25), max_size=8)),
    max_size=25,
)


@given(steps)
def test_a_table_is_a_dict_with_the_smallest_number_of_ids(script: list[tuple[str, list[int]]]) -> None:
    table = KeyTable()
    known: dict[int, int] = {}
    most = 0
    for verb, numbers in script:
        keys = crowded(numbers)
        if verb == "add":
            for number, found in zip(numbers, table.add(keys).tolist(), strict=True):
                assert known.setdefault(number, found) == found
            most = max(most, len(known))
        elif verb == "find":
            assert table.find(keys).tolist() == [known.get(number, -1) for number in numbers]
        elif verb == "remove":
            gone = [number for number in dict.fromkeys(numbers) if number in known]
            table.remove(np.array([known.pop(number) for number in gone], np.int64))
        else:
            arrays = table.snapshot()
            table = KeyTable()
            table.restore(arrays)
        everything = list(range(26))
        assert table.find(crowded(everything)).tolist() == [known.get(number, -1) for number in everything]
        assert len(table) == len(known)
        assert len(set(known.values())) == len(known)
        assert table.top == most


def test_a_table_grows_and_keeps_its_ids() -> None:
    table = KeyTable()
    numbers = list(range(1500))
    keys = np.array([[number * 7919, number] for number in numbers], np.uint64)
    assert table.add(keys[:700]).tolist() == numbers[:700]
    assert table.add(keys).tolist() == numbers
    assert table.find(keys).tolist() == numbers


def test_both_words_of_a_key_are_compared() -> None:
    table = KeyTable()
    assert table.add(np.array([[1, 1], [1, 2], [2, 1]], np.uint64)).tolist() == [0, 1, 2]


def test_only_an_id_in_use_can_be_removed_and_only_once() -> None:
    table = KeyTable()
    table.add(crowded([1, 2, 3]))
    for ids in ([3], [-1], [0, 0]):
        with pytest.raises(StateError, match="ids in use"):
            table.remove(np.array(ids, np.int64))
    assert len(table) == 2
