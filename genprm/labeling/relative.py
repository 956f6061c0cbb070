"""Labels that compare a step's value with the value before it.

Relative progress (GenPRM, 2504.00891): P_t = V_t / V_{t-1}, good if P_t ≥ ε; V_0 is the value of
the problem itself, and once a value is 0 all later ones are. K follows the difficulty (their
equation 9, scaled so that easy problems get K): 4K below a pass rate of 0.1, 2K below 0.9.

Relative effectiveness (StepWiser, 2508.19229): good if V_t + α · A_t > 0, with the advantage
A_t = Q(V_t) - Q(V_{t-1}) under a best-of-4 policy, Q(v) = 1 - (1 - v)^4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from genprm.config.label import LabelConfig
from genprm.labeling.labels import is_decided
from genprm.labeling.sampler import PrefixSampler
from genprm.labeling.step_values import StepValues, values_of

BEST_OF = 4
MIN_RATIO = 0.8  # ε: a good step keeps at least this share of the value before it
ADVANTAGE_WEIGHT = 0.8  # α: weight of the advantage beside the value
Rule = Callable[[float, float], bool]  # value before, value after


async def relative_progress(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """The problem first; its pass rate decides how many rollouts every prefix gets."""
    await sampler.sample({0: config.rollouts})
    rate = sampler.counts(0).value
    more = config.rollouts * (1 if rate is None or rate >= 0.9 else 2 if rate >= 0.1 else 4)
    await sampler.sample({0: more - config.rollouts, **dict.fromkeys(sampler.open, more)})
    # from a problem that was never solved, any step that wins is progress
    return _estimate(sampler, lambda v0, v1: v1 >= MIN_RATIO * v0)


async def relative_effective(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """All prefixes at once, the problem among them."""
    await sampler.sample(dict.fromkeys((0, *sampler.open), config.rollouts))
    return _estimate(sampler, lambda v0, v1: v1 + ADVANTAGE_WEIGHT * (_best(v1) - _best(v0)) > 0)


def _best(value: float) -> float:
    """The value of the best of several tries."""
    return 1 - (1 - value) ** BEST_OF


def _estimate(sampler: PrefixSampler, rule: Rule) -> StepValues:
    root, values = sampler.counts(0).value, values_of(sampler)
    flags = relative_flags(root, values, rule)
    reason = None
    if not is_decided(flags):
        reason = "a value before the first error, or that of the problem itself, is unknown"
    return StepValues(values, flags, reason, {"problem_value": root})


def relative_flags(
    root: float | None, values: Sequence[float | None], rule: Rule
) -> list[bool | None]:
    """Apply a rule to each value and the one before it; None after the first that is not good."""
    flags: list[bool | None] = []
    before = root
    for value in values:
        good = None if value is None or before is None else value > 0 and rule(before, value)
        flags.append(good)
        before = value if good else None
    return flags
