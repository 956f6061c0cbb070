"""Adaptive allocation: rollouts go where the first error may still be, until it is settled.

Let e be the first error (T + 1 for none). Given e, prefixes before it are good and the others wrong
(a value above 0 at a later prefix implies one at every earlier prefix). Two things tell them apart:

- Wins. A wrong prefix wins with a probability p ~ Beta(c·r, c·(1 - r)), r being the recovery rate;
  a good one with p ~ Beta(1 + d·W, 1 + d·L), W and L being the wins and losses of the good prefixes
  before it: values along one solution are alike, and rise.
- Repeats: losing rollouts that end in the wrong answer of the solution itself. From a wrong prefix
  that takes no more than going on without another slip: q ~ Beta(½, ½) of the losses. From a good
  one it takes the same mistake again: q ~ Beta(b·s + d·R, b·(1 - s) + d·(L - R)), s being the
  repeat rate and R the repeats of the good prefixes before it.

So the rollouts of each prefix give a posterior over e in closed form, a product of Beta-binomials.
A round goes to the prefix that tells most about e for its price, about the characters still to be
written. The search ends at a stated posterior probability, at the end of the budget, or where a
round would tell less than it is worth.

What it is sure of is this model. A solution with the right answer has an error only as often as the
recovery rate says, so set that to what it is for the task (0.02 where answers are long or unlikely
to be guessed; 0.3 or more for a choice of few, which then costs rollouts), and the repeat rate to
how often a mistake is made in the same way again (of n options, 1 / (n - 1)). Ours; no published
code allocates rollouts for step labels with a stopping rule, or reads their wrong answers.

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
REPEAT_SURENESS = 5.0  # b: the same of the repeat rate
LIKENESS = 0.5  # d: what a rollout of an earlier prefix is worth
NO_ERROR = 0.5  # prior probability; the rest is spread evenly over the steps
# What a rollout costs beside what it writes, in solutions: reading the prefix, and waiting. Without
# it the next step of a long solution is always the cheapest to ask, and hundreds are asked.
OVERHEAD = 0.2


class Tries(NamedTuple):
    """Right and wrong rollouts of one prefix, and how many of the wrong ones repeat the solution's
    own answer; None where that is not wrong, or not known."""

    wins: int
    losses: int
    repeats: int | None = None


class BetaPrior(NamedTuple):
    """A Beta distribution, for the probability of one of two things."""

    yes: float
    no: float

    def after(self, yes: int, no: int, weight: float = 1.0) -> BetaPrior:
        return BetaPrior(self.yes + weight * yes, self.no + weight * no)

    def log_evidence(self, yes: int, no: int) -> float:
        """Log probability of tries in a given order, the rate integrated out."""
        return log_beta(*self.after(yes, no)) - log_beta(*self)


class Rates(NamedTuple):
    """What is believed of a prefix: how often it wins, and how often a loss is a repeat."""

    win: BetaPrior
    repeat: BetaPrior

    def after(self, tries: Tries, weight: float = 1.0) -> Rates:
        wins, losses, repeats = tries
        repeat = self.repeat
        if repeats is not None:
            repeat = repeat.after(repeats, losses - repeats, weight)
        return Rates(self.win.after(wins, losses, weight), repeat)

    def log_evidence(self, tries: Tries) -> float:
        wins, losses, repeats = tries
        told = self.win.log_evidence(wins, losses)
        if repeats is not None:
            told += self.repeat.log_evidence(repeats, losses - repeats)
        return told

    def outlook(self, rollouts: int, repeats: bool) -> Sequence[float]:
        """Probabilities of all that so many rollouts may come to: wins and, if they are looked
        at, repeats among the losses."""
        wins = beta_binomial(*self.win, rollouts)
        if not repeats:
            return wins
        return [
            p * q for won, p in enumerate(wins) for q in beta_binomial(*self.repeat, rollouts - won)
        ]


class Belief(NamedTuple):
    """The rates that a task is said to have; fields as in `LabelConfig`."""

    recovery_rate: float
    repeat_rate: float

    def good(self, tries: Sequence[Tries]) -> list[Rates]:
        """Of each prefix if it holds no error, from what is known of those before it."""
        s = self.repeat_rate
        at_first = Rates(
            BetaPrior(1.0, 1.0), BetaPrior(REPEAT_SURENESS * s, REPEAT_SURENESS * (1 - s))
        )
        before = itertools.islice(tries, len(tries) - 1)
        return list(itertools.accumulate(before, _as_alike, initial=at_first))

    def wrong(self) -> Rates:
        """Of a prefix that holds an error."""
        r = self.recovery_rate
        return Rates(BetaPrior(SURENESS * r, SURENESS * (1 - r)), BetaPrior(0.5, 0.5))


def _as_alike(rates: Rates, tries: Tries) -> Rates:
    return rates.after(tries, LIKENESS)


def posterior(tries: Sequence[Tries], outcome: bool | None, belief: Belief) -> list[float]:
    """P(first error = step) for every step, and of no error as the last entry; sums to 1.

    `tries`: one per prefix from the first step's on; `outcome`: whether the finished solution is
    right, None for an unfinished one.
    """
    steps, bad = len(tries), belief.wrong()
    as_good = [rates.log_evidence(t) for rates, t in zip(belief.good(tries), tries, strict=True)]
    as_bad = [bad.log_evidence(t) for t in tries]
    # of all tries, if the first error is at each step in turn: one prefix more is good
    moved = (good - wrong for good, wrong in zip(as_good, as_bad, strict=True))
    evidence = itertools.accumulate(moved, initial=sum(as_bad))
    logs = []
    for error, told in enumerate(evidence):
        prior = NO_ERROR if error == steps else (1 - NO_ERROR) / steps
        log = math.log(prior) + told
        if outcome is True and error < steps:
            log += math.log(belief.recovery_rate)
        elif outcome is False and error == steps:
            log = -math.inf
        logs.append(log)
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    return [weight / sum(weights) for weight in weights]


def information(
    p_good: float, if_good: Rates, if_wrong: Rates, rollouts: int, repeats: bool = False
) -> float:
    """Nats that `rollouts` more of a prefix are expected to tell about whether it is good: the
    mutual information between that and what comes of them."""
    g, w = if_good.outlook(rollouts, repeats), if_wrong.outlook(rollouts, repeats)
    mixed = [p_good * a + (1 - p_good) * b for a, b in zip(g, w, strict=True)]
    return _entropy(mixed) - p_good * _entropy(g) - (1 - p_good) * _entropy(w)


def _entropy(distribution: Sequence[float]) -> float:
    return -sum(p * math.log(p) for p in distribution if p > 0)


async def adaptive(sampler: PrefixSampler, config: LabelConfig) -> Estimate:
    """Rounds of rollouts until the first error is settled. Where it never is and even the likeliest
    is not likely enough, the steps that lie before it at the stated confidence are good, and the
    others uncertain.

    Columns: `posterior` (per step, then no error), `settled` (its largest entry),
    `likeliest_first_error`, also where that is too unsure to be a label, and `repeats` (per step,
    the wrong rollouts that end in the solution's own answer; null where that is not wrong).
    """
    budget = config.rollouts * len(sampler.open)
    believed = Belief(config.recovery_rate, config.repeat_rate)
    while True:
        tries = [_tries(sampler, prefix) for prefix in range(1, sampler.steps + 1)]
        posteriors = posterior(tries, sampler.outcome, believed)
        n = min(config.round_rollouts, budget - sampler.rollouts)
        open_prefixes = [p for p in sampler.open if not _hopeless(sampler, p, config.rollouts)]
        if max(posteriors) >= config.confidence or n <= 0 or not open_prefixes:
            break
        worth = _worth(sampler, tries, posteriors, open_prefixes, n, believed)
        best = max(worth, key=worth.__getitem__)
        if worth[best] < config.min_information:
            break
        await sampler.sample({best: n})
    return _conclude(sampler, tries, posteriors, config)


def _worth(
    sampler: PrefixSampler,
    tries: Sequence[Tries],
    posteriors: Sequence[float],
    prefixes: Iterable[int],
    n: int,
    believed: Belief,
) -> dict[int, float]:
    """Information from n rollouts of each prefix by what they cost: in nats for as many characters
    as the whole solution has. Each rollout is likely to write what is left of it."""
    lengths = [len(step) for step in sampler.solution.steps]
    whole, written = sum(lengths), [0, *itertools.accumulate(lengths)]
    p_good = [1.0, *(max(0.0, 1 - wrong) for wrong in itertools.accumulate(posteriors))]
    good, worth = believed.good(tries), {}
    for prefix in prefixes:
        here = tries[prefix - 1]
        told = information(
            p_good[prefix],
            good[prefix - 1].after(here),
            believed.wrong().after(here),
            n,
            repeats=here.repeats is not None,
        )
        worth[prefix] = told / n / (OVERHEAD + (1 + whole - written[prefix]) / (1 + whole))
    return worth


def _hopeless(sampler: PrefixSampler, prefix: int, enough: int) -> bool:
    """Whether more rollouts of a prefix can tell nothing: too long, or all of many invalid."""
    pool = sampler.pools[prefix]
    return pool.reason is not None or (
        len(pool.own) >= enough and all(outcome is None for outcome in pool.own)
    )


def _tries(sampler: PrefixSampler, prefix: int) -> Tries:
    """What rollouts say of a prefix. One that passed through it counts for it too: it says the same
    of both. An invalid one says nothing; the finished solution is none, it is `sampler.outcome`."""
    own = sampler.outcome is False and sampler.own_answer is not None
    if prefix == sampler.steps and sampler.outcome is not None:
        return Tries(0, 0, 0 if own else None)
    pool = sampler.pools[prefix]
    passed = pool.borrowed[1:] if sampler.solution_counts else pool.borrowed
    outcomes = [*pool.own, *passed]
    wins, losses = outcomes.count(True), outcomes.count(False)
    return Tries(wins, losses, pool.repeats if own else None)


def _conclude(
    sampler: PrefixSampler, tries: Sequence[Tries], posteriors: list[float], config: LabelConfig
) -> Estimate:
    likeliest = max(range(len(posteriors)), key=posteriors.__getitem__)
    settled = posteriors[likeliest]
    details = {
        "posterior": [round(p, 6) for p in posteriors],
        "settled": round(settled, 6),
        "likeliest_first_error": likeliest if likeliest < sampler.steps else -1,
        "repeats": [t.repeats for t in tries],
    }
    flags: list[bool | None]
    if settled >= min(config.confidence, config.min_confidence):
        flags = [step < likeliest if step <= likeliest else None for step in range(sampler.steps)]
        return Estimate(values_of(sampler), flags, details=details)
    wrong_by = itertools.accumulate(posteriors[: sampler.steps])
    flags = [True if wrong <= 1 - config.confidence else None for wrong in wrong_by]
    reason = f"first error not settled: {settled:.2f} after {sampler.rollouts} rollouts"
    return Estimate(values_of(sampler), flags, reason, details)
