"""MATH-APS, OmegaPRM's trees (2406.06592, as openreasoner published them): a value at every node.

Every path from the root to a leaf is a solution; its values are those of its nodes. Both forms are
read: the nested tree (`text`, `mc_value`, `children`), and the flat list of prefixes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from genprm.data.formats.labelled import build_solution, read_field, read_text
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per leaf."""
    question, nodes = read_text(row, "question"), read_field(row, "reasoning_steps")
    columns = {"answer": row.get("final_answer"), "problem_id": row.get("question_id")}
    paths = _tree_paths(nodes) if isinstance(nodes, Mapping) else _prefix_paths(nodes, question)
    for steps, values in paths:
        yield build_solution(
            problem=question,
            steps=steps,
            labels=[value > 0 for value in values],
            values=values,
            estimator="omega_prm",
            columns=columns,
        )


def _tree_paths(root: Mapping[str, Any]) -> Iterator[tuple[list[str], list[float]]]:
    """Depth first, without recursion: trees may be deep."""
    stack: list[tuple[Mapping[str, Any], list[str], list[float]]] = [(root, [], [])]
    while stack:
        node, steps, values = stack.pop()
        children = node.get("children") or []
        if not isinstance(children, list):
            raise InputError("not a list of nodes", field="children")
        if not children and steps:
            yield steps, values
        for child in reversed(children):
            text, value = read_field(child, "text"), _value(child)
            stack.append((child, [*steps, str(text).strip("\n")], [*values, value]))


def _prefix_paths(nodes: Any, question: str) -> Iterator[tuple[list[str], list[float]]]:
    """A prefix that no other one begins with is a leaf; its ancestors are the prefixes of it."""
    if not isinstance(nodes, list):
        raise InputError("field 'reasoning_steps' is neither a tree nor a list of prefixes")
    value_of = {str(read_field(n, "solution_prefix")): _value(n) for n in nodes}
    ordered = sorted(text for text in value_of if text != question)
    for number, text in enumerate(ordered):
        if number + 1 < len(ordered) and _continues(ordered[number + 1], text):
            continue
        if not text.startswith(question):
            raise InputError("a solution_prefix does not begin with the question")
        ancestors = [other for other in ordered[:number] if _continues(text, other)]
        ancestors = [*sorted(ancestors, key=len), text]
        steps, values, at = [], [], len(question)
        for prefix in ancestors:
            if prefix[at:].strip():
                steps.append(prefix[at:].strip("\n"))
                values.append(value_of[prefix])
            at = len(prefix)
        if steps:
            yield steps, values


def _continues(text: str, prefix: str) -> bool:
    """Whether a text is a prefix and whole steps after it: "x = 10" does not continue "x = 1"."""
    return text.startswith(prefix + "\n") or (text.startswith(prefix) and prefix.endswith("\n"))


def _value(node: Mapping[str, Any]) -> float:
    value = read_field(node, "mc_value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"field 'mc_value' is not a number: {value!r}")
    return float(value)
