"""Best-of-n: does the critic choose better among n attempts than a vote over their answers?

Works on candidates that are already scored and verified; samples and scores nothing. Ties go to
the candidate or answer seen first, everywhere. Answers are compared as stripped strings, so
they must be written in one form; a candidate without an answer does not vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genprm.errors import InputError
from genprm.records import Aggregate, BestOfNRow, Candidate
from genprm.scoring.voting import aggregate
from genprm.util.stats import Estimate, Figures, mean_interval, paired_difference, proportion

AGGREGATES: tuple[Aggregate, ...] = ("min", "product", "mean", "last")


@dataclass(frozen=True)
class ChoiceFigures(Figures):
    """How well one way to choose does: the share of problems solved, and that share minus the
    majority's on the same problems."""

    accuracy: Estimate
    minus_majority: Estimate


@dataclass(frozen=True)
class BestOfNMetrics(Figures):
    """Shares of `n` problems that are solved, each problem having as many `candidates`.

    `unscored` counts candidates without an aggregate. `pass_at_1`: a random candidate is right;
    `pass_at_n`: any candidate is, the bound of every choice; `majority`: the most frequent answer.
    `best_of_n` and `weighted_majority` choose by score, one entry per aggregate.
    """

    n: int
    candidates: int
    unscored: int
    pass_at_1: Estimate
    pass_at_n: Estimate
    majority: Estimate
    best_of_n: dict[Aggregate, ChoiceFigures]
    weighted_majority: dict[Aggregate, ChoiceFigures]


def best_of_n(row: BestOfNRow, how: Aggregate = "min") -> Candidate:
    """The candidate with the highest aggregated step score; a null aggregate sorts last.

    Without any score it is the first candidate: a plain sample.
    """
    scores = [_score(candidate, how) for candidate in row.candidates]
    ranks = [(score is not None, score or 0.0) for score in scores]
    return row.candidates[max(range(len(ranks)), key=lambda i: ranks[i])]  # max keeps the first


def majority(row: BestOfNRow) -> Candidate:
    """The first candidate that gives the most frequent answer; the first one if none answers."""
    return _heaviest(row, [1.0] * len(row.candidates))


def weighted_majority(row: BestOfNRow, how: Aggregate = "min") -> Candidate:
    """The first candidate whose answer collects the largest sum of scores; a null weighs 0."""
    return _heaviest(row, [_score(candidate, how) or 0.0 for candidate in row.candidates])


def best_of_n_metrics(
    rows: Sequence[BestOfNRow], hows: Sequence[Aggregate] = AGGREGATES, seed: int = 0
) -> BestOfNMetrics:
    """How many problems each way to choose solves, with 95 % intervals.

    The interval of `pass_at_1` is a bootstrap over problems, the others are closed forms.

    Raises:
        InputError: no rows, or a problem whose number of candidates differs from the first's.
    """
    if not rows:
        raise InputError("best-of-n: no rows")
    n = len(rows[0].candidates)
    for row in rows:
        if len(row.candidates) != n:
            raise InputError(
                f"best-of-n: row {row.id} has {len(row.candidates)} candidates, the first row {n}"
            )
    shares = [sum(c.correct for c in row.candidates) / n for row in rows]
    by_majority = [majority(row).correct for row in rows]

    def figures(
        choose: Callable[[BestOfNRow, Aggregate], Candidate],
    ) -> dict[Aggregate, ChoiceFigures]:
        solved = {how: [choose(row, how).correct for row in rows] for how in hows}
        return {
            how: ChoiceFigures(proportion(hits), paired_difference(hits, by_majority))
            for how, hits in solved.items()
        }

    return BestOfNMetrics(
        n=len(rows),
        candidates=n,
        unscored=sum(_score(c, "min") is None for row in rows for c in row.candidates),
        pass_at_1=mean_interval(shares, seed=seed),
        pass_at_n=proportion([share > 0 for share in shares]),
        majority=proportion(by_majority),
        best_of_n=figures(best_of_n),
        weighted_majority=figures(weighted_majority),
    )


def _score(candidate: Candidate, how: Aggregate) -> float | None:
    """The aggregate of the candidate's step scores; null where it was not scored in full."""
    if not candidate.step_scores:
        return None
    return aggregate(candidate.step_scores, how)


def _heaviest(row: BestOfNRow, weights: Sequence[float]) -> Candidate:
    """The first candidate with the answer of the greatest total weight, first seen on a tie."""
    total: dict[str, float] = {}
    first: dict[str, Candidate] = {}
    for candidate, weight in zip(row.candidates, weights, strict=True):
        answer = (candidate.answer or "").strip()
        if answer:
            total[answer] = total.get(answer, 0.0) + weight
            first.setdefault(answer, candidate)
    if not total:
        return row.candidates[0]
    return first[max(total, key=lambda answer: total[answer])]
