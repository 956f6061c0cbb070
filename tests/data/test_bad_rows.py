"""Rows that cannot be used: named in one line, or left out and kept with the reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genprm.data import sources
from genprm.data.bad_rows import STRICT, BadRows
from genprm.data.rows import read_records, write_jsonl, write_skipped
from genprm.errors import InputError
from genprm.records import EvaluationRow

GOOD = {"id": "a", "problem": "P", "steps": ["x"], "first_error": -1}
Read = Callable[[list[str], BadRows], Iterator[dict[str, Any]]]


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def evaluated(path: Path, bad: BadRows) -> list[dict[str, Any]]:
    """The rows as `genprm eval` reads them."""
    located = sources.rows_to_evaluate([str(path)], bad)
    return list(sources.validate_rows(located, EvaluationRow, sources.check_evaluation, bad=bad))


ODD_LINES = {
    "a list": (b"[1]", "expected a JSON object, got an array; a file that is one array ends in"),
    "a text": (b'"x"', "expected a JSON object, got a string"),
    "half a row": (b'{"id": ', "not JSON: Expecting value at column 8"),
    "not UTF-8": (b'{"id": "\xff"}', "not UTF-8 at byte 8"),
    "zeros of a crash": (b"\0\0\0", "not JSON: Expecting value at column 1"),
    "very deep": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not readable JSON: "),
    "NaN": (b'{"id": "b", "x": {"y": [1, NaN]}}', "field 'x.y[1]': nan is no number in JSON"),
    "beyond a float": (b'{"id": "b", "x": 1e999}', "field 'x': inf is no number in JSON"),
    "a name twice": (b'{"id": "b", "id": "c"}', "the name 'id' occurs twice, with different"),
    "steps as a text": (line(id="b", steps="x\ny"), "field 'steps': input should be a valid list"),
    "an empty step": (line(id="b", steps=["x", " "]), "field 'steps[1]': an empty step"),
    "a null step": (line(id="b", steps=["x", None]), "field 'steps[1]': input should be a valid"),
    "no steps": (line(id="b", steps=[]), "field 'steps': list should have at least 1 item"),
    "nested steps": (line(id="b", steps=[["x"]]), "field 'steps[0]': input should be a valid"),
    "a broken text": (line(id="b", steps=["\ud800"]), "field 'steps[0]': half of a character"),
    "an error beyond": (line(id="b", first_error=1), "first_error 1 but only 1 steps"),
    "half an error": (
        line(id="b", first_error=0.5),
        "field 'first_error': input should be a valid",
    ),
    "open labels": (line(id="b", labels=[None]), "field 'labels': they leave the first error open"),
    "an id again": (line(), "id 'a' occurs a second time"),
    "a copy": (line(id=None), "occurs a second time (the row has none of its own"),
}


@pytest.mark.parametrize("name", ODD_LINES)
def test_an_odd_row_is_named_or_left_out(name: str, tmp_path: Path) -> None:
    odd, message = ODD_LINES[name]
    path = tmp_path / "in.jsonl"
    first = line() + b"\n" + line(id=None) + b"\n"
    path.write_bytes(first + odd + b"\n" + line(id="last") + b"\n")
    with pytest.raises(InputError) as caught:
        evaluated(path, BadRows("fail"))
    text = str(caught.value)
    assert text.startswith(f"{path}:3: ") and message in text and "\n" not in text

    bad = BadRows("skip")
    assert [row["id"] for row in evaluated(path, bad)][-1] == "last"
    (skipped,) = bad.skipped
    assert skipped["where"] == f"{path}:3" and message in skipped["reason"]
    assert text == f"{path}:3: {skipped['reason']}"
    content = skipped.get("row") or skipped["text"]
    if b"NaN" in odd or not isinstance(content, dict):
        assert (
            isinstance(content, str)
            and content.encode()[:5] == odd.decode(errors="backslashreplace").encode()[:5]
        )
    else:
        assert content == json.loads(odd)
    write_jsonl(tmp_path / "skipped.jsonl", bad.skipped)  # whatever they hold


def test_what_is_not_odd_is_read(tmp_path: Path) -> None:
    mark, path = b"\xef\xbb\xbf", tmp_path / "in.jsonl"
    texts = json.dumps(GOOD | {"problem": "a\u2028b\u0085c\x0bd"}, ensure_ascii=False).encode()
    same = b'{"id": "e", "id": "e", "problem": "P", "steps": ["x"], "first_error": -1}'
    surrogate = line(id="d", extra="\ud83d")
    rows = [mark + texts, b"", b"  ", mark, mark + line(id="b"), line(id=3), surrogate, same]
    path.write_bytes(b"\r\n".join(rows))
    assert [row["id"] for row in evaluated(path, BadRows())] == ["a", "b", "3", "d", "e"]
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(evaluated(tmp_path / "in.jsonl.gz", BadRows())) == 5


def test_a_file_that_is_broken_is_not_skipped(tmp_path: Path) -> None:
    cut, plain = tmp_path / "cut.jsonl.gz", tmp_path / "plain.jsonl.gz"
    cut.write_bytes(gzip.compress(b"\n".join(line(id=str(i)) for i in range(99)))[:-9])
    plain.write_bytes(line())
    (tmp_path / "half.json").write_text(json.dumps([GOOD, GOOD], indent=1)[:-4])
    for path in (cut, plain, tmp_path / "half.json", tmp_path / "none.jsonl"):
        with pytest.raises(InputError) as caught:
            evaluated(path, BadRows("skip"))
        assert str(caught.value).startswith(f"{path}: ")


def test_parquet_rows_with_nested_lists_and_odd_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "problem": ["P", "Q", "R"],
            "steps": [["x", "y"], ["z"], ["w"]],
            "first_error": [-1, 0, -1],
            "nested": [[[1, 2], []], [[3]], None],
            "when": [datetime(2024, 1, 1)] * 3,
            "value": [1.0, float("nan"), 2.0],
            "raw": [b"text", b"text", b"\xff"],
            "candidates": pa.nulls(3),  # as a column is where files of two kinds were joined
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    bad = BadRows("skip")
    (row,) = evaluated(tmp_path / "in.parquet", bad)
    assert row["nested"] == [[1, 2], []] and row["when"].startswith("2024-01-01")
    reasons = [skipped["reason"] for skipped in bad.skipped]
    assert reasons == [
        "field 'value': nan is no number in JSON: write null",
        "field 'raw': bytes that are no text",
    ]
    assert [skipped["where"][-2:] for skipped in bad.skipped] == [":2", ":3"]


@pytest.mark.parametrize("form", ["array", "lines", "groups", "one"])
def test_json_files_of_every_form(form: str, tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"id": "b"}, GOOD | {"id": "c"}]
    texts = {
        "array": json.dumps(rows, indent=2),
        "lines": "\n".join(map(json.dumps, rows)),
        "groups": json.dumps({"q1": rows[:2], "q2": rows[2:]}),
        "one": json.dumps(rows[0], indent=2),
    }
    (tmp_path / "rows.json").write_text(texts[form], encoding="utf-8-sig")
    ids = ["a", "b", "c"][: 1 if form == "one" else 3]
    assert [row["id"] for row in evaluated(tmp_path / "rows.json", BadRows())] == ids
    assert [row["id"] for row in evaluated(tmp_path, BadRows())] == ids  # the folder


def test_groups_of_rows_may_be_empty_and_hold_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"none": [], "q1": [GOOD, 5], "q2": [GOOD | {"id": "b"}]}))
    bad = BadRows("skip")
    assert [row["id"] for row in evaluated(path, bad)] == ["a", "b"]
    assert [(row["where"], row["text"]) for row in bad.skipped] == [(f"{path}:2", "5")]
    chat = {"prompt": [{"role": "user", "content": "q"}], "completions": ["a"], "labels": [True]}
    for one in (chat, chat | {"labels": []}, {"x": []}, {}):
        path.write_text(json.dumps(one))
        assert list(sources.locate_rows(str(path))) == [(f"{path}:1", one)]


def test_a_bad_row_of_a_json_array_has_a_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([GOOD, 3, GOOD | {"id": "b", "x": float("inf")}]))
    bad = BadRows("skip")
    assert [row["id"] for row in evaluated(path, bad)] == ["a"]
    assert [row["where"] for row in bad.skipped] == [f"{path}:2", f"{path}:3"]


def test_json_files_beside_rows_and_skipped_rows_are_no_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "labels.jsonl", [GOOD])
    write_jsonl(tmp_path / "labels.jsonl.skipped.jsonl", [{"where": "x", "reason": "y"}])
    (tmp_path / "labels.jsonl.meta.json").write_text("{}")
    assert [row["id"] for row in evaluated(tmp_path, BadRows())] == ["a"]


SOLUTION = {"problem": "What is 1 + 1?", "answer": "2", "steps": ["1 + 1 = 2"]}
LABELS = {"values": [1.0], "wins": [1], "rollouts": [1], "labels": [True], "first_error": -1}
READERS: dict[str, tuple[dict[str, Any], Read]] = {
    "solve": (SOLUTION, lambda files, bad: sources.problems(files, bad)),
    "label": (SOLUTION, lambda files, bad: sources.solutions(files, "lines", bad=bad)),
    "distill": (
        SOLUTION | LABELS | {"estimator": "flat_hard"},
        lambda files, bad: sources.labelled_solutions(files, False, "lines", bad),
    ),
    "score": (SOLUTION, lambda files, bad: sources.solutions_to_score(files, "lines", bad)),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_skips(name: str, tmp_path: Path) -> None:
    row, read = READERS[name]
    path = tmp_path / "in.jsonl"
    others = [{**row, "id": "b", "problem": None}, {**row, "id": "a"}, {**row, "id": "c"}]
    write_jsonl(path, [{**row, "id": "a"}, *others])
    bad = BadRows("skip")
    assert [each["id"] for each in read([str(path)], bad)] == ["a", "c"]
    assert [each["where"] for each in bad.skipped] == [f"{path}:2", f"{path}:3"]
    assert [each["row"]["id"] for each in bad.skipped] == ["b", "a"]
    assert bad.summary().startswith(f"2 rows were skipped, first {path}:2: field 'problem': ")
    with pytest.raises(InputError, match=":2: field 'problem'"):
        list(read([str(path)], BadRows()))


@pytest.mark.parametrize("name", READERS)
def test_a_row_that_failed_gives_way_to_another_of_its_id(name: str, tmp_path: Path) -> None:
    row, read = READERS[name]
    path = tmp_path / "in.jsonl"
    failures = [{"id": key, "error": f"{key} timed out"} for key in ("a", "b", "c", "c")]
    write_jsonl(path, [*failures, {**row, "id": "a"}, {**row, "id": "d"}, {**row, "id": "b"}])
    bad = BadRows("fail")  # nothing is wrong with them
    rows = list(read([str(path)], bad))
    assert [row["id"] for row in rows] == ["a", "d", "b", "c"] and rows[3] == failures[2]
    assert [each["where"] for each in bad.skipped] == [f"{path}:{n}" for n in (1, 2, 4)]
    reason = "it failed in an earlier stage (a timed out), and another row has its id 'a'"
    assert bad.skipped[0]["reason"] == reason


def test_without_bad_rows_of_its_own_a_reader_keeps_none(tmp_path: Path) -> None:
    row, read = READERS["label"]
    path = tmp_path / "in.jsonl"
    write_jsonl(path, [{"id": "a", "error": "timed out"}, {**row, "id": "a"}, {"id": "b"}])
    with pytest.raises(InputError, match=":3: field 'problem'"):
        list(read([str(path)], STRICT))
    assert STRICT.skipped == []


def test_the_file_of_skipped_rows_is_beside_the_output(tmp_path: Path) -> None:
    bad, out = BadRows("skip"), f"{tmp_path}/out.jsonl"
    assert write_skipped(out, bad) is None and not list(tmp_path.iterdir())
    bad.add("x:1", InputError("odd"), {"id": 1})
    assert write_skipped(out, bad) == f"{out}.skipped.jsonl"
    write_jsonl(out, [GOOD])
    assert [row["id"] for row in evaluated(tmp_path, BadRows())] == ["a"]


def test_records_are_skipped_too(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([line(), b"{", line(), line(id="b", steps=3), line(id="c")]))
    bad = BadRows("skip")
    assert [record.id for record in read_records(path, EvaluationRow, bad)] == ["a", "c"]
    assert [row["where"][-1] for row in bad.skipped] == ["2", "3", "4"]
    assert sum(bad.reasons().values()) == 3
