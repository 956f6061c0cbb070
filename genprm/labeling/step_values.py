"""The contract of an estimator, and what it returns for one solution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from genprm.config.label import LabelConfig
from genprm.labeling.labels import unlabelled_reason
from genprm.labeling.sampler import PrefixSampler


@dataclass(frozen=True, slots=True)
class StepValues:
    """Values and flags of the steps, one each.

    A flag is True for good, False for bad, and None for uncertain or, after the first bad step, for
    not sampled. `reason` says why the first error is not known. `details` are columns that only
    this estimator writes; they are optional fields of `LabelledSolution`.
    """

    values: list[float | None]
    flags: list[bool | None]
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


Estimator = Callable[[PrefixSampler, LabelConfig], Awaitable[StepValues]]


def from_values(values: list[float | None]) -> StepValues:
    """The common rule: a step is good if its value is above 0."""
    flags = [None if value is None else value > 0 for value in values]
    return StepValues(values, flags, unlabelled_reason(values))


def values_of(sampler: PrefixSampler) -> list[float | None]:
    """The share of right rollouts after each step; None where there is no valid one."""
    return [sampler.counts(prefix).value for prefix in range(1, sampler.steps + 1)]
