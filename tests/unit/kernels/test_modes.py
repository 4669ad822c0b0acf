"""The tests of kernels run in three modes, and each is the mode that was meant.

HEADRACE_JIT says what the make file meant: compiled, checked (bounds) or off. Without it, as in a run of pytest by
hand, what Numba is set to is taken at its word.
"""

import os
from types import FunctionType

import numba
import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from headrace.kernels import digest

MEANT = os.environ.get("HEADRACE_JIT", "")
MODE = "off" if numba.config.DISABLE_JIT else "checked" if numba.config.BOUNDSCHECK else "compiled"


@njit(cache=True, nogil=True)
def read(values: NDArray[np.int64], place: int) -> int:
    """Return one value."""
    value: int = values[place]
    return value


def test_the_mode_is_the_one_that_was_meant() -> None:
    assert MEANT in {"", MODE}


def test_kernels_are_plain_python_only_where_the_compiler_is_off() -> None:
    assert isinstance(read, FunctionType) == (MODE == "off")
    assert isinstance(digest.absorb_words, FunctionType) == (MODE == "off")


def test_a_read_past_the_end_raises_unless_compiled() -> None:
    # The array goes on behind its view, so that the compiled read, which checks nothing, reads memory of its own.
    longer = np.arange(4)
    view = longer[:3]
    if MODE == "compiled":
        assert read(view, 3) == 3
    else:
        with pytest.raises(IndexError):
            read(view, 3)


def test_a_kernel_of_the_house_that_writes_past_the_end_raises_unless_compiled() -> None:
    # A cache written in another mode would be found here: it would not raise.
    longer = np.zeros(2, np.uint64)
    given = np.array([1]), np.ones((1, 1), np.uint64), longer[:1]
    if MODE == "compiled":
        digest.absorb_words(*given)
        assert longer[0] == 0
        assert longer[1] != 0
    else:
        with pytest.raises(IndexError):
            digest.absorb_words(*given)
