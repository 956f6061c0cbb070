"""Fitting calibrations: what a critic's scores are worth, learnt from labelled rows.

Three methods: `none` takes the score as it is, `platt` fits sigmoid(a · logit(score) + b) (Platt
1999, with his targets), `isotonic` the rising step function of least squares over scores of two
digits (pool adjacent violators), linear between its steps. The one with the least Brier score on
solutions that it was not fitted on is fitted on all. Applying one is `genprm.scoring.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from genprm.config.score import ScoreConfig
from genprm.errors import InputError
from genprm.evaluation.reliability import LabelledStep, calibration_error
from genprm.records import CriticInfo, ScoreCalibration, content_id
from genprm.scoring.calibration import Curve, sampling_of

FOLDS = 5
DIGITS = 6  # that a calibration keeps
GRID = 100  # intervals of a smooth curve that is kept as points
EDGE = 0.01  # scores of 0 and 1 have no logit
LEAST = 20  # steps of a block
RIDGE = 1e-3  # keeps Platt's slope finite where one score parts right from wrong


def unchanged(steps: Sequence[LabelledStep]) -> Curve:
    """The score itself."""
    return Curve([0.0, 1.0], [0.0, 1.0])


def platt(steps: Sequence[LabelledStep]) -> Curve:
    """Logistic regression on the logit of the score, by Newton's method in bounded steps."""
    right = sum(step.correct for step in steps)
    targets = {True: (right + 1) / (right + 2), False: 1 / (len(steps) - right + 2)}
    points = [(_logit(step.score), targets[step.correct]) for step in steps]
    slope, shift = 1.0, 0.0
    for _ in range(200):
        g0, g1, h00, h01, h11 = RIDGE * (slope - 1), RIDGE * shift, RIDGE, 0.0, RIDGE
        for x, target in points:
            p = _sigmoid(slope * x + shift)
            w = p * (1 - p)
            g0, g1 = g0 + (p - target) * x, g1 + p - target
            h00, h01, h11 = h00 + w * x * x, h01 + w * x, h11 + w
        whole = h00 * h11 - h01 * h01
        by = (h11 * g0 - h01 * g1) / whole, (h00 * g1 - h01 * g0) / whole
        length = max(map(abs, by))
        slope, shift = slope - by[0] / max(1.0, length), shift - by[1] / max(1.0, length)
        if length < 1e-9:
            break
    if slope < 0:  # a better score is never worth less: all are worth the same
        mean = sum(target for _, target in points) / len(points)
        return Curve([0.0, 1.0], [mean, mean])
    scores = [i / GRID for i in range(GRID + 1)]
    return Curve(scores, [_sigmoid(slope * _logit(score) + shift) for score in scores])


def isotonic(steps: Sequence[LabelledStep]) -> Curve:
    """Pools neighbours whose shares of right steps fall, and those with too few steps to tell."""
    by_score: dict[float, Block] = {}
    for step in steps:  # scores of n votes lie near k/n: what differs by less is noise
        score = round(step.score, 2)
        known = by_score.get(score, Block(0, 0, score, score))
        by_score[score] = known._replace(right=known.right + step.correct, n=known.n + 1)
    blocks: list[Block] = []
    for score in sorted(by_score):
        blocks.append(by_score[score])
        while len(blocks) > 1 and blocks[-2].falls_to(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = blocks[-1].with_next(last)
    if len(blocks) > 1 and blocks[-1].n < LEAST:
        last = blocks.pop()
        blocks[-1] = blocks[-1].with_next(last)
    scores, probabilities = [], []
    reached = 0.0
    for block in blocks:
        # never 0 or 1, which n steps do not show; that may part the blocks' order a little
        reached = max(reached, (block.right + 0.5) / (block.n + 1))
        for score in (block.low, block.high):
            scores.append(score)
            probabilities.append(reached)
    return Curve(scores, probabilities)


class Block(NamedTuple):
    """Neighbouring scores that are worth the same: right steps, all steps, lowest and highest."""

    right: int
    n: int
    low: float
    high: float

    def falls_to(self, higher: Block) -> bool:
        return self.n < LEAST or self.right * higher.n >= higher.right * self.n

    def with_next(self, higher: Block) -> Block:
        return Block(self.right + higher.right, self.n + higher.n, self.low, higher.high)


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
    """Choose a method on held-out solutions and fit it on all; `source` says where they are from,
    `early_stop` whether the scores are of steps whose votes were stopped early.

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
    told: list[tuple[float, bool]] = []
    for number, fold in enumerate(folds):
        others = [step for i, other in enumerate(folds) if i != number for step in other]
        curve = method(others)
        told += [(curve.at(step.score), step.correct) for step in fold]
    ece, brier = calibration_error(told)
    return {"brier": round(brier, DIGITS), "ece": round(ece, DIGITS)}


def _logit(score: float) -> float:
    inside = min(max(score, EDGE), 1 - EDGE)
    return math.log(inside / (1 - inside))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
