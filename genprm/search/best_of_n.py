"""The best of several solutions to one problem, by any step scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from genprm.errors import InputError
from genprm.records import BestOfN
from genprm.scoring.base import ScoreItem, ScoreOptions, StepScorer


async def best_of_n(
    scorer: StepScorer,
    problem: str,
    candidates: Sequence[Sequence[str]],
    **options: Unpack[ScoreOptions],
) -> BestOfN:
    """Judge all candidates, a list of steps each, in one call. The best is the first of those with
    the highest solution score.

    A candidate without a score never wins over one with a score; where no candidate has one, there
    is no best. Raises what `StepScorer.score_batch` raises, and InputError without candidates.
    """
    if isinstance(candidates, str) or not candidates:
        raise InputError("expected at least one list of steps", field="candidates")
    items = [ScoreItem(problem, steps, **options) for steps in candidates]
    judgements = await scorer.score_batch(items)
    scores = {
        place: judgement.solution_score
        for place, judgement in enumerate(judgements)
        if judgement.solution_score is not None
    }
    best = max(scores, key=lambda place: scores[place], default=None)  # max keeps the first
    return BestOfN(best=best, judgements=judgements)
