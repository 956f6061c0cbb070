"""Answer extraction and the choice verifier."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm import tasks
from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers import get_verifier, verifier_for
from genprm.verifiers.base import extract_final_answer, grade


def problem(answer: str | None, text: str = "?", task: str | None = None) -> Problem:
    return Problem(id="p1", problem=text, answer=answer, task=task)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2 + 2 = 4. So the answer is 4.", "4"),
        ("So the answer is -12  \n", "-12"),
        ("So the answer is (B)", "(B)"),
        ("So the answer is Alice: lime, Bob: red.", "Alice: lime, Bob: red"),
        ("So the answer is 3\nNo, wait. So the answer is 5", "5"),
        ("The final answer is: $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("Hence \\boxed{\\{1, 2\\}} holds", "\\{1, 2\\}"),
        ("\\boxed{3} but the answer is 4", "4"),
        ("The answer is 4, that is \\boxed{4.0}", "4.0"),
        ("so x\\\\\\boxed{7}", "7"),
        ("She has 5.\n#### 1,200", "1,200"),
        ("The answer is **12**.", "12"),
        ("The answer is 2.50", "2.50"),
        ("\\boxed{\\boxed{5}}", "5"),
    ],
)
def test_last_stated_answer_counts(text: str, answer: str) -> None:
    assert extract_final_answer(text) == answer
    assert extract_final_answer(text.split("\n")) == answer


@pytest.mark.parametrize(
    "text",
    ["", "4", "The answer follows.", "So the answer is", "So the answer is .", "\\boxed{1", "#5"],
)
def test_no_stated_answer_is_null(text: str) -> None:
    assert extract_final_answer(text) is None
    assert grade(get_verifier("math"), problem("4"), [text]) == (None, None)


def test_an_unfinished_statement_does_not_hide_a_finished_one() -> None:
    assert extract_final_answer("So the answer is 4.\nSo the answer is") == "4"


def test_extraction_is_linear_in_hostile_text() -> None:
    assert extract_final_answer("\\boxed{" * 100_000) is None  # quadratic: hours, a time-out


@settings(deadline=None)
@given(st.text(alphabet="ab{}\\", max_size=20).filter(lambda t: "\\" not in t))
def test_a_balanced_box_gives_its_content_back(content: str) -> None:
    depth = 0
    for c in content:
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth < 0:
            return
    expected = content.strip() or None
    assert extract_final_answer(f"x \\boxed{{{content}}} y") == (expected if depth == 0 else None)


OPTIONS = "Alice has\nOptions:\n(A) The Great Gatsby.\n(B) Ulysses.\n(C) Moby Dick."


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("(B)", "(B)", True),
        (" (b) ", "(B)", True),
        ("B.", "(B)", True),
        ("(B) Ulysses.", "B", True),
        ("ulysses", "(B)", True),
        ("(C)", "(B)", False),
        ("Moby Dick", "(B)", False),
        ("Alice", "(A)", False),
        ("Bob:red ,Alice:  Lime.", "Alice: lime, Bob: red", True),
        ("Alice: lime, and Bob: red", "Alice: lime, Bob: red", True),
        ("Alice: red, Bob: lime", "Alice: lime, Bob: red", False),
        ("Alice: lime", "Alice: lime, Bob: red", False),
        ("Alice: lime, Bob: red, Claire: blue", "Alice: lime, Bob: red", False),
        ("Alice: lime, Alice: lime, Bob: red", "Alice: lime, Bob: red", False),
        ("lime, red", "Alice: lime, Bob: red", False),
        (
            "Alice: Crime, and Punishment, Bob: Emma",
            "Bob: Emma, Alice: Crime, and Punishment",
            True,
        ),
        ("Yes", "yes.", True),
    ],
)
def test_choice_answer_forms(answer: str, reference: str, expected: bool) -> None:
    assert get_verifier("choice").check(answer, problem(reference, OPTIONS)) is expected


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("ABCDEF", min_size=1), st.text("xyz ", min_size=1).filter(str.strip), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_assignments_compare_in_any_order(pairs: dict[str, str], rng: object) -> None:
    assignments = [f"{name}: {thing}" for name, thing in pairs.items()]
    shuffled = list(assignments)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    check = get_verifier("choice").check
    assert check(",".join(shuffled), problem(", ".join(assignments))) is True
    wrong = [*assignments[:-1], assignments[-1] + "w"]
    assert check(", ".join(wrong), problem(", ".join(assignments))) is False


def test_verifier_follows_the_task() -> None:
    assert get_verifier(None).name == "math"
    assert get_verifier("choice").name == "choice"
    assert get_verifier("arithmetic").name == "math"
    assert get_verifier("tracking").name == "choice"
    with pytest.raises(InputError, match="unknown task 'chess'"):
        get_verifier("chess")


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_built_in_references_accept_themselves_and_not_each_other(name: str) -> None:
    rows = tasks.get(name).generate(20, 3)
    for row, other in pairwise(rows):
        verifier = verifier_for(row)
        assert row.answer is not None and verifier.check(row.answer, row) is True
        if other.answer != row.answer:
            assert verifier.check(str(other.answer), row) is False


@pytest.mark.parametrize("answer", [None, "", " \n\t"])
def test_a_problem_without_an_answer_is_an_input_error_that_names_it(answer: str | None) -> None:
    with pytest.raises(InputError, match="problem 'p1': no answer to verify against"):
        verifier_for(problem(answer))
