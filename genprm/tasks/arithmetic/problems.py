"""Unlimited problems from seeds, in the shape of BIG-Bench Hard's multistep arithmetic.

Shapes and operand range follow the public task description (nested brackets of single-digit
operands under + - *); every problem is drawn here, none is copied.
"""

from __future__ import annotations

import random

from genprm.tasks.arithmetic.expressions import OPERATORS, Group, Node, evaluate, render

# (brackets, operands per bracket) and their shares. The standard mix follows the public task.
SHAPES: dict[str, list[tuple[tuple[int, int], float]]] = {
    "standard": [
        ((2, 4), 0.4),
        ((2, 3), 0.1),
        ((4, 2), 0.08),
        ((4, 3), 0.15),
        ((4, 4), 0.22),
        ((8, 2), 0.05),
    ],
    "hard": [((4, 5), 0.35), ((4, 6), 0.35), ((8, 2), 0.3)],
}


def draw_bracket(rng: random.Random, operands: int, limit: int = 9) -> Group:
    """A flat bracket of `operands` integers within ±limit; about a third are negative."""
    items = tuple(
        rng.randint(1, limit) * rng.choice((1, 1, -1)) if rng.random() < 0.93 else 0
        for _ in range(operands)
    )
    return Group(items, tuple(rng.choice(OPERATORS) for _ in range(operands - 1)))


def draw(rng: random.Random, variant: str = "standard") -> Group:
    """One problem: a binary tree of brackets. Answers stay within ±10 million."""
    shapes = SHAPES[variant]
    while True:
        (brackets, operands), _ = rng.choices(shapes, [weight for _, weight in shapes])[0]
        level: list[Node] = [draw_bracket(rng, operands) for _ in range(brackets)]
        while len(level) > 1:
            level = [
                Group((a, b), (rng.choice(OPERATORS),))
                for a, b in zip(level[::2], level[1::2], strict=True)
            ]
        root = level[0]
        assert isinstance(root, Group)
        if abs(evaluate(root)) <= 10_000_000:
            return root


def text_of(node: Node) -> str:
    """The text of the problem."""
    return render(node) + " ="
