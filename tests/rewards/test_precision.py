"""Scores as fine as the votes behind them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.errors import InputError
from genprm.records import CriticInfo, Judgement, StepJudgement, Votes
from genprm.rewards.credit import solution_reward, step_rewards
from genprm.rewards.precision import PRECISIONS, with_precision
from genprm.scoring.voting import solution_score

CRITIC = CriticInfo(model="m", pack="p", fingerprint="f", scoring="label_probs")
FINE = 1e-5


def judgement(
    steps: list[tuple[float | None, int, int]], how: Any = "min", **fields: Any
) -> Judgement:
    """Of steps (score, votes that say correct, votes that say incorrect)."""
    judged = [
        StepJudgement(
            index=place,
            score=score,
            calibrated=score,
            verdict=None if score is None else "correct" if right > wrong else "incorrect",
            votes=Votes(correct=right, incorrect=wrong, invalid=1),
            status="no_valid_critique" if score is None else "ok",
        )
        for place, (score, right, wrong) in enumerate(steps)
    ]
    error = next((s.index for s in judged if s.verdict == "incorrect"), -1)
    fields = {"critic": CRITIC, **fields}
    if how != "overall":
        fields["solution_score"] = solution_score(judged, how)
    return Judgement(
        id="a", steps=judged, first_error=error, aggregate=how, covered=True, usage={}, **fields
    )


@pytest.mark.parametrize("how", ["min", "product", "mean", "last"])
@pytest.mark.parametrize("precision", ["rounded", "hard_votes"])
@pytest.mark.parametrize("reward", ["solution_score", "calibrated", "correct_share"])
def test_solutions_all_wrong_have_one_reward(how: Any, precision: str, reward: str) -> None:
    group = [judgement([(0.9, 8, 0), (0.0012 + FINE * i, 0, 8)], how) for i in range(8)]
    plain = {solution_reward(each, reward) for each in group}
    assert len(plain) == (1 if reward == "correct_share" else 8)
    assert len({solution_reward(with_precision(each, precision), reward) for each in group}) == 1
    assert len({tuple(step_rewards(with_precision(j, precision)) or ()) for j in group}) == 1


@pytest.mark.parametrize(
    ("precision", "steps", "scores"),
    [
        ("rounded", [(0.1436, 1, 6), (0.0012, 0, 7)], [1 / 7, 0.0]),
        ("rounded", [(0.5, 1, 0), (0.75, 1, 1), (0.51, 1, 0)], [0.0, 0.5, 1.0]),
        ("rounded", [(0.8, 2, 0), (None, 0, 0)], [1.0, None]),
        ("hard_votes", [(0.4, 3, 1), (0.6, 1, 3), (None, 0, 0)], [0.75, 0.25, None]),
        ("exact", [(0.1436, 1, 6), (None, 0, 0)], [0.1436, None]),
    ],
)
def test_scores_of_each_precision(precision: str, steps: Any, scores: list[float | None]) -> None:
    before = judgement(steps)
    after = with_precision(before, precision)
    assert after is not None and [step.score for step in after.steps] == scores
    assert after.solution_score == solution_score(after.steps, "min")
    assert [step.verdict for step in after.steps] == [step.verdict for step in before.steps]
    assert after.first_error == before.first_error


def test_what_votes_do_not_decide_is_rounded() -> None:
    of_all = judgement([(0.9, 4, 0)], "overall", overall=0.6 + FINE, solution_score=0.6 + FINE)
    for precision in ("rounded", "hard_votes"):
        after = with_precision(of_all, precision)
        assert after is not None and after.overall == after.solution_score == 0.5
    head = judgement([(0.73 + FINE, 1, 0)], critic=CRITIC.model_copy(update={"scoring": "head"}))
    after = with_precision(head, "rounded")
    assert after is not None and after.solution_score == 0.73


@given(st.floats(0, 1), st.integers(0, 64), st.integers(0, 64), st.sampled_from(list(PRECISIONS)))
def test_scores_stay_in_range_and_are_the_same_the_second_time(
    score: float, right: int, wrong: int, precision: str
) -> None:
    if not right + wrong:
        return
    once = with_precision(judgement([(score, right, wrong)]), precision)
    assert once is not None and once.steps[0].score is not None
    assert 0 <= once.steps[0].score <= 1
    assert with_precision(once, precision) == once
    if precision == "rounded":
        assert abs(once.steps[0].score - score) <= 0.5 / (right + wrong) + 1e-9


def test_nothing_stays_nothing_and_an_unknown_precision_is_named() -> None:
    assert with_precision(None, "rounded") is None
    with pytest.raises(InputError, match="unknown precision 'fine'; known are rounded"):
        with_precision(None, "fine")
