"""Adaptive allocation: rollouts go where the first error may still be, until it is settled.

Let e be the first error (T + 1 for none). Given e, prefixes before it are good and the others wrong
(a value above 0 at a later prefix implies one at every earlier prefix). A wrong prefix wins with a
probability p ~ Beta(c·r, c·(1 - r)), r being the recovery rate; a good one with
p ~ Beta(1 + d·W, 1 + d·L), W and L being the wins and losses of the good prefixes before it: values
along one solution are alike, and rise. So k wins in n rollouts of each prefix give a posterior over
e in closed form, a product of Beta-binomials. A round of rollouts goes to the prefix that tells
most about e per character still to be written; the search ends at a stated posterior probability or
at the end of the budget.

What it is sure of is this model: a solution with the right answer has an error only as often as the
recovery rate says, so set that to what it is for the task (0.02 where answers are long or unlikely
to be guessed; 0.3 or more for a choice of few, which then costs rollouts). Ours; no published code
allocates rollouts for step labels with a stopping rule.

Pure but for `adaptive`, which samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genprm.beta import beta_binomial, log_beta
from genprm.config import LabelConfig
from genprm.labeling.estimate import Estimate, values_of
from genprm.labeling.sampler import PrefixSampler

SURENESS = 10.0  # c: rollouts that the recovery rate is worth as prior knowledge
LIKENESS = 0.5  # d: what a rollout of an earlier prefix is worth
NO_ERROR = 0.5  # prior probability; the rest is spread evenly over the steps


class Tries(NamedTuple):
    """Right and wrong rollouts of one prefix."""

    wins: int
    losses: int


class BetaPrior(NamedTuple):
    """A Beta distribution, for the probability of a win."""

    wins: float
    losses: float

    def after(self, tries: Tries, weight: float = 1.0) -> BetaPrior:
        return BetaPrior(self.wins + weight * tries.wins, self.losses + weight * tries.losses)


def log_evidence(prior: BetaPrior, tries: Tries) -> float:
    """Log probability of tries in a given order, the win rate integrated out."""
    return log_beta(*prior.after(tries)) - log_beta(*prior)


def good(before: Iterable[Tries]) -> BetaPrior:
    """Of a prefix without an error, after those good prefixes."""
    prior = BetaPrior(1.0, 1.0)
    for tries in before:
        prior = prior.after(tries, LIKENESS)
    return prior


def wrong(recovery_rate: float) -> BetaPrior:
    """Of a prefix that holds an error."""
    return BetaPrior(SURENESS * recovery_rate, SURENESS * (1 - recovery_rate))


def posterior(tries: Sequence[Tries], outcome: bool | None, recovery_rate: float) -> list[float]:
    """P(first error = step) for every step, and of no error as the last entry; sums to 1.

    `tries`: one per prefix from the first step's on; `outcome`: whether the finished solution is
    right, None for an unfinished one.
    """
    steps, bad = len(tries), wrong(recovery_rate)
    as_good = [log_evidence(good(tries[:prefix]), t) for prefix, t in enumerate(tries)]
    as_bad = [log_evidence(bad, t) for t in tries]
    logs = []
    for error in range(steps + 1):
        prior = NO_ERROR if error == steps else (1 - NO_ERROR) / steps
        log = math.log(prior) + sum(as_good[:error]) + sum(as_bad[error:])
        if outcome is True and error < steps:
            log += math.log(recovery_rate)
        elif outcome is False and error == steps:
            log = -math.inf
        logs.append(log)
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    return [weight / sum(weights) for weight in weights]


def information(p_good: float, if_good: BetaPrior, if_wrong: BetaPrior, rollouts: int) -> float:
    """Nats that `rollouts` more of a prefix are expected to tell about whether it is good.

    The mutual information between that and the number of wins, whose rate is so distributed.
    """
    g, w = beta_binomial(*if_good, rollouts), beta_binomial(*if_wrong, rollouts)
    mixed = [p_good * a + (1 - p_good) * b for a, b in zip(g, w, strict=True)]
    return _entropy(mixed) - p_good * _entropy(g) - (1 - p_good) * _entropy(w)


def _entropy(distribution: Sequence[float]) -> float:
    return -sum(p * math.log(p) for p in distribution if p > 0)


async def adaptive(sampler: PrefixSampler, config: LabelConfig) -> Estimate:
    """Rounds of rollouts until the first error is settled. Where it never is, the steps that lie
    before it at the stated confidence are good, and the others uncertain.

    Columns: `posterior` (per step, then no error), `settled` (its largest entry), and
    `likeliest_first_error`, also where that is too unsure to be a label.
    """
    budget = config.rollouts * len(sampler.open)
    steps, rate = sampler.solution.steps, config.recovery_rate
    while True:
        tries = [_tries(sampler, prefix) for prefix in range(1, sampler.steps + 1)]
        belief = posterior(tries, sampler.outcome, rate)
        n = min(config.round_rollouts, budget - sampler.rollouts)
        open_prefixes = [p for p in sampler.open if not _hopeless(sampler, p, config.rollouts)]
        if max(belief) >= config.confidence or n <= 0 or not open_prefixes:
            break
        worth = {p: _worth(steps, tries, belief, p, n, rate) for p in open_prefixes}
        await sampler.sample({max(worth, key=worth.__getitem__): n})
    return _conclude(sampler, belief, config)


def _worth(
    steps: Sequence[str],
    tries: Sequence[Tries],
    belief: Sequence[float],
    prefix: int,
    n: int,
    rate: float,
) -> float:
    """Information from n rollouts of a prefix, per character that each is likely to write."""
    here = tries[prefix - 1]
    told = information(
        sum(belief[prefix:]), good(tries[: prefix - 1]).after(here), wrong(rate).after(here), n
    )
    return told / (1 + len("".join(steps[prefix:])))


def _hopeless(sampler: PrefixSampler, prefix: int, enough: int) -> bool:
    """Whether more rollouts of a prefix can tell nothing: too long, or all of many invalid."""
    pool = sampler.pools[prefix]
    return pool.reason is not None or (
        len(pool.own) >= enough and all(outcome is None for outcome in pool.own)
    )


def _tries(sampler: PrefixSampler, prefix: int) -> Tries:
    """What rollouts say of a prefix, each counted once: at the last prefix that it reached.

    An invalid rollout says nothing. The finished solution's own prefix is no rollout.
    """
    if prefix == sampler.steps and sampler.outcome is not None:
        return Tries(0, 0)
    reached = sampler.pools[prefix].deepest
    return Tries(reached.count(True), reached.count(False))


def _conclude(sampler: PrefixSampler, belief: list[float], config: LabelConfig) -> Estimate:
    likeliest = max(range(len(belief)), key=belief.__getitem__)
    settled = belief[likeliest]
    details = {
        "posterior": [round(p, 6) for p in belief],
        "settled": round(settled, 6),
        "likeliest_first_error": likeliest if likeliest < sampler.steps else -1,
    }
    flags: list[bool | None]
    if settled >= config.confidence:
        flags = [step < likeliest if step <= likeliest else None for step in range(sampler.steps)]
        return Estimate(values_of(sampler), flags, details=details)
    wrong_by = itertools.accumulate(belief[: sampler.steps])
    flags = [True if wrong <= 1 - config.confidence else None for wrong in wrong_by]
    reason = f"first error not settled: {settled:.2f} after {sampler.rollouts} rollouts"
    return Estimate(values_of(sampler), flags, reason, details)
