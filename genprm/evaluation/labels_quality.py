"""How good are labels that no human gave? Labels of any origin against the oracle's first error.

One measure for the fallible writer alone, for rollout labels alone, for what passes the agreement
filter, and for labels from fewer rollouts. The oracle measures here; it labels nothing. The caller
passes the rule that turns values into labels (`genprm.labeling`) as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.errors import InputError
from genprm.labeling.labels import is_decided
from genprm.util.stats import Estimate, Figures, proportion, share

LabelRule = Callable[[list[float | None]], tuple[list[bool | None], int]]


@dataclass(frozen=True, slots=True)
class JudgedLabels:
    """The labels of one solution and the truth about it.

    `labels`: one per step, True for correct, None for no label. `first_error` is what the labels
    name and `oracle` what is true, both 0-based, -1 for none. Where the labels end in None
    without a False, the first error is open and `first_error` means nothing.
    """

    labels: tuple[bool | None, ...]
    first_error: int
    oracle: int

    def __post_init__(self) -> None:
        if self.oracle >= len(self.labels):
            raise InputError(f"oracle error at step {self.oracle}, but {len(self.labels)} labels")

    @property
    def decided(self) -> bool:
        """Whether the labels say where the first error is, or that there is none."""
        return is_decided(self.labels)


@dataclass(frozen=True, slots=True)
class RolloutOutcomes:
    """Every rollout of one solution: per step, in sampling order, whether it reached the answer.

    None is an invalid rollout. The last step has a single outcome, that of the solution's answer.
    """

    outcomes: tuple[tuple[bool | None, ...], ...]
    oracle: int


@dataclass(frozen=True)
class LabelQuality(Figures):
    """Agreement of labels with the oracle, each figure with its 95 % interval.

    Over `n` solutions (`n_error` with an error, `n_unlabelled` whose labels leave the first error
    open, which are never exact): `first_error_exact`, and the same on solutions with an error
    (`exact_error`) and without (`exact_correct`). Over steps up to and including the oracle's first
    error, where the truth is known: `n_steps` with a label and `step_accuracy` over them;
    `error_precision`, the share of steps labelled as errors that are; `error_recall`, the share of
    oracle errors labelled as such, a missing label counting as missed. `confusion` counts the
    steps, by truth and by label. A figure over nothing is null.
    """

    n: int
    n_error: int
    n_unlabelled: int
    first_error_exact: Estimate
    exact_error: Estimate
    exact_correct: Estimate
    n_steps: int
    step_accuracy: Estimate
    error_precision: Estimate
    error_recall: Estimate
    confusion: dict[str, dict[str, int]]


@dataclass(frozen=True)
class RolloutPoint(Figures):
    """The quality of labels from the first `rollouts` rollouts of every step."""

    rollouts: int
    quality: LabelQuality

    def json(self) -> dict[str, Any]:
        return {"rollouts": self.rollouts, **self.quality.json()}


def label_quality(solutions: Sequence[JudgedLabels]) -> LabelQuality:
    """How well the labels of these solutions agree with the oracle."""
    exact = [s.decided and s.first_error == s.oracle for s in solutions]
    with_error = [hit for hit, s in zip(exact, solutions, strict=True) if s.oracle >= 0]
    without = [hit for hit, s in zip(exact, solutions, strict=True) if s.oracle < 0]
    confusion = _confusion(solutions)
    good, bad = confusion["correct"], confusion["incorrect"]
    right, wrong = good["correct"] + bad["incorrect"], good["incorrect"] + bad["correct"]
    caught = bad["incorrect"]
    return LabelQuality(
        n=len(solutions),
        n_error=len(with_error),
        n_unlabelled=sum(not s.decided for s in solutions),
        first_error_exact=proportion(exact),
        exact_error=proportion(with_error),
        exact_correct=proportion(without),
        n_steps=right + wrong,
        step_accuracy=share(right, right + wrong),
        error_precision=share(caught, caught + good["incorrect"]),
        error_recall=share(caught, sum(bad.values())),
        confusion=confusion,
    )


def rollout_curve(
    solutions: Sequence[RolloutOutcomes], rule: LabelRule, counts: Sequence[int] = (4, 8, 16)
) -> list[RolloutPoint]:
    """Label quality against the number of rollouts per step, from the first k of the same rollouts.

    A value is the share of wins among the first k outcomes, an invalid one counting as not won;
    None where all of them are invalid.

    Raises:
        InputError: a step other than the last has fewer outcomes than the largest count.
    """
    for number, solution in enumerate(solutions):
        for step, outcomes in enumerate(solution.outcomes[:-1]):
            if len(outcomes) < max(counts):
                raise InputError(
                    f"rollout curve: solution {number}, step {step} has {len(outcomes)} rollouts, "
                    f"{max(counts)} needed"
                )
    return [
        RolloutPoint(k, label_quality([_relabel(solution, rule, k) for solution in solutions]))
        for k in counts
    ]


def _confusion(solutions: Sequence[JudgedLabels]) -> dict[str, dict[str, int]]:
    """Steps of known truth, by truth and by label."""
    counts = {
        truth: {"correct": 0, "incorrect": 0, "unlabelled": 0} for truth in ("correct", "incorrect")
    }
    for solution in solutions:
        last = len(solution.labels) - 1 if solution.oracle < 0 else solution.oracle
        for index, label in enumerate(solution.labels[: last + 1]):
            truth = "incorrect" if index == solution.oracle else "correct"
            column = "unlabelled" if label is None else "correct" if label else "incorrect"
            counts[truth][column] += 1
    return counts


def _relabel(solution: RolloutOutcomes, rule: LabelRule, k: int) -> JudgedLabels:
    values: list[float | None] = []
    for outcomes in solution.outcomes:
        first = outcomes[:k]
        valid = any(outcome is not None for outcome in first)
        values.append(first.count(True) / len(first) if valid else None)
    labels, first_error = rule(values)
    return JudgedLabels(tuple(labels), first_error, solution.oracle)
