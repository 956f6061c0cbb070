"""Figures with their uncertainty: 95 % intervals that stay honest at 0 %, at 100 % and at small n.

Knows numbers only, no records. A figure over nothing is None, never 0. Every interval is a closed
form but the bootstraps, whose seeds are fixed, so that a report can be made again to the last
digit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Z = 1.959963984540054  # two-sided 95 %
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its 95 % interval and the number of items behind it.

    `value` is None where there is nothing to measure; the bounds are None where no interval is
    known. Values are fractions; differences may be negative.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, metrics: Mapping[str, Any], name: str, n: int | None = None) -> Estimate:
        """The figure `name` of a metrics dict, with the bounds that stand in `name + "_ci"`."""
        low, high = metrics.get(f"{name}_ci") or (None, None)
        return cls(metrics.get(name), low, high, metrics.get("n") if n is None else n)

    def fields(self, name: str) -> dict[str, Any]:
        """The inverse of `of`: what stands in a metrics dict, `<name>` and `<name>_ci`."""
        known = self.low is not None and self.high is not None
        return {name: self.value, f"{name}_ci": [self.low, self.high] if known else None}

    def text(self) -> str:
        """In percent, as tables show it: `92.4 [90.1, 94.2]`, or `n/a`."""
        if self.value is None:
            return "n/a"
        if self.low is None or self.high is None:
            return f"{100 * self.value:.1f}"
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def wilson(successes: float, n: int) -> Interval | None:
    """Wilson's score interval of a proportion; None for n = 0.

    `successes` may be fractional where each of n items is itself a mean of repeated tries: the
    interval is then conservative, since averaging can only lower the variance of an item.
    """
    if n == 0:
        return None
    p = successes / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(max(0.0, p * (1 - p)) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return (low, high)


def proportion(hits: Sequence[float]) -> Estimate:
    """The mean of hits, each in [0, 1], with Wilson's interval."""
    return share(sum(hits), len(hits))


def share(successes: float, n: int) -> Estimate:
    """`successes` of n, with Wilson's interval; without value for n = 0."""
    low, high = wilson(successes, n) or (None, None)
    return Estimate(successes / n if n else None, low, high, n)


def harmonic_mean(a: float, b: float) -> float:
    """2ab / (a + b), and 0.0 where both are 0."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def f1_interval(
    error_hits: float, error_n: int, correct_hits: float, correct_n: int
) -> Interval | None:
    """Interval of ProcessBench's F1, the harmonic mean of two independent proportions.

    2 / F1 = 1/a + 1/b is a sum of independent terms, so the Wilson bounds of a and b combine by
    the square-and-add rule (MOVER; Zou and Donner, 2008). Exact coverage is 93 to 95 %, also where
    accuracies are near 1: there the delta method falls to 78 to 87 %, and it collapses to a
    point, as the bootstrap does, when all rows are right. None where a class is empty.
    """
    bounds_a, bounds_b = wilson(error_hits, error_n), wilson(correct_hits, correct_n)
    if bounds_a is None or bounds_b is None:
        return None
    a, b = error_hits / error_n, correct_hits / correct_n
    (low_a, high_a), (low_b, high_b) = bounds_a, bounds_b
    if low_a == 0 or low_b == 0:  # no hit: the limit of the formula as the accuracy goes to 0
        return (0.0, harmonic_mean(a or high_a, b or high_b))
    total = 1 / a + 1 / b
    least = total - math.hypot(1 / a - 1 / high_a, 1 / b - 1 / high_b)
    most = total + math.hypot(1 / low_a - 1 / a, 1 / low_b - 1 / b)
    return (2 / most, min(1.0, 2 / least))


def mean_of_independent(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of independent figures, bounds by square-and-add; None if one is None."""
    values = [e.value for e in estimates if e.value is not None]
    lows = [e.low for e in estimates if e.low is not None]
    highs = [e.high for e in estimates if e.high is not None]
    if not estimates or min(len(values), len(lows), len(highs)) < len(estimates):
        return Estimate(None)
    k, mean = len(values), sum(values) / len(values)
    down = math.hypot(*(v - low for v, low in zip(values, lows, strict=True))) / k
    up = math.hypot(*(high - v for v, high in zip(values, highs, strict=True))) / k
    return Estimate(mean, mean - down, mean + up, sum(e.n or 0 for e in estimates))


def mean_interval(values: Sequence[float], *, resamples: int = 2_000, seed: int = 0) -> Estimate:
    """The mean of one value in [0, 1] per problem, with its interval.

    Zeros and ones are a proportion (Wilson); fractions, such as a problem's share of right
    candidates, get a percentile bootstrap over problems, unless all are equal and there is
    nothing to resample (Wilson again, which is then conservative).
    """
    n, distinct = len(values), set(values)
    if len(distinct) < 2 or distinct == {0.0, 1.0}:
        return proportion(values)
    low, high = _bootstrap(values, resamples, seed)
    return Estimate(sum(values) / n, low, high, n)


def total(sample: Sequence[float], population: int) -> Estimate:
    """The sum over a population, from a sample of it drawn at random: a percentile bootstrap.

    Bounds are None for a sample of one; of the whole population the sum is known.
    """
    n = len(sample)
    if n == population:
        whole = float(sum(sample))
        return Estimate(whole, whole, whole, n)
    if n < 2:
        return Estimate(sum(sample) * population if n else None, n=n)
    low, high = _bootstrap(sample, 2_000, 0)
    return Estimate(sum(sample) / n * population, low * population, high * population, n)


def _bootstrap(values: Sequence[float], resamples: int, seed: int) -> Interval:
    """Percentile bounds of the mean."""
    rng, n = random.Random(seed), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(resamples))
    tail = round(0.025 * resamples)
    return means[tail], means[-1 - tail]


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> Estimate:
    """Share right by `first` minus share right by `second` on the same problems.

    Bonett and Price's (2012) adjusted Wald interval: only problems on which the two differ
    count, and one is added to either side, so that it keeps its width where they never differ.
    """
    n = len(first)
    if n != len(second):
        raise ValueError(f"{n} and {len(second)} outcomes are not pairs")
    if n == 0:
        return Estimate(None, n=0)
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    p, q = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = Z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    low, high = max(-1.0, p - q - half), min(1.0, p - q + half)
    return Estimate((only_first - only_second) / n, low, high, n)


def log_beta(a: float, b: float) -> float:
    """Log of the Beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@lru_cache(maxsize=4096)  # a search asks the same of many prefixes, round after round
def beta_binomial(a: float, b: float, n: int) -> tuple[float, ...]:
    """P(k successes in n tries), k from 0 to n, of a rate that is Beta(a, b)."""
    start = log_beta(a, b)
    weights = (math.exp(log_beta(a + k, b + n - k) - start) for k in range(n + 1))
    return tuple(math.comb(n, k) * weight for k, weight in enumerate(weights))
