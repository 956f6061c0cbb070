"""Binary search for the first error (OmegaPRM, 2406.06592), with its edge verified.

A prefix with a right rollout has no error yet: look to its right; one without: to its left. That
takes ⌈log2 T⌉ · K rollouts in place of T · K, and trusts that values once 0 stay 0. They do not
always: K failures from a good prefix send the search the wrong way. So the edge is looked at from
both sides: K more rollouts where it was put, and K from the prefix after it. A right rollout there
moves the search on.
"""

from __future__ import annotations

from genprm.config.label import LabelConfig
from genprm.labeling.sampler import PrefixSampler
from genprm.labeling.step_values import StepValues, values_of


async def binary_search(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """Values where the search looked, labels up to the first error that it found."""
    last = sampler.steps
    good, bad = 0, last + 1  # the last prefix that is right, and the first that is wrong, so far
    if sampler.outcome is False:
        bad = last
    elif sampler.outcome is True:
        good = last
    verified: set[int] = set()
    while True:
        while bad - good > 1:
            middle = (good + bad) // 2
            if not sampler.pools[middle].own:  # borrowed ones alone are too few to turn on
                await sampler.sample({middle: config.rollouts})
            if sampler.counts(middle).value is None:
                return _unknown(sampler, middle, good)
            good, bad = (middle, bad) if sampler.counts(middle).wins else (good, middle)
        edge = {p for p in (bad, bad + 1) if p in sampler.open and p not in verified}
        if not edge:
            break
        verified |= edge
        await sampler.sample(dict.fromkeys(edge, config.rollouts))
        won = [prefix for prefix in edge if sampler.counts(prefix).wins]
        if won:
            good = max(won)
            later = range(good + 1, last + 1)
            bad = next((prefix for prefix in later if _failed(sampler, prefix)), last + 1)
    flags = [step < bad - 1 if step < bad else None for step in range(last)]
    return StepValues(values_of(sampler), flags)


def _failed(sampler: PrefixSampler, prefix: int) -> bool:
    return bool(sampler.pools[prefix].own) and not sampler.counts(prefix).wins


def _unknown(sampler: PrefixSampler, prefix: int, good: int) -> StepValues:
    flags = [True if step < good else None for step in range(sampler.steps)]
    reason = f"step {prefix - 1}: {sampler.counts(prefix).why_no_value()}"
    return StepValues(values_of(sampler), flags, reason)
