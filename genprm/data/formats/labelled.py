"""Building a labelled solution out of labels or values that somebody else made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from genprm.errors import InputError
from genprm.labeling.labels import labels_from_flags
from genprm.records import LabelledSolution
from genprm.util.validation import first_problem

Row = Mapping[str, Any]


def labelled(
    *,
    problem: Any,
    steps: Sequence[str],
    labels: Sequence[bool | None],
    estimator: str,
    values: Sequence[float | None] | None = None,
    columns: Row | None = None,
) -> LabelledSolution:
    """A record whose labels are null after the first error, and from the first null on; the given
    ones stay beside them.

    `columns` are further ones, which never replace what is made here.

    Raises:
        InputError: no steps, an empty one, another number of labels than of steps, or a column of
            a wrong type.
    """
    if len(labels) != len(steps):
        raise InputError(f"{len(steps)} steps but {len(labels)} labels")
    for number, step in enumerate(steps):
        if not step.strip():
            raise InputError(f"step {number} is empty")
    if not steps:
        raise InputError("no steps")
    ours = labels_from_flags(labels, partial=True)
    made = {
        "problem": problem,
        "steps": list(steps),
        "values": list(values) if values is not None else [None] * len(steps),
        "wins": [0] * len(steps),
        "rollouts": [0] * len(steps),
        "labels": ours.labels,
        "first_error": ours.first_error,
        "estimator": estimator,
        "source_labels": list(labels),
    }
    try:
        return LabelledSolution.model_validate({**(columns or {}), **made})
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise InputError(f"field '{key}': {message}") from None


def field(row: Row, *path: str) -> Any:
    """A nested column. Raises InputError, naming it, where it is missing."""
    at: Any = row
    for name in path:
        if not isinstance(at, Mapping) or at.get(name) is None:
            raise InputError(f"field '{'.'.join(path)}' is missing")
        at = at[name]
    return at


def texts(row: Row, name: str) -> list[str]:
    """A column that is a list of texts."""
    value = field(row, name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"field '{name}' is not a list of texts")
    return value


def all_labels(solution: LabelledSolution, after_error: bool | None) -> list[bool | None]:
    """A label for every step: the source's own where these are its labels, else `after_error` for
    the steps behind the first error."""
    given: list[bool | None] | None = (solution.model_extra or {}).get("source_labels")
    ours = (solution.labels, solution.first_error)
    if given is not None and labels_from_flags(given, partial=True) == ours:
        return list(given)
    end = len(solution.steps) if solution.first_error < 0 else solution.first_error + 1
    return [*solution.labels[:end], *[after_error] * (len(solution.steps) - end)]
