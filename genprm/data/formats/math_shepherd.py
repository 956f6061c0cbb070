"""Math-Shepherd's text (2312.08935): a problem and its steps in one text, a tag after each step.

input: "PROBLEM Step 1: ... ки\\nStep 2: ... ки"      label: the same with + or - for the tag

The steps begin at the last "Step 1:" before a tag that begins a sentence, since a problem may have
one of its own; without any they begin after the problem's question mark. Tags in a problem, which
some rows have, are taken out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from genprm.data.formats.labelled import all_labels, build_solution, read_text
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row

TAG = "ки"
_FIRST_STEP = re.compile(r"(?:^|(?<=\s))(?=[Ss]tep 1\s?:)")
_SECOND_STEP = re.compile(r"\s*[Ss]tep 2\s?:")
_SENTENCE_END = re.compile(r"[.?!:;)\]}$\n]\s*$")
_ANSWER = re.compile(r"The answer is:?\s*(.+?)\s*$")


class _Start(NamedTuple):
    """Where the first step begins: in which piece between tags, and at which character of it."""

    piece: int
    at: int


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per row; `answer` stays null, since the text states only the solution's own. A
    step at the end that has no tag has no label."""
    tagged, label = (read_text(row, name) for name in ("input", "label"))
    pieces = tagged.split(TAG)
    if len(pieces) == 1:
        raise InputError(f"no {TAG} after a step", field="input")
    start = _start(pieces)
    problem = " ".join(
        part.strip() for part in [*pieces[: start.piece], pieces[start.piece][: start.at]]
    )
    steps = [pieces[start.piece][start.at :], *pieces[start.piece + 1 :]]
    marks: list[bool | None] = [*_marks(tagged, label)[start.piece :], None]
    if not steps[-1].strip():  # as it should be: the text ends with a tag
        steps.pop()
        marks.pop()
    answer = _ANSWER.search(steps[-1].strip())
    columns = {
        **{k: v for k, v in row.items() if k not in ("input", "label", "task")},
        "final_answer": answer and answer[1],
        "source": row.get("task"),
    }
    yield build_solution(
        problem=problem.strip(),
        steps=[step.strip() for step in steps],
        labels=marks,
        estimator="math_shepherd",
        columns=columns,
    )


def _start(pieces: list[str]) -> _Start:
    """Raises InputError where it cannot be told where the problem ends."""
    starts = [number for number, piece in enumerate(pieces[:-1]) if _FIRST_STEP.search(piece)]
    for number in starts:  # the one before "Step 2:", if problems have tags of their own
        if _SECOND_STEP.match(pieces[number + 1]):
            starts = [number]
            break
    if starts:
        piece = pieces[starts[0]]
        places = [match.start() for match in _FIRST_STEP.finditer(piece)]
        after_sentence = [at for at in places if _SENTENCE_END.search(piece[:at])]
        return _Start(starts[0], (after_sentence or places)[-1])
    at = pieces[0].rfind("?") + 1
    if not at:
        raise InputError("no 'Step 1:', and no question mark where the problem ends", field="input")
    return _Start(0, at) if pieces[0][at:].strip() else _Start(1, 0)


def write(solution: LabelledSolution) -> Row | None:
    """A row; None without labels. Steps after the first error count as wrong, as in its data."""
    labels = all_labels(solution, False)
    if None in labels:
        return None
    numbered = _FIRST_STEP.match(solution.steps[0])  # as rows that were read here are
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
