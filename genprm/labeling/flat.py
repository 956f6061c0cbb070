"""Flat Monte Carlo (Math-Shepherd, 2312.08935): K rollouts from every prefix.

    value_t = right rollouts / K          label_t = value_t > 0

`flat_hard` and `flat_soft` sample alike and give the same values and labels; the estimator's name
tells later stages whether to weight rows by value (soft) or not (hard).
"""

from __future__ import annotations

from genprm.config.label import LabelConfig
from genprm.labeling.sampler import PrefixSampler
from genprm.labeling.step_values import StepValues, from_values, values_of


async def flat(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """All prefixes at once."""
    await sampler.sample(dict.fromkeys(sampler.open, config.rollouts))
    return from_values(values_of(sampler))


async def first_zero(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """In order, up to the first value of 0 or the first prefix without a value."""
    for prefix in sampler.open:
        await sampler.sample({prefix: config.rollouts})
        if not sampler.counts(prefix).value:
            break
    return from_values(values_of(sampler))
