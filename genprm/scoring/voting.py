"""Votes to scores: the definitions that every score, verdict and first error here follows.

Pure functions over critiques and judged steps. Knows nothing of how they came about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from genprm.records import Aggregate, Critique, StepJudgement, Verdict, Votes
from genprm.util.stats import beta_binomial

PRIOR_VOTES = 0.5  # for each verdict


def vote(critiques: Sequence[Critique]) -> tuple[float | None, Verdict | None, Votes]:
    """`(score, verdict, votes)` of one step.

    `score` in [0, 1] is the mean P(correct) over the valid critiques; a critique without a
    probability counts 1 or 0. `verdict` is the majority of the written verdicts; a tie goes to
    the score, and exactly 0.5 is incorrect. Without a valid critique both are None.
    """
    tally = {"correct": 0, "incorrect": 0, "invalid": 0}
    for critique in critiques:
        tally[critique.verdict] += 1
    votes = Votes(**tally)
    probabilities = [
        _p_correct(critique) for critique in critiques if critique.verdict != "invalid"
    ]
    if not probabilities:
        return None, None, votes
    score = math.fsum(probabilities) / len(probabilities)
    lead = votes.correct - votes.incorrect
    correct = lead > 0 if lead else score > 0.5
    return score, "correct" if correct else "incorrect", votes


def settled(votes: Votes, remaining: int, risk: float = 0.0) -> bool:
    """Whether `remaining` more votes leave the majority as it is.

    Surely, where the lead is larger than they are. Otherwise with a probability of at least
    1 - `risk`, the share of votes for the leader being Beta(1/2 + for, 1/2 + against) after those
    that came in (Jeffreys' prior; critiques of one step mostly agree, which it allows for) and the
    votes to come Beta-binomial. A tie counts as a change, since the score decides it. Invalid
    votes do not count, and none are expected.
    """
    ahead, behind = sorted((votes.correct, votes.incorrect), reverse=True)
    lead = ahead - behind
    if lead > remaining:
        return True
    if not lead or not risk:
        return False
    to_come = beta_binomial(PRIOR_VOTES + ahead, PRIOR_VOTES + behind, remaining)
    return math.fsum(to_come[: (remaining - lead) // 2 + 1]) <= risk


def next_round(votes: Votes, remaining: int, round_votes: int, risk: float = 0.0) -> int:
    """How many of `remaining` votes to ask for next: as few as settle the majority if they all
    agree (fewer never can), and at least `round_votes`."""
    least = min(round_votes, remaining)
    for more in range(least, remaining):
        ahead = max(votes.correct, votes.incorrect) + more
        agreed = Votes(correct=ahead, incorrect=min(votes.correct, votes.incorrect))
        if settled(agreed, remaining - more, risk):
            return more
    return remaining


def until_settled(
    critiques: Sequence[Critique], round_votes: int, risk: float
) -> Sequence[Critique]:
    """Those of a step's critiques that early stopping would have asked for, round by round: rounds
    draw critiques as one request does."""
    done = 0
    while done < len(critiques):
        votes, remaining = vote(critiques[:done])[2], len(critiques) - done
        if settled(votes, remaining, risk):
            break
        done += next_round(votes, remaining, round_votes, risk)
    return critiques[:done]


def first_error(steps: Sequence[StepJudgement]) -> int:
    """Place of the first step judged incorrect, -1 if there is none."""
    return next((i for i, step in enumerate(steps) if step.verdict == "incorrect"), -1)


def aggregate(scores: Sequence[float | None], how: Aggregate) -> float | None:
    """One score for a solution, in [0, 1]; None if any step score is None, or if there are none.

    Raises ValueError for `overall`, which does not follow from step scores.
    """
    numbers = [score for score in scores if score is not None]
    if not numbers or len(numbers) < len(scores):
        return None
    match how:
        case "min":
            return min(numbers)
        case "product":
            return math.prod(numbers)
        case "mean":
            return math.fsum(numbers) / len(numbers)
        case "last":
            return numbers[-1]
        case "overall":
            raise ValueError("a verdict of the whole solution is not an aggregate of step scores")


def solution_score(steps: Sequence[StepJudgement], how: Aggregate) -> float | None:
    """`aggregate` over the steps that were to be judged: `not_scored` steps are left out."""
    return aggregate([step.score for step in steps if step.status != "not_scored"], how)


def covered(steps: Sequence[StepJudgement]) -> bool:
    """Whether every step before the first error (all of them, if none) has a score."""
    error = first_error(steps)
    return all(step.score is not None for step in (steps if error < 0 else steps[:error]))


def _p_correct(critique: Critique) -> float:
    if critique.p_correct is not None:
        return critique.p_correct
    return 1.0 if critique.verdict == "correct" else 0.0
