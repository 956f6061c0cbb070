"""Published benchmarks, on excerpts of their files (see tests/samples/NOTICE.md) and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genprm.data import sources
from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_jsonl
from genprm.errors import InputError
from genprm.records import EvaluationRow
from places import SAMPLES

DATA = SAMPLES / "benchmarks"


def read(path: Path, bad: BadRows | None = None) -> list[dict[str, Any]]:
    bad = bad or BadRows()
    located = sources.rows_to_evaluate([str(path)], bad)
    return list(sources.validate_rows(located, EvaluationRow, sources.check_evaluation, bad=bad))


def read_row(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    write_jsonl(folder / "rows.jsonl", [row])
    (result,) = read(folder / "rows.jsonl")
    return result


# Per file: source, first error and whether it is suspect, of each row.
EXCERPTS: dict[str, list[tuple[str, int, bool]]] = {
    "processbench_gsm8k.json": [
        ("processbench/gsm8k", -1, False),
        ("processbench/gsm8k", 2, False),
    ],
    "processbench_math.json": [("processbench/math", -1, False), ("processbench/math", 1, False)],
    "mr_gsm8k.json": [("mr_gsm8k/original", 1, False), ("mr_gsm8k/POT", 1, False)],
    "multistep_arithmetic.jsonl": [
        ("bigbench_mistake/multistep_arithmetic", -1, False),
        ("bigbench_mistake/multistep_arithmetic", 1, False),
        ("bigbench_mistake/multistep_arithmetic", -1, True),
    ],
}


@pytest.mark.parametrize("name", EXCERPTS)
def test_a_published_file_is_read_as_it_is(name: str) -> None:
    rows = read(DATA / name)
    columns = [(row["source"], row["first_error"], bool(row.get("suspect"))) for row in rows]
    assert columns == EXCERPTS[name]
    assert len({row["id"] for row in rows}) == len(rows)


def test_prmbench_counts_from_one_and_marks_what_goes_beyond() -> None:
    bad = BadRows("skip")
    rows = read(DATA / "prmbench.jsonl", bad)
    published = [json.loads(line) for line in (DATA / "prmbench.jsonl").open(encoding="utf-8")]
    firsts = [min(row["error_steps"], default=0) - 1 for row in published]
    beyond = firsts.pop(2)
    assert [row["first_error"] for row in rows] == firsts and firsts[1] == -1
    assert [row.get("suspect") for row in rows] == [None, None, True]
    assert rows[0]["steps"] == published[0]["modified_process"]
    assert rows[0]["source"] == f"prmbench/{published[0]['classification']}"
    (skipped,) = bad.skipped
    count = len(published[2]["modified_process"])
    assert skipped["reason"] == f"the first error is step {beyond + 1} of {count}"


def test_mr_ben_names_the_label_of_a_step() -> None:
    correct, labelled, blank = read(DATA / "mr_ben_math.json")  # one object, by question
    assert correct["first_error"] == -1 and correct["source"].startswith("mr_ben/")
    number = labelled["Model_Solution_First_Error_Step"]
    error = labelled["first_error"]
    assert labelled["steps"][error].startswith(f"Step {number}") and error != int(number) - 1
    assert all(step.strip() for step in blank["steps"])
    assert "\nA: " in correct["problem"]


def test_what_a_benchmark_says_in_other_ways(tmp_path: Path) -> None:
    row = {"id": "x-0", "problem": "P", "steps": ["a", "", "b"], "label": 2}
    assert read_row(row, tmp_path)["first_error"] == 1  # the empty step is left out
    assert read_row(row | {"label": 0.0}, tmp_path)["first_error"] == 0
    assert read_row(row | {"label": -1, "id": None}, tmp_path)["source"] == "processbench"
    code = {
        "Question_UUID": "u",
        "Sampled_Model": "m",
        "Subject": "coding",
        "Question": "Q",
        "Options": None,
        "Model_Solution_Steps": ["def f(x):", "    return x"],
        "Model_Solution_Correctness": "Incorrect",
        "Model_Solution_First_Error_Step": "return x",
    }
    result = read_row(code, tmp_path)
    assert (result["first_error"], result["problem"], result["id"]) == (1, "Q", "u-m")
    assert read_row(code | {"Model_Solution_First_Error_Step": "2"}, tmp_path)["first_error"] == 1


CORRECT = {"model_output_solution_correctness": "correct"}
MR = {
    "uuid": "u",
    "question": "Q",
    "model_output_steps": ["Step 1: a", "b", "Step 2: c"],
    "model_output_solution_correctness": "wrong",
    "model_output_solution_first_error_step": 2,
}
FIRST = "model_output_solution_first_error_step"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "P", "steps": ["a"], "label": True}, "field 'label': not a whole number"),
        ({"problem": "P", "steps": ["a"], "label": None}, "field 'label': not a whole number"),
        ({"problem": "P", "steps": ["a"], "label": -2}, "field 'label': below -1"),
        ({"problem": "P", "steps": ["a"], "label": 1}, "the first error is step 2 of 1"),
        ({"problem": "P", "steps": ["a", " "], "label": 1}, "step 2, which is empty"),
        ({"problem": "P", "steps": "ab", "label": 0}, "field 'steps' is not a list of texts"),
        (MR | CORRECT, "2, and model_output_solution_correctness is 'correct'"),
        (MR | {FIRST: "N/A"}, "'N/A', and model_output_solution_correctness is 'wrong'"),
        (MR | {FIRST: 3}, "no step has the label 3"),
        (MR | {"model_output_solution_correctness": None}, "neither correct nor wrong"),
        ({"modified_process": ["a"], "error_steps": 1}, "field 'error_steps': not a list"),
        (
            {"modified_process": ["a"], "error_steps": [0]},
            "field 'error_steps': steps count from 1",
        ),
        ({"input": "P", "steps": ["a"], "mistake_index": -1}, "field 'mistake_index': below 0"),
    ],
)
def test_a_row_that_contradicts_itself_is_named(
    row: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"rows\.jsonl:1: ") as caught:
        read_row(row, tmp_path)
    assert message in str(caught.value)


WORDS = ["Let x = 1.", "Add: 2.", "Step 2 says 3, so 5."]
LABELS: dict[str, tuple[list[str], Any, int]] = {
    "a step that speaks of another": (WORDS, 2, 1),
    "and is the first error": (WORDS, 3, 2),
    "labels that do not begin at 1": (["Step 3: a", "b", "c"], 2, 1),
    "labels that fall": (["Step 1: a", "Step 3: b", "Step 2: c"], 2, 1),
    "steps of steps": (["Step 1: a", "  Step 1.1: b", "  Step 1.2: c", "Step 2: d"], 2, 3),
    "a label alone on its line": (["Step 1\na", "b", "**Step 2**", "c"], 2, 2),
    "other marks": (["# Step 1. a", "b", "*Step 2*) c"], "2", 2),
    "a label without its first letter": (["tep 1: a", "b", "Step 2: c"], 2, 2),
    "a number with a point": (["Step 1: a", "b", "Step 2: c"], "2.0", 2),
    "and without labels": (["a", "b"], " 2.0 ", 1),
    "the whole label": (["Step 1: a", "b", "Step 2: c"], "Step 2:", 2),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_steps_differ_from_words(name: str, tmp_path: Path) -> None:
    steps, number, first_error = LABELS[name]
    row = read_row(MR | {"model_output_steps": steps, FIRST: number}, tmp_path)
    assert row["first_error"] == first_error


@pytest.mark.parametrize("label", ["1.5", "9" * 5000, "1e0", "²", "--1"])
def test_a_text_that_is_no_whole_number_is_named(label: str, tmp_path: Path) -> None:
    row = {"problem": "P", "steps": ["a", "b"], "label": label}
    with pytest.raises(InputError, match="field 'label': not a whole number"):
        read_row(row, tmp_path)
    assert read_row(row | {"label": "1.0"}, tmp_path)["first_error"] == 1


def test_solutions_under_one_id_get_ids_of_their_own_and_copies_do_not(tmp_path: Path) -> None:
    row = {"id": "x-0", "problem": "P", "steps": ["a"], "label": 0}
    write_jsonl(tmp_path / "rows.jsonl", [row, row | {"steps": ["b"]}, row])
    bad = BadRows("skip")
    assert [each["id"] for each in read(tmp_path / "rows.jsonl", bad)] == ["x-0", "x-0#2"]
    assert "with the same steps" in bad.skipped[0]["reason"]


def test_rows_of_ours_are_left_as_they_are(tmp_path: Path) -> None:
    row = {"id": "a", "problem": "P", "steps": ["x"], "first_error": 0, "label": -1}
    result = read_row(row, tmp_path)
    assert (result["first_error"], result["label"], result["source"]) == (0, -1, "unnamed")
