"""Beta distributions of a rate, and what they say of tries to come. Numbers only."""

from __future__ import annotations

import math
from functools import lru_cache


def log_beta(a: float, b: float) -> float:
    """Log of the Beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@lru_cache(maxsize=4096)  # a search asks the same of many prefixes, round after round
def beta_binomial(a: float, b: float, n: int) -> tuple[float, ...]:
    """P(k successes in n tries), k from 0 to n, of a rate that is Beta(a, b)."""
    start = log_beta(a, b)
    weights = (math.exp(log_beta(a + k, b + n - k) - start) for k in range(n + 1))
    return tuple(math.comb(n, k) * weight for k, weight in enumerate(weights))
