"""How fine the scores behind a reward are.

A score is the mean probability of a few sampled critiques, so its last digits are noise. Solutions
that are all wrong differ by 1e-5, of which a trainer that divides by a group's spread makes full
advantages. The votes themselves say no more than how many of them find a step right.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from genprm.errors import InputError
from genprm.records import Judgement, StepJudgement
from genprm.scoring.voting import solution_score

HEAD_PARTS = 100  # a head has one vote and samples nothing: its scores are rounded to hundredths


def keep_scores(judgement: Judgement) -> Judgement:
    """The judgement as it is."""
    return judgement


def round_to_votes(judgement: Judgement) -> Judgement:
    """Scores as multiples of 1 / (valid votes of the step), halves rounded down; of a head, of
    0.01. The scores of the solution follow from them."""
    return _with_scores(judgement, lambda step, score: _round(score, _parts(judgement, step)))


def count_votes(judgement: Judgement) -> Judgement:
    """Scores as the share of the valid critiques whose written verdict is "correct"."""
    return _with_scores(judgement, lambda step, score: step.votes.correct / _valid(step))


PRECISIONS: dict[str, Callable[[Judgement], Judgement]] = {
    "rounded": round_to_votes,
    "hard_votes": count_votes,
    "exact": keep_scores,
}


def check_precision(precision: str) -> None:
    """InputError unless there is a precision of that name."""
    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}; known are {', '.join(PRECISIONS)}")


def with_precision(judgement: Judgement | None, precision: str) -> Judgement | None:
    """The judgement with scores of that precision; its verdicts and first error stay as they are.

    Raises:
        InputError: there is no such precision.
    """
    check_precision(precision)
    return None if judgement is None else PRECISIONS[precision](judgement)


def _with_scores(
    judgement: Judgement, score_of: Callable[[StepJudgement, float], float]
) -> Judgement:
    """What votes do not decide, `calibrated` and `overall`, is rounded in either case."""
    steps = [
        step
        if step.score is None
        else step.model_copy(
            update={
                "score": score_of(step, step.score),
                "calibrated": _rounded(step.calibrated, _parts(judgement, step)),
            }
        )
        for step in judgement.steps
    ]
    most = max((_parts(judgement, step) for step in judgement.steps), default=1)
    overall, how = _rounded(judgement.overall, most), judgement.aggregate
    score = overall if how == "overall" else solution_score(steps, how)
    return judgement.model_copy(
        update={"steps": steps, "overall": overall, "solution_score": score}
    )


def _parts(judgement: Judgement, step: StepJudgement) -> int:
    return HEAD_PARTS if judgement.critic.scoring == "head" else _valid(step)


def _valid(step: StepJudgement) -> int:
    return max(1, step.votes.correct + step.votes.incorrect)


def _rounded(value: float | None, parts: int) -> float | None:
    return None if value is None else _round(value, parts)


def _round(value: float, parts: int) -> float:
    return math.ceil(value * parts - 0.5) / parts  # down: a score of exactly 0.5 is incorrect
