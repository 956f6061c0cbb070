"""What a judgement adds to the counters."""

from __future__ import annotations

from cluster.serving.metrics import counts
from judged import judge


def test_votes_that_early_stopping_did_without_are_counted_for_judged_steps_alone() -> None:
    # the last one is too long
    new = counts(judge("a", "++", "+-+-?+-+", "????", ""), votes=8, early=True, per_solution=False)
    assert new.critiques == {"correct": 6, "incorrect": 3, "invalid": 5}
    assert new.saved == (8 - 2) + 0 + (8 - 4)
    assert counts(judge("a", "++", "+"), votes=8, early=False, per_solution=False).saved == 0


def test_a_critique_of_the_whole_that_ends_before_a_step_saved_nothing() -> None:
    judgement = judge("a", "+-", "+")  # one of two got to the second step
    judgement = judgement.model_copy(update={"usage": {"critiques": 2}})
    assert counts(judgement, votes=2, early=True, per_solution=True).saved == 0
    assert counts(judgement, votes=8, early=True, per_solution=True).saved == (8 - 2) * 2


def test_tokens_are_those_of_the_judgement() -> None:
    judgement = judge("a", "++", "+-")
    usage = {"prompt_tokens": 90, "cached_tokens": 60, "completion_tokens": 40, "critiques": 4}
    new = counts(
        judgement.model_copy(update={"usage": usage}), votes=2, early=False, per_solution=False
    )
    assert new.tokens == {"prompt": 90, "cached": 60, "completion": 40}
    assert new.saved == 0
