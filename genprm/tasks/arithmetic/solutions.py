"""Written solutions: a plan with letters, one line per letter, the final equation.

The wording varies as in traces of large models: rewriting in brackets, several equalities in one
step, negative signs in or out of brackets. After a slip a solution continues consistently, as a
person or a model would.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from genprm.tasks.arithmetic.expressions import (
    OPERATORS,
    Group,
    Node,
    apply,
    is_flat,
    long_multiplication,
    needs_long_multiplication,
    next_operation,
    operations,
    reduce_at,
    render,
    substitute,
)

# How often a slip of each kind is made where one can be, relative to slips in a result.
SLIPS = {"result": 1.0, "precedence": 1.0, "sign": 1.0, "copy": 0.2}
MOST_LETTERS = 4
TYPICAL_OPERATIONS = 10  # a problem with so many has the given slip rate


@dataclass(frozen=True, slots=True)
class Style:
    """How one writer writes; drawn once per solution."""

    wrap_negative: bool  # 3 - (-4)
    wrap_result: bool  # ((-12) + 4)
    wrap_final: bool  # = (23)
    bracket_first: bool  # (5 + 2 * 3) = (5 + (2 * 3)) = ...
    sign_first: bool  # 5 - -3 = 5 + 3
    pace: str  # "one" operation a stage, "each" bracket one, "all" at once
    expand_products: bool  # 35 * 24 = (35 * 20 + 35 * 4)
    flat_plan: bool  # A - B - C + D for (A - B) - (C - D)
    outer_plan: bool  # "(A - B)" for "A - B"
    commas: bool  # A = .., B = .., and C = ..


def draw_style(rng: random.Random) -> Style:
    """One writer's habits."""
    return Style(
        wrap_negative=rng.random() < 0.5,
        wrap_result=rng.random() < 0.2,
        wrap_final=rng.random() < 0.2,
        bracket_first=rng.random() < 0.45,
        sign_first=rng.random() < 0.3,
        pace=rng.choices(("one", "each", "all"), (0.65, 0.2, 0.15))[0],
        expand_products=rng.random() < 0.7,
        flat_plan=rng.random() < 0.4,
        outer_plan=rng.random() < 0.4,
        commas=rng.random() < 0.6,
    )


def wrong_number(n: int, rng: random.Random) -> int:
    """A number near `n` but not `n`: a slip of a unit, a ten, a sign or a digit."""
    digits = str(abs(n))
    at = rng.randrange(len(digits))
    changed = digits[:at] + str(rng.randrange(10)) + digits[at + 1 :]
    options = [n + 1, n - 1, n + 2, n - 2, n + 10, n - 10, -n, int(changed) * (1 if n >= 0 else -1)]
    return rng.choice([x for x in options if x != n])


class Slips:
    """Decides at random where mistakes are made, with a probability per kind."""

    def __init__(self, rate: float, rng: random.Random):
        self.rate, self.rng = rate, rng

    def now(self, kind: str) -> bool:
        """Whether to slip here."""
        return self.rng.random() < self.rate * SLIPS[kind]


def _first_of(node: Node, change: Callable[[Group], Node], every: bool) -> Node:
    """Apply `change` to the first flat bracket (or to each)."""
    if not isinstance(node, Group):
        return node
    if is_flat(node):
        return change(node)
    items = list(node.items)
    for index, item in enumerate(items):
        new = _first_of(item, change, every)
        if new != item:
            items[index] = new
            if not every:
                break
    return Group(tuple(items), node.ops)


def _unwrap(node: Node) -> Node:
    if not isinstance(node, Group):
        return node
    if not node.ops:
        return _unwrap(node.items[0])
    return Group(tuple(_unwrap(item) for item in node.items), node.ops)


def _signs(node: Node, slips: Slips) -> Node:
    """`- -3` becomes `+ 3` and `+ -3` becomes `- 3`."""
    if not isinstance(node, Group):
        return node
    items, ops = [_signs(node.items[0], slips)], list(node.ops)
    for index, item in enumerate(node.items[1:]):
        if isinstance(item, int) and item < 0 and ops[index] != "*":
            if not slips.now("sign"):
                ops[index] = "+" if ops[index] == "-" else "-"
            items.append(-item)
        else:
            items.append(_signs(item, slips))
    return Group(tuple(items), tuple(ops))


def _copied(node: Node, slips: Slips) -> Node:
    """Copy an expression, perhaps with numbers changed."""
    if isinstance(node, int):
        return wrong_number(node, slips.rng) if slips.now("copy") else node
    if isinstance(node, str):
        return node
    return Group(tuple(_copied(item, slips) for item in node.items), node.ops)


class Chain:
    """Writes `expression = stage = ... = value` in one style, with slips."""

    def __init__(self, style: Style, slips: Slips):
        self.style, self.slips = style, slips
        self.stages: list[str] = []

    def write(self, node: Node) -> int:
        """Reduce `node` to its (perhaps slipped) value, filling `stages`."""
        self._show(node)
        node = _copied(node, self.slips)
        if self.style.sign_first:
            self._show(node := _signs(node, self.slips))
        while isinstance(node := _unwrap(node), Group):
            self._show(node)  # differs from the last stage only after unwrapping
            if self.style.bracket_first and self.style.pace == "one":
                self._show(_first_of(node, self._bracket, every=False))
            if (expanded := self._expanded(node)) is not None:
                node = expanded
            else:
                node = _first_of(node, self._reduce, every=self.style.pace != "one")
            if isinstance(_unwrap(node), Group):
                self._show(node)
        assert isinstance(node, int)
        self.stages.append(f"({node})" if self.style.wrap_final else str(node))
        return node

    def _show(self, node: Node) -> None:
        text = render(node, wrap_negative=self.style.wrap_negative)
        if not self.stages or self.stages[-1] != text:
            self.stages.append(text)

    def _bracket(self, group: Group) -> Node:
        if len(group.ops) < 2:
            return group
        at = next_operation(group)
        inner = Group(group.items[at : at + 2], (group.ops[at],))
        ops = group.ops[:at] + group.ops[at + 1 :]
        return Group((*group.items[:at], inner, *group.items[at + 2 :]), ops)

    def _expanded(self, node: Group) -> Node | None:
        """The lone long product `35 * 24` as `(35 * 20 + 35 * 4)`, then its sums."""
        if not (self.style.expand_products and is_flat(node) and node.ops == ("*",)):
            return None
        left, right = node.items
        assert isinstance(left, int) and isinstance(right, int)
        if not needs_long_multiplication(left, right):
            return None
        parts = [line for line in long_multiplication(left, right) if line.op == "*"]
        products = tuple(Group((line.left, line.right), ("*",)) for line in parts)
        plus = ("+",) * (len(parts) - 1)
        self.stages.append("(" + " + ".join(f"{line.left} * {line.right}" for line in parts) + ")")
        results = tuple(self._result(group) for group in products)
        return Group(results, plus)

    def _result(self, group: Group) -> int:
        left, right = group.items
        assert isinstance(left, int) and isinstance(right, int)
        result = apply(left, group.ops[0], right)
        return wrong_number(result, self.slips.rng) if self.slips.now("result") else result

    def _reduce(self, group: Group) -> Node:
        """One operation of a flat bracket, or all of them at the quick pace."""
        node: Node = group
        while isinstance(node, Group):
            at = next_operation(node)
            if at > 0 and self.slips.now("precedence"):
                at = 0
            pair = Group(node.items[at : at + 2], (node.ops[at],))
            left, right = pair.items
            assert isinstance(left, int) and isinstance(right, int)
            if (
                node.ops != pair.ops
                and self.style.expand_products
                and pair.ops == ("*",)
                and needs_long_multiplication(left, right)
            ):
                ops = node.ops[:at] + node.ops[at + 1 :]
                return Group((*node.items[:at], pair, *node.items[at + 2 :]), ops)
            node = reduce_at(node, at, self._result(pair))
            if self.style.pace != "all":
                break
        if isinstance(node, int) and self.style.wrap_result:
            return Group((node,), ())
        return node


def skeleton(root: Node, parts: list[Group], letters: str) -> Node:
    """The problem with each of `parts` (in reading order) replaced by its letter."""
    names = iter(letters)
    remaining = list(parts)

    def walk(node: Node) -> Node:
        if remaining and node is remaining[0]:
            remaining.pop(0)
            return next(names)
        if not isinstance(node, Group):
            return node
        return Group(tuple(walk(item) for item in node.items), node.ops)

    return walk(root)


def flatten(node: Node) -> Node:
    """Brackets of sums removed by distributing signs; products of sums stay as they are."""
    if not isinstance(node, Group):
        return node
    items: list[Node] = []
    ops: list[str] = []

    def add(item: Node, sign: str) -> None:
        item = flatten(item)
        if isinstance(item, Group) and sign in "+-" and "*" not in item.ops:
            add(item.items[0], sign)
            for op, inner in zip(item.ops, item.items[1:], strict=True):
                add(inner, "+" if op == sign else "-")
        elif (
            isinstance(item, Group)
            and set(item.ops) == {"*"}
            and not any(isinstance(x, Group) for x in item.items)
        ):
            ops.append(sign)
            items.append(item.items[0])
            for inner in item.items[1:]:
                ops.append("*")
                items.append(inner)
        else:
            ops.append(sign)
            items.append(item)

    if "*" in node.ops:
        return Group(tuple(flatten(item) for item in node.items), node.ops)
    add(node.items[0], "+")
    for op, item in zip(node.ops, node.items[1:], strict=True):
        add(item, op)
    return Group(tuple(items), tuple(ops[1:]))


def cuts(root: Node) -> list[list[Group]]:
    """Every way to give letters to the brackets inside `root`, in reading order: a letter for the
    bracket, or letters for the brackets inside it. The last way has the smallest brackets.
    """

    def ways(node: Group) -> list[list[Group]]:
        inner = [item for item in node.items if isinstance(item, Group)]
        combinations = product(*map(own_and_inner_ways, inner))
        return [[part for way in combination for part in way] for combination in combinations]

    def own_and_inner_ways(node: Group) -> list[list[Group]]:
        return [[node], *(way for way in ways(node) if way)]

    return ways(root) if isinstance(root, Group) else [[]]


def draw_parts(root: Node, rng: random.Random) -> list[Group]:
    """The brackets that a writer gives letters: mostly the innermost, if those are few."""
    innermost = cuts(root)[-1]
    if len(innermost) <= MOST_LETTERS and rng.random() < 0.8:
        return innermost
    return rng.choice([way for way in cuts(root) if len(way) <= MOST_LETTERS])


def write_solution(root: Group, rng: random.Random, slip_rate: float) -> list[str]:
    """One solution as steps. In a problem with ten operations each slips with probability
    `slip_rate`; the rate grows with their number, because long work is error-prone.
    """
    style = draw_style(rng)
    parts = draw_parts(root, rng)
    letters = "ABCDEFGH"[: len(parts)]
    frame = skeleton(root, parts, letters)
    shown = flatten(frame) if style.flat_plan else frame
    slips = Slips(min(slip_rate * len(operations(root)) / TYPICAL_OPERATIONS, 1.0), rng)
    if slips.now("result"):
        shown, parts = _plan_slip(shown, parts, rng)
    outer = style.outer_plan and isinstance(shown, Group) and len(shown.items) == 2
    definitions = [f"{name} = {render(part)}" for name, part in zip(letters, parts, strict=True)]
    if style.commas and len(definitions) > 2:
        listed = ", ".join(definitions[:-1]) + f", and {definitions[-1]}"
    else:
        listed = " and ".join(definitions)
    plan = render(shown, outer=outer)
    steps = [f'This equation can be written as "{plan}", where {listed}.']

    values: dict[str, Node] = {}
    for name, part in zip(letters, parts, strict=True):
        chain = Chain(style, slips)
        values[name] = chain.write(part)
        steps.append(f"Let's calculate {name} = {' = '.join(chain.stages)}.")
    copied = {name: _copied(value, slips) for name, value in values.items()}
    chain = Chain(style, slips)
    total = chain.write(substitute(shown, copied))
    stages = [_without_outer(stage) for stage in chain.stages] if not outer else chain.stages
    steps.append(
        f"Then, the final equation is {render(shown, outer=outer)} = {' = '.join(stages)}. "
        f"So the answer is {total}"
    )
    return steps


def _without_outer(stage: str) -> str:
    """`(3 - 4)` as `3 - 4` if one bracket spans the stage; `(3 - 4) * (2)` stays."""
    if not (stage.startswith("(") and stage.endswith(")")):
        return stage
    depth = 0
    for index, char in enumerate(stage):
        depth += (char == "(") - (char == ")")
        if depth == 0 and index < len(stage) - 1:
            return stage
    return stage[1:-1]


def miscopied(group: Group, rng: random.Random) -> Group:
    """A bracket with one of its numbers changed."""
    at = rng.randrange(len(group.items))
    item = group.items[at]
    assert not isinstance(item, str)
    changed = miscopied(item, rng) if isinstance(item, Group) else wrong_number(item, rng)
    return Group((*group.items[:at], changed, *group.items[at + 1 :]), group.ops)


def _plan_slip(shown: Node, parts: list[Group], rng: random.Random) -> tuple[Node, list[Group]]:
    """A wrong operator in the plan, or a number copied wrongly into a letter."""
    if isinstance(shown, Group) and rng.random() < 0.5:
        at = rng.randrange(len(shown.ops))
        new = rng.choice([op for op in OPERATORS if op != shown.ops[at]])
        return Group(shown.items, (*shown.ops[:at], new, *shown.ops[at + 1 :])), parts
    at = rng.randrange(len(parts))
    return shown, [*parts[:at], miscopied(parts[at], rng), *parts[at + 1 :]]
