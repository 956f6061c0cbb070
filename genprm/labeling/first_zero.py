"""Flat Monte Carlo that stops: prefix after prefix, until one has no right rollout.

Labels after the first error are null in any case, so flat rollouts there buy nothing: the labels
are those of `flat`, for K · (first error + 1) rollouts in place of K · T. The price is waiting:
one prefix at a time.
"""

from __future__ import annotations

from genprm.config import LabelConfig
from genprm.labeling.estimate import Estimate, from_values, values_of
from genprm.labeling.sampler import PrefixSampler


async def first_zero(sampler: PrefixSampler, config: LabelConfig) -> Estimate:
    """In order, up to the first value of 0 or the first that cannot be known."""
    for prefix in sampler.open:
        await sampler.sample({prefix: config.rollouts})
        if not sampler.counts(prefix).value:
            break
    return from_values(values_of(sampler))
