"""The house rules hold in the package, and each finds what is planted for it."""

import ast
from pathlib import Path, PurePosixPath

import pytest

from tests.tidy import rules
from tests.tidy.rules import RULES, Rule, broken, classes_neither_abstract_nor_final

PACKAGE = Path(__file__).parents[2] / "src" / "headrace"

# Per rule: the path of a module below the package, a source that breaks the rule there, and one that does not.
PLANTED = [
    (rules.wall_clock, "stages/learn.py", "import time", "from headrace.core.time import DAY_US"),
    (rules.wall_clock, "stages/learn.py", "from time import perf_counter", "from time_series import fit"),
    (rules.wall_clock, "core/time.py", "stamp = datetime.now(UTC)", "stamp = clock.now()"),
    (rules.wall_clock, "core/time.py", "stamp = dt.datetime.utcnow()", "stamp = datetime.fromtimestamp(0, UTC)"),
    (rules.wall_clock, "core/time.py", "stamp = np.datetime64('now')", "stamp = np.datetime64('2013-01-01')"),
    (rules.global_random, "models/forest.py", "from random import shuffle", "from numpy.random import Generator"),
    (rules.global_random, "models/forest.py", "x = random.random()", "import random; x = random.Random(seed).random()"),
    (rules.global_random, "models/forest.py", "x = random.Random()", "x = random.Random(7)"),
    (rules.global_random, "models/forest.py", "x = np.random.rand()", "x = np.random.default_rng(7).random()"),
    (rules.global_random, "models/forest.py", "x = np.random.default_rng()", "x = np.random.default_rng(seed)"),
    (rules.global_random, "run/task.py", "token = os.urandom(8)", "token = fence(8)"),
    (rules.global_random, "stages/learn.py", "import secrets", "import msgspec"),
    (rules.pickle, "store/snapshots.py", "import pickle", "import safetensors"),
    (rules.pickle, "store/snapshots.py", "from joblib import dump", "from msgspec import json"),
    (rules.pickle, "store/snapshots.py", "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=False)"),
    (rules.naive_datetime, "core/time.py", "x = datetime(1970, 1, 1)", "x = datetime(1970, 1, 1, tzinfo=UTC)"),
    (rules.naive_datetime, "core/time.py", "x = datetime.fromtimestamp(0)", "x = datetime.fromtimestamp(0, tz=UTC)"),
    (rules.naive_datetime, "core/time.py", "x = datetime.strptime(s, f)", "x = parse(s)"),
    (rules.process_hash, "features/keys.py", "key = hash(name)", "key = murmur.hash(name)"),
    (rules.set_order, "features/keys.py", "for x in set(names): pass", "for x in sorted(set(names)): pass"),
    (rules.set_order, "features/keys.py", "y = [x for x in {a, b}]", "y = [x for x in (a, b)]"),
    (rules.unstable_sort, "edge/history.py", "o = np.argsort(t)", "o = np.argsort(t, kind='stable')"),
    (rules.unstable_sort, "edge/history.py", "o = t.argsort(kind='quicksort')", "names.sort()"),
    (rules.unstable_sort, "edge/history.py", "o = np.sort(t)", "o = np.sort(t, kind='stable')"),
    (rules.numba_outside, "features/engine.py", "from numba import njit", "import numpy as np"),
    (rules.numba_outside, "kernels/exact.py", "import pyarrow", "from headrace.kernels import murmur"),
    (
        rules.kernel_manner,
        "kernels/exact.py",
        "@njit\ndef add(a: int) -> int: ...",
        "@njit(cache=True, nogil=True)\ndef add(a: int) -> int: ...",
    ),
    (
        rules.kernel_manner,
        "kernels/exact.py",
        "@njit(cache=True, nogil=True, fastmath=True)\ndef add(a): ...",
        "ROW = np.dtype([('sum', 'f8')])",
    ),
    (rules.kernel_manner, "kernels/exact.py", "def add(a): ...", "from numba import njit"),
    (rules.kernel_manner, "kernels/exact.py", "x = np.exp(y)", "x = np.sqrt(y)"),
    (rules.kernel_manner, "kernels/exact.py", "if x: raise ValueError", "if x: y = 1"),
    (rules.kernel_manner, "kernels/exact.py", "print(x)", "x = 1"),
    (rules.blas, "models/logistic.py", "y = x @ w", "y = x * w"),
    (rules.blas, "kernels/logistic.py", "y = np.dot(x, w)", "y = own_dot(x, w)"),
    (rules.vague_name, "features/utils.py", "", None),
    (rules.vague_name, "common/keys.py", "", None),
    (rules.exports, "features/keys.py", "__all__ = ['gone']", "__all__ = ['here']\ndef here(): ..."),
    (rules.exports, "features/keys.py", "__all__ = ['_own']\n_own = 1", "__all__ = ['x']\nx: int = 1"),
    (rules.exports, "features/keys.py", "__all__ = ['x', 'x']\nx = 1", "x = 1"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert broken(rule, PACKAGE) == []


@pytest.mark.parametrize(("rule", "path", "bad", "good"), PLANTED)
def test_a_rule_finds_what_breaks_it_and_nothing_else(rule: Rule, path: str, bad: str, good: str | None) -> None:
    assert list(rule(PurePosixPath(path), ast.parse(bad)))
    if good is not None:
        assert not list(rule(PurePosixPath(path), ast.parse(good)))


def test_every_rule_has_something_planted_for_it() -> None:
    assert {rule.__name__ for rule, *_ in PLANTED} == {rule.__name__ for rule in RULES}


def test_the_clock_alone_may_look_at_the_wall() -> None:
    assert not list(rules.wall_clock(PurePosixPath("run/clock.py"), ast.parse("import time")))


def test_a_planted_file_is_found_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "learn.py").write_text('"""Learn."""\n\nimport time\n', encoding="utf-8")
    assert broken(rules.wall_clock, tmp_path) == ["stages/learn.py:3: imports time"]


def test_every_class_is_abstract_or_final() -> None:
    assert classes_neither_abstract_nor_final(PACKAGE) == []


def test_a_class_that_is_neither_is_found(tmp_path: Path) -> None:
    source = """
class Loose: ...

@final
class Settled: ...

class Contract(ABC): ...

class Root(Exception): ...

@final
class Leaf(Root): ...
"""
    (tmp_path / "shapes.py").write_text(source, encoding="utf-8")
    assert classes_neither_abstract_nor_final(tmp_path) == ["shapes.py:2: Loose"]
