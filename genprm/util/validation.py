"""Pydantic's report of invalid data, cut down to one line that a user can act on."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> tuple[str, str, str]:
    """`(key, message, kind)` of the problem to name first: an unknown key if there is one.

    `key` is dotted, list positions in brackets (`steps[2]`), and empty if the object as such
    is wrong; `kind` is pydantic's error type.
    """
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    key = ""
    for part in problem["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = problem.get("input")
    if isinstance(value, bool | int | float | str) and problem["type"] != "missing":
        shown = repr(value)
        message += f", got {shown if len(shown) <= 60 else shown[:57] + '...'}"
    return key, message, problem["type"]
