"""Checks of final answers. A row's `task` selects one: `math`, `choice`, `exact`, `code`, or the
name of a built-in task; without a task it is `math`."""

from __future__ import annotations

from genprm.errors import InputError
from genprm.records import Problem
from genprm.verifiers.base import Grade, Verifier, grade
from genprm.verifiers.choice import ChoiceVerifier
from genprm.verifiers.code import CodeVerifier
from genprm.verifiers.code_tests import read_tests
from genprm.verifiers.exact import ExactVerifier
from genprm.verifiers.extraction import extract_final_answer
from genprm.verifiers.math import MathVerifier

VERIFIERS: dict[str, Verifier] = {
    "math": MathVerifier(),
    "choice": ChoiceVerifier(),
    "exact": ExactVerifier(),
    "code": CodeVerifier(),
}

__all__ = [
    "VERIFIERS",
    "Grade",
    "Verifier",
    "extract_final_answer",
    "get_verifier",
    "grade",
    "verifier_for",
]


def get_verifier(task_name_or_kind: str | None) -> Verifier:
    """The verifier of a kind (`math`, `choice`, `exact`, `code`) or of a built-in task.

    None means `math`.

    Raises:
        InputError: the name is neither a kind nor a built-in task.
    """
    name = task_name_or_kind or "math"
    if name in VERIFIERS:
        return VERIFIERS[name]
    from genprm import tasks

    if name not in tasks.TASKS:
        names = ", ".join([*VERIFIERS, *sorted(tasks.TASKS)])
        raise InputError(f"unknown task {name!r}; answers are verified as {names}")
    return VERIFIERS[tasks.get(name).verifier]


def verifier_for(problem: Problem) -> Verifier:
    """The verifier that checks answers to `problem`.

    Raises:
        InputError: the problem has neither tests nor an answer that is not blank, or an unknown
            task; or its tests are such that nothing in them runs.
    """
    if problem.tests:
        read_tests(problem)
        return VERIFIERS["code"]
    if not (problem.answer or "").strip():
        raise InputError(f"problem {problem.id!r}: no answer to verify against")
    verifier = get_verifier(problem.task)
    if verifier.name == "code":
        raise InputError(f"problem {problem.id!r}: no tests to verify code against")
    return verifier
