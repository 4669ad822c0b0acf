"""Every kind of file, everything that can be wrong with it: nothing stops a run, and nothing else is changed by it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from headrace.core.errors import StateError
from headrace.core.records import Batch, Verdict
from headrace.edge.files import FILE_BYTES_KEPT, SourceFiles
from headrace.edge.history import MergedHistory
from headrace.edge.inlet import Inlet
from headrace.edge.paced import PacedHistory
from headrace.run.clock import Clock, VirtualClock
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.starter import write_starter
from headrace.run.summary import ledger_of, summary
from headrace.run.taken import taken_rows
from headrace.run.verification import verify
from headrace.run.worker import Worker
from headrace.stages.ingest import Ingest
from headrace.store.blobs import Blobs, MemoryBlobs
from headrace.topics.memory import MemoryLog
from tests.flow import bad_records as bad
from tests.flow.bad_records import CELLS, DAY, FIELDS, KINDS, LINES, MINUTE, START, Kind, Record, order, spoilt
from tests.flow.comparing import differing, records

STAGES = ("ingest", "featurize", "predict", "join", "learn", "watch", "judge", "respond")
Row = dict[str, Any]


class Order(hr.Event):
    order: str
    key: str | None
    status: Literal["new", "paid", "sent"]
    amount: Annotated[float, hr.Unit("usd", ge=0, le=1000)]
    size: float | None
    count: int | None
    gift: bool
    shop: str = bad.SHOP
    at: datetime
    came: datetime | None


class Answer(hr.Event):
    order: str
    good: bool
    at: datetime


orders = hr.source("orders", Order, time=Order.at, id=Order.order, arrived=Order.came, disorder="2min", late="drop")
answers = hr.source("answers", Answer, time=Answer.at)
good = orders.label(answers, Answer.good, on="order", within="2d", otherwise=hr.DROP)
key = orders.by(Order.key)
vector = orders.vector(
    "risk",
    Order.amount,
    Order.gift,
    hr.category(Order.status, bits=3),
    hr.category(Order.key, bits=4),
    hr.hour(Order.at, tz="America/New_York"),
    key.count("1h"),
    key.mean(Order.amount, "1h", default=0.0),
    key.max(Order.count, "1h", default=0.0),
    good.by(Order.shop).mean(good.value, "2d", default=0.5, prior=2),
    sized=hr.fill(Order.size, 0.0),
)
PIPELINE = hr.Pipeline(
    "orders",
    features=vector,
    label=good,
    model=hr.models.Logistic(),
    serve=hr.Serve(deadline="20ms", fallback=[hr.Constant(0.5)]),
    learn=hr.Learn(every="1h"),
    watch=[hr.PSI("features"), hr.ADWIN("error")],
)


@final
@dataclass(frozen=True)
class Written:
    """The files of both sources in one format."""

    kind: Kind
    orders: tuple[Path, ...]
    answers: tuple[Path, ...]

    def history(self) -> MergedHistory:
        files = {"orders": self.orders, "answers": self.answers}
        return MergedHistory(
            [(source, SourceFiles(paths=files[source.name], format=self.kind)) for source in PIPELINE.source_settings()]
        )


def written(folder: Path, kind: Kind, files: Sequence[bytes], names: Sequence[str] = ()) -> Written:
    """Write files of orders, and one of answers to the orders of these names, and to one that nobody placed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data in enumerate(files):
        paths.append(folder / f"orders{number}.{kind}")
        paths[-1].write_bytes(data)
    told = [
        {"order": name, "good": place % 3 > 0, "at": START + (90 + place) * MINUTE}
        for place, name in enumerate(("nobody", *names))
    ]
    path = folder / f"answers.{kind}"
    path.write_bytes(answers_coded(kind, told))
    return Written(kind, tuple(paths), (path,))


def answers_coded(kind: Kind, rows: list[Row]) -> bytes:
    if kind == "parquet":
        sink = pa.BufferOutputStream()
        schema = pa.schema([("order", pa.string()), ("good", pa.bool_()), ("at", pa.timestamp("us", tz="UTC"))])
        pq.write_table(pa.Table.from_pylist(rows, schema), sink)
        return sink.getvalue().to_pybytes()
    told = [{**row, "at": bad.instant(row["at"])} for row in rows]
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in told).encode()
    lines = [f"{row['order']},{str(row['good']).lower()},{row['at']}" for row in told]
    return "\n".join(["order,good,at", *lines, ""]).encode()


def played(inlet: Inlet, *, budget: int = 16_384, clock: Clock | None = None, live: bool = False) -> Deployment:
    """Run all stages over an inlet to its end."""
    clock = clock or VirtualClock(start_us=0)
    deployment = Deployment(pipeline=PIPELINE, log=MemoryLog(), blobs=None, clock=clock, live=live)
    worker = Worker(deployment.log, deployment.place(STAGES, ingest=Ingest(inlet)), clock=clock, budget=budget)
    worker.start()
    worker.run()
    return deployment


def events(deployment: Deployment, source: str = "orders") -> list[Row]:
    """Return each record of a source as [events] holds it, in the order in which they arrived."""
    batch = taken_rows(deployment.topic(EVENTS))
    names = [stream.name for stream in deployment.topic(EVENTS).manifest.streams]
    found: list[Row] = []
    payloads = [iter(told(payload)) for payload in batch.payloads]
    for row in range(len(batch)):
        stream = names[batch.stream[row]]
        payload = next(payloads[batch.stream[row]])
        if source not in (stream, payload.get("source")) or stream == "tick":
            continue
        spine = {
            "position": tuple(batch.position(row)),
            "event_time": int(batch.event_time[row]),
            "id": batch.id[row].as_py(),
        }
        outcome = payload["reason"] if stream == "rejected" else outcome_of(batch, row)
        found.append({**spine, "outcome": outcome, "payload": payload})
    return found


def outcome_of(batch: Batch, row: int) -> str:
    names = {Verdict.OK: "ok", Verdict.LATE: "late_dropped", Verdict.FUTURE: "future", Verdict.DUPLICATE: "duplicate"}
    return names[Verdict(batch.verdict[row])]


def told(payload: pa.RecordBatch) -> list[Row]:
    """Return rows; times as microseconds, numbers as their repr, which tells -0.0 from 0.0."""
    columns = {}
    for name in payload.schema.names:
        column = payload.column(name)
        column = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        columns[name] = [repr(value) if isinstance(value, float) else value for value in column.to_pylist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def vectors(deployment: Deployment) -> list[tuple[str, Row]]:
    """Return the features of each request, in order."""
    batch = taken_rows(deployment.topic("features"))
    ids = batch.id.take(pa.array(batch.rows_of(0))).to_pylist()
    return list(
        zip(
            ids,
            [{name: repr(value) for name, value in row.items()} for row in batch.payloads[0].to_pylist()],
            strict=True,
        )
    )


def counted(outcomes: Sequence[str]) -> Row:
    """Return a source's part of the ledger by the outcomes of its records."""
    verdicts = dict.fromkeys(("ok", "late_kept", "late_aside", "late_dropped", "duplicate", "future"), 0)
    reasons: dict[str, int] = {}
    for outcome in outcomes:
        if outcome in verdicts:
            verdicts[outcome] += 1
        else:
            reasons[outcome] = reasons.get(outcome, 0) + 1
    return {"received": len(outcomes), **verdicts, "rejected": sum(reasons.values()), "reasons": reasons}


def check(given: Sequence[Record], written: Written, deployment: Deployment, cuts: Sequence[int] = ()) -> None:
    """Check that every record has the outcome of the definition, and that [events] holds all of it."""
    expected = bad.outcomes(given)
    ledger = ledger_of(deployment)
    assert ledger.balances()
    assert ledger.as_dict()["orders"] == counted(expected)
    found = events(deployment)
    came = bad.arrivals(bad.cut(given, cuts))
    order_of = sorted(range(len(given)), key=lambda number: (came[number], number))
    assert [row["outcome"] for row in found] == [expected[number] for number in order_of]
    usable = sorted(
        (record.values()["order"], outcome, json.dumps(shown(record)))
        for record, outcome in zip(given, expected, strict=True)
        if not record.reason
    )
    held = [row for row in found if row["outcome"] in (*bad.VERDICTS,)]
    assert sorted((row["payload"]["order"], row["outcome"], json.dumps(row["payload"])) for row in held) == usable
    assert all(row["id"] == row["payload"]["order"] and row["event_time"] == row["payload"]["at"] for row in held)
    for record in given:
        if record.reason:
            check_kept(record, written.kind, [row["payload"] for row in found if row["outcome"] == record.reason])
    assert verify(deployment).differ == 0
    figures = summary(deployment)
    assert (figures["ledger_balances"], figures["missing_without_reason"]) == (True, 0)
    assert figures["predictions"] == expected.count("ok")


def check_kept(record: Record, kind: Kind, rejected: Sequence[Row]) -> None:
    """Check that one of the rejected rows holds the bytes of this record."""
    assert all(row["source"] == "orders" and row["error"] for row in rejected)
    raws = [row["raw"] for row in rejected]
    assert max(map(len, raws)) < bad.LARGE
    if kind == "parquet":
        name = record.cells["order"].arrow
        named = [raw for raw in raws if f'"order": {json.dumps(name)},'.encode() in raw[:40]]
        # Another record may have the same name: then one of them is this one's.
        assert (record.defect == "far times in a list") in [b"cannot be shown" in raw for raw in named]
        return
    line = bad.line_of(kind, record)
    assert (line if len(line) < bad.LARGE else line[:FILE_BYTES_KEPT]) in raws


def shown(record: Record) -> Row:
    return {name: repr(value) if isinstance(value, float) else value for name, value in record.values().items()}


def answered(given: Sequence[Record]) -> list[str]:
    """Return the orders that are answered: every second good one."""
    return [str(record.cells["order"].value) for record in given if not record.defect and record.cells][::2]


def good_orders(count: int, step: int = 4 * MINUTE) -> list[Record]:
    return [order(f"g{number}", START + number * step) for number in range(count)]


def all_at_once(kind: Kind) -> list[Record]:
    """Return good orders, and between them one with each defect that the format can have."""
    given: list[Record] = []
    for number, defect in enumerate(name for name in (*CELLS, *LINES) if spoilt(order("x", START), name).has(kind)):
        at = START + number * MINUTE
        given.append(order(f"g{number}", at))
        given.append(spoilt(order(f"d{number}", at, at), defect))
    return given


@pytest.mark.parametrize("kind", KINDS)
def test_every_defect_has_its_outcome_and_moves_no_good_record(tmp_path: Path, kind: Kind) -> None:
    given = all_at_once(kind)
    files = written(tmp_path / "with", kind, [bad.coded(kind, file) for file in bad.cut(given, ())], answered(given))
    whole = played(files.history())
    check(given, files, whole)
    outcomes = bad.outcomes(given)
    inert = [record for record, outcome in zip(given, outcomes, strict=True) if outcome != "ok"]
    assert len(inert) > 40
    kept = [record for record, outcome in zip(given, outcomes, strict=True) if outcome == "ok"]
    without = written(
        tmp_path / "without", kind, [bad.coded(kind, file) for file in bad.cut(kept, ())], answered(given)
    )
    assert vectors(played(without.history())) == vectors(whole)
    assert differing(records(played(files.history(), budget=7)), records(whole)) == {}


# Generated streams.

ALL_KINDS = tuple(name for name in CELLS if all(spoilt(order("x", START), name).has(kind) for kind in KINDS))
OF_KIND = {
    kind: tuple(name for name in (*CELLS, *LINES) if spoilt(order("x", START), name).has(kind)) for kind in KINDS
}


@st.composite
def streams(draw: st.DrawFn, defects: Sequence[str]) -> tuple[list[Record], list[int]]:
    """Draw orders, some of them spoilt, some late, future or under an id that was there, and where files are cut.

    Their times go by steps of minutes, forwards and backwards; what arrived is told or left to the time.
    """
    given: list[Record] = []
    at = START
    for number in range(draw(st.integers(1, 18))):
        at += draw(st.integers(-9, 20)) * MINUTE
        lag = draw(st.sampled_from([None, None, 0, 1, 30, -5, -6, 3 * 1_440]))
        name = f"r{draw(st.integers(0, number)) if draw(st.integers(0, 5)) == 0 else number}"
        record = order(name, at, None if lag is None else at + lag * MINUTE)
        given.append(spoilt(record, draw(st.sampled_from(defects))) if draw(st.integers(0, 2)) == 0 else record)
    return given, draw(st.lists(st.integers(0, 18), max_size=4))


def coded_all(kind: Kind, given: Sequence[Record], cuts: Sequence[int] = ()) -> list[bytes]:
    return [bad.coded(kind, file) for file in bad.cut(given, cuts)]


def kept_alone(given: Sequence[Record]) -> list[Record]:
    """Return the records that count."""
    return [record for record, outcome in zip(given, bad.outcomes(given), strict=True) if outcome == "ok"]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=6)
def test_a_stream_with_defects_keeps_its_laws(tmp_path_factory: pytest.TempPathFactory, kind: Kind, data: Any) -> None:
    folder = tmp_path_factory.mktemp(kind)
    given, cuts = data.draw(streams(OF_KIND[kind]))
    files = written(folder, kind, coded_all(kind, given, cuts), answered(given))
    whole = played(files.history())
    check(given, files, whole, cuts)
    # Nobody sees a record that does not count, nor how many records were taken at once, nor in which run.
    kept = kept_alone(given)
    alone = written(folder / "alone", kind, coded_all(kind, kept, cuts), answered(given))
    assert vectors(played(alone.history())) == vectors(whole)
    assert differing(records(played(files.history(), budget=data.draw(st.integers(1, 5)))), records(whole)) == {}


@given(streams(ALL_KINDS))
@settings(max_examples=6)
def test_the_same_records_are_the_same_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[list[Record], list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    given, cuts = drawn
    found = []
    for kind in KINDS:
        deployment = played(written(folder / kind, kind, coded_all(kind, given, cuts), answered(given)).history())
        rows = [
            (row["position"], row["event_time"], row["id"], row["outcome"])
            + (() if "raw" in row["payload"] else (row["payload"],))
            for row in events(deployment)
        ]
        found.append((rows, vectors(deployment)))
    assert found[0] == found[1]
    assert found[0] == found[2]


# Whole files.


def again(kind: Kind, given: Sequence[Record], way: str) -> bytes:
    """Return a file that says the same in another way."""
    data = bad.coded(kind, given)
    if way == "byte order mark":
        return b"\xef\xbb\xbf" + data
    if way == "returns":
        return data.replace(b"\n", b"\r\n")
    if way == "empty lines":
        return b"\n\r\n" + data.replace(b"\n", b"\n\n\r\n")
    if way == "other order":
        order_of = tuple(reversed(FIELDS))
        return recoded(kind, given, order_of)
    if way == "more columns":
        return recoded(kind, given, (*FIELDS, "more", "even more"))
    if way == "quotes around everything":
        head, *lines = data.decode().splitlines()
        # Where a field is empty there are no quotes: both are null.
        quoted = [",".join(f'"{cell}"' if cell else "" for cell in line.split(",")) for line in [head, *lines]]
        return "".join(f"{line}\n" for line in quoted).encode()
    if way == "blanks in the object":
        return data.replace(b": ", b" :\t").replace(b'"amount"', b'"am\\u006funt"')
    if way == "no last end of line":
        return data[:-1]
    sink = pa.BufferOutputStream()
    table = pq.read_table(pa.BufferReader(data))
    if way == "many row groups":
        pq.write_table(table, sink, row_group_size=2, use_dictionary=False, compression="zstd")
    elif way == "other types":
        other = {
            "order": pa.large_string(),
            "key": pa.dictionary(pa.int32(), pa.string()),
            "status": pa.string_view(),
            "at": pa.timestamp("ns", tz="America/New_York"),
            "came": pa.timestamp("us"),
        }
        columns = [
            column.cast(other[name]) if name in other else column
            for name, column in zip(FIELDS, table.columns, strict=True)
        ]
        pq.write_table(pa.table(columns, names=list(FIELDS)), sink)
    elif way == "old version":
        pq.write_table(table, sink, version="1.0", data_page_version="2.0", store_schema=False)
    return sink.getvalue().to_pybytes()


def recoded(kind: Kind, given: Sequence[Record], names: Sequence[str]) -> bytes:
    """Return a file with its columns in another order, or with others beside them."""
    if kind == "parquet":
        table = pq.read_table(pa.BufferReader(bad.coded(kind, given)))
        columns = [table.column(name) if name in FIELDS else pa.array([[{"a": 1}]] * len(table)) for name in names]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, names=list(names)), sink)
        return sink.getvalue().to_pybytes()
    if kind == "jsonl":
        rows = [
            [f'"{name}": {record.cells[name].json if name in FIELDS else "[{}]"}' for name in names] for record in given
        ]
        return "".join(f"{{{', '.join(row)}}}\n" for row in rows).encode()
    rows = [[str(record.cells[name].csv) if name in FIELDS else "x" for name in names] for record in given]
    return "".join(",".join(row) + "\n" for row in [list(names), *rows]).encode()


WAYS: dict[Kind, tuple[str, ...]] = {
    "csv": ("byte order mark", "returns", "empty lines", "other order", "more columns", "quotes around everything"),
    "jsonl": (
        "byte order mark",
        "returns",
        "empty lines",
        "other order",
        "more columns",
        "blanks in the object",
        "no last end of line",
    ),
    "parquet": ("other order", "more columns", "many row groups", "other types", "old version"),
}


@pytest.mark.parametrize(("kind", "way"), [(kind, way) for kind in KINDS for way in WAYS[kind]])
def test_a_file_that_says_the_same_in_another_way_is_the_same(tmp_path: Path, kind: Kind, way: str) -> None:
    given = good_orders(6)
    found = [
        [
            {**row, "payload": row["payload"]}
            for row in events(ingested(written(tmp_path / name, kind, [data]).history()))
        ]
        for name, data in (("one", bad.coded(kind, given)), ("other", again(kind, given, way)))
    ]
    assert found[0] == found[1]
    assert [row["outcome"] for row in found[0]] == ["ok"] * 6


def ingested(inlet: Inlet) -> Deployment:
    """Run `ingest` alone."""
    clock = VirtualClock(start_us=0)
    deployment = Deployment(pipeline=PIPELINE, log=MemoryLog(), blobs=None, clock=clock)
    worker = Worker(deployment.log, deployment.place(("ingest",), ingest=Ingest(inlet)), clock=clock)
    worker.start()
    worker.run()
    return deployment


def ruined(kind: Kind, middle: Sequence[Record], way: str) -> tuple[bytes, list[str]]:
    """Return a file that cannot be read, or not to its end, and what must become of the records in it."""
    data = bad.coded(kind, middle)
    every = ["malformed"] * len(middle)
    header = ["malformed"] if kind == "csv" else []  # A header that says nothing is shown as a record.
    if way == "empty":
        return b"", ["empty_file"]
    if way == "ends of lines alone":
        return b"\n\r\n\n", ["unreadable_file" if kind == "parquet" else "empty_file"]
    if way == "another format":
        return b"PAR1" + bytes(range(10, 256)) + b"PAR1", (
            ["unreadable_file"] if kind == "parquet" else ["malformed"] * (1 if kind == "csv" else 2)
        )
    if way == "UTF-16":
        text = data.decode().encode("utf-16")
        # Every second zero byte stays on its line; behind the last end of line stands one half of it.
        return text, [*header, *every, "malformed"]
    if way == "returns without ends of lines":
        return data.replace(b"\n", b"\r"), ["malformed"]
    if way == "header twice":
        names = ",".join((*FIELDS, "amount"))
        return "".join(
            [names, "\n", *(f"{bad.line_of('csv', record).decode()},1\n" for record in middle)]
        ).encode(), every
    if way == "two columns of one name":
        table = pq.read_table(pa.BufferReader(data))
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table([*table.columns, table.column("amount")], names=[*FIELDS, "amount"]), sink)
        return sink.getvalue().to_pybytes(), every
    raise AssertionError(way)


RUINS: dict[Kind, tuple[str, ...]] = {
    "csv": (
        "empty",
        "ends of lines alone",
        "another format",
        "UTF-16",
        "returns without ends of lines",
        "header twice",
    ),
    "jsonl": ("empty", "ends of lines alone", "another format", "UTF-16", "returns without ends of lines"),
    "parquet": ("empty", "ends of lines alone", "another format", "two columns of one name"),
}


@pytest.mark.parametrize(("kind", "way"), [(kind, way) for kind in KINDS for way in RUINS[kind]])
def test_a_ruined_file_between_good_ones_takes_nobody_with_it(tmp_path: Path, kind: Kind, way: str) -> None:
    given = good_orders(9)
    data, outcomes = ruined(kind, given[3:6], way)
    before, after = bad.coded(kind, given[:3]), bad.coded(kind, given[6:])
    with_ruin = played(written(tmp_path / "with", kind, [before, data, after], answered(given)).history())
    without = played(written(tmp_path / "without", kind, [before, after], answered(given)).history())
    ledger = ledger_of(with_ruin)
    assert ledger.balances()
    assert ledger.as_dict()["orders"] == counted([*["ok"] * 6, *outcomes])
    assert vectors(with_ruin) == vectors(without)
    if way != "two columns of one name":
        raws = [row["payload"]["raw"] for row in events(with_ruin) if "raw" in row["payload"]]
        assert all(raw in data for raw in raws)
        assert kind != "parquet" or raws == [data]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=10)
def test_a_file_cut_anywhere_gives_its_whole_records_and_one_that_is_not(
    tmp_path_factory: pytest.TempPathFactory, kind: Kind, data: Any
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    # The last field is not empty, so that its beginning could pass for all of it.
    given = [order(f"g{number}", START + number * MINUTE, START + number * MINUTE) for number in range(4)]
    whole = bad.coded(kind, given)
    kept = whole[: data.draw(st.integers(0, len(whole) - 1))]
    found = [row["outcome"] for row in events(ingested(written(folder, kind, [kept]).history()))]
    assert sorted(found) == sorted(cut_outcomes(kind, given, kept))


def cut_outcomes(kind: Kind, given: Sequence[Record], kept: bytes) -> list[str]:
    """Return what becomes of the records of a file of which this is left."""
    if not kept:
        return ["empty_file"]
    if kind == "parquet":
        return ["unreadable_file"]
    whole = kept.count(b"\n") - (kind == "csv")
    last = kept.rsplit(b"\n", 1)[-1]
    if whole < 0:
        return ["malformed"]  # Of the header.
    # An object tells by its brackets that it is whole, a line of CSV by nothing but its end.
    is_whole = kind == "jsonl" and last == bad.line_of(kind, given[min(whole, len(given) - 1)])
    return ["ok"] * (whole + is_whole) + ["malformed"] * (bool(last) - is_whole)


# Another schema in mid-stream.


def changed(kind: Kind, given: Sequence[Record], change: str) -> tuple[bytes, str]:
    """Return a file of another schema, and what becomes of its records."""
    names = list(FIELDS)
    if change == "added":
        return recoded(kind, given, ("new", *FIELDS)), "ok"
    if change == "removed where it may be null":
        names.remove("size")
        return recoded(kind, given, names), "ok"
    if change == "removed where there is a default":
        names.remove("shop")
        return recoded(kind, given, names), "ok"
    if change == "removed":
        names.remove("amount")
        return recoded(kind, given, names), "missing"
    if change == "renamed":
        names[names.index("amount")] = "Amount"
        return recoded(kind, given, names), "missing"
    if change == "all others":
        return recoded(kind, given, ("a", "b")), "missing"
    if change == "retyped to words":
        return bad.coded(kind, [spoilt(record, "word as number") for record in given]), "mistyped"
    if change == "retyped to another that fits":
        return bad.coded(kind, [spoilt(record, "whole number as float") for record in given]), "ok"
    raise AssertionError(change)


CHANGES = (
    "added",
    "removed where it may be null",
    "removed where there is a default",
    "removed",
    "renamed",
    "all others",
    "retyped to words",
    "retyped to another that fits",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_that_changes_between_two_files_changes_the_same_in_every_format(tmp_path: Path, change: str) -> None:
    given = good_orders(9)
    found = []
    for kind in KINDS:
        middle, outcome = changed(kind, given[3:6], change)
        files = [bad.coded(kind, given[:3]), middle, bad.coded(kind, given[6:])]
        deployment = played(written(tmp_path / kind, kind, files, answered(given)).history())
        assert ledger_of(deployment).as_dict()["orders"] == counted(["ok"] * 3 + [outcome] * 3 + ["ok"] * 3)
        rows = events(deployment)
        for row in rows:
            if "raw" in row["payload"] and change != "all others":
                # The bytes tell which order it was, and hold the column under its new name.
                assert (
                    row["payload"]["raw"].count(b"g3")
                    + row["payload"]["raw"].count(b"g4")
                    + row["payload"]["raw"].count(b"g5")
                )
                assert b"Amount" in row["payload"]["raw"] or kind == "csv" or change != "renamed"
        found.append(([row["payload"] for row in rows if "raw" not in row["payload"]], vectors(deployment)))
    assert found[0] == found[1]
    assert found[0] == found[2]


# Files that are not what they were.


@final
class Stopped:
    """A run over some files that can be stopped and started again: its log and its snapshots stay."""

    def __init__(self) -> None:
        self._log = MemoryLog()
        self._places: dict[str, Blobs] = {}

    def start(self, files: Written) -> tuple[Deployment, Worker]:
        clock = VirtualClock(start_us=0)
        deployment = Deployment(
            pipeline=PIPELINE,
            log=self._log,
            blobs=lambda name: self._places.setdefault(name, MemoryBlobs()),
            clock=clock,
        )
        worker = Worker(deployment.log, deployment.place(STAGES, ingest=Ingest(files.history())), clock=clock, budget=4)
        worker.start()
        return deployment, worker

    def snapshots(self) -> dict[str, dict[str, bytes | None]]:
        """Return all that is kept beside the log."""
        return {place: {name: blobs.get(name) for name in blobs.names()} for place, blobs in self._places.items()}


def equal_size(data: bytes) -> bytes:
    """Return other bytes of the same number that are as good a file."""
    place = data.index(b"shop")
    return data[:place] + b"Shop" + data[place + 4 :]


REWRITES = {
    "appended to": lambda kind, given: bad.coded(kind, [*given, order("more", START + DAY)]),
    "cut to fewer records": lambda kind, given: bad.coded(kind, given[:-1]),
    "cut inside of a record": lambda kind, given: bad.coded(kind, given)[:-9],
    "emptied": lambda *_: b"",
    "replaced by one of equal size": lambda kind, given: equal_size(bad.coded(kind, given)),
    "written in another order": lambda kind, given: bad.coded(kind, [*given[1:], given[0]]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_rewritten_file_is_refused_with_the_remedy_and_nothing_changes(
    tmp_path: Path, kind: Kind, rewrite: str
) -> None:
    given = good_orders(12)
    parts = [bad.coded(kind, given[:6]), bad.coded(kind, given[6:])]
    files = written(tmp_path / "files", kind, parts, answered(given))
    undisturbed = records(played(written(tmp_path / "same", kind, parts, answered(given)).history()))
    stopped = Stopped()
    deployment, worker = stopped.start(files)
    for _ in range(3):
        worker.round()
    worker.save()
    before, kept = records(deployment), stopped.snapshots()
    assert before != undisturbed
    files.orders[0].write_bytes(REWRITES[rewrite](kind, given[:6]))
    assert files.orders[0].read_bytes() != parts[0]
    assert rewrite != "replaced by one of equal size" or len(files.orders[0].read_bytes()) == len(parts[0])
    with pytest.raises(StateError, match=r"orders0\..* as it was read.*put it back, or start a new run"):
        stopped.start(files)
    assert records(deployment) == before
    assert stopped.snapshots() == kept
    # Nor does a file that is gone from the list go unseen.
    fewer = Written(kind, files.orders[1:], files.answers)
    with pytest.raises(StateError, match="put it back, or start a new run"):
        stopped.start(fewer)
    files.orders[0].write_bytes(parts[0])
    deployment, worker = stopped.start(files)
    worker.run()
    assert differing(records(deployment), undisturbed) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_put_behind_the_others_between_two_runs_goes_on(tmp_path: Path, kind: Kind) -> None:
    given = good_orders(18)
    parts = [bad.coded(kind, given[start : start + 6]) for start in (0, 6, 12)]
    whole = written(tmp_path / "whole", kind, parts, answered(given))
    undisturbed = records(played(whole.history()))
    stopped = Stopped()
    _, worker = stopped.start(Written(kind, whole.orders[:2], whole.answers))
    for _ in range(2):
        worker.round()
    worker.save()
    deployment, worker = stopped.start(whole)
    worker.run()
    assert differing(records(deployment), undisturbed) == {}


def test_a_file_rewritten_before_the_first_snapshot_is_refused_too(tmp_path: Path) -> None:
    given = good_orders(12)
    files = written(tmp_path, "csv", [bad.coded("csv", given)], answered(given))
    stopped = Stopped()
    _, worker = stopped.start(files)
    for _ in range(2):
        worker.round()
    files.orders[0].write_bytes(bad.coded("csv", [spoilt(given[0], "below"), *given[2:]]))
    with pytest.raises(StateError, match="put it back, or start a new run"):
        stopped.start(files)


# Clocks.


@final
class JumpingClock(Clock):
    """A wall clock that is set forwards and back, and a clock that never goes back but stands still now and then."""

    def __init__(self, jumps_us: Sequence[int]) -> None:
        self._jumps_us = tuple(jumps_us)
        self._wall_us = START
        self._elapsed_us = 0
        self.looks = 0

    def now_us(self) -> int:
        self.looks += 1
        self._wall_us += self._jumps_us[self.looks % len(self._jumps_us)]
        return self._wall_us

    def elapsed_us(self) -> int:
        return self._elapsed_us

    def sleep_us(self, duration_us: int) -> None:
        self._wall_us += duration_us
        if self.looks % 3:
            self._elapsed_us += duration_us


HOUR = 60 * MINUTE
JUMPS = st.lists(st.integers(-26 * HOUR, 27 * HOUR) | st.sampled_from([0, 1, 1_000_000]), min_size=1, max_size=6)


@given(JUMPS, st.sampled_from(KINDS))
@settings(max_examples=6)
def test_a_history_is_the_same_whatever_the_clocks_show(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[int], kind: Kind
) -> None:
    given = all_at_once(kind)[::3]
    files = written(tmp_path_factory.mktemp("clock"), kind, coded_all(kind, given), answered(given))
    clock = JumpingClock(jumps)
    jumped = played(files.history(), clock=clock)
    assert clock.looks == 0
    assert differing(records(jumped), records(played(files.history()))) == {}


@given(JUMPS, st.floats(0.5, 1e5))
@settings(max_examples=6)
def test_a_live_run_under_clocks_that_jump_keeps_every_record_and_their_order(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[int], rate: float
) -> None:
    given = all_at_once("csv")[::3]
    files = written(tmp_path_factory.mktemp("clock"), "csv", coded_all("csv", given), answered(given))
    clock = JumpingClock([*jumps, max(1, 2 * HOUR - sum(jumps))])  # In the long run it goes forwards.
    live = played(PacedHistory(files.history(), rate=rate, now_us=clock.now_us), clock=clock, live=True)
    history = played(files.history())
    for source in ("orders", "answers"):
        assert ledger_of(live).as_dict()[source] == ledger_of(history).as_dict()[source]
    assert alike(events(live)) == alike(events(history))
    assert vectors(live) == vectors(history)
    assert predicted(live) == predicted(history)
    assert verify(live).differ == 0


JUMPY = """
import itertools, time
honest, hours = time.time_ns, itertools.cycle([0, 0, 0, 7, -5, 30, -2, 1, 90])
time.time_ns = lambda: honest() + next(hours) * 3_600_000_000_000
from headrace.cli import main
main()
"""


def test_a_process_whose_wall_clock_jumps_keeps_every_record(tmp_path: Path) -> None:
    write_starter(tmp_path)
    for name in ("payments", "outcomes"):
        file = tmp_path / f"{name}.csv"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:60]))
    command = ("run", str(tmp_path / "pipeline.py"), "--json")
    found = []
    for more in (("--rate", "400"), ()):
        done = subprocess.run(
            [sys.executable, "-c", JUMPY, *command, *more], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
        shutil.rmtree(tmp_path / ".headrace")
        shutil.rmtree(tmp_path / "holds", ignore_errors=True)
    live, history = found
    assert live["ledger"] == history["ledger"]
    assert live["ledger"]["payments"]["received"] == live["predictions"] == 59
    assert (live["ledger_balances"], live["labels"]) == (True, history["labels"])


def predicted(deployment: Deployment) -> list[str]:
    batch = taken_rows(deployment.topic("predictions"))
    ids: list[str] = batch.id.take(pa.array(batch.rows_of(0))).to_pylist()
    return ids


def alike(rows: list[Row]) -> list[Row]:
    """Return rows without their place in the log: a live run takes fewer at a time."""
    return [{name: value for name, value in row.items() if name != "position"} for row in rows]
