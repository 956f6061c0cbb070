"""One text, one reward: what is remembered, and for how long."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from genprm.integrations import cache
from genprm.integrations.cache import JudgementCache, score_once
from genprm.integrations.judge import judge
from genprm.integrations.trl import CriticReward
from genprm.records import CriticInfo, Judgement, StepJudgement, StepStatus, Votes
from genprm.scoring.base import ScoreItem


class NoisyScorer:
    """Every answer has another score, by a critic whose version can be set; counts the items."""

    def __init__(self) -> None:
        self.version, self.status, self.items = "one", "ok", list[ScoreItem]()
        self._noise = itertools.count()

    async def score(self, *_: Any, **__: Any) -> Judgement:
        raise NotImplementedError

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        self.items += items
        await asyncio.sleep(0)  # so that calls overlap
        return [self.judgement(item) for item in items]

    def judgement(self, item: ScoreItem) -> Judgement:
        score = 1 / (2 + next(self._noise)) if self.status == "ok" else None
        status: StepStatus = self.status  # type: ignore[assignment]  # of the tests below
        step = StepJudgement(
            index=0, score=score, verdict="correct", votes=Votes(correct=1), status=status
        )
        return Judgement(
            id="a",
            steps=[step],
            first_error=-1,
            solution_score=score,
            aggregate="min",
            covered=score is not None,
            usage={},
            critic=CriticInfo(
                model="m", version=self.version, pack="p", fingerprint="f", scoring="label_probs"
            ),
        )


def scores(scorer: Any, texts: Sequence[str], **options: Any) -> list[float | None]:
    judging = judge(scorer, ["p"] * len(texts), texts, "lines", options)  # type: ignore[arg-type]  # any options
    return [j and j.solution_score for j in asyncio.run(judging)]


def test_equal_texts_have_one_score_in_a_call_and_later() -> None:
    scorer = NoisyScorer()
    first = scores(scorer, ["a", "b", "a", "a\n"])
    assert first[0] == first[2] == first[3] != first[1]
    assert scores(scorer, ["b", "a"]) == [first[1], first[0]]
    assert len(scorer.items) == 2


def test_what_makes_another_judgement_is_asked_for_again() -> None:
    scorer = NoisyScorer()
    one = scores(scorer, ["a"])
    assert scores(scorer, ["a"], votes=4) != one
    assert scores(scorer, ["a"], seed=1) != one
    assert scores(scorer, ["a"], deadline_s=9.0) == one  # a limit is no difference
    assert scores(NoisyScorer(), ["a", "b"]) != scores(scorer, ["a", "b"])


def test_texts_that_are_asked_for_at_once_have_one_score() -> None:
    scorer = NoisyScorer()

    async def all_at_once() -> list[list[Judgement]]:
        items = [ScoreItem("p", ["a"])]
        return await asyncio.gather(*[score_once(scorer, items) for _ in range(8)])

    assert len({judgement.solution_score for [judgement] in asyncio.run(all_at_once())}) == 1


def test_another_version_of_the_critic_judges_all_anew() -> None:
    scorer = NoisyScorer()
    [old] = scores(scorer, ["a"])
    scorer.version = "two"
    assert scores(scorer, ["a"]) == [old]  # nobody has answered since
    new, _ = scores(scorer, ["a", "b"])  # the answer to b tells
    assert new != old and scores(scorer, ["a"]) == [new]


@pytest.mark.parametrize("status", cache.PASSING)
def test_what_failed_in_passing_is_not_remembered(status: str) -> None:
    scorer = NoisyScorer()
    scorer.status = status
    assert scores(scorer, ["a"]) == [None]
    scorer.status = "ok"
    assert scores(scorer, ["a"]) != [None]


def test_the_cache_is_bounded_and_keeps_what_was_used_last() -> None:
    scorer, kept = NoisyScorer(), JudgementCache(size=2)
    for key in "abac":
        kept.get(key) or kept.keep(key, scorer.judgement(ScoreItem("p", [key])))
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]


def test_a_cache_ends_with_its_scorer() -> None:
    scorer = NoisyScorer()
    before = len(cache._caches)
    scores(scorer, ["a"])
    assert len(cache._caches) == before + 1
    del scorer
    gc.collect()
    assert len(cache._caches) == before


def test_the_rewards_of_a_trainer_do_not_move() -> None:
    reward = CriticReward(NoisyScorer(), precision="exact")
    call = {"prompts": ["p"] * 4, "completions": ["a", "b", "a", "c"]}
    calls = [asyncio.run(reward(**call)) for _ in range(10)]
    assert calls == [calls[0]] * 10 and calls[0][0] == calls[0][2]
