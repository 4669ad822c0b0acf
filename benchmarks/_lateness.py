"""`headrace features FILE --lateness` against the true shares of a stream, through the command line."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._matrices import Arrived, late_rows

__all__ = ["lateness_error"]

_PIPELINE: Final = """
from datetime import datetime
import headrace as hr

class Sale(hr.Event):
    id: str
    shop: str
    amount: float
    at: datetime
    came: datetime

class Return(hr.Event):
    id: str
    at: datetime

sales = hr.source("sales", Sale, time=Sale.at, id=Sale.id, arrived=Sale.came, disorder="60s")
returns = hr.source("returns", Return, time=Return.at)
returned = sales.label(returns, on="id", within="10min", otherwise=False)
vector = sales.vector("late", Sale.amount, sales.by(Sale.shop).count("1h"))
pipeline = hr.Pipeline("late", features=vector, label=returned, model=hr.models.Logistic())
"""
_CONFIG: Final = """
[sources.sales]
path = "sales.parquet"

[sources.returns]
path = "returns.parquet"
"""


def lateness_error(arrived: Arrived, table: Callable[[Arrived], pa.Table]) -> dict[str, float]:
    """Return how far the told share of records in time is from the true one, in points, at the worst; and how many.

    table: makes the events a table of shop, amount, at and came.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sales = table(arrived)
        ids = pa.array([f"s{number}" for number in range(len(sales))])
        pq.write_table(sales.append_column("id", ids), folder / "sales.parquet")
        pq.write_table(pa.table({"id": ids[:1], "at": sales["at"][:1]}), folder / "returns.parquet")
        (folder / "pipeline.py").write_text(_PIPELINE, encoding="utf-8")
        (folder / "headrace.toml").write_text(_CONFIG, encoding="utf-8")
        _headrace("run", folder / "pipeline.py")
        found = _headrace("features", folder / "pipeline.py", "--lateness", "--disorder", "45s")
    told: Mapping[str, Any] = next(source for source in found["sources"] if source["source"] == "sales")
    errors = [
        abs(one["kept"] - (1.0 - float(late_rows(arrived.time, round(one["adds_seconds"] * 1e6)).mean())))
        for one in told["disorders"]
    ]
    return {"points": 100.0 * max(errors), "disorders": len(errors)}


def _headrace(command: str, file: Path, *words: str) -> Any:
    """Run a command of headrace in a process of its own; return what it prints as JSON."""
    program = "from headrace.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, command, str(file), *words, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])
