"""How often a critic finds the first error: ProcessBench's metrics, with intervals.

A row is right when its judgement is covered and names exactly the row's first error, or none
where there is none. `f1` is ProcessBench's: the harmonic mean of the accuracy on rows with an
error and on rows without. An uncovered row is wrong. A class without rows has null figures.
Knows finished judgements only; asks no engine and chooses no threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from genprm.errors import InputError
from genprm.records import Critique, EvaluationRow, Judgement, StepJudgement
from genprm.scoring.voting import covered, first_error, vote
from genprm.util.stats import Estimate, f1_interval, harmonic_mean, mean_of_independent, proportion

JUDGED = ("ok", "no_valid_critique")  # statuses of steps that critiques were sampled for


class Outcome(NamedTuple):
    """How one row came out. `right` is a fraction where several groups of votes are averaged."""

    has_error: bool
    right: float


def first_error_metrics(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], seconds: float | None = None
) -> dict[str, Any]:
    """The figures of `genprm eval`, as a JSON-able dict.

    `n`, `n_error`, `n_correct`; `f1`, `accuracy`, `accuracy_error`, `accuracy_correct` and
    `coverage`, each in [0, 1] with its 95 % bounds in `<name>_ci`; `critiques_per_step` over
    judged steps; `completion_tokens`; `seconds` of wall time as given. With several sources the
    same figures stand under `sources`, and `f1_mean` is the mean of their F1s. Where rows are
    marked by a true column `suspect`, the figures without them stand under `without_suspect`.

    Raises:
        InputError: rows and judgements do not pair up one to one by id, or step for step.
    """
    pairs = pair(rows, judgements)
    metrics = _metrics(pairs)
    metrics["seconds"] = seconds
    by_source: dict[str, list[tuple[EvaluationRow, Judgement]]] = {}
    for row, judgement in pairs:
        by_source.setdefault(row.source, []).append((row, judgement))
    if len(by_source) > 1:
        sources = {source: _metrics(by_source[source]) for source in sorted(by_source)}
        means = [Estimate.of(figures, "f1") for figures in sources.values()]
        metrics.update(mean_of_independent(means).fields("f1_mean"))
        metrics["sources"] = sources
    return metrics


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


def accuracy_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """F1 and the three accuracies with their intervals, from right and wrong rows.

    With fractional outcomes the accuracies are means over tries, `f1` is the harmonic mean of
    the two mean accuracies, and the intervals are conservative (see `intervals.wilson`).
    """
    with_error = [outcome.right for outcome in outcomes if outcome.has_error]
    without = [outcome.right for outcome in outcomes if not outcome.has_error]
    accuracy_error, accuracy_correct = proportion(with_error), proportion(without)
    f1 = Estimate(None)
    if accuracy_error.value is not None and accuracy_correct.value is not None:
        bounds = f1_interval(sum(with_error), len(with_error), sum(without), len(without))
        low, high = bounds or (None, None)
        f1 = Estimate(harmonic_mean(accuracy_error.value, accuracy_correct.value), low, high)
    return {
        "n": len(outcomes),
        "n_error": len(with_error),
        "n_correct": len(without),
        **f1.fields("f1"),
        **proportion(with_error + without).fields("accuracy"),
        **accuracy_error.fields("accuracy_error"),
        **accuracy_correct.fields("accuracy_correct"),
    }


def votes_curve(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    counts: Sequence[int] = (1, 2, 4, 8),
) -> list[dict[str, Any]]:
    """F1 and accuracies against the number of votes, all from the same critiques.

    The critiques of a step are cut, in order, into disjoint groups of k; every group votes, names
    its own first error, and the figure is the mean over groups. So k = 1 is the mean over
    single critiques, and k = all of them is the judgement itself. Counts beyond the critiques
    of the most sparsely judged step are left out. One dict per k, as in `accuracy_figures`, with
    `votes` and `groups`.

    Raises:
        InputError: `votes_curve_obstacle` names an obstacle.
    """
    obstacle = votes_curve_obstacle(judgements)
    if obstacle:
        raise InputError(obstacle)
    pairs = pair(rows, judgements)
    most = _fewest_critiques(judgements)
    curve = []
    for k in (k for k in counts if k <= most):
        groups = most // k
        outcomes = [
            Outcome(
                row.first_error >= 0,
                sum(_right_with(row, judgement, g * k, k) for g in range(groups)) / groups,
            )
            for row, judgement in pairs
        ]
        curve.append({"votes": k, "groups": groups, **accuracy_figures(outcomes)})
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


def _metrics(pairs: Sequence[tuple[EvaluationRow, Judgement]]) -> dict[str, Any]:
    """All figures but `seconds` and the split by source."""
    metrics = accuracy_figures(_outcomes(pairs))
    metrics.update(proportion([judged.covered for _, judged in pairs]).fields("coverage"))
    metrics.update(_cost([judged for _, judged in pairs]))
    kept = [(row, judgement) for row, judgement in pairs if not _suspect(row)]
    if len(kept) < len(pairs):
        metrics["without_suspect"] = accuracy_figures(_outcomes(kept))
    return metrics


def _outcomes(pairs: Sequence[tuple[EvaluationRow, Judgement]]) -> list[Outcome]:
    return [Outcome(row.first_error >= 0, float(is_right(row, judged))) for row, judged in pairs]


def _suspect(row: EvaluationRow) -> bool:
    return bool((row.model_extra or {}).get("suspect"))


def _cost(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """What the judgements cost; null where it is not known."""
    steps = [step for judgement in judgements for step in judgement.steps]
    votes = [step.votes.correct + step.votes.incorrect + step.votes.invalid for step in steps]
    judged = sum(count > 0 for count in votes)
    tokens = [judgement.usage.get("completion_tokens") for judgement in judgements]
    known = [count for count in tokens if count is not None]
    return {
        "steps": len(steps),
        "steps_judged": judged,
        "critiques": sum(votes),
        "critiques_per_step": sum(votes) / judged if judged else None,
        "invalid_critiques": sum(step.votes.invalid for step in steps),
        "completion_tokens": sum(known) if len(known) == len(tokens) else None,
    }


def _fewest_critiques(judgements: Sequence[Judgement]) -> int:
    """The number of critiques that every judged step has; 0 if none was judged."""
    steps = (step for judgement in judgements for step in judgement.steps)
    return min((len(s.critiques or ()) for s in steps if s.status in JUDGED), default=0)


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
