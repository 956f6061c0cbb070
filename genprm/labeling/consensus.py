"""One set of labels out of two of the same steps: of people and of rollouts, say, or of a judge.

Two fallible sources that name the same first error are seldom both wrong (consensus filtering,
Zhang et al. 2025, 2501.07301, which keeps about 40 % of the solutions). Pure.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from genprm.errors import InputError
from genprm.labeling.labels import LABEL_COLUMNS, is_decided, labels_from_flags
from genprm.records import LabelledSolution

Verdict = Literal["agreement", "disagreement", "undecided"]


class Consensus(NamedTuple):
    """`verdict`: both sources name the same first error, or different ones, or at least one of
    them names none."""

    solution: LabelledSolution
    verdict: Verdict


def combine(first: LabelledSolution, second: LabelledSolution) -> Consensus:
    """Label the steps on which both agree; null from the first step on which they do not.

    Values, counts and all other columns of labels come from one source: from `first` if it has
    values, else from `second`. The other source adds the columns that this one lacks; of its
    columns of labels only `source_labels` and `ratings` are kept. `id` is that of `first`. The
    column `merged` keeps the labels of both; `unlabelled_reason` is null where the first error is
    known.

    Raises:
        InputError: the two are not of the same problem and steps.
    """
    if (first.problem, first.steps) != (second.problem, second.steps):
        raise InputError(f"{first.id!r} and {second.id!r} are different solutions")
    flags = [a if a is b else None for a, b in zip(first.labels, second.labels, strict=True)]
    labels, first_error = labels_from_flags(flags, partial=True)
    verdict: Verdict = "agreement"
    if not is_decided(labels):
        both = is_decided(first.labels) and is_decided(second.labels)
        verdict = "disagreement" if both else "undecided"
    claims = f"{_claim(first)}, {_claim(second)}"
    valued = any(value is not None for value in first.values)
    main, other = (first, second) if valued else (second, first)
    replaced = LABEL_COLUMNS - {"source_labels", "ratings"}
    row = {
        **{name: value for name, value in other.row().items() if name not in replaced},
        **{name: value for name, value in main.row().items() if value is not None},
        "id": first.id,
        "labels": labels,
        "first_error": first_error,
        "estimator": f"{other.estimator}+{main.estimator}",
        "unlabelled_reason": None if verdict == "agreement" else f"{verdict}: {claims}",
        "merged": [
            {"estimator": s.estimator, "labels": s.labels, "first_error": s.first_error}
            for s in (first, second)
        ],
    }
    return Consensus(LabelledSolution.model_validate(row), verdict)


def _claim(source: LabelledSolution) -> str:
    error = f"first error {source.first_error}" if is_decided(source.labels) else "not decided"
    return f"{source.estimator} says {error}"
