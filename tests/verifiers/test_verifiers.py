"""Answer extraction and the math and choice verifiers."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm import tasks
from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers import get_verifier, verifier_for
from genprm.verifiers.base import grade
from genprm.verifiers.extraction import extract_final_answer
from genprm.verifiers.math import MAX_ANSWER_CHARS, exact_number
from places import SAMPLES

GSM8K = SAMPLES / "gsm8k" / "model_solutions.jsonl"


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


def test_gsm8k_model_solutions_get_their_published_flags() -> None:
    verifier, seen = get_verifier("math"), []
    for line in GSM8K.read_text().splitlines():
        row = json.loads(line)
        reference = problem(row["ground_truth"].rsplit("A: ", 1)[1], row["question"])
        for name in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            answer = row[name]["solution"].rsplit("A: ", 1)[1]
            assert verifier.check(answer, reference) is row[name]["is_correct"], (answer, reference)
            seen.append(row[name]["is_correct"])
    assert len(seen) == 40 and len(set(seen)) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"),
        ("-3.50", "-3.5"),
        ("$1,234", "1234"),
        ("-$5", "-5"),
        (".5", "0.5"),
        ("+7", "7"),
    ],
)
def test_exact_numbers(text: str, value: str) -> None:
    assert exact_number(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "-", "1/2", "1,23", "12,34", "5 apples", "1e3", "x", "50%"])
def test_not_exact_numbers(text: str) -> None:
    assert exact_number(text) is None


@settings(deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_integers_compare_exactly(a: int, b: int) -> None:
    assert get_verifier("math").check(f"{a:,}", problem(str(b))) is (a == b)


# The table of README.md, with more of each kind: what counts as equal, and what does not. Numbers
# with a space inside are not here: math-verify reads `1\,234` now as 1234 and now as 1 + 234.
ANSWER_FORMS = {
    "fractions": [
        ("\\frac12", "0.5", True),
        ("1/2", "\\frac{1}{2}", True),
        ("\\dfrac{2}{4}", "\\frac{1}{2}", True),
        ("7:5", "7/5", True),
    ],
    "decimals": [
        ("18.00", "#### 18", True),
        ("0.1" + "0" * 20 + "1", "0.1", False),  # a float would call these equal
        ("0.333", "1/3", False),
        ("0.3333333333", "1/3", True),
        ("1.5 \\times 10^3", "1500", True),
        ("1e3", "1000", False),
    ],
    "thousands": [
        ("1,234", "1234", True),
        ("1{,}234", "1234", True),
        ("12,34", "1234", False),
        ("3 million", "3", False),
        ("3 million", "3000000", False),
    ],
    "units": [
        ("5 dollars", "5", True),
        ("$5", "5", True),
        ("5\\text{ cm}", "5", True),
        ("$1,200 per year", "1200", True),
        ("90^\\circ", "90", True),
        ("5 km", "5 m", True),  # units are dropped, not compared
    ],
    "percent": [
        ("50\\%", "50", True),
        ("50%", "0.5", True),
        ("50\\%", "\\frac{1}{2}", True),
        ("50%", "5", False),
    ],
    "intervals and tuples": [
        ("(3, 4)", "(3,4)", True),
        ("(3,4)", "(4,3)", False),
        ("[1,2)", "[1, 2)", True),
        ("[1,2)", "(1,2)", False),
        ("(-\\infty, 3]", "(-\\infty,3]", True),
        ("x \\in [1,2]", "[1,2]", True),
        ("1 \\le x \\le 2", "[1,2]", False),
    ],
    "sets and lists": [
        ("\\{1,2\\}", "\\{2,1\\}", True),
        ("1, 2", "\\{1,2\\}", True),
        ("1 and 2", "2, 1", True),
        ("\\{1,2\\}", "\\{1,2,3\\}", False),
    ],
    "expressions": [
        ("$2\\sqrt{2}$", "\\sqrt{8}", True),
        ("3\\sqrt{13}", "3", False),
        ("2^{10}", "1024", True),
        ("x+1", "1+x", True),
        ("q - p", "p - q", False),
        ("x = 5", "5", True),
        ("\\pi", "3.14159", False),
        ("((((", "5", False),
    ],
    "text": [
        ("Evelyn", "\\text{Evelyn}", True),
        ("yes", "Yes", True),
        ("Evelyn", "Eve", False),
    ],
}


@pytest.mark.parametrize("form", ANSWER_FORMS)
def test_math_answer_forms(form: str) -> None:
    check = get_verifier("math").check
    for answer, reference, expected in ANSWER_FORMS[form]:
        assert check(answer, problem(reference)) is expected, (answer, reference)


def test_math_is_safe_in_worker_threads() -> None:
    def check(i: int) -> bool | None:
        return get_verifier("math").check(f"\\frac{{{i}}}{{2}}", problem(f"{i}/2"))

    assert threading.current_thread() is threading.main_thread()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(check, range(1, 25))) == [True] * 24


def test_an_endless_answer_is_undecided_and_the_next_one_is_not() -> None:
    verifier = get_verifier("math")
    assert verifier.check("9^{9^{9^{9}}}", problem("5")) is None
    assert verifier.check("\\frac{10}{2}", problem("5")) is True


def test_a_run_on_answer_is_undecided() -> None:
    assert get_verifier("math").check("1+" * MAX_ANSWER_CHARS + "1", problem("5")) is None


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


@pytest.mark.parametrize("answer", [None, ""])
def test_a_problem_without_an_answer_is_an_input_error_that_names_it(answer: str | None) -> None:
    with pytest.raises(InputError, match="problem 'p1': no answer to verify against"):
        verifier_for(problem(answer))
