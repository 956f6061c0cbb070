"""Votes, scores, ties, first errors, aggregates and coverage, as defined in one place."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.records import Critique, StepJudgement, Votes
from genprm.scoring.voting import (
    aggregate,
    covered,
    first_error,
    next_round,
    settled,
    solution_score,
    vote,
)

PROBABILITIES = st.floats(0, 1)
RISKS = st.sampled_from([0.0, 0.03, 0.08, 0.2])


def critique(verdict: Any, p_correct: float | None = None) -> Critique:
    return Critique(text="", verdict=verdict, p_correct=p_correct, finish_reason="stop", tokens=1)


def steps(*states: str) -> list[StepJudgement]:
    """`+` correct, `-` incorrect, anything else a status without score."""
    outcomes = {"+": ("ok", 0.9, "correct"), "-": ("ok", 0.2, "incorrect")}
    return [
        StepJudgement(index=i, status=status, score=score, verdict=verdict)
        for i, state in enumerate(states)
        for status, score, verdict in [outcomes.get(state, (state, None, None))]
    ]


@pytest.mark.parametrize(
    "critiques,score,verdict",
    [
        ([], None, None),
        ([("invalid", None)], None, None),
        ([("correct", None)], 1.0, "correct"),
        ([("correct", None), ("incorrect", None), ("incorrect", None)], 1 / 3, "incorrect"),
        ([("correct", 0.6), ("invalid", None)], 0.6, "correct"),
        # the majority decides, also against the mean probability
        ([("correct", 0.6), ("correct", 0.6), ("incorrect", 0.0)], 0.4, "correct"),
        # a tie goes to the score; exactly one half is incorrect
        ([("correct", 0.9), ("incorrect", 0.3)], 0.6, "correct"),
        ([("correct", 0.6), ("incorrect", 0.1)], 0.35, "incorrect"),
        ([("correct", None), ("incorrect", None)], 0.5, "incorrect"),
        # without a probability a vote counts what it says
        ([("correct", 0.5), ("correct", None)], 0.75, "correct"),
    ],
)
def test_vote(critiques: list[Any], score: float | None, verdict: str | None) -> None:
    got, voted, votes = vote([critique(*one) for one in critiques])
    assert voted == verdict
    assert got is None if score is None else got == pytest.approx(score)
    names = [one[0] for one in critiques]
    assert votes == Votes(
        **{name: names.count(name) for name in ("correct", "incorrect", "invalid")}
    )


@given(st.lists(st.tuples(st.sampled_from(["correct", "incorrect", "invalid"]), PROBABILITIES)))
def test_vote_is_a_probability_and_ignores_order(critiques: list[Any]) -> None:
    cast = [critique(*one) for one in critiques]
    score, verdict, votes = vote(cast)
    assert (score, verdict, votes) == vote(cast[::-1])
    assert (score is None) == (verdict is None) == (votes.correct + votes.incorrect == 0)
    assert score is None or 0 <= score <= 1


def test_first_error() -> None:
    assert first_error(steps()) == -1
    assert first_error(steps("+", "+")) == -1
    assert first_error(steps("+", "-", "+", "-")) == 1
    assert first_error(steps("error", "-")) == 1


@pytest.mark.parametrize(
    "scores,expected",
    [
        ([], {"min": None, "product": None, "mean": None, "last": None}),
        ([0.5, None], {"min": None, "product": None, "mean": None, "last": None}),
        ([None, 0.5], {"min": None, "product": None, "mean": None, "last": None}),
        ([0.8, 0.2, 0.5], {"min": 0.2, "product": 0.08, "mean": 0.5, "last": 0.5}),
        ([0.0], {"min": 0.0, "product": 0.0, "mean": 0.0, "last": 0.0}),
    ],
)
def test_aggregate(scores: list[float | None], expected: dict[Any, float | None]) -> None:
    for how, value in expected.items():
        got = aggregate(scores, how)
        assert got is None if value is None else got == pytest.approx(value)


@given(st.lists(PROBABILITIES, min_size=1))
def test_aggregates_are_ordered(scores: list[float]) -> None:
    low, mean = aggregate(scores, "min"), aggregate(scores, "mean")
    product = aggregate(scores, "product")
    assert low is not None and mean is not None and product is not None
    assert product <= low + 1e-12 and low <= mean + 1e-12
    assert math.isclose(mean, sum(scores) / len(scores), abs_tol=1e-9)


def test_solution_score_leaves_out_only_what_was_not_to_be_judged() -> None:
    assert solution_score(steps("+", "-", "not_scored"), "last") == 0.2
    assert solution_score(steps("+", "-", "error"), "min") is None
    assert solution_score(steps("not_scored"), "min") is None


def test_covered() -> None:
    assert covered(steps("+", "+"))
    assert covered(steps("+", "-", "error"))
    assert covered(steps("-", "not_scored"))
    assert not covered(steps("+", "too_long", "-"))
    assert not covered(steps("+", "empty"))
    assert not covered(steps("no_valid_critique"))


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_settled_without_risk_is_when_no_rest_can_change_the_majority(
    correct: int, incorrect: int, remaining: int
) -> None:
    ahead = correct > incorrect
    outcomes = [(correct + more, incorrect + remaining - more) for more in range(remaining + 1)]
    sure = correct != incorrect and all(c != i and (c > i) == ahead for c, i in outcomes)
    assert settled(Votes(correct=correct, incorrect=incorrect), remaining) is sure


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.floats(0, 0.49))
def test_settled_is_the_same_for_both_verdicts_and_grows_with_the_risk(
    a: int, b: int, remaining: int, risk: float
) -> None:
    one = settled(Votes(correct=a, incorrect=b), remaining, risk)
    assert one == settled(Votes(correct=b, incorrect=a), remaining, risk)
    assert not one or settled(Votes(correct=a, incorrect=b), remaining, 0.49)
    assert one or not settled(Votes(correct=a, incorrect=b), remaining)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9), RISKS)
def test_a_round_is_the_smallest_that_can_settle_anything(
    correct: int, incorrect: int, remaining: int, least: int, risk: float
) -> None:
    size = next_round(Votes(correct=correct, incorrect=incorrect), remaining, least, risk)
    assert min(least, remaining) <= size <= remaining
    for fewer in range(least, size):
        for more in range(fewer + 1):
            votes = Votes(correct=correct + more, incorrect=incorrect + fewer - more)
            assert not settled(votes, remaining - fewer, risk)
    assert size == remaining or any(
        settled(Votes(correct=correct + a, incorrect=incorrect + size - a), remaining - size, risk)
        for a in (0, size)
    )


def test_the_risk_is_that_of_simulated_critics() -> None:
    # share of correct votes drawn from Jeffreys' prior; 3 of 3 so far, 5 to come
    rng, changed, seen = random.Random(0), 0, 0
    while seen < 4_000:
        share = rng.betavariate(0.5, 0.5)
        votes = [rng.random() < share for _ in range(8)]
        if all(votes[:3]):
            seen += 1
            changed += sum(votes) <= 4
    assert not settled(Votes(correct=3), 5, 0.6 * changed / seen)
    assert settled(Votes(correct=3), 5, 1.6 * changed / seen)
