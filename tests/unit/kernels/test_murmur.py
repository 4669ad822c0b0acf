"""MurmurHash3 x64 128 gives the published values, and the same for a string wherever its bytes lie."""

import numpy as np
import pytest

from headrace.kernels.murmur import hash_strings, hash_words

PUBLISHED = {
    b"": "00000000000000000000000000000000",
    b"hello": "cbd8a7b341bd9b025b1e906a48ae1d19",
    b"hello, world": "342fac623a5ebc8e4cdcbc079642414d",
    b"The quick brown fox jumps over the lazy dog": "e34bbc7bbc071b6c7a433ca9c49a9347",
}


def hashed(strings: list[bytes], before: int = 0) -> list[str]:
    """Hash strings that lie one after the other, `before` bytes from an aligned place."""
    data = b"\xff" * before + b"".join(strings)
    words = np.frombuffer(data + b"\xff" * (24 - len(data) % 8), np.uint64)
    ends = before + np.cumsum([0, *[len(string) for string in strings]])
    out = np.empty((len(strings), 2), np.uint64)
    with np.errstate(over="ignore"):
        hash_strings(ends.astype(np.int32), words, out)
    return [f"{one:016x}{two:016x}" for one, two in out.tolist()]


@pytest.mark.parametrize("before", range(9))
def test_the_published_values_come_out_at_every_alignment(before: int) -> None:
    assert hashed(list(PUBLISHED), before) == list(PUBLISHED.values())


def test_every_byte_of_every_length_counts() -> None:
    seen = set()
    strings = [bytes(range(size)) for size in range(40)]
    for string in strings:
        seen.add(hashed([string])[0])
        for place in range(len(string)):
            seen.add(hashed([string[:place] + b"\x80" + string[place + 1 :]])[0])
    assert len(seen) == sum(1 + len(string) for string in strings)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_words_hash_like_the_string_of_their_bytes(width: int) -> None:
    words = np.arange(3 * width, dtype=np.uint64).reshape(3, width) * np.uint64(0x0123456789ABCD)
    out = np.empty((3, 2), np.uint64)
    with np.errstate(over="ignore"):
        hash_words(words, out)
    assert [f"{one:016x}{two:016x}" for one, two in out.tolist()] == hashed([row.tobytes() for row in words])
