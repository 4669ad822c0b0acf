"""The flights pipeline and a page of definitions pass both type checkers as they stand, without a plugin."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CHECKED: Final = ("examples/flights/pipeline.py", "tests/typing/definitions.py")


def checked(*arguments: str) -> str:
    """Run a type checker from the root; return what it says, "" if all is well."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments, *CHECKED],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_definitions_pass_mypy_strict() -> None:
    # Silent: what is found in the library itself is the matter of `make check`. An ignore that is not needed fails.
    assert checked("mypy", "--strict", "--follow-imports=silent") == ""


def test_definitions_pass_pyright() -> None:
    assert checked("pyright") == ""


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "headrace" / "py.typed").exists()
