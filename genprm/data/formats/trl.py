"""TRL's stepwise rows: `prompt`, `completions` (one per step) and `labels`, of bools or floats.

Float labels are values: they are kept as such, and a step is good where its value is above 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from genprm.data.formats.labelled import all_labels, field, labelled, texts
from genprm.errors import InputError
from genprm.records import LabelledSolution, Row


def read(row: Row) -> Iterator[LabelledSolution]:
    """One solution per row. Other columns stay."""
    prompt, steps, labels = field(row, "prompt"), texts(row, "completions"), field(row, "labels")
    if not isinstance(prompt, str):
        raise InputError("field 'prompt' is not a text")
    soft = isinstance(labels, list) and any(type(label) in (int, float) for label in labels)
    if not isinstance(labels, list) or not all(
        label is None or type(label) in ((int, float) if soft else (bool,)) for label in labels
    ):
        raise InputError("field 'labels' is neither a list of bools nor one of numbers")
    values = [None if v is None else float(v) for v in labels] if soft else None
    flags = labels if values is None else [None if v is None else v > 0 for v in values]
    kept = {k: v for k, v in row.items() if k not in ("prompt", "completions", "labels")}
    yield labelled(
        problem=prompt, steps=steps, labels=flags, values=values, estimator="trl", columns=kept
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


def _row(solution: LabelledSolution, labels: list[Any]) -> Row | None:
    steps = list(solution.steps)
    while labels and labels[-1] is None:
        labels.pop()
        steps.pop()
    if not labels or None in labels:
        return None
    return {"prompt": solution.problem, "completions": steps, "labels": labels}
