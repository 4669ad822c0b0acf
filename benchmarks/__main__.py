"""Run benchmarks: `python -m benchmarks NAME [--quick] [--json] [--OPTION VALUE ...]`, or `all [--write]`.

With `--json` the last line is one JSON object. A benchmark's own options are given as `--name value`; a value is read
as JSON where it is JSON, as text otherwise.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from benchmarks._shared import ABSENT

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
PACKAGES = ("headrace", "numpy", "numba", "pyarrow", "polars", "river")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("name", help=f"one of: {', '.join(names())}; or all")
    parser.add_argument("--quick", action="store_true", help="less data: to see that it runs, not to be quoted")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--write", action="store_true", help="with all: write RESULTS.md")
    asked, rest = parser.parse_known_args(arguments)
    if asked.write and asked.name != "all":
        parser.error("--write goes with all")
    if asked.name == "all":
        if rest:
            parser.error(f"all takes no options of a benchmark, got {' '.join(rest)}")
        return run_all(quick=asked.quick, as_json=asked.json, write=asked.write)
    if asked.name not in names():
        parser.error(f"wanted one of {', '.join(names())} or all, got {asked.name!r}")
    try:
        options = read_options(rest)
    except ValueError as mistake:
        parser.error(str(mistake))
    figures = import_module(f"benchmarks.{asked.name}").run(quick=asked.quick, **options)
    print(json.dumps(figures, allow_nan=False) if asked.json else table(figures))
    return 0


def names() -> list[str]:
    """Return the benchmarks: the modules of this folder, less those whose name starts with an underscore."""
    return sorted(module.name for module in iter_modules([str(FOLDER)]) if not module.name.startswith("_"))


def read_options(rest: Sequence[str]) -> dict[str, Any]:
    """Turn `--rate 15000 --log memory` into {"rate": 15000, "log": "memory"}."""
    if len(rest) % 2:
        raise ValueError(f"wanted --name value pairs, got {' '.join(rest)}")
    options: dict[str, Any] = {}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        if not name.startswith("--"):
            raise ValueError(f"wanted --name value pairs, got {name!r} where a name should stand")
        try:
            options[name[2:].replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            options[name[2:].replace("-", "_")] = value
    return options


def run_all(*, quick: bool, as_json: bool, write: bool) -> int:
    """Run every benchmark in its own process, so that none warms another up; write the results if all succeed."""
    results: dict[str, Any] = {}
    for name in names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", name, "--json", *(["--quick"] if quick else [])]
        done = subprocess.run(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == ABSENT:
            continue
        if done.returncode:
            print(f"{name} failed with exit code {done.returncode}; nothing was written", file=sys.stderr)
            return 1
        results[name] = json.loads(done.stdout.splitlines()[-1])
        if not as_json:
            print(f"{name}\n{table(results[name])}\n", flush=True)
    if as_json:
        print(json.dumps(results, allow_nan=False))
    if write:
        RESULTS.write_text(page(results, quick=quick), encoding="utf-8")
        print(f"written: {RESULTS.relative_to(FOLDER.parent)}", file=sys.stderr)
    return 0


def page(results: Mapping[str, Mapping[str, Any]], *, quick: bool) -> str:
    """Return RESULTS.md."""
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. {machine()}. {versions()}.",
        "Speed is compared with peers in one run on one machine; figures of two runs or two machines are not.",
        *(["", "**A quick run on less data: not to be quoted.**"] if quick else []),
    ]
    for name, figures in results.items():
        module = import_module(f"benchmarks.{name}")
        lines += ["", f"## {name}", "", (module.__doc__ or "").strip(), "", "| figure | value |", "| --- | ---: |"]
        lines += [f"| {key} | {shown(value)} |" for key, value in flat(figures)]
        lines += ["", module.NOTES.strip()]
    return "\n".join(lines) + "\n"


def table(figures: Mapping[str, Any]) -> str:
    """Return figures as aligned lines."""
    rows = [(key, shown(value)) for key, value in flat(figures)]
    width = max((len(key) for key, _ in rows), default=0)
    return "\n".join(f"{key:<{width}}  {value:>14}" for key, value in rows)


def flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested figures under dotted names."""
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shown(value: object) -> str:
    """Return a figure as a person reads it: four significant digits, thousands set apart."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float() if value and math.isfinite(value):
            digits = max(0, 3 - math.floor(math.log10(abs(value))))
            return f"{value:,.{digits}f}"
        case _:
            return str(value)


def machine() -> str:
    """Return the processor's name and how many cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def versions() -> str:
    """Return the versions of Python and of what the figures depend on."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
