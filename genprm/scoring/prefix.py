"""Unit `prefix`: each step has critiques of its own, which see it and the steps before it.

All steps are judged at once, or one after another where judging is to stop at the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from genprm.errors import PromptTooLongError
from genprm.records import Critique, StepJudgement
from genprm.scoring.judging import CritiquePrompt, Judged, Judging
from genprm.scoring.rounds import sample_step
from genprm.util.aio import together


async def judge_prefixes(judging: Judging) -> Judged:
    """Judge each prefix of the solution by itself."""

    async def judge_step(place: int) -> StepJudgement:
        return (await judging.step(place, partial(_critiques, judging, place)))[0]

    places = range(len(judging.task.steps))
    if not judging.task.stop_at_first_error:
        return Judged(await together([judge_step(place) for place in places]))
    steps: list[StepJudgement] = []
    for place in places:
        steps.append(await judge_step(place))
        if steps[-1].verdict == "incorrect":
            break
    return Judged(steps + judging.leave_out(len(steps)))


async def _critiques(judging: Judging, place: int) -> list[Critique]:
    about: CritiquePrompt | None = None

    async def sample(n: int, number: Sequence[int]) -> list[Critique]:
        nonlocal about
        if about is None:
            about = await judging.prompt(judging.task.steps[: place + 1])
        seed = judging.seed("score", place, *number)
        return await judging.sampler.sample(about.prompt, n, about.shown, seed, judging.ledger)

    try:
        return await sample_step(judging, sample)
    except PromptTooLongError as error:
        judging.mark_overflow(place, error)
        raise
