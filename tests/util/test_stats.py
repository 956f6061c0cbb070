"""Intervals: known values, edges, and their coverage, computed exactly or simulated."""

import math
import random

import pytest
from scipy import stats

from genprm.util.stats import (
    Estimate,
    beta_binomial,
    f1_interval,
    harmonic_mean,
    mean_interval,
    mean_of_independent,
    paired_difference,
    proportion,
    total,
    wilson,
)


def test_wilson_matches_published_values():
    # Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)
    assert wilson(0, 0) is None


def test_closed_forms_are_what_scipy_gives():
    for n in (1, 7, 60):
        for hits in range(n + 1):
            theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
            assert wilson(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    for a, b, n in ((0.5, 0.5, 8), (7.5, 0.5, 3), (0.2, 9.8, 1), (31.0, 12.5, 40)):
        theirs = stats.betabinom.pmf(range(n + 1), n, a, b)
        assert beta_binomial(a, b, n) == pytest.approx(list(theirs), rel=1e-9)


def test_harmonic_mean_of_zeros_is_zero():
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.0, 1.0) == 0.0
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)


def test_f1_interval_holds_f1_and_keeps_its_width_at_the_edges():
    for a in (0, 1, 10, 19, 20):
        for b in (0, 1, 15, 30):
            low, high = f1_interval(a, 20, b, 30)
            assert 0 <= low <= harmonic_mean(a / 20, b / 30) <= high <= 1
            assert high - low > 0.02
    assert f1_interval(0, 0, 3, 4) is None
    assert f1_interval(3, 4, 0, 0) is None


def test_f1_interval_at_zero_is_the_limit_of_small_accuracies():
    near = f1_interval(1e-6, 20, 15, 30)
    assert f1_interval(0, 20, 15, 30) == pytest.approx(near, abs=1e-4)


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize(
    ("a", "n_a", "b", "n_b"),
    [
        (0.9, 60, 0.95, 60),
        (0.97, 40, 0.98, 80),
        (0.5, 40, 0.5, 40),
        (0.3, 30, 0.97, 30),
        (0.05, 40, 0.9, 30),
        (0.99, 100, 0.99, 100),
        (0.95, 128, 0.9, 14),
    ],
)
def test_f1_interval_covers_the_truth_95_times_in_100(a, n_a, b, n_b):
    """Coverage summed over every possible outcome: exact, no simulation."""
    truth = harmonic_mean(a, b)
    coverage = 0.0
    for hits_a, weight_a in enumerate(binomial(n_a, a)):
        for hits_b, weight_b in enumerate(binomial(n_b, b)):
            low, high = f1_interval(hits_a, n_a, hits_b, n_b)
            coverage += weight_a * weight_b * (low <= truth <= high)
    assert 0.925 <= coverage <= 0.985


def test_wilson_of_fractional_hits_is_conservative():
    """Items that are means of 4 correlated tries: covered at least as often as asked."""
    rng = random.Random(5)
    covered = 0
    for _ in range(400):
        hits = 0.0
        for _ in range(60):
            p = rng.choice((0.5, 0.9))  # mean 0.7
            hits += sum(rng.random() < p for _ in range(4)) / 4
        low, high = wilson(hits, 60)
        covered += low <= 0.7 <= high
    assert covered / 400 >= 0.95


def test_mean_interval_of_fractions_covers_and_is_reproducible():
    rng = random.Random(11)
    covered = 0
    for _ in range(120):
        values = [sum(rng.random() < p for _ in range(8)) / 8
                  for p in (rng.betavariate(1, 1) for _ in range(50))]  # fmt: skip
        interval = mean_interval(values, resamples=200)
        covered += interval.low <= 0.5 <= interval.high
    assert covered / 120 >= 0.86
    assert interval.high - interval.low < 0.25
    assert mean_interval(values, resamples=200) == interval


def test_mean_interval_without_spread_falls_back_to_wilson():
    assert mean_interval([1.0, 0.0, 1.0]) == proportion([1, 0, 1])
    assert mean_interval([0.5] * 10) == proportion([0.5] * 10)
    assert mean_interval([]) == Estimate(None, n=0)


def test_paired_difference_counts_only_where_the_two_differ():
    first = [True] * 30 + [False] * 10 + [True] * 8 + [False] * 2
    second = [True] * 30 + [False] * 10 + [False] * 8 + [True] * 2
    difference = paired_difference(first, second)
    assert difference.value == pytest.approx(6 / 50)
    # Bonett and Price 2012: (9/52 - 3/52) -+ z sqrt((12/52 - (6/52)^2) / 52)
    half = 1.959964 * math.sqrt((12 / 52 - (6 / 52) ** 2) / 52)
    assert (difference.low, difference.high) == pytest.approx((6 / 52 - half, 6 / 52 + half))
    alike = paired_difference([True] * 9, [True] * 9)
    assert alike.low < alike.value == 0 < alike.high
    assert paired_difference([], []).value is None
    with pytest.raises(ValueError, match="pairs"):
        paired_difference([True], [])


def test_mean_of_independent_figures():
    mean = mean_of_independent([Estimate(0.8, 0.7, 0.9, 50), Estimate(0.6, 0.5, 0.7, 70)])
    assert (mean.value, mean.n) == (pytest.approx(0.7), 120)
    assert (mean.low, mean.high) == pytest.approx((0.7 - 0.1 / 2**0.5, 0.7 + 0.1 / 2**0.5))
    assert mean_of_independent([Estimate(0.8, 0.7, 0.9), Estimate(None)]).value is None
    assert mean_of_independent([]).value is None


def test_an_estimate_in_json_and_as_text():
    figure = Estimate(0.924, 0.9, 0.941, 200)
    assert figure.fields("f1") == {"f1": 0.924, "f1_ci": [0.9, 0.941]}
    assert Estimate(None).fields("f1") == {"f1": None, "f1_ci": None}
    assert figure.text() == "92.4 [90.0, 94.1]"
    assert Estimate(0.5).text() == "50.0"
    assert Estimate(None).text() == "n/a"


def test_a_total_from_a_sample_has_bounds_unless_it_is_all() -> None:
    assert total([1, 2, 3], 3) == Estimate(6, 6, 6, 3)
    assert total([5], 10) == Estimate(50, n=1)
    assert total([], 10) == Estimate(None, n=0)
    estimate = total([float(i % 5) for i in range(50)], 1000)
    assert estimate.value == pytest.approx(2000)
    assert estimate.low is not None and estimate.high is not None
    assert 1500 < estimate.low < 2000 < estimate.high < 2500
