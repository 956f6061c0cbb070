"""The math verifier: the table of what is equal, properties, published outcomes, limits."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.records import Problem
from genprm.verifiers import get_verifier, show
from genprm.verifiers.answers.forms import Words, read_answer
from genprm.verifiers.math import MAX_ANSWER_CHARS
from genprm.verifiers.show import Kind
from places import ROOT, SAMPLES

GSM8K = SAMPLES / "gsm8k" / "model_solutions.jsonl"
PAIRS = SAMPLES / "math_pairs.jsonl"
MATH = SAMPLES / "math_answers.jsonl"


def problem(answer: str) -> Problem:
    return Problem(id="p1", problem="?", answer=answer)


def equal(reference: str, answer: str) -> bool | None:
    return get_verifier("math").check(answer, problem(reference))


@pytest.mark.parametrize("kind", show.kinds(), ids=lambda kind: kind.name)
def test_every_pair_of_the_table_holds(kind: Kind) -> None:
    wrong = [
        (reference, answer, expected)
        for pairs, expected in ((kind.equal, True), (kind.different, False))
        for reference, answer in pairs
        if equal(reference, answer) is not expected
    ]
    assert not wrong


@pytest.mark.parametrize("kind", show.kinds(), ids=lambda kind: kind.name)
def test_every_answer_of_the_table_equals_itself(kind: Kind) -> None:
    answers = {text for pair in (*kind.equal, *kind.different) for text in pair}
    for answer in answers:
        if answer not in NOTHING and "boxed" not in answer:
            assert equal(answer, answer) is True, answer
            assert equal(answer, f"  {answer} ") is True, answer


def test_pairs_that_other_verifiers_were_wrong_about_get_their_verdict() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 700
    assert not [row for row in rows if equal(row["reference"], row["answer"]) is not row["right"]]


NOTHING = ("\\text{}", "\\phantom{17}")  # nothing is left of these, and nothing equals nothing


def test_the_readme_shows_the_table() -> None:
    text = (ROOT / "genprm" / "verifiers" / "README.md").read_text(encoding="utf-8")
    assert text == show.readme(text), f"python -m {show.__name__}"


def test_references_of_math_equal_themselves_in_other_clothes_and_no_other_digits() -> None:
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 40
    for answer in (row["final_answer"] for row in rows):
        dressed = (f"${answer}$", answer.replace("\\frac", "\\dfrac"), f"{answer}.", f" {answer} ")
        assert [equal(answer, other) for other in dressed] == [True] * 4, answer
        for match in re.finditer(r"\d", answer):
            other = answer[: match.start()] + str((int(match[0]) + 1) % 10) + answer[match.end() :]
            assert equal(answer, other) is False, (answer, other)


def test_gsm8k_model_solutions_get_their_published_flags() -> None:
    verifier, seen = get_verifier("math"), []
    for line in GSM8K.read_text().splitlines():
        row = json.loads(line)
        reference = problem(row["ground_truth"].rsplit("A: ", 1)[1])
        for name in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            answer = row[name]["solution"].rsplit("A: ", 1)[1]
            assert verifier.check(answer, reference) is row[name]["is_correct"], (answer, reference)
            seen.append(row[name]["is_correct"])
    assert len(seen) == 40 and len(set(seen)) == 2


@settings(deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_integers_compare_exactly(a: int, b: int) -> None:
    assert get_verifier("math").check(f"{a:,}", problem(str(b))) is (a == b)


FRACTIONS = st.fractions(min_value=-1000, max_value=1000, max_denominator=60)


@settings(deadline=None)
@given(FRACTIONS, FRACTIONS)
def test_fractions_mixed_numbers_and_repeating_decimals_compare_exactly(
    a: Fraction, b: Fraction
) -> None:
    for text in (fraction(a), mixed(a), repeating(a), f"{a.numerator}/{a.denominator}"):
        assert equal(text, mixed(b)) is (a == b)
        assert equal(repeating(b), text) is (a == b)


def fraction(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def mixed(value: Fraction) -> str:
    whole, rest = divmod(abs(value), 1)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}" + (fraction(rest) if rest else "")


def repeating(value: Fraction) -> str:
    """By long division: the digits since a remainder came first are the period."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    digits, remainders = "", dict[int, int]()
    while rest and rest not in remainders:
        remainders[rest] = len(digits)
        digit, rest = divmod(10 * rest, value.denominator)
        digits += str(digit)
    start = remainders.get(rest, len(digits))
    sign = "-" if value < 0 else ""
    period = f"\\overline{{{digits[start:]}}}" if digits[start:] else ""
    return f"{sign}{whole}" + (f".{digits[:start]}{period}" if digits else "")


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from([" ", "\\,", "~", "\\;"]))
def test_thousands_apart_by_a_space_are_one_number(a: int, b: int, space: str) -> None:
    assert equal(f"{a:,}".replace(",", space), str(b)) is (a == b)
    assert equal(str(a), f"{a:,}".replace(",", space)) is True


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 60), st.integers(2, 60))
def test_numbers_near_zero_are_not_zero(a: int, b: int) -> None:
    small, other = f"\\frac{{\\sqrt2}}{{10^{{{a}}}}}", f"\\sqrt2 \\cdot 10^{{-{b}}}"
    assert equal(small, other) is (a == b)
    assert equal(small, "0") is False


@pytest.mark.parametrize("reference", ["5", "\\frac{1}{2}", "x^2+1", "(1,2)", "\\sqrt{3}"])
def test_what_is_not_read_to_its_end_equals_nothing_else(reference: str) -> None:
    for tail in (
        r"\star 3",
        r"\& 6",
        "]",
        "^",
        r"\sqrt",
        r"\frac{1}",
        "_",
        r"\text{ choose } 2",
        "=",
    ):
        assert equal(reference, f"{reference} {tail}") is False, tail


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="12ab/^_{}()[]|,.:=<-+ \\$%!", max_size=24))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert read_answer(text) == read_answer(text)
    assert equal("57", text) in (True, False, None)


def test_deep_and_long_texts_are_words() -> None:
    assert isinstance(read_answer("(" * 900 + "1" + ")" * 900), Words)
    assert isinstance(read_answer("1" * 3000), Words)


def test_nested_fractions_are_read_once() -> None:
    nested = "1\\frac{" * 24 + "1" + "}{2}" * 24  # exponential if a part is read twice: undecided
    assert equal("5", nested) is False


def test_math_is_safe_in_worker_threads() -> None:
    def check(i: int) -> bool | None:
        return get_verifier("math").check(f"\\frac{{{i}}}{{2}}", problem(f"{i}/2"))

    assert threading.current_thread() is threading.main_thread()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(check, range(1, 25))) == [True] * 24


@pytest.mark.slow
def test_an_endless_answer_is_undecided_and_the_next_one_is_not() -> None:
    verifier = get_verifier("math")
    assert verifier.check("9^{9^{9^{9}}}", problem("5")) is None
    assert verifier.check("\\frac{10}{2}", problem("5")) is True


def test_a_run_on_answer_is_undecided() -> None:
    assert get_verifier("math").check("1+" * MAX_ANSWER_CHARS + "1", problem("5")) is None
