"""Pydantic's report of what is wrong with some data, cut down to one line a user can act on."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> tuple[str, str, str]:
    """`(key, message, kind)` of the problem to name first: an unknown key if there is one.

    `key` is dotted, list positions in brackets (`steps[2]`), empty where the whole object is
    wrong; `kind` is pydantic's error type.
    """
    problems = error.errors(include_url=False)
    chosen = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    key = ""
    for part in chosen["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    message = chosen["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = chosen.get("input")
    if isinstance(given, bool | int | float | str) and chosen["type"] != "missing":
        shown = repr(given)
        message += f", got {shown if len(shown) <= 60 else shown[:57] + '...'}"
    return key, message, chosen["type"]
