"""Which verifier a problem gets."""

from __future__ import annotations

from itertools import pairwise

import pytest

from genprm import tasks
from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers import get_verifier, verifier_for


def problem(answer: str | None) -> Problem:
    return Problem(id="p1", problem="?", answer=answer)


def test_verifier_follows_the_task() -> None:
    assert get_verifier(None).name == "math"
    assert get_verifier("choice").name == "choice"
    assert get_verifier("arithmetic").name == "math"
    assert get_verifier("tracking").name == "choice"
    with pytest.raises(InputError, match="unknown task 'chess'; answers are verified as"):
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
