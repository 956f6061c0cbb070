"""Reading and writing rows: what comes back, and what a broken file says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.data.rows import read_records, read_rows, write_jsonl
from genprm.errors import InputError
from genprm.records import BestOfNRow, EvaluationRow, Problem, Solution

GOOD = {"id": "a", "problem": "2 + 3?", "steps": ["5"], "extra": {"kept": [1, None]}}


def lines(path: Path, *texts: str) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def test_jsonl_round_trip_keeps_everything(tmp_path: Path) -> None:
    rows = [GOOD, {"id": "b", "text": "é\u2028\n😀", "x": None}]
    assert write_jsonl(tmp_path / "new" / "rows.jsonl", rows) == 2
    assert list(read_rows(tmp_path / "new" / "rows.jsonl")) == rows


@given(st.dictionaries(st.text(), st.text() | st.none() | st.integers() | st.booleans()))
def test_any_text_survives(row: dict[str, Any]) -> None:
    path = "memory://rows.jsonl"
    write_jsonl(path, [row])
    assert list(read_rows(path)) == [row]


def test_lone_surrogates_are_written_as_escapes(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "r.jsonl", [{"t": "\ud800"}])
    assert (tmp_path / "r.jsonl").read_text() == '{"t": "\\ud800"}\n'
    assert list(read_rows(tmp_path / "r.jsonl")) == [{"t": "\ud800"}]


def test_extra_columns_reach_the_record_and_leave_it(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", json.dumps(GOOD))
    (record,) = read_records(path, Solution)
    assert record.row()["extra"] == GOOD["extra"]


def test_parquet_file_and_mixed_folder_in_order(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD, GOOD | {"id": "b"}]), tmp_path / "0.parquet")
    lines(tmp_path / "1.jsonl", json.dumps(GOOD | {"id": "c"}), "", json.dumps(GOOD | {"id": "d"}))
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD | {"id": "e"}).encode()))
    lines(tmp_path / ".3.jsonl.tmp", "half a row")
    (tmp_path / "_checkpoint").mkdir()
    lines(tmp_path / "_checkpoint" / "ids.jsonl", '{"id": "z"}')
    lines(tmp_path / "notes.txt", "no rows")
    assert next(read_rows(tmp_path / "0.parquet")) == GOOD
    assert [record.id for record in read_records(tmp_path, Solution)] == list("abcde")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert list(read_rows(tmp_path / "r.jsonl")) == [GOOD]


@pytest.mark.parametrize(
    "second,message",
    [
        ('{"id": ', ":2: not JSON: Expecting value at column 8"),
        ("[1, 2]", ":2: expected a JSON object, got an array"),
        ('"text"', ":2: expected a JSON object, got a string"),
        ("null", ":2: expected a JSON object, got null"),
        ("[" * 100_000, ":2: not readable JSON: "),
        ('{"n": ' + "9" * 5000 + "}", ":2: not readable JSON: "),
        ('{"id": "b", "problem": "p"}', ":2: field 'steps': field required"),
        ('{"id": "b", "problem": "p", "steps": []}', ":2: field 'steps': list should have at"),
        ('{"id": "b", "problem": "p", "steps": "x"}', ":2: field 'steps': input should be a valid"),
        ('{"id": "b", "problem": "p", "steps": ["x", 3]}', ":2: field 'steps[1]': input should be"),
        (
            '{"id": "a", "problem": "p", "steps": ["x"]}',
            ":2: id 'a' occurs a second time",
        ),
    ],
)
def test_broken_line(tmp_path: Path, second: str, message: str) -> None:
    path = lines(tmp_path / "r.jsonl", json.dumps(GOOD), second)
    with pytest.raises(InputError) as caught:
        read_records(path, Solution)
    text = str(caught.value)
    assert text.startswith(f"{path}{message}") and "\n" not in text


def test_duplicate_id_names_both_places(tmp_path: Path) -> None:
    lines(tmp_path / "1.jsonl", json.dumps(GOOD))
    lines(tmp_path / "2.jsonl", json.dumps(GOOD | {"id": "b"}), json.dumps(GOOD))
    with pytest.raises(InputError) as caught:
        read_records(tmp_path, Problem)
    assert str(caught.value) == (
        f"{tmp_path}/2.jsonl:2: id 'a' occurs a second time, first at {tmp_path}/1.jsonl:1"
    )


def test_error_of_the_whole_row_has_no_field(tmp_path: Path) -> None:
    row = {"id": "a", "problem": "p", "steps": ["x"], "first_error": 5}
    path = lines(tmp_path / "r.jsonl", json.dumps(row))
    with pytest.raises(InputError) as caught:
        read_records(path, EvaluationRow)
    assert str(caught.value) == f"{path}:1: first_error 5 but only 1 steps"


def test_missing_path_fails_before_the_first_row(tmp_path: Path) -> None:
    for name, message in [
        (tmp_path / "no.jsonl", "no such file or folder"),
        (tmp_path, "no .jsonl or .parquet file in this folder"),
        (lines(tmp_path / "a.csv", "a,b"), "not a .jsonl or .parquet file"),
        ("nosuch://x.jsonl", "Protocol not known: nosuch"),
        ("hub:gsm8k?spilt=test", "unknown option 'spilt'"),
    ]:
        with pytest.raises(InputError, match=message):
            read_rows(name)


def test_broken_bytes(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(InputError, match=r"r.jsonl:2: not UTF-8 at byte 7"):
        list(read_rows(tmp_path / "r.jsonl"))
    (tmp_path / "r.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(InputError, match=r"r.parquet: not a readable Parquet file"):
        list(read_rows(tmp_path / "r.parquet"))


def test_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_jsonl(path, [GOOD])
    with pytest.raises(InputError, match="row 2 cannot be written as JSON"):
        write_jsonl(path, [GOOD, {"value": float("nan")}])
    assert list(read_rows(path)) == [GOOD]
    assert [file.name for file in tmp_path.iterdir()] == ["r.jsonl"]


def test_every_kind_of_row_without_an_id_gets_one_from_its_content() -> None:
    solution = {"problem": "P", "steps": ["a"], "first_error": -1}
    candidates = [{"steps": ["a"], "correct": True}, {"steps": ["b"], "correct": False}]
    for model, row, other in (
        (EvaluationRow, solution, {**solution, "steps": ["b"]}),
        (
            BestOfNRow,
            {"problem": "P", "candidates": candidates},
            {"problem": "P", "candidates": candidates[:1]},
        ),
    ):
        made = model.model_validate(row)
        assert made.id == model.model_validate(row).id != model.model_validate(other).id
        assert model.model_validate({**row, "id": 7}).id == "7"
