"""Bundles: small ones stand in the log, large ones beside it; what a kept row names is kept, and nothing else."""

import pytest

from headrace.core.errors import StateError
from headrace.store.blobs import MemoryBlobs
from headrace.store.bundles import INLINE_BYTES, Bundles, version_name

SMALL = bytes(INLINE_BYTES)
LARGE = bytes(INLINE_BYTES + 1)


def test_a_bundle_up_to_256_kib_stands_in_the_log_and_a_larger_one_beside_it() -> None:
    blobs = MemoryBlobs()
    bundles = Bundles(blobs)
    assert bundles.inline(version_name(0, SMALL), SMALL) == SMALL
    assert blobs.names() == []
    name = version_name(1, LARGE)
    assert bundles.inline(name, LARGE) == b""
    assert blobs.names() == [name]
    assert (bundles.load(name, b""), bundles.load("any", SMALL)) == (LARGE, SMALL)


def test_without_a_place_for_blobs_everything_stands_in_the_log() -> None:
    assert Bundles(None).inline("v0-000000000000", LARGE) == LARGE


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_bundle_that_is_gone_or_damaged_is_refused_with_the_remedy(content: bytes | None) -> None:
    blobs = MemoryBlobs()
    name = version_name(1, LARGE)
    if content is not None:
        blobs.put(name, content)
    with pytest.raises(StateError, match="restore bundles/"):
        Bundles(blobs).load(name, b"")


def test_collection_spares_what_is_named_and_what_a_session_may_be_about_to_name() -> None:
    blobs = MemoryBlobs()
    bundles = Bundles(blobs)
    contents = [LARGE + bytes([number]) for number in range(5)]
    names = [version_name(number, content) for number, content in enumerate(contents)]
    for name, content in zip(names, contents, strict=True):
        bundles.inline(name, content)
    untaken = version_name(2, LARGE + b"another attempt")  # Its frame was a duplicate: 2 was taken with other content.
    bundles.inline(untaken, LARGE + b"another attempt")
    blobs.put("a stranger", b"")
    #  number  0      1      2      2'       3        4
    #          gone   named  named  untaken  (newest taken is 3)  put, and its frame not yet appended
    gone = [names[0], untaken, names[3]]
    assert sorted(bundles.collect({names[1], names[2]}, 3, dry_run=True)) == sorted(gone)
    assert len(blobs.names()) == 7
    assert sorted(bundles.collect({names[1], names[2]}, 3)) == sorted(gone)
    assert blobs.names() == sorted([names[1], names[2], names[4], "a stranger"])
