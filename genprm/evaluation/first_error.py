"""How often a critic finds the first error: ProcessBench's metrics, with intervals.

A row is right when its judgement is covered and names exactly the row's first error, or none
where the row has none. `f1` is ProcessBench's: the harmonic mean of the accuracy on rows with an
error and on rows without. An uncovered row is wrong. A class without rows has null figures.
Knows finished judgements only; calls no engine and chooses no threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genprm.errors import InputError
from genprm.records import Critique, EvaluationRow, Judgement, StepJudgement
from genprm.scoring.voting import covered, first_error, vote
from genprm.util.stats import (
    Estimate,
    Figures,
    f1_interval,
    harmonic_mean,
    mean_of_independent,
    proportion,
)

JUDGED = ("ok", "no_valid_critique")  # statuses of steps that critiques were sampled for


class Outcome(NamedTuple):
    """How one row came out. `right` is a fraction where several groups of votes are averaged."""

    has_error: bool
    right: float


@dataclass(frozen=True)
class Accuracies(Figures):
    """F1 and accuracies over `n` rows, `n_error` with an error and `n_correct` without.

    All in [0, 1]; those of a class without rows are null, and `f1` with them.
    """

    n: int
    n_error: int
    n_correct: int
    f1: Estimate
    accuracy: Estimate
    accuracy_error: Estimate
    accuracy_correct: Estimate


@dataclass(frozen=True)
class FirstErrorFigures(Accuracies):
    """The figures of one set of rows, and what its judgements cost.

    `coverage` is the share of rows judged up to their first error; `critiques_per_step` is a mean
    over the judged steps; `completion_tokens` is null if a judgement does not tell them.
    `without_suspect`: the same rows without those marked by a true column `suspect`; None, and not
    in the JSON, if there are none.
    """

    coverage: Estimate
    steps: int
    steps_judged: int
    critiques: int
    critiques_per_step: float | None
    invalid_critiques: int
    completion_tokens: int | None
    without_suspect: Accuracies | None = None

    def json(self) -> dict[str, Any]:
        content = super().json()
        if self.without_suspect is None:
            del content["without_suspect"]
        return content


@dataclass(frozen=True)
class FirstErrorMetrics(Figures):
    """The figures of all rows together and, if they have several sources, of each.

    `seconds` is the wall time of judging. `f1_mean` is the mean of the sources' F1s; None, and not
    in the JSON, for a single source.
    """

    overall: FirstErrorFigures
    seconds: float | None
    f1_mean: Estimate | None
    sources: dict[str, FirstErrorFigures]

    def json(self) -> dict[str, Any]:
        content = {**self.overall.json(), "seconds": self.seconds}
        if self.f1_mean is not None:
            content |= self.f1_mean.fields("f1_mean")
            content["sources"] = {name: each.json() for name, each in self.sources.items()}
        return content


@dataclass(frozen=True)
class VotesPoint(Figures):
    """A point of the votes curve: the figures with `votes` critiques per step, as the mean over
    `groups` disjoint groups of critiques."""

    votes: int
    groups: int
    accuracies: Accuracies

    def json(self) -> dict[str, Any]:
        return {"votes": self.votes, "groups": self.groups, **self.accuracies.json()}


def first_error_metrics(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], seconds: float | None = None
) -> FirstErrorMetrics:
    """The figures of judged rows, `seconds` being the wall time that judging took.

    Raises:
        InputError: rows and judgements do not pair up one to one by id, or step for step.
    """
    pairs = pair(rows, judgements)
    by_source: dict[str, list[tuple[EvaluationRow, Judgement]]] = {}
    for row, judgement in pairs:
        by_source.setdefault(row.source, []).append((row, judgement))
    sources, mean = {}, None
    if len(by_source) > 1:
        sources = {source: _figures(by_source[source]) for source in sorted(by_source)}
        mean = mean_of_independent([figures.f1 for figures in sources.values()])
    return FirstErrorMetrics(_figures(pairs), seconds, mean, sources)


def pair(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement]
) -> list[tuple[EvaluationRow, Judgement]]:
    """Each row with its judgement, in the order of the rows.

    Raises:
        InputError: a duplicate id, a row without judgement or the reverse, or a judgement whose
            number of steps is not the row's.
    """
    by_id = {judgement.id: judgement for judgement in judgements}
    if len(by_id) < len(judgements):
        raise InputError("judgements: the same id is judged more than once")
    pairs = []
    for row in rows:
        judgement = by_id.pop(row.id, None)
        if judgement is None:
            raise InputError(f"row {row.id}: no judgement with this id, or the id is not unique")
        if len(judgement.steps) != len(row.steps):
            raise InputError(
                f"row {row.id}: {len(row.steps)} steps but {len(judgement.steps)} judged"
            )
        pairs.append((row, judgement))
    if by_id:
        raise InputError(f"judgement {next(iter(by_id))}: no evaluation row with this id")
    return pairs


def is_right(row: EvaluationRow, judgement: Judgement) -> bool:
    """Whether the judgement is complete and names exactly the row's first error, or none."""
    return judgement.covered and judgement.first_error == row.first_error


def accuracies(outcomes: Sequence[Outcome]) -> Accuracies:
    """F1 and the three accuracies with their intervals, from right and wrong rows.

    With fractional outcomes the accuracies are means over tries, `f1` is the harmonic mean of
    the two mean accuracies, and the intervals are conservative (see `stats.wilson`).
    """
    with_error = [outcome.right for outcome in outcomes if outcome.has_error]
    without = [outcome.right for outcome in outcomes if not outcome.has_error]
    on_errors, on_correct = proportion(with_error), proportion(without)
    f1 = Estimate(None, n=len(outcomes))
    if on_errors.value is not None and on_correct.value is not None:
        bounds = f1_interval(sum(with_error), len(with_error), sum(without), len(without))
        low, high = bounds or (None, None)
        f1 = Estimate(harmonic_mean(on_errors.value, on_correct.value), low, high, len(outcomes))
    return Accuracies(
        n=len(outcomes),
        n_error=len(with_error),
        n_correct=len(without),
        f1=f1,
        accuracy=proportion(with_error + without),
        accuracy_error=on_errors,
        accuracy_correct=on_correct,
    )


def votes_curve(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    counts: Sequence[int] = (1, 2, 4, 8),
) -> list[VotesPoint]:
    """F1 and accuracies against the number of votes, all from the same critiques.

    The critiques of a step are cut, in order, into disjoint groups of k; every group votes and
    names its own first error, and a figure is the mean over groups. So k = 1 is the mean over
    single critiques, and k = all of them is the judgement itself. Counts beyond the critiques
    of the most sparsely judged step are left out.

    Raises:
        InputError: `votes_curve_obstacle` names an obstacle.
    """
    obstacle = votes_curve_obstacle(judgements)
    if obstacle:
        raise InputError(obstacle)
    pairs = pair(rows, judgements)
    steps = [step for judgement in judgements for step in judgement.steps]
    fewest = min((len(s.critiques or ()) for s in steps if s.status in JUDGED), default=0)
    curve = []
    for k in (k for k in counts if k <= fewest):
        groups = fewest // k
        outcomes = [
            Outcome(
                row.first_error >= 0,
                sum(_right_with(row, judgement, g * k, k) for g in range(groups)) / groups,
            )
            for row, judgement in pairs
        ]
        curve.append(VotesPoint(k, groups, accuracies(outcomes)))
    return curve


def votes_curve_obstacle(judgements: Sequence[Judgement]) -> str | None:
    """Why no curve can be drawn from these judgements, in one line; None if it can.

    A curve needs the critiques of every step: a step that was left out because all
    votes together had already found an error may be needed by fewer votes, which had not.
    """
    for judgement in judgements:
        for step in judgement.steps:
            where = f"votes curve: judgement {judgement.id}, step {step.index}"
            if step.status == "not_scored":
                return f"{where} was not scored; score with stop_at_first_error=false"
            if step.status in JUDGED and not step.critiques:
                return f"{where} carries no critiques; score with return_critiques=true"
    return None


def _figures(pairs: Sequence[tuple[EvaluationRow, Judgement]]) -> FirstErrorFigures:
    steps = [step for _, judgement in pairs for step in judgement.steps]
    votes = [step.votes.correct + step.votes.incorrect + step.votes.invalid for step in steps]
    judged = sum(count > 0 for count in votes)
    tokens = [judgement.usage.get("completion_tokens") for _, judgement in pairs]
    counted = [count for count in tokens if count is not None]
    trusted = [pair for pair in pairs if not pair[0].suspect]
    return FirstErrorFigures(
        **vars(accuracies(_outcomes(pairs))),
        coverage=proportion([judgement.covered for _, judgement in pairs]),
        steps=len(steps),
        steps_judged=judged,
        critiques=sum(votes),
        critiques_per_step=sum(votes) / judged if judged else None,
        invalid_critiques=sum(step.votes.invalid for step in steps),
        completion_tokens=sum(counted) if len(counted) == len(tokens) else None,
        without_suspect=accuracies(_outcomes(trusted)) if len(trusted) < len(pairs) else None,
    )


def _outcomes(pairs: Sequence[tuple[EvaluationRow, Judgement]]) -> list[Outcome]:
    return [Outcome(row.first_error >= 0, float(is_right(row, judged))) for row, judged in pairs]


def _right_with(row: EvaluationRow, judgement: Judgement, start: int, k: int) -> bool:
    """Whether critiques start .. start + k of every step, alone, would have made the row right."""
    steps = [revote(step, (step.critiques or [])[start : start + k]) for step in judgement.steps]
    return covered(steps) and first_error(steps) == row.first_error


def revote(step: StepJudgement, critiques: Sequence[Critique]) -> StepJudgement:
    """The step as these critiques alone judge it; a step that none judged stays as it is."""
    if step.status not in JUDGED:
        return step
    score, verdict, votes = vote(critiques)
    status = "no_valid_critique" if score is None else "ok"
    change = {"score": score, "verdict": verdict, "votes": votes, "status": status}
    return step.model_copy(update=change)
