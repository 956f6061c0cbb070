"""Adaptive allocation: rollouts go where the first error may still be, until it is settled.

Let e be the first error of a solution and l its last, half of the time the same. Prefixes before e
are good and the others wrong (a value above 0 at a later prefix implies one at every earlier
prefix). Two observations say where they are:

- Wins. A wrong prefix wins with a probability p ~ Beta(c·r, c·(1 - r)), r being the recovery rate;
  a good one with p ~ Beta(1 + d·W, 1 + d·L), W and L being the wins and losses of the good prefixes
  before it: values along one solution are alike, and rise.
- Repeats: losing rollouts that end in the wrong answer of the solution itself. After l that takes
  only going on without a slip: q ~ Beta(1, 1) of the losses. Before l it takes the same mistake
  again: q ~ Beta(b·s, b·(1 - s)), s being the repeat rate; for a good prefix with the repeats and
  other losses of those before it added, each d times.

So the rollouts of each prefix give a posterior over e and l in closed form, sums of products of
Beta-binomials.
A round goes to the prefix with most information about e and l for its price, which is the text that
is still to be written and a share for reading. The search ends at a stated posterior probability,
at the end of the budget, or where a round would bring less information than it is worth. Only a
prefix's own rollouts count here: one that passes through several (`label.reuse`) would count
several times.

The posterior holds if this model does. A solution with the right answer has an error only as often
as the recovery rate says: 0.02 is for answers that are long or unlikely to be guessed. With few
options wrong prefixes win by luck and good ones repeat a wrong answer by luck; higher rates say so,
and flat rollouts measure them. The method is ours: published code stops at the width of an interval
(AMCS, 2509.24351), not by a posterior over the first error, and does not read wrong answers.

Pure but for `adaptive`, which samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genprm.config.label import AdaptiveConfig, LabelConfig
from genprm.labeling.sampler import PrefixSampler
from genprm.labeling.step_values import StepValues, values_of
from genprm.util.stats import beta_binomial, log_beta

SURENESS = 10.0  # c: rollouts that the recovery rate is worth as prior knowledge
REPEAT_SURENESS = 5.0  # b: the same of the repeat rate
LIKENESS = 0.5  # d: what a rollout of an earlier prefix is worth
NO_ERROR = 0.5  # prior probability; the rest is spread evenly over the steps
ONE_ERROR = 0.5  # of wrong solutions; the last error of the others is anywhere after the first
# Cost of a rollout besides writing, in solutions: reading the prefix, and waiting. Without it
# prefixes near the end of a long solution are almost free, and hundreds of rollouts go there.
OVERHEAD = 0.2
ROUND_ROLLOUTS = 1  # between two looks at the posterior


class Tries(NamedTuple):
    """Right and wrong rollouts of one prefix, and how many of the wrong ones repeat the solution's
    own answer; None if that answer is right, or not known."""

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
        evidence = self.win.log_evidence(wins, losses)
        if repeats is not None:
            evidence += self.repeat.log_evidence(repeats, losses - repeats)
        return evidence

    def outlook(self, rollouts: int, repeats: bool) -> Sequence[float]:
        """Probabilities of all outcomes of so many rollouts: how many win and, with `repeats`, how
        many of the losses are repeats."""
        wins = beta_binomial(*self.win, rollouts)
        if not repeats:
            return wins
        return [
            p * q for won, p in enumerate(wins) for q in beta_binomial(*self.repeat, rollouts - won)
        ]


class Belief(NamedTuple):
    """The rates that the config states for a task; fields as in `AdaptiveConfig`."""

    recovery_rate: float
    repeat_rate: float

    def good(self, tries: Sequence[Tries]) -> list[Rates]:
        """Of each prefix if it holds no error, from the tries of those before it."""
        at_first = Rates(BetaPrior(1.0, 1.0), self._same_mistake())
        before = itertools.islice(tries, len(tries) - 1)
        return list(itertools.accumulate(before, _as_alike, initial=at_first))

    def between(self) -> Rates:
        """Of a prefix that holds an error and has another to come."""
        return Rates(self._recovery(), self._same_mistake())

    def after_last(self) -> Rates:
        """Of a prefix that holds all errors of its solution."""
        return Rates(self._recovery(), BetaPrior(1.0, 1.0))

    def _recovery(self) -> BetaPrior:
        return BetaPrior(SURENESS * self.recovery_rate, SURENESS * (1 - self.recovery_rate))

    def _same_mistake(self) -> BetaPrior:
        sureness = REPEAT_SURENESS
        return BetaPrior(sureness * self.repeat_rate, sureness * (1 - self.repeat_rate))


def _as_alike(rates: Rates, tries: Tries) -> Rates:
    return rates.after(tries, LIKENESS)


class Posterior(NamedTuple):
    """P(first error = step) for every step, and of no error as one more entry, which sum to 1; and
    P(last error = step) for every step."""

    first: list[float]
    last: list[float]


def posterior(tries: Sequence[Tries], outcome: bool | None, belief: Belief) -> Posterior:
    """Where the errors are, given the tries of each prefix from the first step's on, and whether
    the finished solution is right (None for an unfinished one)."""
    steps, between, after = len(tries), belief.between(), belief.after_last()
    as_good = (rates.log_evidence(t) for rates, t in zip(belief.good(tries), tries, strict=True))
    good = [0.0, *itertools.accumulate(as_good)]  # of the prefixes up to here
    middle = [0.0, *itertools.accumulate(between.log_evidence(t) for t in tries)]
    end = [0.0, *itertools.accumulate(after.log_evidence(t) for t in tries)]
    of_error = math.log((1 - NO_ERROR) / steps)
    if outcome is True:
        of_error += math.log(belief.recovery_rate)
    logs: dict[tuple[int, int], float] = {}  # by first and last error
    if outcome is not False:
        logs[steps, steps] = math.log(NO_ERROR) + good[steps]
    for first in range(steps):
        for last in range(first, steps):
            evidence = good[first] + middle[last] - middle[first] + end[steps] - end[last]
            logs[first, last] = of_error + _log_of_last(first, last, steps) + evidence
    top = max(logs.values())
    weights = {errors: math.exp(log - top) for errors, log in logs.items()}
    total, result = sum(weights.values()), Posterior([0.0] * (steps + 1), [0.0] * (steps + 1))
    for (first, last), weight in weights.items():
        result.first[first] += weight / total
        result.last[last] += weight / total
    return result


def _log_of_last(first: int, last: int, steps: int) -> float:
    """Log of the prior probability of a last error, given the first one."""
    others = steps - 1 - first
    if not others:
        return 0.0
    return math.log(ONE_ERROR if last == first else (1 - ONE_ERROR) / others)


def information(
    chances: Sequence[float], places: Sequence[Rates], rollouts: int, repeats: bool = False
) -> float:
    """Information, in nats, that `rollouts` more of a prefix are expected to bring about its place
    (good, between errors, after them), given the chance of each place: the mutual information
    between the place and the outcomes of the rollouts."""
    outlooks = [rates.outlook(rollouts, repeats) for rates in places]
    mixed = [
        sum(p * q for p, q in zip(chances, each, strict=True))
        for each in zip(*outlooks, strict=True)
    ]
    given_place = sum(p * _entropy(outlook) for p, outlook in zip(chances, outlooks, strict=True))
    return _entropy(mixed) - given_place


def _entropy(distribution: Sequence[float]) -> float:
    return -sum(p * math.log(p) for p in distribution if p > 0)


async def adaptive(sampler: PrefixSampler, config: LabelConfig) -> StepValues:
    """Rounds of rollouts until the first error is settled. Where it never is and even the likeliest
    is not likely enough, the steps that come before it at the stated confidence are good, and the
    others uncertain.

    Columns: `posterior`, `settled`, `likeliest_first_error` and `repeats`.
    """
    settings, budget = config.adaptive, config.rollouts * len(sampler.open)
    believed = Belief(settings.recovery_rate, settings.repeat_rate)
    while True:
        tries = [_tries(sampler, prefix) for prefix in range(1, sampler.steps + 1)]
        errors = posterior(tries, sampler.outcome, believed)
        n = min(ROUND_ROLLOUTS, budget - sampler.rollouts)
        open_prefixes = [p for p in sampler.open if not _hopeless(sampler, p, config.rollouts)]
        if max(errors.first) >= settings.confidence or n <= 0 or not open_prefixes:
            break
        worth = _worth(sampler, tries, errors, open_prefixes, n, believed)
        best = max(worth, key=worth.__getitem__)
        if worth[best] < settings.min_information:
            break
        await sampler.sample({best: n}, repeats=sampler.outcome is False)
    return _conclude(sampler, tries, errors.first, settings)


def _worth(
    sampler: PrefixSampler,
    tries: Sequence[Tries],
    errors: Posterior,
    prefixes: Iterable[int],
    n: int,
    believed: Belief,
) -> dict[int, float]:
    """Information from n rollouts of each prefix by their cost: nats for the price of writing the
    solution once. A rollout is likely to write the rest of it, and costs OVERHEAD besides."""
    lengths = [len(step) for step in sampler.solution.steps]
    total, written = sum(lengths), [0, *itertools.accumulate(lengths)]
    wrong = [0.0, *itertools.accumulate(errors.first)]
    after = [0.0, *itertools.accumulate(errors.last)]
    good, worth = believed.good(tries), {}
    for prefix in prefixes:
        here = tries[prefix - 1]
        places = good[prefix - 1], believed.between(), believed.after_last()
        chances = 1 - wrong[prefix], wrong[prefix] - after[prefix], after[prefix]
        nats = information(
            [max(0.0, chance) for chance in chances],
            [rates.after(here) for rates in places],
            n,
            repeats=here.repeats is not None,
        )
        worth[prefix] = nats / n / (OVERHEAD + (1 + total - written[prefix]) / (1 + total))
    return worth


def _hopeless(sampler: PrefixSampler, prefix: int, enough: int) -> bool:
    """Whether more rollouts of a prefix are useless: it is too long, or all of many are invalid."""
    pool = sampler.pools[prefix]
    return pool.reason is not None or (
        len(pool.own) >= enough and all(outcome is None for outcome in pool.own)
    )


def _tries(sampler: PrefixSampler, prefix: int) -> Tries:
    """The tries of a prefix, of its own valid rollouts. The finished solution is not one of them:
    `posterior` takes it as `sampler.outcome`."""
    pool, own = sampler.pools[prefix], sampler.own_answer is not None
    repeats = pool.repeats if sampler.outcome is False and own else None
    if prefix == sampler.steps and sampler.outcome is not None:
        return Tries(0, 0, repeats)
    return Tries(pool.own.count(True), pool.own.count(False), repeats)


def _conclude(
    sampler: PrefixSampler, tries: Sequence[Tries], posteriors: list[float], config: AdaptiveConfig
) -> StepValues:
    likeliest = max(range(len(posteriors)), key=posteriors.__getitem__)
    settled = posteriors[likeliest]
    details = {
        "posterior": [round(p, 6) for p in posteriors],
        "settled": round(settled, 6),
        "likeliest_first_error": likeliest if likeliest < sampler.steps else -1,
        "repeats": [t.repeats for t in tries],
    }
    seen = any(t.wins + t.losses for t in tries)  # a prior alone is no reason for a label
    likely = seen and settled >= config.min_confidence
    flags: list[bool | None]
    if settled >= config.confidence or likely:
        flags = [step < likeliest if step <= likeliest else None for step in range(sampler.steps)]
        return StepValues(values_of(sampler), flags, details=details)
    wrong_by = itertools.accumulate(posteriors[: sampler.steps])
    flags = [True if wrong <= 1 - config.confidence else None for wrong in wrong_by]
    reason = f"first error not settled: {settled:.2f} after {sampler.rollouts} rollouts"
    return StepValues(values_of(sampler), flags, reason, details)
