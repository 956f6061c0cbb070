"""Multi-step arithmetic (after BIG-Bench Hard): nested brackets solved bracket by bracket."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

from genprm.records import Problem
from genprm.tasks.arithmetic import critiques, oracle
from genprm.tasks.arithmetic import facts as plain_facts
from genprm.tasks.arithmetic.expressions import evaluate
from genprm.tasks.arithmetic.problems import draw, text_of
from genprm.tasks.arithmetic.solutions import write_solution
from genprm.tasks.base import RuleCritique


class Arithmetic:
    """`task:arithmetic`; variants `standard` and `hard`."""

    name = "arithmetic"
    verifier = "math"
    options: ClassVar[dict[str, tuple[str, ...]]] = {"variant": ("standard", "hard")}

    def generate(self, n: int, seed: int, **options: str) -> list[Problem]:
        variant = options.get("variant", "standard")
        rows = []
        for index in range(n):
            root = draw(random.Random(f"arithmetic/{variant}/{seed}/{index}"), variant)
            rows.append(
                Problem(
                    id=f"arithmetic-{variant}-{seed}-{index}",
                    problem=text_of(root),
                    answer=str(evaluate(root)),
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
        root = draw(rng, "hard" if rng.random() < 0.1 else "standard")
        problem = Problem(id="", problem=text_of(root), answer=str(evaluate(root)), task=self.name)
        return problem, write_solution(root, rng, slip_rate)

    def comparisons(self, rng: random.Random) -> str:
        return plain_facts.comparisons(rng)

    def facts(self, rng: random.Random) -> str:
        return plain_facts.facts(rng)
