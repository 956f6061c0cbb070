"""Bracketed integer arithmetic: parse, render, evaluate, and reduce one operation at a time.

Knows nothing of problems, solutions or wording. A `Group` is a bracket: its items joined by
operators, `*` binding tighter than `+` and `-`, equal ones from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

OPERATORS = ("+", "-", "*")
_TOKEN = re.compile(r"\s*(\d+|[A-Za-z]|[-+*()])")
_MAX_DEPTH = 60  # of brackets, for hostile or runaway text; real problems stay below 10


@dataclass(frozen=True, slots=True)
class Group:
    """A bracket; `len(items) == len(ops) + 1`. Items are integers, letters or brackets."""

    items: tuple[int | str | Group, ...]
    ops: tuple[str, ...]


Node = int | str | Group


class Operation(NamedTuple):
    """One binary operation and its exact result."""

    left: int
    op: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right} = {self.result}"


def apply(left: int, op: str, right: int) -> int:
    """`left op right` for one of `+ - *`."""
    if op == "+":
        return left + right
    return left - right if op == "-" else left * right


def parse(text: str) -> Node:
    """Read an expression; a trailing `=` is allowed.

    Raises:
        ValueError: the text is not a complete expression of integers, letters and brackets.
    """
    tokens: list[str] = []
    text = text.strip().removesuffix("=").rstrip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unexpected text at {text[at : at + 10]!r}")
        tokens.append(match.group(1))
        at = match.end()
    node, rest = _read_sum(tokens, 0, 0)
    if rest != len(tokens):
        raise ValueError("unbalanced brackets")
    return node.items[0] if isinstance(node, Group) and len(node.items) == 1 else node


def _read_sum(tokens: list[str], at: int, depth: int) -> tuple[Group, int]:
    """Items and operators up to the closing bracket or the end."""
    if depth > _MAX_DEPTH:
        raise ValueError("too many brackets")
    items: list[Node] = []
    ops: list[str] = []
    while True:
        item, at = _read_item(tokens, at, depth)
        items.append(item)
        if at >= len(tokens) or tokens[at] == ")":
            return Group(tuple(items), tuple(ops)), at
        if tokens[at] not in OPERATORS:
            raise ValueError("missing operator")
        ops.append(tokens[at])
        at += 1


def _read_item(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    """One integer (with its sign), letter or bracket; a minus before a bracket is -1 times it."""
    if at >= len(tokens):
        raise ValueError("expression ends too early")
    sign = 1
    while at < len(tokens) and tokens[at] in "+-":
        sign, at = (-sign if tokens[at] == "-" else sign), at + 1
    if at >= len(tokens):
        raise ValueError("expression ends too early")
    token = tokens[at]
    if token.isdigit():
        return sign * int(token), at + 1
    if token == "(":
        inner, at = _read_sum(tokens, at + 1, depth + 1)
        if at >= len(tokens):
            raise ValueError("unbalanced brackets")
        item: Node = inner.items[0] if len(inner.items) == 1 else inner
        at += 1
    elif token.isalpha():
        item, at = token, at + 1
    else:
        raise ValueError(f"unexpected {token!r}")
    if sign < 0:
        item = -item if isinstance(item, int) else Group((-1, item), ("*",))
    return item, at


def evaluate(node: Node, letters: Mapping[str, int] | None = None) -> int:
    """The exact value.

    Raises:
        ValueError: a letter has no value in `letters`.
    """
    if isinstance(node, int):
        return node
    if isinstance(node, str):
        if letters is None or node not in letters:
            raise ValueError(f"unknown letter {node}")
        return letters[node]
    values = [evaluate(item, letters) for item in node.items]
    total, term, sign = 0, values[0], 1
    for op, value in zip(node.ops, values[1:], strict=True):
        if op == "*":
            term *= value
        else:
            total, term, sign = total + sign * term, value, (1 if op == "+" else -1)
    return total + sign * term


def substitute(node: Node, letters: Mapping[str, Node]) -> Node:
    """Replace each letter by its expression; letters without one stay."""
    if isinstance(node, str):
        return letters.get(node, node)
    if isinstance(node, int):
        return node
    return Group(tuple(substitute(item, letters) for item in node.items), node.ops)


def render(node: Node, *, outer: bool = True, wrap_negative: bool = False) -> str:
    """The text of an expression: `(3 - -4)`. The outermost brackets are written only if `outer`;
    with `wrap_negative` a negative integer that is not first in its bracket is `(-4)`."""
    if not isinstance(node, Group):
        return str(node)
    parts: list[str] = []
    for index, item in enumerate(node.items):
        if index:
            parts.append(node.ops[index - 1])
        text = render(item, wrap_negative=wrap_negative)
        negative = isinstance(item, int) and item < 0
        parts.append(f"({text})" if negative and index and wrap_negative else text)
    text = " ".join(parts)
    return f"({text})" if outer else text


def next_operation(group: Group) -> int:
    """Index of the operator to compute first: the first product, else the first operator."""
    return group.ops.index("*") if "*" in group.ops else 0


def is_flat(node: Node) -> bool:
    """Whether the node is a bracket of plain integers."""
    return isinstance(node, Group) and all(isinstance(item, int) for item in node.items)


def reduce_at(group: Group, index: int, result: int) -> Node:
    """The bracket with operator `index` and its two sides replaced by `result`."""
    items = (*group.items[:index], result, *group.items[index + 2 :])
    ops = group.ops[:index] + group.ops[index + 1 :]
    return items[0] if not ops else Group(items, ops)


def operations(node: Node) -> list[Operation]:
    """Every binary operation in the order of careful work: inner brackets first.

    Raises:
        ValueError: the expression contains a letter.
    """
    done: list[Operation] = []

    def value(node: Node) -> int:
        if isinstance(node, int):
            return node
        if isinstance(node, str):
            raise ValueError(f"unknown letter {node}")
        flat: Node = Group(tuple(value(item) for item in node.items), node.ops)
        while isinstance(flat, Group):
            at = next_operation(flat)
            left, right = flat.items[at], flat.items[at + 1]
            assert isinstance(left, int) and isinstance(right, int)
            done.append(Operation(left, flat.ops[at], right, apply(left, flat.ops[at], right)))
            flat = reduce_at(flat, at, done[-1].result)
        assert isinstance(flat, int)
        return flat

    value(node)
    return done


def needs_long_multiplication(left: int, right: int) -> bool:
    """Whether a product is written out digit by digit: neither side is one digit and zeros."""
    return all(len(str(abs(x)).rstrip("0")) > 1 for x in (left, right))


def long_multiplication(left: int, right: int) -> list[Operation]:
    """`left * right` by the digits of the shorter side, then running sums; the longer side
    carries the sign of the product."""
    long, short = sorted((abs(left), abs(right)), reverse=True)
    long = -long if (left < 0) != (right < 0) else long
    digits = str(short)
    parts = [
        Operation(long, "*", int(d) * 10**power, long * int(d) * 10**power)
        for d, power in zip(digits, range(len(digits) - 1, -1, -1), strict=True)
        if d != "0"
    ]
    lines, total = list(parts), parts[0].result
    for part in parts[1:]:
        lines.append(Operation(total, "+", part.result, total + part.result))
        total += part.result
    return lines
