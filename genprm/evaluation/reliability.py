"""Do step scores mean what they say? Reliability bins and expected calibration error.

A step's truth is known up to and including the row's first error: steps before it are correct,
the error itself is not. Later steps have no label and are never counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from genprm.evaluation.first_error import pair
from genprm.records import EvaluationRow, Judgement
from genprm.util.stats import proportion


class LabelledStep(NamedTuple):
    """A step whose truth is known, its score, and the solution that it belongs to."""

    solution: str
    score: float
    correct: bool


def reliability(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    bins: int = 10,
    *,
    calibrated: bool = False,
) -> dict[str, Any]:
    """Bins of equal width over the score (or the calibrated one), and how far it lies from truth.

    `n` labelled steps with a score; `unscored` labelled steps without one, left out; `ece`, the
    mean over steps of |mean score - share correct| of the step's bin, and `brier`, the mean
    squared error of the score (both null for n = 0); `bins`: `low`, `high`, `n`, `mean_score`,
    `accuracy` and its 95 % bounds `accuracy_ci` (null in an empty bin). A bin holds
    low <= score < high; the last one also 1.0.

    Raises:
        InputError: rows and judgements do not pair up.
    """
    steps, unscored = labelled_steps(rows, judgements, calibrated=calibrated)
    return {"unscored": unscored, **bins_of([(s.score, s.correct) for s in steps], bins)}


def bins_of(scored: Sequence[tuple[float, bool]], bins: int = 10) -> dict[str, Any]:
    """The figures of `reliability`, of scores with their truths."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for score, truth in scored:
        members[min(int(score * bins), bins - 1)].append((score, truth))
    filled, gap = [], 0.0
    for index, inside in enumerate(members):
        accuracy = proportion([truth for _, truth in inside])
        mean = sum(score for score, _ in inside) / len(inside) if inside else None
        if mean is not None and accuracy.value is not None:
            gap += len(inside) * abs(mean - accuracy.value)
        bounds = {"low": index / bins, "high": (index + 1) / bins, "n": len(inside)}
        filled.append({**bounds, "mean_score": mean, **accuracy.fields("accuracy")})
    n = len(scored)
    return {
        "n": n,
        "ece": gap / n if n else None,
        "brier": sum((score - truth) ** 2 for score, truth in scored) / n if n else None,
        "bins": filled,
    }


def calibration_error(scored: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """ECE and Brier score of at least one score with its truth."""
    figures = bins_of(scored)
    return figures["ece"], figures["brier"]


def labelled_steps(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], *, calibrated: bool = False
) -> tuple[list[LabelledStep], int]:
    """Every step whose truth is known and that has a score, and how many have none.

    Raises:
        InputError: rows and judgements do not pair up.
    """
    scored: list[LabelledStep] = []
    unscored = 0
    for row, judgement in pair(rows, judgements):
        last = len(row.steps) - 1 if row.first_error < 0 else row.first_error
        for step in judgement.steps[: last + 1]:
            score = step.calibrated if calibrated else step.score
            if score is None:
                unscored += 1
            else:
                scored.append(LabelledStep(row.id, score, step.index != row.first_error))
    return scored, unscored
