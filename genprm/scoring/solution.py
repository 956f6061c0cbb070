"""Unit `solution`: one critique has a verdict for each step, up to the first error that it finds.

A critique votes on the steps that it reaches: with the last verdict that it gives each of them, and
an invalid one on a step that it left out. Steps after the first error that no critique reached are
`not_scored`.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from genprm.errors import EngineError, PromptTooLongError
from genprm.generation import Prompt
from genprm.prompts.naming import verdict_places
from genprm.prompts.verdict import LabelReading, StatedVerdict, stated_verdicts
from genprm.records import Critique, StepJudgement, StepStatus, Votes
from genprm.scoring.critiques import LONG_TEXT, Draft
from genprm.scoring.judging import CritiquePrompt, Judged, Judging, LateError, failed
from genprm.scoring.rounds import run_rounds
from genprm.scoring.voting import settled, vote
from genprm.util.aio import together

INVALID = LabelReading("invalid", None, None)


class Reading(NamedTuple):
    """What one text says: a critique per step from the first on, and P(correct) of the whole
    solution where the pack asks for it."""

    critiques: list[Critique]
    overall: float | None


async def judge_solution(judging: Judging) -> Judged:
    """Judge all steps by critiques of the whole solution."""
    task = judging.task
    per_step: list[list[Critique]] = [[] for _ in task.steps]
    overall: list[float] = []
    if any(not step.strip() for step in task.steps):
        reason = "a step has no text, so the solution cannot be judged as one"
        return _all_failed(judging, "empty", reason)

    async def ask(about: CritiquePrompt, n: int, number: Sequence[int]) -> None:
        seed = judging.seed("solution", *number)
        drafts = await judging.sampler.drafts(
            about.prompt, n, seed, judging.ledger, steps=len(task.steps)
        )
        readings = await together(_read(judging, about, draft) for draft in drafts)
        for reading in readings:
            for votes, critique in zip(per_step, reading.critiques, strict=False):
                votes.append(critique)
            if reading.overall is not None:
                overall.append(reading.overall)

    async def all_rounds() -> None:
        about = await judging.prompt(task.steps)
        await run_rounds(judging, partial(ask, about), partial(_undecided, judging, per_step))

    try:
        await judging.in_time(all_rounds)
    except PromptTooLongError as error:
        return _all_failed(judging, "too_long", str(error))
    except LateError as error:
        return _all_failed(judging, "deadline", str(error))
    except EngineError as error:
        await judging.engine.check_health()
        return _all_failed(judging, "error", str(error))
    steps: list[StepJudgement] = []
    for place, critiques in enumerate(per_step):
        after_error = any(step.verdict == "incorrect" for step in steps)
        if after_error and (task.stop_at_first_error or not critiques):
            steps.append(failed(place, "not_scored"))
        else:
            steps.append(judging.vote(place, critiques))
    mean = math.fsum(overall) / len(overall) if overall else None
    return Judged(judging.emit(steps), mean)


async def _read(judging: Judging, about: CritiquePrompt, draft: Draft) -> Reading:
    """The critiques in one text, in the order of the steps: up to the first that says incorrect, or
    to an invalid one where the text ends early. Steps that the text left out have an invalid one.
    """
    steps, pack = len(judging.task.steps), judging.pack
    overall = None
    if pack.overall is not None:  # whatever the text says of the steps
        overall = await judging.sampler.overall(about.prompt, draft.safe, judging.ledger)

    def find() -> tuple[list[StatedVerdict], list[tuple[int, ...]]]:
        stated = stated_verdicts(pack, draft.safe, about.shown)
        return stated, verdict_places(pack, draft.safe, stated, steps)

    # in another thread where the text is long, so that other requests go on
    is_long = len(draft.safe) > LONG_TEXT
    stated, places_of_verdicts = await asyncio.to_thread(find) if is_long else find()
    last: dict[int, StatedVerdict] = {}
    texts: defaultdict[int, str] = defaultdict(str)
    done = 0
    for verdict, places in zip(stated, places_of_verdicts, strict=True):
        for place in places:
            last[place] = verdict
            texts[place] += draft.safe[done : verdict.opener]
        done = verdict.end
    critiques: list[Critique] = []
    for place in range(max(last, default=-1) + 1):
        verdict_of_step = last.get(place)
        reading = INVALID
        if verdict_of_step is not None:
            reading = LabelReading(verdict_of_step.verdict, None, None)
            if judging.sampler.labels is not None and reading.verdict != "invalid":
                reading = await _probabilities(judging, about.prompt, draft, verdict_of_step)
        critiques.append(_part(judging, draft, texts[place], reading))
        if reading.verdict == "incorrect":
            break
    if len(critiques) < steps and (not critiques or critiques[-1].verdict == "correct"):
        rest = draft.safe[done:] if critiques else draft.safe  # the text ended early
        critiques.append(_part(judging, draft, rest, INVALID))
    return Reading(critiques, overall)


async def _probabilities(
    judging: Judging, prompt: Prompt, draft: Draft, stated: StatedVerdict
) -> LabelReading:
    """The probabilities of a written verdict. The verdict stays what was written, since the text
    goes on from it; where the labels have no mass to speak of, it is all that there is."""
    assert judging.sampler.labels is not None
    text = draft.safe[: stated.opener] + judging.pack.opener
    about = await judging.sampler.continued(prompt, text)
    try:
        read = await judging.sampler.read(about, judging.sampler.labels, judging.ledger)
    except PromptTooLongError:
        return LabelReading(stated.verdict, None, None)
    return LabelReading(stated.verdict, read.p_correct, read.label_mass)


def _part(judging: Judging, draft: Draft, text: str, reading: LabelReading) -> Critique:
    """The record of one step's part of a critique; its tokens are counted anew."""
    tokenizer = judging.engine.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] if tokenizer else ()
    return Critique(
        text=text.strip("\n"),
        verdict=reading.verdict,
        p_correct=reading.p_correct,
        label_mass=reading.label_mass,
        finish_reason=draft.finish_reason,
        tokens=len(ids),
    )


def _undecided(
    judging: Judging, per_step: Sequence[Sequence[Critique]], remaining: int
) -> list[Votes]:
    """The votes that more critiques could change, up to what is the first error so far. A verdict
    of the whole solution is a mean over all critiques, so then every vote counts as open."""
    risk = judging.config.early_stopping.risk
    undecided: list[Votes] = []
    for critiques in per_step:
        _, verdict, votes = vote(critiques)
        if judging.pack.overall is not None or not settled(votes, remaining, risk):
            undecided.append(votes)
        if verdict == "incorrect":
            break
    return undecided


def _all_failed(judging: Judging, status: StepStatus, reason: str) -> Judged:
    places = range(len(judging.task.steps))
    return Judged(judging.emit([failed(place, status, reason) for place in places]))
