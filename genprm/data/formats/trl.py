"""TRL's stepwise rows: `prompt`, `completions` (one per step) and `labels`, of bools or numbers.

Numbers are values from 0 to 1: they are kept as such, and a step is good where its value is above
0. Prompt and completions may be conversations, of one message of the user and one per step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from genprm.data.formats.labelled import all_labels, build_solution, read_field
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row

ROUNDED_UP = 0.5  # the lowest value that `write_rounded` calls right
SOFT_CAUTION = (
    "TRL's PRMTrainer reads labels by int(), so that 0.75 trains as 0; trl_rounded writes true for"
    f" values from {ROUNDED_UP} on, and trl the labels"
)


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per row. Other columns stay; a message of the system is kept as `system`."""
    prompt, labels, completions = (read_field(row, n) for n in ("prompt", "labels", "completions"))
    if not isinstance(completions, list):
        raise InputError("field 'completions' is not a list of texts or messages")
    messages = _messages(prompt, "prompt")
    system = [text for role, text in messages if role == "system"]
    questions = [text for role, text in messages if role != "system"]
    if len(questions) != 1 or any(role == "assistant" for role, _ in messages):
        raise InputError("field 'prompt' is not one message of the user")
    steps = [_step(step, f"completions[{number}]") for number, step in enumerate(completions)]
    soft = isinstance(labels, list) and any(type(label) in (int, float) for label in labels)
    if not isinstance(labels, list) or not all(
        label is None or type(label) in ((int, float) if soft else (bool,)) for label in labels
    ):
        raise InputError("field 'labels' is neither a list of bools nor one of numbers")
    values = [None if v is None else float(v) for v in labels] if soft else None
    for number, value in enumerate(values or ()):
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"field 'labels[{number}]': {value:g} is not from 0 to 1")
    flags = labels if values is None else [None if v is None else v > 0 for v in values]
    columns = {k: v for k, v in row.items() if k not in ("prompt", "completions", "labels")}
    columns |= {"system": "\n".join(system)} if system else {}
    yield build_solution(
        problem=questions[0],
        steps=steps,
        labels=flags,
        values=values,
        estimator="trl",
        columns=columns,
    )


def write(solution: LabelledSolution) -> Row | None:
    """A row of bools; None for a solution without labels.

    Steps after the first error are left out if they have no label: TRL has no null.
    """
    return _row(solution, all_labels(solution, None))


def write_soft(solution: LabelledSolution) -> Row | None:
    """A row of values, up to the first that is null; None if the first step's is."""
    values = list(itertools.takewhile(lambda value: value is not None, solution.values))
    return _row(solution, [*values, *[None] * (len(solution.steps) - len(values))])


def write_rounded(solution: LabelledSolution) -> Row | None:
    """A row of bools, true for values from `ROUNDED_UP` on; otherwise as `write_soft`."""
    row = write_soft(solution)
    return row and {**row, "labels": [value >= ROUNDED_UP for value in row["labels"]]}


def _messages(value: Any, name: str) -> list[tuple[str, str]]:
    """Role and text of each message of a conversation; a bare text is one of the user."""
    if isinstance(value, str):
        return [("user", value)]
    messages = [value] if isinstance(value, dict) else value
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise InputError(f"field '{name}' is neither a text nor messages")
    return [(str(each.get("role")), _content(each.get("content"), name)) for each in messages]


def _content(content: Any, name: str) -> str:
    """The text of a message, whose content may be in parts."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    inner = (part.get("text") for part in parts if isinstance(part, dict))
    texts = [text for text in inner if isinstance(text, str)]
    if len(texts) < len(parts):
        raise InputError(f"field '{name}' has a message that is not a text")
    return "".join(texts)


def _step(value: Any, name: str) -> str:
    """The text of one completion: a text, or a conversation of one message of the assistant."""
    if isinstance(value, str):
        return value
    messages = _messages(value, name)
    if len(messages) != 1 or messages[0][0] != "assistant":
        raise InputError(f"field '{name}' is not one message of the assistant")
    return messages[0][1]


def _row(solution: LabelledSolution, labels: list[Any]) -> Row | None:
    steps = list(solution.steps)
    while labels and labels[-1] is None:
        labels.pop()
        steps.pop()
    if not labels or None in labels:
        return None
    return {"prompt": solution.problem, "completions": steps, "labels": labels}
