"""Frames: what goes in comes out, and damage is never mistaken for data."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import StateError
from headrace.core.position import START, Position
from headrace.core.records import Batch
from headrace.topics.digest import row_digests, running_digest
from headrace.topics.frame import FRAME_BYTES_MAX, Frame, cut, decode, empty_batch, encode
from tests.unit.topics.rows import manifest, rows

PLACES = [(offset, row) for offset in range(4) for row in range(5)]


def frame(batch: Batch) -> Frame:
    return Frame(1, START, Position(9, 9), batch, digest_before=3, digest_after=2**64 - 1)


def test_a_decoded_frame_holds_the_same_values() -> None:
    made = frame(rows(PLACES))
    back = decode(encode(made, manifest()), manifest())
    assert replace(back, batch=made.batch) == made
    assert row_digests(back.batch).tolist() == row_digests(made.batch).tolist()
    assert back.batch.offset.tolist() == made.batch.offset.tolist()
    assert back.batch.payloads[0].to_pylist()[1:] == made.batch.payloads[0].to_pylist()[1:]


def test_a_frame_without_rows_still_covers_its_positions() -> None:
    made = Frame(0, Position(1, 1), Position(2, 2), empty_batch(manifest()))
    back = decode(encode(made, manifest()), manifest())
    assert (back.after, back.through, len(back.batch)) == (Position(1, 1), Position(2, 2), 0)


@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    raw = bytearray(encode(frame(rows(PLACES)), manifest()))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StateError):
        decode(bytes(raw), manifest())


@given(st.integers(0, 400))
def test_a_frame_cut_short_is_refused(length: int) -> None:
    raw = encode(frame(rows(PLACES)), manifest())
    with pytest.raises(StateError):
        decode(raw[: min(length, len(raw) - 1)], manifest())


@pytest.mark.parametrize("change", [{"engine": 99}, {"incarnation": 7}, {"generation": "00000000000000ab"}])
def test_a_frame_of_another_engine_incarnation_or_generation_is_refused(change: dict[str, object]) -> None:
    raw = encode(frame(rows(PLACES)), manifest())
    with pytest.raises(StateError, match="engine, incarnation, generation"):
        decode(raw, replace(manifest(), **change))


@given(st.lists(st.integers(0, 19), max_size=4))
def test_the_running_digest_does_not_depend_on_how_rows_are_cut(cuts: list[int]) -> None:
    whole = rows(PLACES)
    edges = [0, *sorted(cuts), len(whole)]
    digest = 0
    for start, stop in itertools.pairwise(edges):
        digest = running_digest(digest, whole.slice(start, stop))
    assert digest == running_digest(0, whole)


def test_the_digest_sees_values_and_not_positions() -> None:
    whole = rows(PLACES)
    moved = whole.placed(whole.offset + 5, whole.sub)
    changed = replace(whole, event_time=whole.event_time + np.eye(len(whole), dtype=np.int64)[7])
    assert row_digests(moved).tolist() == row_digests(whole).tolist()
    assert (row_digests(changed) != row_digests(whole)).tolist() == [row == 7 for row in range(len(whole))]


def test_a_digest_changes_with_every_column() -> None:
    whole = rows([(0, 0)])
    seen = {int(row_digests(whole)[0])}
    for column, value in (("dense", [1.0, 2.0]), ("note", "other"), ("raw", b"x")):
        entry = {**whole.payloads[0].to_pylist()[0], column: value}
        payload = type(whole.payloads[0]).from_pylist([entry], schema=whole.payloads[0].schema)
        seen.add(int(row_digests(replace(whole, payloads=(payload, whole.payloads[1])))[0]))
    assert len(seen) == 4


def test_a_large_batch_is_cut_between_rows_and_loses_none() -> None:
    whole = rows([(offset, row) for offset in range(4000) for row in range(3)])
    wide = Batch.concat([whole] * 3)
    pieces = list(cut(wide, FRAME_BYTES_MAX))
    assert len(pieces) > 1
    assert max(sum(part.nbytes for part in piece.payloads) for piece in pieces) <= FRAME_BYTES_MAX
    assert np.concatenate([row_digests(piece) for piece in pieces]).tolist() == row_digests(wide).tolist()


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_slice_has_the_rows_between(start: int, stop: int) -> None:
    whole = rows(PLACES)
    part = whole.slice(start, max(start, stop))
    assert row_digests(part).tolist() == row_digests(whole).tolist()[start : max(start, stop)]


@given(st.permutations(range(20)))
def test_taking_rows_keeps_each_with_its_payload(order: list[int]) -> None:
    whole = rows(PLACES)
    assert row_digests(whole.take(np.array(order))).tolist() == row_digests(whole)[order].tolist()
