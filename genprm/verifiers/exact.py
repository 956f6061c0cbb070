"""Answers compared as text: only identical text is equal. Meant as a second opinion."""

from __future__ import annotations

from collections.abc import Sequence

from genprm.records import Problem
from genprm.verifiers.base import normalise
from genprm.verifiers.extraction import extract_final_answer


class ExactVerifier:
    """Compares text without regard to case, spacing and a final period. It is strict where other
    verifiers are lenient: a person should look at answers on which they differ."""

    name = "exact"

    def extract(self, steps: Sequence[str]) -> str | None:
        return extract_final_answer(steps)

    def check(self, answer: str, problem: Problem) -> bool | None:
        gold = problem.answer or ""
        return normalise(answer) == normalise(extract_final_answer(gold) or gold)
