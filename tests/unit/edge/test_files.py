import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

from headrace.core.errors import SurroundingsError
from headrace.core.schema import EventSchema, FieldSchema
from headrace.edge.decode import RECORD_BYTES_MAX, decode
from headrace.edge.files import FILE_BYTES_KEPT, Format, RawFile, read_file
from headrace.edge.reasons import REASONS
from tests.unit.edge.rows import FORMATS

PAIR = EventSchema(
    name="Pair",
    fields=(FieldSchema(name="a", kind="text", nullable=True), FieldSchema(name="b", kind="number", nullable=True)),
)
Told = dict[int, tuple[object, ...]]


def read(folder: Path, kind: Format, data: bytes) -> RawFile:
    file = folder / f"file.{kind}"
    file.write_bytes(data)
    return read_file(file, kind, PAIR)


def told(raw: RawFile) -> Told:
    """Return, for each record of a file, its values or its reason; every record must be there once."""
    decoded = decode(raw.table, PAIR, texts=raw.texts, wrong=raw.wrong)
    found: Told = {broken.row: (broken.reason,) for broken in raw.broken}
    for place, row in enumerate(raw.row.tolist()):
        assert row not in found
        code = decoded.reason[place]
        values = (decoded.columns["a"][place].as_py(), decoded.columns["b"][place].as_py())
        found[row] = (REASONS[code],) if code else values
    assert sorted(found) == list(range(raw.records))
    return found


def test_csv_reads_quotes_crlf_a_byte_order_mark_and_skips_empty_lines(tmp_path: Path) -> None:
    raw = read(tmp_path, "csv", b'\xef\xbb\xbfb,a\r\n1,"x,""y"""\r\n\r\n,z\n')
    assert told(raw) == {0: ('x,"y"', 1.0), 1: ("z", None)}


def test_a_bad_line_of_csv_spoils_itself_alone(tmp_path: Path) -> None:
    bad = [b'"open,2', b"one", b"1,2,3", b"caf\xe9,1", b"x\ry,1", b'a,"open']
    for number in range(len(bad) + 1):
        lines = [b"x,1", *bad[:number], b"y,2", *bad[number:], b"z,3"]
        raw = read(tmp_path, "csv", b"a,b\n" + b"\n".join(lines) + b"\n")
        found = told(raw)
        assert [(lines[broken.row], broken.raw, broken.reason) for broken in raw.broken] == [
            (x, x, "malformed") for x in bad
        ]
        assert [found[row] for row, line in enumerate(lines) if line not in bad] == [("x", 1.0), ("y", 2.0), ("z", 3.0)]


def test_a_bad_line_of_json_spoils_itself_alone(tmp_path: Path) -> None:
    bad = [
        b'{"a": "x"',
        b'{"a": "x"} {"a": "y"}',
        b"[1]",
        b"7",
        b"null",
        b"nonsense",
        b'{"a": "x", "a": "y"}',
        b'{"a": "caf\xe9"}',
        b'{"a": "\\ud800"}',
        b'{"b": Inf}',
        b"  ",
    ]
    lines = [b'{"a": "x", "b": 1}', *bad[:5], b'{"b": 2.5, "more": {"a": [1]}}', *bad[5:], b"{}"]
    raw = read(tmp_path, "jsonl", b"\n".join(lines) + b"\n")
    found = told(raw)
    assert [broken.raw for broken in raw.broken] == bad
    assert {broken.reason for broken in raw.broken} == {"malformed"}
    assert [found[row] for row, line in enumerate(lines) if line not in bad] == [("x", 1.0), (None, 2.5), (None, None)]


def test_objects_over_two_lines_and_lines_of_two_objects_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    raw = read(tmp_path, "jsonl", b'{"b": 1}{"b": 2}\n{"b":\n3}\n')
    assert told(raw) == dict.fromkeys(range(3), ("malformed",))


def test_a_json_value_of_another_type_is_mistyped_and_shown(tmp_path: Path) -> None:
    raw = read(
        tmp_path, "jsonl", b'{"a": 7, "b": 1}\n{"a": "x", "b": "1"}\n{"a": "x", "b": true}\n{"a": "x", "b": 1}\n'
    )
    assert told(raw) == {0: ("mistyped",), 1: ("mistyped",), 2: ("mistyped",), 3: ("x", 1.0)}
    errors = decode(raw.table, PAIR, wrong=raw.wrong).errors
    assert errors[1] == "b: wanted a number, got '1'"
    assert raw.originals(np.array([1])) == [b'{"a": "x", "b": "1"}']


def test_a_json_number_too_big_is_not_finite(tmp_path: Path) -> None:
    raw = read(tmp_path, "jsonl", b'{"b": 1e999}\n{"b": ' + b"9" * 400 + b'}\n{"b": -Infinity}\n')
    assert told(raw) == {0: ("not_finite",), 1: ("not_finite",), 2: ("not_finite",)}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_file_is_one_record(tmp_path: Path, kind: Format) -> None:
    raw = read(tmp_path, kind, b"")
    assert told(raw) == {0: ("empty_file",)}
    assert raw.broken[0].error == f"file file.{kind}: wanted records, got 0 bytes without any"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("data", [b"\n\r\n", b"\xef\xbb\xbf"])
def test_a_file_of_empty_lines_is_an_empty_file(tmp_path: Path, kind: Format, data: bytes) -> None:
    assert told(read(tmp_path, kind, data)) == {0: ("empty_file",)}


@pytest.mark.parametrize("keep", [1, 4, 30, 200, -1, -4, -9])
def test_a_parquet_file_cut_anywhere_is_one_unreadable_file(tmp_path: Path, keep: int) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"a": ["x"] * 50, "b": np.arange(50.0)}), whole)
    raw = read(tmp_path, "parquet", whole.read_bytes()[:keep])
    assert told(raw) == {0: ("unreadable_file",)}
    assert raw.broken[0].raw == whole.read_bytes()[:keep][:FILE_BYTES_KEPT]


def test_a_parquet_file_with_a_spoilt_page_is_one_unreadable_file(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"a": ["x" * 50] * 50, "b": np.arange(50.0)}), whole, compression="zstd")
    data = bytearray(whole.read_bytes())
    data[4:60] = bytes(56)
    assert told(read(tmp_path, "parquet", bytes(data))) == {0: ("unreadable_file",)}


def test_parquet_text_that_is_no_unicode_is_mistyped(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    bad = pa.array([b"ok", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": bad, "b": [1.0, 2.0]}), whole)
    assert told(read(tmp_path, "parquet", whole.read_bytes())) == {0: ("ok", 1.0), 1: ("mistyped",)}


def test_a_parquet_file_without_any_wanted_column_keeps_its_number_of_rows(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"other": [1, 2, 3]}), whole)
    assert told(read(tmp_path, "parquet", whole.read_bytes())) == dict.fromkeys(range(3), (None, None))


def test_the_original_of_a_parquet_row_is_json(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    times = pa.array([2**62, 0], pa.timestamp("ns"))
    pq.write_table(pa.table({"a": times, "b": [1.0, 2.0]}), whole)
    raw = read(tmp_path, "parquet", whole.read_bytes())
    assert json.loads(raw.originals(np.array([1]))[0]) == {"a": "1970-01-01 00:00:00.000000000", "b": 2.0}


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_cut_line_of_csv_never_passes_for_a_value(tmp_path: Path, cut: int) -> None:
    raw = read(tmp_path, "csv", b"a,b\nx,1\nyy,12.55\n"[:-cut])
    assert told(raw) == {0: ("x", 1.0), 1: ("malformed",)}


def test_json_needs_no_last_end_of_line_but_a_whole_object(tmp_path: Path) -> None:
    assert told(read(tmp_path, "jsonl", b'{"b": 1}\n{"b": 12}')) == {0: (None, 1.0), 1: (None, 12.0)}
    assert told(read(tmp_path, "jsonl", b'{"b": 1}\n{"b": 12')) == {0: (None, 1.0), 1: ("malformed",)}


@pytest.mark.parametrize("header", [b"a,b", b'a,"b\n1,2\n', b"caf\xe9,b\n1,2\n"])
def test_a_header_that_cannot_be_read_leaves_every_line_malformed(tmp_path: Path, header: bytes) -> None:
    raw = read(tmp_path, "csv", header)
    assert set(told(raw).values()) == {("malformed",)}
    assert raw.records == (2 if b"1,2" in header else 1)


def test_a_csv_of_a_header_alone_has_no_record(tmp_path: Path) -> None:
    assert told(read(tmp_path, "csv", b"a,b\n")) == {}


def test_a_csv_of_other_columns_has_null_fields(tmp_path: Path) -> None:
    assert told(read(tmp_path, "csv", b"c\n1\n2\n")) == {0: (None, None), 1: (None, None)}


@pytest.mark.parametrize(("kind", "before", "after"), [("csv", b"a,b\n", b",1\n"), ("jsonl", b'{"a": "', b'"}\n')])
def test_a_line_above_the_largest_size_is_too_large_and_its_beginning_is_kept(
    tmp_path: Path, kind: Format, before: bytes, after: bytes
) -> None:
    start = before.rfind(b"\n") + 1
    fits = RECORD_BYTES_MAX - (len(before) - start) - (len(after) - 1)
    raw = read(tmp_path, kind, before + b"x" * fits + after + before[start:] + b"x" * (fits + 1) + after)
    found = told(raw)
    assert found[0][0] == "x" * fits
    assert found[1] == ("too_large",)
    assert len(raw.broken[0].raw) == FILE_BYTES_KEPT
    assert f"{RECORD_BYTES_MAX + 1} bytes" in raw.broken[0].error


def test_a_file_that_is_not_there_is_nobodys_bad_record(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"file none\.csv: wanted a file that can be read"):
        read_file(tmp_path / "none.csv", "csv", PAIR)


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    assert read(tmp_path, "csv", b"a,b\n").digest != read(tmp_path, "csv", b"a,b\n\n").digest


def test_a_quote_is_open_exactly_where_arrow_swallows_the_next_line(tmp_path: Path) -> None:
    # Each short line alone among good ones, so that Arrow alone would have to find it: every line is a record, and
    # those between stay as they are.
    lines = ["".join(letters) for size in range(1, 6) for letters in product('",a', repeat=size)]
    raw = read(tmp_path, "csv", b"a,b\n" + b"".join(line.encode() + b"\nz,3\n" for line in lines))
    found = told(raw)
    assert [found[row] for row in range(1, raw.records, 2)] == [("z", 3.0)] * len(lines)
    names = ["a", "b"]
    for row, line in enumerate(lines):
        skipped: list[int] = []

        def skip(invalid: Any, skipped: list[int] = skipped) -> str:
            skipped.append(invalid.number)
            return "skip"

        table = read_csv(
            pa.BufferReader(f"{line}\nz,3\n".encode()),
            read_options=ReadOptions(use_threads=False, column_names=names),
            parse_options=ParseOptions(invalid_row_handler=skip),
            convert_options=ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
        swallowed = table.num_rows + len(skipped) != 2
        closed_pair = not swallowed and 1 not in skipped
        assert (found[2 * row] == ("malformed",)) == (not closed_pair), line


def test_many_bad_lines_cost_no_more_than_one_look_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = arrow_csv.read_csv

    def counted(*given_to: Any, **how: Any) -> Any:
        calls.append(1)
        return real(*given_to, **how)

    monkeypatch.setattr(arrow_csv, "read_csv", counted)
    raw = read(tmp_path, "csv", b"a,b\n" + b'"open,1\nx,2\ncaf\xe9,3\n' * 500)
    assert raw.records == 1500
    assert len(raw.broken) == 1000
    assert len(calls) <= 2


def test_many_bad_lines_of_json_are_looked_at_alone_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = arrow_json.read_json

    def counted(*given_to: Any, **how: Any) -> Any:
        calls.append(1)
        return real(*given_to, **how)

    monkeypatch.setattr(arrow_json, "read_json", counted)
    good, bad = b'{"a": "x", "b": 1}\n', b'{"a": 7, "b": 2}\n{"a": "y"\n{"a": "z", "b": "3"}\n'
    raw = read(tmp_path, "jsonl", (good * 9 + bad) * 100)
    assert len(calls) <= 2
    found = told(raw)
    expected = [("x", 1.0)] * 9 + [("mistyped",), ("malformed",), ("mistyped",)]
    assert [found[row] for row in range(raw.records)] == expected * 100
    assert np.array_equal(raw.row, np.sort(raw.row, kind="stable"))
    errors = decode(raw.table, PAIR, wrong=raw.wrong).errors
    assert {*errors.values()} == {"a: wanted text, got 7", "b: wanted a number, got '3'"}
    for place, error in errors.items():
        (line,) = raw.originals(np.array([place]))
        assert line == (b'{"a": 7, "b": 2}' if error.startswith("a:") else b'{"a": "z", "b": "3"}')


def test_an_object_may_be_nested_64_deep_and_its_texts_may_hold_any_bracket(tmp_path: Path) -> None:
    lines = [b'{"z":' + b"[" * deep + b"]" * deep + b"}" for deep in (63, 64, 100_000)]
    lines.append(b'{"a":"' + b'[{\\"' * 70 + b'"}')
    for data in (lines, [b'{"b":"3"}', *lines], [*lines, b"{}"] * 40):
        raw = read(tmp_path, "jsonl", b"".join(line + b"\n" for line in data))
        found = told(raw)
        for row, line in enumerate(data):
            if line in lines[1:3]:
                assert found[row] == ("malformed",)
            elif line in lines:
                assert len(found[row]) == 2
    assert {broken.error for broken in raw.broken} == {
        "line: wanted one JSON object, nested at most 64 deep, got a deeper one"
    }


CSV_LINES = st.lists(st.text(alphabet='a1," .\r\t', min_size=1, max_size=7), max_size=8)
JSON_LINES = st.lists(
    st.one_of(
        st.text(alphabet='{}"ab:,1 -\r', min_size=1, max_size=9),
        st.sampled_from(
            [
                '{"a":"x","b":1}',
                '{"b":-0}',
                '{"b":"1"}',
                '{"a":{"a":1}}',
                '{"b":NaN}',
                '{"b":Inf}',
                '{"b":1}{"b":2}',
                '{"a":"é"}',
                '{"z":{}',
                '{"b":' + "1" * 5_000 + "}",
                '{"z":' + "[" * 63 + "]" * 63 + "}",
                '{"z":' + "[" * 64 + "]" * 64 + "}",
                '{"z":' + "[" * 3_000 + "]" * 3_000 + "}",
                '{"a":"' + '[{\\"' * 70 + '"}',
            ]
        ),
    ),
    max_size=8,
)


def alone(folder: Path, kind: Format, head: bytes, lines: list[str]) -> Told:
    """Return what each line gives in a file of its own, numbered as in the whole file."""
    found: Told = {}
    for line in lines:
        for what in told(read(folder, kind, head + line.encode() + b"\n")).values():
            if what != ("empty_file",):
                found[len(found)] = what
    return found


@given(CSV_LINES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_of_csv_is_judged_alone(tmp_path: Path, lines: list[str]) -> None:
    whole = told(read(tmp_path, "csv", b"a,b\n" + b"".join(line.encode() + b"\n" for line in lines)))
    assert whole == alone(tmp_path, "csv", b"a,b\n", lines)


@given(JSON_LINES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_of_json_is_judged_alone(tmp_path: Path, lines: list[str]) -> None:
    data = b"".join(line.encode() + b"\n" for line in lines)
    raw = read(tmp_path, "jsonl", data or b"{}\n")
    if data:
        assert told(raw) == (alone(tmp_path, "jsonl", b"", lines) or {0: ("empty_file",)})
        # Far above the size at which lines are taken one by one, the same lines give the same.
        many = told(read(tmp_path, "jsonl", data * 40))
        assert [many[row] for row in range(raw.records)] == [told(raw)[row] for row in range(raw.records)]
