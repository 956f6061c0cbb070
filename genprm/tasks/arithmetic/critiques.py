"""The rule writer: a short critique of the last step, worked out from the problem and the plan.

The claim of the step comes first: a model that writes it after its own result repeats its own
result. The writer reads, computes and compares as `oracle` does, then errs on purpose at a given
rate, in place of a fallible teacher. Its verdict is part of the critique, never a label.
"""

from __future__ import annotations

import random
from operator import eq

from genprm.tasks.arithmetic import oracle
from genprm.tasks.arithmetic.expressions import (
    Group,
    Node,
    Operation,
    evaluate,
    operations,
    parse,
    render,
    substitute,
)
from genprm.tasks.arithmetic.solutions import cuts, flatten, skeleton, wrong_number
from genprm.tasks.arithmetic.wording import work_out
from genprm.tasks.base import RuleCritique


def critique(
    problem_text: str, steps: list[str], rng: random.Random, error_rate: float
) -> RuleCritique:
    """Critique `steps[-1]` after the earlier steps; the verdict is wrong with probability
    `error_rate`.

    Raises:
        ValueError: the problem is not an arithmetic expression.
    """
    problem = parse(problem_text)
    if not isinstance(problem, Group):
        raise ValueError(f"not a multistep problem: {problem_text!r}")
    err = rng.random() < error_rate
    try:
        plan = oracle.read_plan(steps[0])
        if len(steps) == 1:
            return _on_plan(problem, plan, err, rng)
        if "final equation" in steps[-1]:
            return _on_final(plan, steps, err, rng)
        return _on_calculation(plan, steps[-1], err, rng)
    except ValueError:
        return RuleCritique("The step cannot be read as part of this solution.", err)


def _on_plan(problem: Group, plan: oracle.Plan, err: bool, rng: random.Random) -> RuleCritique:
    # the way to give letters that agrees best with the plan's
    ways = cuts(problem)
    ways = [way for way in ways if len(way) == len(plan.letters)] or ways[-1:]
    parts = max(ways, key=lambda way: sum(map(eq, way, plan.letters.values())))
    names = "".join(plan.letters)[: len(parts)].ljust(len(parts), "Z")
    frame = skeleton(problem, parts, names)
    flat = flatten(frame)
    forms = [render(frame, outer=False)]
    if flat != frame and render(flat, outer=False) != forms[0]:
        forms.append(render(flat, outer=False))
    same = {name: plan.letters.get(name) == part for name, part in zip(names, parts, strict=True)}
    right = oracle.check_plan(problem, plan)
    verdict = right != err
    if err:
        wrong_letter = rng.choice(list(same))
        same = dict.fromkeys(same, True) | ({} if verdict else {wrong_letter: False})
    copied = ", ".join(f"{name} {'same' if ok else 'differs'}" for name, ok in same.items())
    body = (
        f"The problem is {', that is '.join(forms)}. "
        f"The step has {render(plan.shown, outer=False)}. {copied}."
    )
    return RuleCritique(body, verdict)


def _worked(node: Node, err: bool, rng: random.Random, claim: int | None) -> tuple[str, int]:
    """The working of an expression and its value; with `err`, a wrong value."""
    done = operations(node)
    value = evaluate(node)
    if err:
        value = claim if claim is not None else wrong_number(value, rng)
        if done:
            left, op, right, _ = done[-1]
            done[-1] = Operation(left, op, right, value)
    return work_out(done), value


def _on_calculation(plan: oracle.Plan, step: str, err: bool, rng: random.Random) -> RuleCritique:
    letter, members = oracle.read_calculation(step)
    node = plan.letters.get(letter)
    if node is None:
        return RuleCritique(f"The plan has no {letter}.", err)
    definition = render(node)
    for _ in range(len(plan.letters)):
        node = substitute(node, plan.letters)
    values = [_value(member, plan) for member in members]
    stated = values[-1]
    right = all(value == evaluate(node) for value in values)
    if err and right:
        working, value = _worked(node, True, rng, None)
    else:
        working, value = _worked(node, err, rng, stated)
    verdict = right != err
    claim = _shown(stated, members[-1])
    body = (
        f"The step says {claim}. {letter} = {definition}. {working}. So {letter} = {value}. "
        f"{_compared(value, claim)}"
    )
    if not verdict and value == stated:  # the last member is right, an earlier one is not
        at = next(i for i, v in enumerate(values) if v != value)
        body += f" But {members[at]} is {_shown(values[at], 'unreadable')}."
    return RuleCritique(body, verdict)


def _on_final(plan: oracle.Plan, steps: list[str], err: bool, rng: random.Random) -> RuleCritique:
    members, answer = oracle.read_final(steps[-1])
    letters: dict[str, Node] = {name: plan.value(name) for name in plan.letters}
    for step in steps[1:-1]:  # the solution's own values of letters, where it states them
        letter, chain = oracle.read_calculation(step)
        stated = _value(chain[-1], plan)
        if stated is not None:
            letters[letter] = stated
    node = substitute(plan.shown, letters)
    values = [_value(str(members[0]), plan, letters)]
    values += [_value(member, plan, letters) for member in members[1:]]
    right = answer == evaluate(node) and all(value == answer for value in values)
    if err and right:
        working, value = _worked(node, True, rng, None)
    else:
        working, value = _worked(node, err, rng, answer)
    verdict = right != err
    listed = ", ".join(f"{name} = {render(part)}" for name, part in letters.items())
    body = (
        f"The step says {answer}. {listed}. "
        f"{render(plan.shown, outer=False)} is {render(node, outer=False)}. {working}. "
        f"So the answer is {value}. {_compared(value, str(answer))}"
    )
    if not verdict and value == answer and not err:
        at = next(i for i, v in enumerate(values) if v != value)
        body += f" But {members[at]} is {_shown(values[at], 'unreadable')}."
    return RuleCritique(body, verdict)


def _compared(value: int, claim: str) -> str:
    return f"{value} and {claim} are {'the same' if str(value) == claim else 'different'}."


def _value(member: str, plan: oracle.Plan, letters: dict[str, Node] | None = None) -> int | None:
    """The value of one member of a chain; None if it cannot be read."""
    values = letters or {name: plan.value(name) for name in plan.letters}
    try:
        return evaluate(substitute(parse(member), values))
    except ValueError:
        return None


def _shown(value: int | None, otherwise: str) -> str:
    return otherwise if value is None else str(value)
