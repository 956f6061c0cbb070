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


class Merged(NamedTuple):
    """`verdict`: both name the same first error, or different ones, or one of them names none."""

    solution: LabelledSolution
    verdict: Verdict


def merge(one: LabelledSolution, other: LabelledSolution) -> Merged:
    """Label the steps on which both agree; null from the first on which they do not.

    Values, counts and whatever hangs together with them are those of one source: of `one` if it has
    values, else of `other`; the second one adds what the first lacks and no label column but its
    own labels as they came. `id` is that of `one`. The column `merged` keeps what each said;
    `unlabelled_reason` is null where the first error is known.

    Raises:
        InputError: the two are not of the same problem and steps.
    """
    if (one.problem, one.steps) != (other.problem, other.steps):
        raise InputError(f"{one.id!r} and {other.id!r} are different solutions")
    flags = [a if a is b else None for a, b in zip(one.labels, other.labels, strict=True)]
    labels, first_error = labels_from_flags(flags, partial=True)
    verdict: Verdict = "agreement"
    if not is_decided(labels):
        both = is_decided(one.labels) and is_decided(other.labels)
        verdict = "disagreement" if both else "undecided"
    told = [_told(source) for source in (one, other)]
    reason = None if verdict == "agreement" else f"{verdict}: {told[0]}, {told[1]}"
    valued = any(value is not None for value in one.values)
    main, beside = (one, other) if valued else (other, one)
    of_its_values = LABEL_COLUMNS - {"source_labels", "ratings"}
    row = {
        **{k: v for k, v in beside.row().items() if k not in of_its_values},
        **{k: v for k, v in main.row().items() if v is not None},
        "id": one.id,
        "labels": labels,
        "first_error": first_error,
        "estimator": f"{beside.estimator}+{main.estimator}",
        "unlabelled_reason": reason,
        "merged": [
            {"estimator": s.estimator, "labels": s.labels, "first_error": s.first_error}
            for s in (one, other)
        ],
    }
    return Merged(LabelledSolution.model_validate(row), verdict)


def _told(source: LabelledSolution) -> str:
    found = f"first error {source.first_error}" if is_decided(source.labels) else "not decided"
    return f"{source.estimator} says {found}"
