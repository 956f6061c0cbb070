"""Plain facts for pretraining: sums, products, worked brackets, letters put in their places."""

from __future__ import annotations

import random

from genprm.tasks.arithmetic.expressions import (
    OPERATORS,
    Group,
    Node,
    Operation,
    apply,
    evaluate,
    operations,
    render,
    substitute,
)
from genprm.tasks.arithmetic.problems import draw, draw_bracket
from genprm.tasks.arithmetic.solutions import draw_parts, flatten, skeleton, wrong_number
from genprm.tasks.arithmetic.wording import work_out
from genprm.tasks.base import mark_unpredictable


def _number(rng: random.Random, digits: int) -> int:
    return rng.randint(0, 10 ** rng.randint(1, digits) - 1) * rng.choice((1, 1, -1))


def _single(rng: random.Random) -> str:
    """Single operations, as large as they occur inside worked solutions."""
    lines = []
    for _ in range(rng.randint(4, 10)):
        op = rng.choice(OPERATORS)
        left = _number(rng, 6 if op != "*" else 4)
        right = _number(rng, 6) if op != "*" else rng.randint(0, 9) * 10 ** rng.choice((0, 0, 1, 2))
        if op != "*" and rng.random() < 0.5:  # most sums in a chain are small
            left, right = left % 1000 * rng.choice((1, -1)), right % 100 * rng.choice((1, -1))
        if rng.random() < 0.3:
            left, right = right, left
        operation = Operation(left, op, right, apply(left, op, right))
        question, _, result = str(operation).rpartition(" ")
        lines.append(f"{mark_unpredictable(question)} {result}")
    return ", ".join(lines) + "."


def _bracket(rng: random.Random) -> str:
    bracket = draw_bracket(rng, rng.choice((2, 3, 3, 4, 4)))
    node: Node = bracket
    if rng.random() < 0.3:
        other = draw_bracket(rng, rng.choice((2, 3, 4)))
        node = Group((bracket, other), (rng.choice(OPERATORS),))
    letter = rng.choice("ABCDEFGH")
    working = work_out(operations(node))
    question = mark_unpredictable(f"{letter} = {render(node)}.")
    return f"{question} {working}. So {letter} = {evaluate(node)}."


def _product(rng: random.Random) -> str:
    left, right = _number(rng, 4), _number(rng, 3)
    op = Operation(left, "*", right, left * right)
    return f"{mark_unpredictable(f'{left} * {right}.')} {work_out([op])}."


def _letters(rng: random.Random) -> str:
    """A plan with values in place of its letters, worked out."""
    problem = draw(rng)
    parts = draw_parts(problem, rng)
    names = "ABCDEFGH"[: len(parts)]
    frame = skeleton(problem, parts, names)
    if rng.random() < 0.4:
        frame = flatten(frame)
    values: dict[str, Node] = {n: evaluate(p) for n, p in zip(names, parts, strict=True)}
    node = substitute(frame, values)
    listed = ", ".join(f"{name} = {value}" for name, value in values.items())
    question = mark_unpredictable(f"{listed}. {render(frame, outer=False)}")
    return (
        f"{question} is {render(node, outer=False)}. "
        f"{work_out(operations(node))}. So the answer is {evaluate(node)}."
    )


def _shape(rng: random.Random) -> str:
    """A problem in letters, and the same without brackets."""
    problem = draw(rng)
    frame = skeleton(problem, draw_parts(problem, rng), "ABCDEFGH")
    forms = [render(frame, outer=False), render(flatten(frame), outer=False)]
    shape = forms[0] if forms[0] == forms[1] else ", that is ".join(forms)
    return f"{mark_unpredictable(render(problem))} =\nThe problem is {shape}."


def _equal(rng: random.Random) -> str:
    """Pairs of numbers or brackets, the same or a slip apart."""
    lines = []
    for _ in range(rng.randint(3, 6)):
        if rng.random() < 0.5:
            n = _number(rng, 5)
            pair = (str(n), str(n if rng.random() < 0.5 else wrong_number(n, rng)))
        else:
            bracket = draw_bracket(rng, rng.choice((2, 3, 4)))
            at = rng.randrange(len(bracket.items))
            item = bracket.items[at]
            assert isinstance(item, int)
            items = (*bracket.items[:at], wrong_number(item, rng), *bracket.items[at + 1 :])
            other = bracket if rng.random() < 0.5 else Group(items, bracket.ops)
            pair = (render(bracket), render(other))
        same = "the same" if pair[0] == pair[1] else "different"
        lines.append(f"{mark_unpredictable(' and '.join(pair))} are {same}")
    return ", ".join(lines) + "."


def _parts(rng: random.Random) -> str:
    """The brackets of a problem, listed with a slip or not, each compared with the problem."""
    problem = draw(rng)
    lines, marks = [], []
    for name, part in zip("ABCDEFGH", draw_parts(problem, rng), strict=False):
        ok = rng.random() < 0.6
        lines.append(f"{name} = {render(part if ok else slipped_part(part, rng))}")
        marks.append(f"{name} {'same' if ok else 'differs'}")
    question = mark_unpredictable(f"{render(problem)} =\n{', '.join(lines)}:")
    return f"{question} {', '.join(marks)}."


def slipped_part(part: Node, rng: random.Random) -> Node:
    """A bracket with one number or sign changed."""
    if not isinstance(part, Group):
        return part
    at = rng.randrange(len(part.items))
    item = part.items[at]
    if not isinstance(item, int):
        changed = slipped_part(item, rng)
        return Group((*part.items[:at], changed, *part.items[at + 1 :]), part.ops)
    if rng.random() < 0.3:
        sign = rng.randrange(len(part.ops))
        others = [op for op in OPERATORS if op != part.ops[sign]]
        return Group(part.items, (*part.ops[:sign], rng.choice(others), *part.ops[sign + 1 :]))
    return Group((*part.items[:at], wrong_number(item, rng), *part.items[at + 1 :]), part.ops)


def facts(rng: random.Random) -> str:
    """A few lines of one kind."""
    kinds = (_single, _bracket, _product, _letters, _shape)
    kind = rng.choices(kinds, (0.2, 0.3, 0.2, 0.24, 0.06))[0]
    return "\n".join(kind(rng) for _ in range(rng.randint(1, 3)))


def comparisons(rng: random.Random) -> str:
    """Pairs of numbers and brackets, or a problem and its parts, each the same or different."""
    kind = rng.choices((_equal, _parts), (0.75, 0.25))[0]
    return "\n".join(kind(rng) for _ in range(rng.randint(1, 3)))
