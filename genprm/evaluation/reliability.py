"""Do step scores mean what they say? Reliability bins and expected calibration error.

A step's truth is known up to and including the row's first error: steps before it are correct,
the error itself is not. Later steps have no label and are never counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genprm.evaluation.first_error import pair
from genprm.records import EvaluationRow, Judgement
from genprm.util.stats import Estimate, Figures, proportion


class LabelledStep(NamedTuple):
    """A step whose truth is known, its score, and the solution that it belongs to."""

    solution: str
    score: float
    correct: bool


@dataclass(frozen=True)
class Bin(Figures):
    """The `n` steps whose score lies in [low, high), in the last bin also at 1.0: their mean score
    and the share of them that is correct (both null for n = 0)."""

    low: float
    high: float
    n: int
    mean_score: float | None
    accuracy: Estimate


@dataclass(frozen=True)
class Reliability(Figures):
    """How far scores lie from the truth, over `n` steps; `unscored` more have no score.

    `ece` is the mean over steps of |mean score - share correct| of the step's bin, `brier` the mean
    squared error of the score; both are null for n = 0.
    """

    unscored: int
    n: int
    ece: float | None
    brier: float | None
    bins: tuple[Bin, ...]


def reliability(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    bins: int = 10,
    *,
    calibrated: bool = False,
) -> Reliability:
    """The reliability of the scores (or of the calibrated scores) of all steps of known truth.

    Raises:
        InputError: rows and judgements do not pair up.
    """
    steps, unscored = labelled_steps(rows, judgements, calibrated=calibrated)
    return reliability_of([(s.score, s.correct) for s in steps], bins, unscored)


def reliability_of(
    scored: Sequence[tuple[float, bool]], bins: int = 10, unscored: int = 0
) -> Reliability:
    """The reliability of scores in [0, 1], each with whether its step is correct, in bins of equal
    width."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for score, correct in scored:
        members[min(int(score * bins), bins - 1)].append((score, correct))
    filled, gap = [], 0.0
    for index, inside in enumerate(members):
        accuracy = proportion([correct for _, correct in inside])
        mean = sum(score for score, _ in inside) / len(inside) if inside else None
        if mean is not None and accuracy.value is not None:
            gap += len(inside) * abs(mean - accuracy.value)
        filled.append(Bin(index / bins, (index + 1) / bins, len(inside), mean, accuracy))
    n = len(scored)
    return Reliability(
        unscored=unscored,
        n=n,
        ece=gap / n if n else None,
        brier=sum((score - correct) ** 2 for score, correct in scored) / n if n else None,
        bins=tuple(filled),
    )


def calibration_error(scored: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """ECE and Brier score of at least one score with its truth.

    Raises:
        ValueError: no score.
    """
    figures = reliability_of(scored)
    if figures.ece is None or figures.brier is None:
        raise ValueError("the calibration error of no scores")
    return figures.ece, figures.brier


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
