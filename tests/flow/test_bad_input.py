"""Bad input never stops a run of the starter's project: every record is counted once, and teaches what it may.

Everything that can be wrong with a record or a file stands in `test_bad_matrix`.
"""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.edge.files import Format
from headrace.run.clock import VirtualClock
from headrace.run.deployment import EVENTS
from headrace.run.project import Project
from headrace.run.running import Running, run
from headrace.run.starter import write_starter
from headrace.run.summary import ledger_of, summary
from headrace.run.taken import taken, taken_rows
from headrace.run.verification import verify

Row = dict[str, Any]
FORMATS: Final[tuple[Format, ...]] = ("csv", "jsonl", "parquet")
GOOD: Final = 20
PAYMENT: Final = {"payment_id": str, "card": str, "country": str, "amount": float, "at": datetime}
OUTCOME: Final = {"payment_id": str, "disputed": bool, "at": datetime}
ARROW: Final = {str: pa.string(), float: pa.float64(), bool: pa.bool_(), datetime: pa.timestamp("us", tz="UTC")}
CONFIG: Final = """
[sources.payments]
paths = [{payments}]

[sources.outcomes]
paths = [{outcomes}]

[sinks.holds]
kind = "file"
path = "holds"
"""


def at(minute: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


def payment(id: str, minute: int, **changes: Any) -> Row:
    return {"payment_id": id, "card": "c1", "country": "DE", "amount": 10.0 + minute, "at": at(minute), **changes}


def outcome(id: str, minute: int, *, disputed: Any = True) -> Row:
    return {"payment_id": id, "disputed": disputed, "at": at(minute)}


def coded(kind: Format, rows: list[Row], fields: dict[str, type]) -> bytes:
    """Return rows as a file of one format. In Parquet a text in a column of numbers makes it a column of texts."""
    if kind == "parquet":
        columns = {}
        for name, typed in fields.items():
            values = [row[name] for row in rows]
            texts = any(isinstance(value, str) for value in values)
            columns[name] = pa.array(values, pa.string() if texts else ARROW[typed])
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        return sink.getvalue()
    told = [{name: value.isoformat() if name == "at" else value for name, value in row.items()} for row in rows]
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in told).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(told)
    return text.getvalue().encode()


def run_over(folder: Path, kind: Format, payments: list[bytes], outcomes: list[bytes]) -> Running:
    """Run the starter's pipeline over the files of two sources, to its end."""
    write_starter(folder)
    names: dict[str, str] = {}
    for source, files in (("payments", payments), ("outcomes", outcomes)):
        for number, data in enumerate(files):
            (folder / f"{source}{number}.{kind}").write_bytes(data)
        names[source] = ", ".join(f'"{source}{number}.{kind}"' for number in range(len(files)))
    (folder / "headrace.toml").write_text(CONFIG.format(**names))
    running = run(Project.load(folder / "pipeline.py"), clock=VirtualClock(start_us=0))
    running.worker.run()
    return running


def bad_files(kind: Format) -> tuple[list[bytes], list[bytes]]:
    """Return files of payments and of outcomes with everything wrong that can be wrong with them."""
    cut = coded(kind, [payment("cut0", 30), payment("cut1", 31), payment("cut2", 32)], PAYMENT)
    payments = [
        coded(kind, [payment(f"p{number}", number) for number in range(GOOD)], PAYMENT),
        coded(kind, [payment("no amount", 20, amount=None), payment("below", 21, amount=-0.01)], PAYMENT),
        coded(kind, [payment("mistyped", 22, amount="lots")], PAYMENT),
        coded(kind, [payment("p3", 23, amount=999.0)], PAYMENT),
        cut[: cut.rindex(b"cut2") + 6],
        b"",
    ]
    outcomes = [
        coded(kind, [outcome(f"p{number}", 60 + number) for number in range(GOOD)], OUTCOME),
        coded(kind, [outcome("nobody", 90), outcome("p5", 91, disputed=False)], OUTCOME),
        coded(kind, [outcome("p6", 92, disputed=None)], OUTCOME),
        coded(kind, [outcome("p7", 93, disputed="perhaps")], OUTCOME),
    ]
    return payments, outcomes


def counted(ok: int, *, duplicate: int = 0, reasons: dict[str, int]) -> Row:
    """Return one source's part of the ledger."""
    rejected = sum(reasons.values())
    others = {"late_kept": 0, "late_aside": 0, "late_dropped": 0, "future": 0}
    received = ok + duplicate + rejected
    return {
        "received": received,
        "ok": ok,
        "duplicate": duplicate,
        "rejected": rejected,
        "reasons": reasons,
        **others,
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_every_record_is_counted_once_under_what_became_of_it(tmp_path: Path, kind: Format) -> None:
    running = run_over(tmp_path, kind, *bad_files(kind))
    assert running.ingest is not None
    ledger = running.ingest.ledger
    assert ledger.balances()
    # Of a Parquet file that was cut nothing is known; of a file of lines only the last one is lost.
    usable, lost = (0, {"unreadable_file": 1}) if kind == "parquet" else (2, {"malformed": 1})
    assert ledger.as_dict() == {
        "payments": counted(
            GOOD + usable,
            duplicate=1,
            reasons={"empty_file": 1, **lost, "missing": 1, "mistyped": 1, "out_of_range": 1},
        ),
        "outcomes": counted(GOOD + 2, reasons={"missing": 1, "mistyped": 1}),
    }
    assert ledger_of(running.deployment).as_dict() == ledger.as_dict()
    found = summary(running.deployment)
    assert found["ledger_balances"]
    assert (found["predictions"], found["labels"], found["missing_without_reason"]) == (GOOD + usable, GOOD, 0)
    assert verify(running.deployment).differ == 0
    running.log.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_rejected_record_keeps_its_bytes_and_names_the_field(tmp_path: Path, kind: Format) -> None:
    running = run_over(tmp_path, kind, *bad_files(kind))
    rejected = taken_rows(running.deployment.topic(EVENTS)).payloads[1].to_pylist()
    found = {(row["source"], row["reason"]): row for row in rejected}
    assert found["payments", "missing"]["error"].startswith("amount: wanted a number, got nothing")
    assert found["payments", "mistyped"]["error"] == "amount: wanted a number, got 'lots'"
    shown = "'-0.01'" if kind == "csv" else "-0.01"  # A value of CSV is text until it is read.
    assert found["payments", "out_of_range"]["error"] == f"amount: wanted at least 0 usd, got {shown}"
    assert found["outcomes", "mistyped"]["error"] == "disputed: wanted true or false, got 'perhaps'"
    assert b"lots" in found["payments", "mistyped"]["raw"]
    reason, held = ("unreadable_file", b"PAR1") if kind == "parquet" else ("malformed", b"cut2")
    assert held in found["payments", reason]["raw"]
    running.log.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_for_nobody_and_second_labels_are_counted_and_teach_nothing(tmp_path: Path, kind: Format) -> None:
    running = run_over(tmp_path, kind, *bad_files(kind))
    stage = running.deployment.featurize()
    for piece in taken(running.deployment.topic(EVENTS)):
        stage.process(piece.batch)
    waited = 0 if kind == "parquet" else 2
    assert stage.engine.ledger == {"answered": GOOD, "repeated": 1, "unmatched": 1, "closed": waited}
    examples = taken_rows(running.deployment.topic("examples"))
    ids = examples.id.take(pa.array(examples.rows_of(0))).to_pylist()
    assert sorted(ids) == sorted(f"p{number}" for number in range(GOOD))
    assert set(examples.payloads[0]["y"].to_pylist()) == {1.0}
    running.log.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_history_of_empty_files_ends(tmp_path: Path, kind: Format) -> None:
    running = run_over(tmp_path, kind, [b""], [b"", b""])
    found = summary(running.deployment)
    assert {name: counts["reasons"] for name, counts in found["ledger"].items()} == {
        "payments": {"empty_file": 1},
        "outcomes": {"empty_file": 2},
    }
    # The one version is the untrained one, from which a live run may go on.
    assert (found["ledger_balances"], found["predictions"], found["versions"]) == (True, 0, 1)
    assert verify(running.deployment).compared == 0
    running.log.close()
