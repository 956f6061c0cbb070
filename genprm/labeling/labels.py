"""From values to hard labels. Pure: no rollouts, no engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from genprm.records import LabelledSolution, Solution

# Columns that belong to one set of labels: another set makes them untrue.
LABEL_COLUMNS = frozenset(LabelledSolution.model_fields) - frozenset(Solution.model_fields)


class StepLabels(NamedTuple):
    """Labels of one solution. Where they are undecided, `first_error` is -1 without meaning that
    there is no error."""

    labels: list[bool | None]
    first_error: int


def labels_from_flags(flags: Sequence[bool | None], partial: bool = False) -> StepLabels:
    """Labels up to the first False, which is the first error; null after it.

    A null before the first error leaves the error's place unknown: with `partial` the good steps
    before the null keep their labels, otherwise the whole solution is unlabelled.
    """
    labels: list[bool | None] = [None] * len(flags)
    for step, good in enumerate(flags):
        if good is None:
            return StepLabels(labels if partial else [None] * len(flags), -1)
        labels[step] = good
        if not good:
            return StepLabels(labels, step)
    return StepLabels(labels, -1)


def is_decided(labels: Sequence[bool | None]) -> bool:
    """Whether labels say where the first error is, or that there is none."""
    for label in labels:
        if label is not True:
            return label is False
    return True


def labels_from_values(values: Sequence[float | None]) -> StepLabels:
    """Label a step True if its value is above 0 (some rollout from it was right).

    The first False is the first error; labels after it are null, whatever their values. A null
    value before the first error leaves the error's place unknown, so the whole
    solution is unlabelled (`unlabelled_reason`). Every higher threshold is worse on ProcessBench
    and best-of-n (Zhang et al. 2025, 2501.07301, figure 5).
    """
    return labels_from_flags([None if value is None else value > 0 for value in values])


def unlabelled_reason(values: Sequence[float | None]) -> str | None:
    """Why `labels_from_values` labels nothing, in one line; None where it does."""
    for step, value in enumerate(values):
        if value is None:
            return f"step {step} has no value and no step before it is wrong"
        if value == 0:
            return None
    return None
