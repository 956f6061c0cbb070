"""Math-Shepherd's text (2312.08935): a problem and its steps in one text, a tag after each step.

input: "PROBLEM Step 1: ... ки\\nStep 2: ... ки"      label: the same with + or - for the tag
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from genprm.data.formats.labelled import all_labels, field, labelled
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row

TAG = "ки"
_FIRST_STEP = re.compile(r"\s(?=[Ss]tep 1\s?:)")
_ANSWER = re.compile(r"The answer is:?\s*(.+?)\s*$")


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per row; `answer` stays null, since the text states only the solution's own."""
    text, label = str(field(row, "input")), str(field(row, "label"))
    start = _FIRST_STEP.search(text)
    if start is None or TAG not in text[start.end() :]:
        raise InputError(f"field 'input' has no 'Step 1:' with {TAG} after it")
    problem, steps = text[: start.start()], text[start.end() :].rstrip().removesuffix(TAG)
    parts = [part.strip() for part in steps.split(TAG)]
    marks = _marks(text, label)
    answer = _ANSWER.search(parts[-1])
    columns = {
        **{k: v for k, v in row.items() if k not in ("input", "label", "task")},
        "final_answer": answer and answer[1],
        "source": row.get("task"),
    }
    yield labelled(
        problem=problem,
        steps=parts,
        labels=marks[len(marks) - len(parts) :],  # a tag in the problem has its mark too
        estimator="math_shepherd",
        columns=columns,
    )


def write(solution: LabelledSolution) -> Row | None:
    """A row; None without labels. Steps after the first error count as wrong, as in its data."""
    labels = all_labels(solution, False)
    if None in labels:
        return None
    numbered = _FIRST_STEP.match(" " + solution.steps[0])  # as rows that were read here are
    steps = [
        step if numbered else f"Step {number}: {step}"
        for number, step in enumerate(solution.steps, start=1)
    ]
    marks = ["+" if label else "-" for label in labels]
    return {
        "input": f"{solution.problem} " + "\n".join(f"{step} {TAG}" for step in steps),
        "label": f"{solution.problem} "
        + "\n".join(f"{step} {mark}" for step, mark in zip(steps, marks, strict=True)),
        "task": solution.source,
    }


def _marks(text: str, label: str) -> list[bool]:
    """The + or - of `label` in the place of each tag of `text`; otherwise the two are equal."""
    marks, at = [], 0
    for part in text.split(TAG)[:-1]:
        at += len(part)
        if label[at : at + 1] not in ("+", "-"):
            raise InputError(f"field 'label' has neither + nor - after {label[:at][-40:]!r}")
        marks.append(label[at] == "+")
        at += 1
    return marks
