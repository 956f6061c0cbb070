"""Fitting calibrations: what a critic's scores are worth, learnt from labelled rows.

Three methods: `none` takes the score as it is; `platt` fits sigmoid(a · logit(score) + b) with
Platt's (1999) targets; `isotonic` fits a rising step function to the shares of correct steps, by
least squares, linear between its steps. Whichever has the least Brier score on solutions that it
was not fitted on is fitted on all. Applying a calibration is `genprm.scoring.calibration`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from genprm.config.score import ScoreConfig
from genprm.errors import InputError
from genprm.evaluation.reliability import LabelledStep, calibration_error
from genprm.records import CriticInfo, ScoreCalibration, content_id
from genprm.scoring.calibration import Curve, sampling_of

FOLDS = 5
DIGITS = 6  # that a calibration keeps
GRID = 100  # intervals of a smooth curve that is kept as points
EDGE = 0.01  # scores of 0 and 1 have no logit
LEAST = 20  # steps that share a probability
RIDGE = 1e-3  # keeps Platt's slope finite if all scores are alike


def unchanged(steps: Sequence[LabelledStep]) -> Curve:
    """The score itself."""
    return Curve([0.0, 1.0], [0.0, 1.0])


def platt(steps: Sequence[LabelledStep]) -> Curve:
    """Logistic regression on the logit of the score."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    right = np.array([step.correct for step in steps])
    targets = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    logits = np.array([_logit(step.score) for step in steps])

    def loss(line: Any) -> tuple[float, Any]:
        """Cross-entropy with the slope's penalty, and its gradient."""
        values = line[0] * logits + line[1]
        entropy = np.logaddexp(0, values) - targets * values
        errors = expit(values) - targets
        gradient = [errors @ logits + RIDGE * line[0], errors.sum()]
        return entropy.sum() + RIDGE * line[0] ** 2 / 2, np.array(gradient)

    slope, offset = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    if slope < 0:  # a better score is never worth less: all are worth the same
        mean = float(targets.mean())
        return Curve([0.0, 1.0], [mean, mean])
    scores = [i / GRID for i in range(GRID + 1)]
    values = np.array([slope * _logit(score) + offset for score in scores])
    return Curve(scores, expit(values).tolist())


def isotonic(steps: Sequence[LabelledStep]) -> Curve:
    """Isotonic regression, with blocks of fewer than `LEAST` steps pooled with the next one."""
    import numpy as np
    from scipy.optimize import isotonic_regression

    # scores of n votes lie near k/n: what differs by less than two digits is noise
    pairs = sorted((round(step.score, 2), step.correct) for step in steps)
    scores, correct = [score for score, _ in pairs], [correct for _, correct in pairs]
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=correct) / counts  # of correct steps, by score
    fitted = isotonic_regression(shares, weights=counts).x[place]
    blocks: list[list[int]] = []  # places of steps
    for _, places in itertools.groupby(range(len(steps)), key=lambda i: round(fitted[i], 9)):
        if not blocks or len(blocks[-1]) >= LEAST:
            blocks.append([])
        blocks[-1] += places
    if len(blocks) > 1 and len(blocks[-1]) < LEAST:
        last = blocks.pop()
        blocks[-1] += last
    curve = Curve([], [])
    for block in blocks:
        # never 0 or 1, which n steps do not show; that may part the blocks' order a little
        value = (sum(correct[i] for i in block) + 0.5) / (len(block) + 1)
        curve.scores.extend((scores[block[0]], scores[block[-1]]))
        curve.probabilities.extend(2 * [max(value, *curve.probabilities[-1:], 0.0)])
    return curve


METHODS: dict[str, Callable[[Sequence[LabelledStep]], Curve]] = {
    "none": unchanged,  # first: it wins a tie
    "platt": platt,
    "isotonic": isotonic,
}


def fit(
    steps: Sequence[LabelledStep],
    critic: CriticInfo,
    config: ScoreConfig,
    source: str,
    *,
    early_stop: bool = False,
) -> ScoreCalibration:
    """Choose a method on held-out solutions and fit it on all.

    Args:
        source: where the rows come from, in words.
        early_stop: whether the scores are of steps whose votes were stopped early.

    Raises:
        InputError: no right or no wrong step, or too few solutions to hold some out.
    """
    folds: list[list[LabelledStep]] = [[] for _ in range(FOLDS)]
    for step in steps:
        folds[int(content_id(step.solution), 16) % FOLDS].append(step)
    solutions = len({step.solution for step in steps})
    for kind, correct in (("correct", True), ("wrong", False)):
        with_kind = sum(any(step.correct is correct for step in fold) for fold in folds)
        if with_kind < 2:
            raise InputError(
                f"{solutions} solutions with {len(steps)} labelled steps: too few {kind} ones to "
                "fit a calibration and hold some out"
            )
    held_out = {name: _held_out(method, folds) for name, method in METHODS.items()}
    best = min(held_out, key=lambda name: held_out[name]["brier"])
    curve = METHODS[best](steps)
    return ScoreCalibration(
        method=best,
        scores=[round(score, DIGITS) for score in curve.scores],
        probabilities=[round(p, DIGITS) for p in curve.probabilities],
        critic=critic,
        votes=config.votes,
        early_stop=early_stop,
        sampling=sampling_of(config, early_stop),
        source=source,
        steps=len(steps),
        solutions=solutions,
        held_out=held_out,
    )


def _held_out(
    method: Callable[[Sequence[LabelledStep]], Curve], folds: Sequence[Sequence[LabelledStep]]
) -> dict[str, float]:
    """Figures of a method on each fold, fitted on the others."""
    scored: list[tuple[float, bool]] = []
    for number, fold in enumerate(folds):
        others = [step for i, other in enumerate(folds) if i != number for step in other]
        curve = method(others)
        scored += [(curve.at(step.score), step.correct) for step in fold]
    ece, brier = calibration_error(scored)
    return {"brier": round(brier, DIGITS), "ece": round(ece, DIGITS)}


def _logit(score: float) -> float:
    inside = min(max(score, EDGE), 1 - EDGE)
    return math.log(inside / (1 - inside))
