"""What an estimator is and what it says of one solution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from genprm.config.label import LabelConfig
from genprm.labeling.labels import unlabelled_reason
from genprm.labeling.sampler import PrefixSampler


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values and flags, one per step: good, bad, or None for uncertain (and wherever nobody looked
    behind the first bad one). `reason` says why the first error is not known, `details` are
    columns of this estimator's own."""

    values: list[float | None]
    flags: list[bool | None]
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


Estimator = Callable[[PrefixSampler, LabelConfig], Awaitable[Estimate]]


def from_values(values: list[float | None]) -> Estimate:
    """The common rule: a step is good if its value is above 0."""
    flags = [None if value is None else value > 0 for value in values]
    return Estimate(values, flags, unlabelled_reason(values))


def values_of(sampler: PrefixSampler) -> list[float | None]:
    """The share of right rollouts after each step, null where nothing is known."""
    return [sampler.counts(prefix).value for prefix in range(1, sampler.steps + 1)]
