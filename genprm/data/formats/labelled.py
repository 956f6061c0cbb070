"""Building a labelled solution from the labels or values of another project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from genprm.errors import InputError
from genprm.labeling.labels import labels_from_flags
from genprm.records import LabelledSolution
from genprm.util.validation import first_problem


def build_solution(
    *,
    problem: Any,
    steps: Sequence[str],
    labels: Sequence[bool | None],
    estimator: str,
    values: Sequence[float | None] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> LabelledSolution:
    """A record whose labels are null after the first error, and from the first null on; `labels`
    as they are stay in `source_labels`.

    `columns` are further ones, which never replace those that are made here.

    Raises:
        InputError: no steps, an empty step, another number of labels than of steps, or a column of
            a wrong type.
    """
    if len(labels) != len(steps):
        raise InputError(f"{len(steps)} steps but {len(labels)} labels")
    for number, step in enumerate(steps):
        if not step.strip():
            raise InputError(f"step {number} is empty")
    if not steps:
        raise InputError("no steps")
    kept = labels_from_flags(labels, partial=True)
    row = {
        "problem": problem,
        "steps": list(steps),
        "values": list(values) if values is not None else [None] * len(steps),
        "wins": [0] * len(steps),
        "rollouts": [0] * len(steps),
        "labels": kept.labels,
        "first_error": kept.first_error,
        "estimator": estimator,
        "source_labels": list(labels),
    }
    try:
        return LabelledSolution.model_validate({**(columns or {}), **row})
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise InputError(f"field '{key}': {message}") from None


def read_field(row: Mapping[str, Any], *path: str) -> Any:
    """A nested column. Raises InputError, naming it, where it is missing."""
    value: Any = row
    for name in path:
        if not isinstance(value, Mapping) or value.get(name) is None:
            raise InputError(f"field '{'.'.join(path)}' is missing")
        value = value[name]
    return value


def read_text(row: Mapping[str, Any], name: str) -> str:
    """A column that is a text."""
    value = read_field(row, name)
    if not isinstance(value, str):
        raise InputError("not a text", field=name)
    return value


def read_texts(row: Mapping[str, Any], name: str) -> list[str]:
    """A column that is a list of texts."""
    value = read_field(row, name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"field '{name}' is not a list of texts")
    return value


def all_labels(solution: LabelledSolution, after_error: bool | None) -> list[bool | None]:
    """A label for every step: the source's own labels if those of the solution follow from them,
    else `after_error` for the steps after the first error."""
    source_labels = solution.source_labels
    ours = (solution.labels, solution.first_error)
    if source_labels is not None and labels_from_flags(source_labels, partial=True) == ours:
        return list(source_labels)
    end = len(solution.steps) if solution.first_error < 0 else solution.first_error + 1
    return [*solution.labels[:end], *[after_error] * (len(solution.steps) - end)]
