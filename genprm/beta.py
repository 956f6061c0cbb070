"""Beta distributions of a rate, and what they say of tries to come. Numbers only."""

from __future__ import annotations

import math


def log_beta(a: float, b: float) -> float:
    """Log of the Beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_binomial(a: float, b: float, n: int) -> list[float]:
    """P(k successes in n tries), k from 0 to n, of a rate that is Beta(a, b)."""
    start = log_beta(a, b)
    return [math.comb(n, k) * math.exp(log_beta(a + k, b + n - k) - start) for k in range(n + 1)]
