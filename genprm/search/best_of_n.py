"""The best of several solutions to one problem, by any step scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from genprm.errors import InputError
from genprm.records import BestOfN
from genprm.scoring.base import ChoiceOptions, ScoreItem, StepScorer


async def best_of_n(
    scorer: StepScorer,
    problem: str,
    candidates: Sequence[Sequence[str]],
    **options: Unpack[ChoiceOptions],
) -> BestOfN:
    """Judge all candidates, a list of steps each, in one call, and say which is best: the first
    of those with the highest solution score.

    A candidate without a score never wins over one with; where none has one there is no best.
    Raises what `StepScorer.score_batch` raises, and InputError without candidates.
    """
    if isinstance(candidates, str) or not candidates:
        raise InputError("field 'candidates': expected at least one list of steps")
    items = [ScoreItem(problem, steps, **options) for steps in candidates]
    judgements = await scorer.score_batch(items)
    scores = {place: j.solution_score for place, j in enumerate(judgements)}
    known = {place: score for place, score in scores.items() if score is not None}
    best = max(known, key=lambda place: known[place], default=None)  # max keeps the first
    return BestOfN(best=best, judgements=judgements)
