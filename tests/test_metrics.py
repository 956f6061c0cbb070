"""What a judgement adds to the counters."""

from __future__ import annotations

from judged import judge

from cluster.metrics import counts


def test_votes_that_early_stopping_did_without_are_counted_for_judged_steps_alone() -> None:
    told = counts(
        judge("a", "++", "+-+-?+-+", "????", ""), votes=8, early=True
    )  # the last is too long
    assert told.critiques == {"correct": 6, "incorrect": 3, "invalid": 5}
    assert told.saved == (8 - 2) + 0 + (8 - 4)
    # a critique of the whole may not reach a step, and then that saved nothing
    assert counts(judge("a", "++", "+"), votes=2, early=False).saved == 0


def test_tokens_are_those_of_the_judgement() -> None:
    judgement = judge("a", "++", "+-")
    usage = {"prompt_tokens": 90, "cached_tokens": 60, "completion_tokens": 40, "critiques": 4}
    told = counts(judgement.model_copy(update={"usage": usage}), votes=2, early=False)
    assert told.tokens == {"prompt": 90, "cached": 60, "completion": 40}
    assert told.saved == 0
