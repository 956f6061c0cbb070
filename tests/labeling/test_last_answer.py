"""The answer with which a solution ends, over the border of its last steps."""

from __future__ import annotations

import pytest

from genprm.labeling.solution import _last_answer
from genprm.records import Solution
from genprm.verifiers import verifier_for


@pytest.mark.parametrize(
    "steps",
    [
        [r"x = \boxed{2}", r"and y = \boxed{5}"],
        ["The answer is:", "24"],
        ["We add.", "The answer is 24."],
        ["So \\boxed{24}.", "The answer would be 36."],
        ["So 24 remain.", "Let me check."],
    ],
)
def test_the_last_step_agrees_with_the_whole_solution(steps: list[str]) -> None:
    solution = Solution(id="s", problem="?", answer="24", steps=steps)
    assert _last_answer(solution) == verifier_for(solution).extract(steps)


def test_a_solution_that_goes_on_after_its_answer_has_none() -> None:
    solution = Solution(id="s", problem="?", answer="24", steps=["\\boxed{24}", "Now we add 3."])
    assert _last_answer(solution) is None
