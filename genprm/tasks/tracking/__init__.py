"""Tracking shuffled objects (after BIG-Bench Hard): people swap things; who has what?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

from genprm.records import Problem
from genprm.tasks.base import RuleCritique
from genprm.tasks.tracking import critiques, oracle
from genprm.tasks.tracking import facts as plain_facts
from genprm.tasks.tracking.problems import FORMS, draw, text_of
from genprm.tasks.tracking.solutions import write_solution


class Tracking:
    """`task:tracking`; variants `standard` and `hard`, forms `assignment`, `person`, `mixed`."""

    name = "tracking"
    verifier = "choice"
    options: ClassVar[dict[str, tuple[str, ...]]] = {
        "variant": ("standard", "hard"),
        "form": ("assignment", "person", "mixed"),
    }

    def generate(self, n: int, seed: int, **options: str) -> list[Problem]:
        variant, form = options.get("variant", "standard"), options.get("form", "mixed")
        rows = []
        for index in range(n):
            puzzle = draw(random.Random(f"tracking/{variant}/{seed}/{index}"), variant, form)
            rows.append(
                Problem(
                    id=f"tracking-{variant}-{form}-{seed}-{index}",
                    problem=text_of(puzzle),
                    answer=puzzle.answer(),
                    task=self.name,
                )
            )
        return rows

    def first_error(self, problem: str, steps: Sequence[str]) -> int:
        return oracle.first_error(problem, list(steps))

    def critique(
        self, problem: str, steps: Sequence[str], rng: random.Random, error_rate: float
    ) -> RuleCritique:
        return critiques.critique(problem, list(steps), rng, error_rate)

    def solution(self, rng: random.Random, slip_rate: float) -> tuple[Problem, list[str]]:
        puzzle = draw(rng, "hard" if rng.random() < 0.08 else "standard", rng.choice(FORMS))
        problem = Problem(id="", problem=text_of(puzzle), answer=puzzle.answer(), task=self.name)
        return problem, write_solution(puzzle, rng, slip_rate)

    def comparisons(self, rng: random.Random) -> str:
        return plain_facts.comparisons(rng)

    def facts(self, rng: random.Random) -> str:
        return plain_facts.facts(rng)
