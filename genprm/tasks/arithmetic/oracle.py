"""The exact checker: reads a written solution and finds its first wrong step.

It is for measuring and labels no training rows. A step is right if it is true for the problem and
the plan: every equality holds, letters have the values of the plan, and the plan agrees with the
problem. Text that is not in the task's format is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from genprm.tasks.arithmetic.expressions import Group, Node, evaluate, parse, substitute

_PLAN = re.compile(r'written as "([^"]+)", where (.+?)\.?\s*$', re.S)
_DEFINITION = re.compile(r"\b([A-Z]) = ")
_CALCULATION = re.compile(r"^Let's calculate ([A-Z]) = (.+?)\.?\s*$", re.S)
_FINAL = re.compile(r"final equation is (.+?)\.? So the answer is (-?\d+)\s*\.?\s*$", re.S)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a solution: the expression in letters, and the expression of each letter."""

    shown: Node
    letters: dict[str, Node] = field(default_factory=dict)

    def value(self, letter: str) -> int:
        """The exact value of a letter, after substituting other letters.

        Raises:
            ValueError: the letter is not in the plan, or the plan is circular.
        """
        node: Node = letter
        for _ in range(len(self.letters) + 1):
            node = substitute(node, self.letters)
        return evaluate(node)


def read_plan(step: str) -> Plan:
    """Read the plan from a solution's first step.

    Raises:
        ValueError: the step is not a plan in the task's format.
    """
    match = _PLAN.search(step)
    if match is None:
        raise ValueError("no plan")
    pieces = _DEFINITION.split(match.group(2))
    letters = {
        letter: parse(re.sub(r"(,? and|,)\s*$", "", text.strip()))
        for letter, text in zip(pieces[1::2], pieces[2::2], strict=True)
    }
    return Plan(parse(match.group(1)), letters)


def read_calculation(step: str) -> tuple[str, list[str]]:
    """The letter of a calculation step and the members of its chain of equalities.

    Raises:
        ValueError: the step is not a calculation in the task's format.
    """
    match = _CALCULATION.match(step)
    if match is None:
        raise ValueError("no calculation")
    return match.group(1), [member.strip() for member in match.group(2).split("=")]


def read_final(step: str) -> tuple[list[str], int]:
    """The members of the final equation and the answer.

    Raises:
        ValueError: the step is not a final step in the task's format.
    """
    match = _FINAL.search(step)
    if match is None:
        raise ValueError("no final equation")
    return [member.strip() for member in match.group(1).split("=")], int(match.group(2))


def integers(node: Node) -> list[int]:
    """All integers of an expression, sorted; equal for a faithful copy."""
    if isinstance(node, int):
        return [node]
    if isinstance(node, str):
        return []
    return sorted(n for item in node.items for n in integers(item))


def check_plan(problem: Group, plan: Plan) -> bool:
    """Whether the plan agrees with the problem: the same value from the same numbers."""
    expression = plan.shown
    for _ in range(len(plan.letters) + 1):
        expression = substitute(expression, plan.letters)
    same_value = evaluate(expression) == evaluate(problem)
    return same_value and integers(expression) == integers(problem)


def _step_is_right(problem: Group, plan: Plan | None, step: str, last: bool) -> bool:
    if plan is None:
        return False
    values = {letter: plan.value(letter) for letter in plan.letters}
    if last or "final equation" in step:
        members, answer = read_final(step)
        expected = evaluate(problem)
        return answer == expected and all(evaluate(parse(m), values) == expected for m in members)
    letter, members = read_calculation(step)
    expected = plan.value(letter)
    return all(evaluate(parse(member), values) == expected for member in members)


def first_error(problem_text: str, steps: list[str]) -> int:
    """Index of the first wrong step, -1 if all are right.

    Raises:
        ValueError: the problem itself is not an arithmetic expression.
    """
    problem = parse(problem_text)
    if not isinstance(problem, Group):
        raise ValueError(f"not a multistep problem: {problem_text!r}")
    plan: Plan | None = None
    for index, step in enumerate(steps):
        try:
            if index == 0:
                plan = read_plan(step)
                right = check_plan(problem, plan)
            else:
                right = _step_is_right(problem, plan, step, index == len(steps) - 1)
        except ValueError:  # a step that cannot be read is wrong
            right = False
        if not right:
            return index
    return -1
