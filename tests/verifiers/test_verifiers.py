"""The math verifier, and which verifier a problem gets."""

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
from genprm.verifiers.math import MAX_ANSWER_CHARS, exact_number
from places import SAMPLES

GSM8K = SAMPLES / "gsm8k" / "model_solutions.jsonl"


def problem(answer: str | None, text: str = "?", task: str | None = None) -> Problem:
    return Problem(id="p1", problem=text, answer=answer, task=task)


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
