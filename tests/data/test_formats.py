"""Other projects' formats, on excerpts of the real files and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genprm.data import sources
from genprm.data.bad_rows import BadRows
from genprm.data.formats.base import FORMATS
from genprm.data.rows import write_jsonl
from genprm.errors import InputError
from places import SAMPLES

DATA = SAMPLES / "formats"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").open(encoding="utf-8")]


def read(name: str, row: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [solution.row() for solution in FORMATS[name].read(row, **options)]


def test_math_shepherd_comes_back_as_it_was() -> None:
    for row in rows("math_shepherd"):
        (solution,) = FORMATS["math_shepherd"].read(row)
        assert FORMATS["math_shepherd"].write(solution) == row


def test_math_shepherd_by_hand() -> None:
    row = {
        "input": "What is 2 + 2 * 3? Step 1: 2 * 3 = 6 ки\nStep 2: 2 + 6 = 9 ки\n"
        "Step 3: The answer is: 9 ки",
        "label": "What is 2 + 2 * 3? Step 1: 2 * 3 = 6 +\nStep 2: 2 + 6 = 9 -\n"
        "Step 3: The answer is: 9 -",
        "task": "GSM8K",
    }
    (solution,) = read("math_shepherd", row)
    assert solution["problem"] == "What is 2 + 2 * 3?"
    assert solution["steps"][1] == "Step 2: 2 + 6 = 9" and solution["final_answer"] == "9"
    assert solution["labels"] == [True, False, None] and solution["first_error"] == 1
    assert solution["source_labels"] == [True, False, False]
    with pytest.raises(InputError, match="neither"):
        read("math_shepherd", row | {"label": row["input"]})
    with pytest.raises(InputError, match="'Step 1:'"):
        read("math_shepherd", row | {"input": "Add 2 and 2. 2 + 2 = 4 ки"})
    with pytest.raises(InputError, match="no ки after a step"):
        read("math_shepherd", row | {"input": "no steps"})


def test_prm800k_follows_the_chosen_path_to_the_first_error() -> None:
    solved_row, error_row, abandoned_row = rows("prm800k")
    (solution,) = read("prm800k", solved_row)  # the person wrote its second step
    assert solution["labels"] == [True] * 6 and solution["answer"] == "29"
    assert solution["human_steps"] == [1]
    wrong = read("prm800k", solved_row, alternatives=True)[0]
    assert wrong["labels"] == [True, False] and "human_steps" not in wrong
    assert wrong["steps"][1].startswith("The first equation is 3p + e = 124, and")
    (solution,) = read("prm800k", error_row)
    assert solution["first_error"] == 6 and solution["ratings"] == [1, 0, 1, 1, 1, 1, -1]
    (solution,) = read("prm800k", error_row, neutral="null")  # a neutral step before the error
    assert solution["labels"] == [True, *[None] * 6] and solution["first_error"] == -1
    (solution,) = read("prm800k", abandoned_row)
    assert solution["first_error"] == -1 and solution["human_steps"] == [7]
    assert {s["first_error"] for s in read("prm800k", abandoned_row, alternatives=True)} == {7, -1}


def test_prm800k_alternatives_are_solutions_of_their_own() -> None:
    _, error, _ = rows("prm800k")
    solutions = read("prm800k", error, alternatives=True)
    ends = [(len(s["steps"]), s["first_error"]) for s in solutions]
    assert sorted(ends) == [(6, -1), (7, -1), (7, -1), (7, -1), (7, 6)]
    assert len({s["id"] for s in solutions}) == 5


def test_prm800k_written_and_read_is_the_same() -> None:
    write = FORMATS["prm800k"].write
    assert write is not None
    for row in rows("prm800k"):
        for options in ({}, {"neutral": "null"}):
            (solution,) = FORMATS["prm800k"].read(row, **options)
            output = write(solution)
            assert output is not None
            (again,) = FORMATS["prm800k"].read(output, **options)
            upto = len(again.steps)
            assert again.steps == solution.steps[:upto] and again.answer == solution.answer
            assert again.labels == solution.labels[:upto] and None not in again.labels
            assert again.first_error == solution.first_error
            assert again.row()["ratings"] == solution.row()["ratings"][:upto]
    row = {"prompt": "q", "completions": ["a", "b", "c"], "labels": [True, False, True]}
    (ours,) = FORMATS["trl"].read(row)
    output = write(ours)
    assert output is not None and output["label"]["finish_reason"] == "found_error"
    ratings = [
        (s["completions"][0]["rating"], s["chosen_completion"]) for s in output["label"]["steps"]
    ]
    assert ratings == [(1, 0), (-1, None)]
    (open_one,) = FORMATS["trl"].read(row | {"labels": [None, True, True]})
    assert write(open_one) is None


def test_trl_rows_of_both_kinds() -> None:
    row = {"prompt": "q", "completions": ["a", "b", "c"], "labels": [True, False, True], "x": 1}
    (solution,) = FORMATS["trl"].read(row)
    assert solution.labels == [True, False, None] and solution.row()["x"] == 1
    assert FORMATS["trl"].write(solution) == {
        k: row[k] for k in ("prompt", "completions", "labels")
    }
    soft = {"prompt": "q", "completions": ["a", "b"], "labels": [0.5, 0.0]}
    (solution,) = FORMATS["trl"].read(soft)
    assert solution.values == [0.5, 0.0] and solution.first_error == 1
    assert FORMATS["trl_soft"].write(solution) == soft


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"completions": ["a"], "labels": [True]}, "'prompt'"),
        ({"prompt": "q", "completions": "a", "labels": [True]}, "'completions'"),
        ({"prompt": "q", "completions": ["a"], "labels": ["yes"]}, "'labels'"),
        ({"prompt": "q", "completions": ["a"], "labels": [True, 0.5]}, "'labels'"),
        ({"prompt": "q", "completions": ["a"], "labels": [True, False]}, "1 steps but 2 labels"),
        ({"prompt": "q", "completions": ["a", " "], "labels": [True, False]}, "step 1 is empty"),
        ({"prompt": "q", "completions": [], "labels": []}, "no steps"),
    ],
)
def test_malformed_trl_rows_are_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read("trl", row)


SHEPHERD: dict[str, tuple[str, str, list[str], list[bool | None]]] = {
    "a mark in the problem": (
        "Follow Step 1: add. What is 4 + 5? Step 1: 4 + 5 = 9 +\nStep 2: 9 +",
        "Follow Step 1: add. What is 4 + 5?",
        ["Step 1: 4 + 5 = 9", "Step 2: 9"],
        [True, True],
    ),
    "a list in the problem": (
        "Step 1: mix. Step 2: bake. How long? Step 1: 2 + 3 = 5 -\nStep 2: 5 -",
        "Step 1: mix. Step 2: bake. How long?",
        ["Step 1: 2 + 3 = 5", "Step 2: 5"],
        [False, None],
    ),
    "a mark within a step": (
        "Why? Step 1: as in Step 1: of the book +\nStep 2: 5 -",
        "Why?",
        ["Step 1: as in Step 1: of the book", "Step 2: 5"],
        [True, False],
    ),
    "no marks": (
        "Round 6.7. What is it? 6.7 is nearer to 7 +\nThe answer is: 7 -",
        "Round 6.7. What is it?",
        ["6.7 is nearer to 7", "The answer is: 7"],
        [True, False],
    ),
    "a tag in the problem": (
        "What is 4 + 5? -\nStep 1: 4 + 5 = 9 +\nStep 2: 9 +",
        "What is 4 + 5?",
        ["Step 1: 4 + 5 = 9", "Step 2: 9"],
        [True, True],
    ),
    "a tag in the problem, and no marks": (
        "What is 4 + 5? -\n4 + 5 = 9 +\nSo 9 +",
        "What is 4 + 5?",
        ["4 + 5 = 9", "So 9"],
        [True, True],
    ),
    "a tag and a mark in the problem": (
        "Do Step 1: add + and stop. What is it? Step 1: 9 +\nStep 2: 9 -",
        "Do Step 1: add and stop. What is it?",
        ["Step 1: 9", "Step 2: 9"],
        [True, False],
    ),
    "small letters": (
        "Q? step 1: a +\nstep 2: b +",
        "Q?",
        ["step 1: a", "step 2: b"],
        [True, True],
    ),
    "one step": ("Q? Step 1: The answer is: 7 +", "Q?", ["Step 1: The answer is: 7"], [True]),
}


@pytest.mark.parametrize("name", SHEPHERD)
def test_math_shepherd_rows_of_every_kind(name: str) -> None:
    label, problem, steps, labels = SHEPHERD[name]
    signs = [at for at, sign in enumerate(label) if sign in "+-"]
    ends = [
        at for at in signs if label[at + 1 : at + 2] in ("", "\n") or label[at - 4 : at] == "add "
    ]
    text = "".join("ки" if at in ends else sign for at, sign in enumerate(label))
    (solution,) = read("math_shepherd", {"input": text, "label": label, "task": "T"})
    assert (solution["problem"], solution["steps"]) == (problem, steps)
    assert solution["labels"] == labels and solution["source"] == "T"


def test_a_step_of_math_shepherd_without_its_tag_has_no_label() -> None:
    row = {"input": "Q? Step 1: a ки\nStep 2: b", "label": "Q? Step 1: a +\nStep 2: b"}
    (solution,) = read("math_shepherd", row)
    assert solution["steps"] == ["Step 1: a", "Step 2: b"]
    assert solution["labels"] == [True, None]


def rated(*texts_and_ratings: tuple[str, float | None], **step: Any) -> dict[str, Any]:
    completions = [{"text": t, "rating": r, "flagged": None} for t, r in texts_and_ratings]
    return {"completions": completions, "human_completion": None, "chosen_completion": 0, **step}


def prm800k(*steps: Any) -> dict[str, Any]:
    question = {"problem": "Q", "ground_truth_answer": "9"}
    return {"question": question, "label": {"steps": list(steps), "finish_reason": "solution"}}


def test_prm800k_goes_on_with_what_the_person_wrote() -> None:
    by_hand = {"human_completion": {"text": "h", "rating": None}, "chosen_completion": None}
    row = prm800k(rated(("a", 1)), rated(("b", -1), **by_hand), rated(("c", 1)))
    (solution,) = read("prm800k", row)
    assert solution["steps"] == ["a", "h", "c"] and solution["labels"] == [True] * 3
    assert solution["human_steps"] == [1] and solution["ratings"] == [1, 1, 1]
    wrong, right = read("prm800k", row, alternatives=True)
    assert wrong["steps"] == ["a", "b"] and wrong["first_error"] == 1
    assert right["steps"] == ["a", "h", "c"]
    by_hand["human_completion"] = {"text": " ", "rating": None}
    (solution,) = read("prm800k", prm800k(rated(("a", 1)), rated(("b", -1), **by_hand)))
    assert solution["steps"] == ["a", "b"] and solution["first_error"] == 1


def test_prm800k_indices_and_ratings_may_be_floats() -> None:
    (solution,) = read("prm800k", prm800k(rated(("a", 1.0), ("b", -1.0), chosen_completion=1.0)))
    assert solution["steps"] == ["b"] and solution["ratings"] == [-1]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (rated(("a", 1), chosen_completion=1), "chosen_completion': 1, and there are 1"),
        (rated(("a", 1), chosen_completion=-1), "chosen_completion': -1, and there are 1"),
        (rated(("a", 1), chosen_completion=0.5), "chosen_completion': no index: 0.5"),
        (rated(("a", 1), chosen_completion="0"), "chosen_completion': no index: '0'"),
        (rated(("a", 1), chosen_completion=True), "chosen_completion': no index: True"),
        ({"completions": "a"}, "'label.steps[0]': not a step with a list"),
        ({"completions": ["a"]}, "'label.steps[0]': not a step with a list"),
        ("a", "'label.steps[0]': not a step with a list"),
    ],
)
def test_malformed_prm800k_steps_are_refused(step: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read("prm800k", prm800k(step))
    assert message in str(caught.value)


def test_rows_without_a_solution_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "phase1.jsonl"
    write_jsonl(path, [prm800k(), prm800k(rated(("a", 1))), prm800k(rated(("a", None)))])
    bad = BadRows("fail")  # nothing is wrong with them
    assert len(list(sources.labelled_solutions([f"prm800k:{path}"], False, bad=bad))) == 1
    assert [row["where"][-2:] for row in bad.skipped] == [":1", ":3"]
    assert bad.reasons() == {"no solution in this row of prm800k": 2}


STEPWISE = {"prompt": "q", "completions": ["a", "b"], "labels": [True, False]}
USER = {"role": "user", "content": "q"}
A, B = ({"role": "assistant", "content": text} for text in "ab")
PARTS = {"role": "user", "content": [{"type": "text", "text": "q"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": [USER]},  # with texts as completions, as trl-lib/prm800k has them
        {"prompt": [USER], "completions": [A, B]},
        {"prompt": [USER], "completions": [[A], [B]]},
        {"prompt": [PARTS], "completions": ["a", [B]]},
        {"prompt": USER},
    ],
)
def test_conversational_trl_rows_are_the_same(changes: dict[str, Any]) -> None:
    assert FORMATS["trl"].write is not None
    (solution,) = FORMATS["trl"].read(STEPWISE | changes)
    assert FORMATS["trl"].write(solution) == STEPWISE
    system = {"role": "system", "content": "Be brief."}
    (solution,) = FORMATS["trl"].read(STEPWISE | {"prompt": [system, USER]})
    assert solution.problem == "q" and solution.row()["system"] == "Be brief."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": []}, "'prompt' is not one message of the user"),
        ({"prompt": [USER, A, USER]}, "'prompt' is not one message of the user"),
        ({"prompt": [A]}, "'prompt' is not one message of the user"),
        ({"prompt": [USER | {"content": None}]}, "'prompt' has a message that is not a text"),
        ({"completions": ["a", USER]}, "'completions[1]' is not one message of the assistant"),
        ({"completions": [[A, B], "c"]}, "'completions[0]' is not one message of the assistant"),
        ({"completions": ["a", 3]}, "'completions[1]' is neither a text nor messages"),
        ({"labels": [0.5, 1.5]}, "'labels[1]': 1.5 is not from 0 to 1"),
        ({"labels": [1, -1]}, "'labels[1]': -1 is not from 0 to 1"),
    ],
)
def test_malformed_conversations_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read("trl", STEPWISE | changes)
    assert message in str(caught.value)


def test_soft_labels_can_be_rounded_for_trl() -> None:
    soft = {"prompt": "q", "completions": ["a", "b", "c"], "labels": [0.75, 0.5, 0.25]}
    (solution,) = FORMATS["trl"].read(soft)
    rounded = FORMATS["trl_rounded"].write
    assert rounded is not None and rounded(solution) == soft | {"labels": [True, True, False]}
    (solution,) = FORMATS["trl"].read(soft | {"labels": [None, 0.5, 1]})
    assert rounded(solution) is None


def test_ultrainteract_pairs_are_solutions_without_step_labels() -> None:
    question = {"from": "user", "value": "Q?"}
    row = {"task": "Math_CoT", "dataset": "gsm8k", "trajectory": [question], "id": "x_0_1"}
    right, wrong = read("ultrainteract", row | {"chosen": "Step 1: a\nb", "rejected": "c"})
    assert (right["problem"], right["steps"], right["outcome"]) == ("Q?", ["Step 1: a", "b"], True)
    assert (wrong["steps"], wrong["outcome"], wrong["source"]) == (["c"], False, "gsm8k")
    assert right["labels"] == [None, None] and right["trajectory"] == [question]
    (only,) = read("ultrainteract", {"instruction": "Q?", "response": "a", "id": "y"})
    assert (only["problem"], only["steps"], only["outcome"]) == ("Q?", ["a"], True)
    for change in ({"trajectory": []}, {"trajectory": [{"from": "user"}]}, {"chosen": 3}):
        with pytest.raises(InputError):
            read("ultrainteract", row | {"chosen": "a", "rejected": "b"} | change)


def test_one_answer_of_an_ultrainteract_pair_may_be_blank() -> None:
    row = {"trajectory": [{"from": "user", "value": "Q?"}], "id": "x"}
    for blank in ({"rejected": " \n"}, {"rejected": ""}, {"rejected": None}, {}):
        (right,) = read("ultrainteract", row | {"chosen": "a"} | blank)
        assert (right["steps"], right["outcome"]) == (["a"], True)
    (wrong,) = read("ultrainteract", row | {"chosen": "", "rejected": "b"})
    assert (wrong["steps"], wrong["outcome"]) == (["b"], False)
    with pytest.raises(InputError, match="a text in neither of 'chosen' and 'rejected'"):
        read("ultrainteract", row | {"chosen": " ", "rejected": None})


def test_a_program_of_ultrainteract_keeps_its_indentation() -> None:
    program = "```python\ndef f(x):\n    if x:\n        return 1\n\n    return 2\n```"
    (right,) = read("ultrainteract", {"instruction": "Q?", "response": program})
    assert "    return 2" in "\n".join(right["steps"])
    text = f"Step 1: write it.\n\n{program}\n\nDone."
    (right,) = read("ultrainteract", {"instruction": "Q?", "response": text})
    assert right["steps"] == ["Step 1: write it.", program, "Done."]


def test_a_tree_is_a_solution_per_leaf() -> None:
    leaf = {"text": "So 4.", "mc_value": 1.0, "children": []}
    wrong = {"text": "So 5.", "mc_value": 0.0, "children": []}
    start = {"text": "2 + 2", "mc_value": 0.5, "children": [leaf, wrong]}
    root = {"text": "Q?", "mc_value": 0.6, "children": [start, wrong]}
    row = {"question": "Q?", "final_answer": "4", "question_id": 7, "reasoning_steps": root}
    solutions = read("math_aps", row)
    assert [(s["steps"], s["values"], s["first_error"]) for s in solutions] == [
        (["2 + 2", "So 4."], [0.5, 1.0], -1),
        (["2 + 2", "So 5."], [0.5, 0.0], 1),
        (["So 5."], [0.0], 0),
    ]
    assert {s["answer"] for s in solutions} == {"4"}
    prefixes = [
        {"solution_prefix": "Q?", "mc_value": 0.6},
        {"solution_prefix": "Q?\n\n2 + 2\n\nSo 4.", "mc_value": 1.0},
        {"solution_prefix": "Q?\n\n2 + 2", "mc_value": 0.5},
        {"solution_prefix": "Q?\n\n2 + 2\n\nSo 5.", "mc_value": 0.0},
        {"solution_prefix": "Q?\n\nSo 5.", "mc_value": 0.0},
    ]
    flat = read("math_aps", row | {"reasoning_steps": prefixes})
    pairs = [[(s["steps"], s["values"]) for s in each] for each in (flat, solutions)]
    assert sorted(pairs[0]) == sorted(pairs[1])


def test_a_malformed_tree_is_refused() -> None:
    with pytest.raises(InputError, match="neither a tree nor a list"):
        read("math_aps", {"question": "Q?", "reasoning_steps": "x"})
    with pytest.raises(InputError, match="'mc_value'"):
        tree = {"text": "Q?", "children": [{"text": "a"}]}
        read("math_aps", {"question": "Q?", "reasoning_steps": tree})
    with pytest.raises(InputError, match="'children': not a list"):
        read("math_aps", {"question": "Q?", "reasoning_steps": {"text": "Q?", "children": 5}})
    with pytest.raises(InputError, match="'question': not a text"):
        read("math_aps", {"question": 3, "reasoning_steps": []})


def test_the_command_converts_and_reads_by_prefix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cluster.cli import main

    source = f"prm800k:{DATA / 'prm800k.jsonl'}"
    out = tmp_path / "trl.jsonl"
    assert main(["convert", "--labels", source, "--to", "trl", "--out", str(out)]) == 0
    assert "wrote 3 rows" in capsys.readouterr().out
    output = [json.loads(line) for line in out.open(encoding="utf-8")]
    assert [row["labels"][-1] for row in output] == [True, False, True]
    back = tmp_path / "shepherd.jsonl"
    command = ["convert", "--labels", f"trl:{out}", "--to", "math_shepherd", "--out", str(back)]
    assert main(command) == 0
    first = json.loads(back.open(encoding="utf-8").readline())
    assert "Step 2: " in first["input"]
    mixed = tmp_path / "mixed.jsonl"
    solution = read("trl", {"prompt": "q", "completions": ["a"], "labels": [True]})[0]
    mixed.write_text(json.dumps(solution) + '\n{"id": "x", "problem": "q", "error": "why"}\n')
    command = ["convert", "--labels", str(mixed), "--to", "trl", "--out", str(tmp_path / "m.jsonl")]
    capsys.readouterr()
    assert main(command) == 0
    assert "wrote 1 row to" in capsys.readouterr().out
    soft = ["convert", "--labels", source, "--to", "trl_soft", "--out", str(tmp_path / "s.jsonl")]
    assert main(soft) == 0
    assert "note: TRL's PRMTrainer reads labels by int()" in capsys.readouterr().out
    for wrong, reason in [
        (["--labels", source, "--to", "math_aps", "--out", str(tmp_path / "x")], "written; there"),
        (["--labels", source, "--to", "trl", "--out", str(out)], "exists: choose another --out"),
        (
            ["--labels", f"{source}?neutral=x", "--to", "trl", "--out", "x"],
            "option neutral=x",
        ),
        (["--labels", f"trl:{DATA / 'prm800k.jsonl'}", "--to", "trl", "--out", "x"], ":1: field"),
        (["--labels", "trl:nothing.jsonl", "--to", "trl", "--out", "x"], "nothing.jsonl"),
    ]:
        assert main(["convert", *wrong]) == 2
        message = capsys.readouterr().err.strip()
        assert reason in message and "\n" not in message
