"""Answers compared as text: nothing is equal but what reads the same. A second opinion."""

from __future__ import annotations

from collections.abc import Sequence

from genprm.records import Problem
from genprm.verifiers.base import extract_final_answer, normalise


class ExactVerifier:
    """Case, spacing and a final period aside. Strict where others are lenient, so that what they
    call equal and this does not is what a person should look at."""

    name = "exact"

    def extract(self, steps: Sequence[str]) -> str | None:
        return extract_final_answer(steps)

    def check(self, answer: str, problem: Problem) -> bool | None:
        gold = problem.answer or ""
        return normalise(answer) == normalise(extract_final_answer(gold) or gold)
