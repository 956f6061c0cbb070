"""Writes the operations of an expression as one line of plain facts."""

from __future__ import annotations

from collections.abc import Iterable

from genprm.tasks.arithmetic.expressions import (
    Operation,
    long_multiplication,
    needs_long_multiplication,
)


def work_out(operations: Iterable[Operation]) -> str:
    """`-9 - 5 = -14, -14 - 0 = -14`; long products are written out digit by digit first."""
    parts: list[str] = []
    for operation in operations:
        left, op, right, _ = operation
        if op == "*" and needs_long_multiplication(left, right):
            parts.extend(str(line) for line in long_multiplication(left, right))
        parts.append(str(operation))
    return ", ".join(parts)
