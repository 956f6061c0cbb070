"""The best of several solutions, over scorers that answer from a list."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from genprm.errors import InputError
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem
from genprm.search.best_of_n import best_of_n
from judged import judge


class Listed:
    """Judges by the marks that a candidate's steps are made of, and keeps what it was asked."""

    def __init__(self) -> None:
        self.batches: list[Sequence[ScoreItem]] = []

    async def score(self, problem: str, steps: Sequence[str], **options: object) -> Judgement:
        raise AssertionError("one call for all")

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        self.batches.append(items)
        return [judge("x", *item.steps) for item in items]


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([["+-", "++"], ["++", "++"], ["--"]], 1),
        ([["-"], ["+-"], ["+-"]], 1),  # the first of equals
        ([["?"], ["-"], [""]], 1),  # a low score is more than none
        ([["+", ""], ["?"]], None),
    ],
)
def test_the_best_has_the_highest_score(candidates: list[list[str]], best: int | None) -> None:
    scorer = Listed()
    result = asyncio.run(best_of_n(scorer, "p", candidates, votes=2))
    assert result.best == best
    assert [len(judgement.steps) for judgement in result.judgements] == list(map(len, candidates))
    [items] = scorer.batches
    assert all((item.problem, item.options) == ("p", {"votes": 2}) for item in items)


def test_without_candidates_there_is_nothing_to_choose() -> None:
    for candidates in ([], "right"):
        with pytest.raises(InputError, match=r"^field 'candidates'"):
            asyncio.run(best_of_n(Listed(), "p", candidates))
