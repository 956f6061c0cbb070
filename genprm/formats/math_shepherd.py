"""Math-Shepherd's text (2312.08935): a problem and its steps in one text, a tag after each step.

input: "PROBLEM Step 1: ... ки\\nStep 2: ... ки"      label: the same with + or - for the tag
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from genprm.errors import InputError
from genprm.formats.labelled import Row, all_labels, field, labelled
from genprm.records import LabelledSolution

TAG = "ки"
_FIRST_STEP = re.compile(r"\s(?=Step 1\s?:)")
_ANSWER = re.compile(r"The answer is:?\s*(.+?)\s*$")


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per row; `answer` stays null, since the text states only the solution's own."""
    text, told = field(row, "input"), field(row, "label")
    marks = [_mark(line) for line in str(told).split("\n")]
    problem, steps = _parts(str(text))
    answer = _ANSWER.search(steps[-1])
    kept = {k: v for k, v in row.items() if k not in ("input", "label", "task")}
    yield labelled(
        problem=problem,
        steps=steps,
        labels=marks,
        estimator="math_shepherd",
        final_answer=answer and answer[1],
        source=row.get("task"),
        **kept,
    )


def write(solution: LabelledSolution) -> dict[str, Any] | None:
    """A row; None without labels. Steps after the first error count as wrong, as they do there."""
    labels = all_labels(solution, False)
    if None in labels:
        return None
    numbered = _FIRST_STEP.match(" " + solution.steps[0])
    steps = [
        step if numbered else f"Step {number}: {step}"
        for number, step in enumerate(solution.steps, start=1)
    ]
    marks = ["+" if label else "-" for label in labels]
    return {
        "input": f"{solution.problem} " + "\n".join(f"{step} {TAG}" for step in steps),
        "label": f"{solution.problem} "
        + "\n".join(f"{step} {mark}" for step, mark in zip(steps, marks, strict=True)),
        "task": (solution.model_extra or {}).get("source"),
    }


def _parts(text: str) -> tuple[str, list[str]]:
    """Problem and steps, without the spaces at which they are joined."""
    starts = list(_FIRST_STEP.finditer(text))
    if not starts or not text.rstrip().endswith(TAG):
        raise InputError(f"field 'input' has no 'Step 1:', or does not end in {TAG}")
    at = starts[0].start()
    steps = text[at + 1 :].rstrip().removesuffix(TAG).split(f"{TAG}\n")
    return text[:at], [step.removesuffix(" ") for step in steps]


def _mark(line: str) -> bool:
    if line.rstrip()[-1:] not in ("+", "-"):
        raise InputError(f"field 'label': a step ends in neither + nor -: {line[-40:]!r}")
    return line.rstrip().endswith("+")
