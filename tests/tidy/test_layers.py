"""Import-linter holds the layers: a planted import in a copy of the package is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the package and of the contracts."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter as `make check` does, over the copy."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def plant(tree: Path, module: str, line: str) -> None:
    """Add a line to the end of a module."""
    with (tree / "src" / "headrace" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


def test_the_package_keeps_its_layers(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("stages/learn.py", "from headrace.stages.predict import Predict", "A stage imports no stage"),
        ("stages/contract.py", "from headrace.stages.learn import Learn", "A stage imports no stage"),
        ("core/time.py", "from headrace.kernels import murmur", "Imports point down"),
        ("features/keys.py", "from headrace.topics.frame import Frame", "Imports point down"),
        ("stages/join.py", "from headrace.run.worker import Worker", "Imports point down"),
        ("features/keys.py", "from numba import njit", "Numba is for kernels"),
        ("stages/act.py", "import confluent_kafka", "Brokers are for topics and edge"),
        ("run/worker.py", "from starlette.applications import Starlette", "Brokers are for topics and edge"),
    ],
)
def test_a_planted_import_is_refused(tree: Path, module: str, line: str, contract: str) -> None:
    plant(tree, module, line)
    done = lint(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(row.startswith(contract) and " BROKEN" in row for row in done.stdout.splitlines()), done.stdout


def test_a_new_folder_without_a_layer_is_refused(tree: Path) -> None:
    (tree / "src" / "headrace" / "helpers").mkdir()
    (tree / "src" / "headrace" / "helpers" / "__init__.py").touch()
    assert lint(tree).returncode == 1
