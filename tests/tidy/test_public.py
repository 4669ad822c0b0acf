"""`headrace` exports what it says, and nothing heavy is imported for it."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import headrace

SOURCE = ast.parse(Path(headrace.__file__).read_text(encoding="utf-8"))


def exported() -> set[str]:
    """Return the names that `headrace/__init__.py` imports from the package, those for type checkers included."""
    return {
        alias.asname or alias.name
        for node in ast.walk(SOURCE)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "headrace"
        for alias in node.names
    }


def test_all_equals_what_is_exported() -> None:
    assert set(headrace.__all__) == exported()
    assert len(headrace.__all__) == len(set(headrace.__all__))


def test_every_public_name_is_there_and_documented() -> None:
    for name in headrace.__all__:
        value = getattr(headrace, name)
        assert value is not None
        assert not callable(value) or (value.__doc__ or "").strip(), f"{name} has no docstring"


def test_the_package_and_its_command_line_import_nothing_compiled() -> None:
    # `headrace --help` answers in under .3 s only while nothing below is loaded for it.
    code = (
        "import sys, headrace.cli; print(sorted({'numba', 'llvmlite', 'polars', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=None)
    assert done.stdout.strip() == "[]"


def test_a_module_that_lists_public_names_has_them() -> None:
    for file in sorted(Path(headrace.__file__).parent.rglob("*.py")):
        parts = file.relative_to(Path(headrace.__file__).parents[1]).with_suffix("").parts
        module = import_module(".".join(part for part in parts if part != "__init__"))
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert missing == [], module.__name__
