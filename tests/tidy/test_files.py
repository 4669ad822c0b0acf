"""No file of the project knows the machine it was written on, or where packages are fetched from."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "src", "tests")
SUFFIXES = {"", ".cfg", ".html", ".ini", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}
# Written with a class of one letter each, so that this file does not find itself.
FORBIDDEN = (
    re.compile(r"(?<![\w.])/(?:[r]oot|[w]ork|[f]arm|[h]ome/\w+|[U]sers/\w+)/"),
    re.compile(r"--?(?:extra-)?[i]ndex-url|[f]ind-links|[t]rusted-host"),
    re.compile(r"https?://[^\s\"')]*(?:/[s]imple\b|[p]ythonhosted|[r]egistry\.)"),
)


def findings(root: Path) -> Iterator[str]:
    """Yield path:line of each line that tells of a machine or of an index."""
    inside = (file for folder in FOLDERS for file in (root / folder).rglob("*") if "__pycache__" not in file.parts)
    for file in sorted({*inside, *root.iterdir()}):
        if file.is_file() and file.suffix in SUFFIXES:
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if any(pattern.search(line) for pattern in FORBIDDEN):
                    yield f"{file.relative_to(root)}:{number}: {line.strip()[:80]}"


def test_no_file_names_a_machine_or_an_index() -> None:
    assert list(findings(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    [
        "data = Path('/" + "root/data')",
        "see /" + "home/anna/flights.csv",
        "pip install --in" + "dex-url x",
        "https://files." + "pythonhosted.org/p.whl",
    ],
)
def test_a_planted_line_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "loaded.py").write_text(f"import os\n{line}\n", encoding="utf-8")
    assert [finding.split(": ")[0] for finding in findings(tmp_path)] == ["src/loaded.py:2"]


def test_versions_are_pinned_by_name_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
