"""How good are labels that no human gave? Labels of any origin against the oracle's first error.

One yardstick for the fallible writer alone, for rollout labels alone and for what passes the
agreement filter, and for labels from fewer rollouts. The oracle measures here; it labels nothing.
The rule that turns values into labels is the caller's (`genprm.labeling`), handed in as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.errors import InputError
from genprm.labeling.labels import is_decided
from genprm.util.stats import proportion, share

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


def label_quality(solutions: Sequence[JudgedLabels]) -> dict[str, Any]:
    """Agreement with the oracle, each figure with its 95 % bounds in `<name>_ci`.

    Over `n` solutions (`n_error` of them with an error, `n_unlabelled` whose labels leave the first
    error open, which are never exact): `first_error_exact`, and the same on solutions with an error
    (`exact_error`) and without (`exact_correct`). Over steps up to and including the oracle's
    first error, where the truth is known: `n_steps` with a label, `step_accuracy` over them;
    `error_precision`, the share of steps labelled as errors that are; `error_recall`, the share
    of oracle errors labelled as such, a missing label counting as missed. `confusion` counts the
    steps, truth first. Figures are null where there is nothing to count.
    """
    labelled = [s.decided for s in solutions]
    exact = [
        known and s.first_error == s.oracle for known, s in zip(labelled, solutions, strict=True)
    ]
    with_error = [hit for hit, s in zip(exact, solutions, strict=True) if s.oracle >= 0]
    without = [hit for hit, s in zip(exact, solutions, strict=True) if s.oracle < 0]
    confusion = _confusion(solutions)
    good, bad = confusion["correct"], confusion["incorrect"]
    right, wrong = good["correct"] + bad["incorrect"], good["incorrect"] + bad["correct"]
    found = bad["incorrect"]
    return {
        "n": len(solutions),
        "n_error": len(with_error),
        "n_unlabelled": labelled.count(False),
        **proportion(exact).fields("first_error_exact"),
        **proportion(with_error).fields("exact_error"),
        **proportion(without).fields("exact_correct"),
        "n_steps": right + wrong,
        **share(right, right + wrong).fields("step_accuracy"),
        **share(found, found + good["incorrect"]).fields("error_precision"),
        **share(found, sum(bad.values())).fields("error_recall"),
        "confusion": confusion,
    }


def rollout_curve(
    solutions: Sequence[RolloutOutcomes], rule: LabelRule, counts: Sequence[int] = (4, 8, 16)
) -> list[dict[str, Any]]:
    """Label quality against the number of rollouts per step, from the first k of the same rollouts.

    One dict per k, as in `label_quality`, with `rollouts`. A value is the share of wins among the
    first k outcomes, an invalid one counting as not won; None where all of them are invalid.

    Raises:
        InputError: a step other than the last has fewer outcomes than the largest count.
    """
    for number, solution in enumerate(solutions):
        for step, outcomes in enumerate(solution.outcomes[:-1]):
            if len(outcomes) < max(counts):
                raise InputError(
                    f"rollout curve: solution {number}, step {step} has {len(outcomes)} rollouts, "
                    f"{max(counts)} asked"
                )
    return [
        {"rollouts": k, **label_quality([_relabel(solution, rule, k) for solution in solutions])}
        for k in counts
    ]


def _confusion(solutions: Sequence[JudgedLabels]) -> dict[str, dict[str, int]]:
    """Steps of known truth, by truth and by label."""
    counts = {
        truth: {"correct": 0, "incorrect": 0, "unlabelled": 0} for truth in ("correct", "incorrect")
    }
    for solution in solutions:
        known = solution.labels if solution.oracle < 0 else solution.labels[: solution.oracle + 1]
        for index, label in enumerate(known):
            truth = "incorrect" if index == solution.oracle else "correct"
            given = "unlabelled" if label is None else "correct" if label else "incorrect"
            counts[truth][given] += 1
    return counts


def _relabel(solution: RolloutOutcomes, rule: LabelRule, k: int) -> JudgedLabels:
    labels, first_error = rule([_value(outcomes[:k]) for outcomes in solution.outcomes])
    return JudgedLabels(tuple(labels), first_error, solution.oracle)


def _value(outcomes: Sequence[bool | None]) -> float | None:
    if all(outcome is None for outcome in outcomes):
        return None
    return sum(outcome is True for outcome in outcomes) / len(outcomes)
