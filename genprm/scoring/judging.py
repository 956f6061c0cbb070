"""Judging one solution: its prompts, its time, the votes on its steps, and what goes wrong.

The units (`prefix`, `turns`, `solution`) decide which critiques are asked for. Whatever the unit, a
step's critiques vote, and every step has exactly one result. Knows no request and no aggregation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from genprm.config.score import ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import EngineError, PromptTooLongError
from genprm.generation import Prompt
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import critique_prompt, rendered_texts
from genprm.records import Aggregate, Critique, StepJudgement, StepStatus
from genprm.scoring.critiques import LONG_TEXT, CritiqueSampler, Ledger
from genprm.scoring.voting import vote
from genprm.util.seeds import derive_seed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """A solution to judge, checked and with every option filled in."""

    id: str
    problem: str
    steps: tuple[str, ...]
    votes: int
    aggregate: Aggregate
    return_critiques: bool
    stop_at_first_error: bool
    early_stop: bool
    seed: int | None
    deadline_s: float | None


class CritiquePrompt(NamedTuple):
    """A prompt for critiques, and the untrusted texts in it as the prompt shows them."""

    prompt: Prompt
    shown: tuple[str, ...]


class Judged(NamedTuple):
    """One result per step; `overall` is the mean P(correct) of the whole solution, where the pack
    asks for one."""

    steps: list[StepJudgement]
    overall: float | None = None


class LateError(Exception):
    """The deadline of a task has passed."""


class Equipment:
    """What the judgements of one scorer share: engine, pack, settings, and slots for steps."""

    def __init__(
        self, engine: Engine, pack: PromptPack, config: ScoreConfig, sampler: CritiqueSampler
    ):
        self.engine, self.pack, self.config, self.sampler = engine, pack, config, sampler
        self.slots = asyncio.Semaphore(config.max_concurrency)
        self.long_texts = asyncio.Lock()


class Judging:
    """One task in work. Its time runs from here.

    Args:
        equipment: of the scorer.
        task: the solution and its options.
        calibrate: P(correct) of a step's score, None where no calibration fits.
        emit: called with each step as soon as it is settled.
    """

    def __init__(
        self,
        equipment: Equipment,
        task: Task,
        calibrate: Callable[[float], float | None],
        emit: Callable[[StepJudgement], None],
    ):
        self.engine, self.pack = equipment.engine, equipment.pack
        self.config, self.sampler = equipment.config, equipment.sampler
        self.task, self.ledger = task, Ledger()
        self._equipment, self._calibrate, self._emit = equipment, calibrate, emit
        now = asyncio.get_running_loop().time()
        self._end = None if task.deadline_s is None else now + task.deadline_s
        self._overflow: tuple[int, PromptTooLongError] | None = None

    def seed(self, *parts: str | int) -> int | None:
        """The seed of one request, None where the task has none."""
        return None if self.task.seed is None else derive_seed(self.task.seed, *parts)

    async def prompt(self, steps: Sequence[str], history: Sequence[str] = ()) -> CritiquePrompt:
        """The prompt about `steps`, a prefix of the solution, after the critiques in `history`.

        Raises:
            PromptTooLongError: a shorter prefix did not fit (`mark_overflow`).
        """

        def render() -> CritiquePrompt:
            tokenizer = self.engine.tokenizer
            return CritiquePrompt(
                critique_prompt(self.pack, tokenizer, self.task.problem, steps, history),
                rendered_texts(self.pack, tokenizer, self.task.problem, steps),
            )

        if sum(map(len, (self.task.problem, *steps, *history))) <= LONG_TEXT:
            self._check_overflow(len(steps) - 1)
            return render()
        # In another thread, so that other requests go on; one at a time, so that the prefixes
        # after one that overflows the context are never tokenised.
        async with self._equipment.long_texts:
            self._check_overflow(len(steps) - 1)
            return await asyncio.to_thread(render)

    def mark_overflow(self, place: int, error: PromptTooLongError) -> None:
        """Remember that the prefix up to step `place` did not fit the context: longer prefixes are
        refused without tokenising them."""
        if self._overflow is None or place < self._overflow[0]:
            self._overflow = (place, error)

    def _check_overflow(self, place: int) -> None:
        if self._overflow is not None and place > self._overflow[0]:
            error = self._overflow[1]
            raise PromptTooLongError(error.length, error.limit)

    async def step(
        self, place: int, sample: Callable[[], Awaitable[list[Critique]]]
    ) -> tuple[StepJudgement, list[Critique]]:
        """The vote on one step, emitted, and the critiques that voted. Whatever goes wrong becomes
        the step's status; only a dead engine raises (EngineError)."""
        critiques: list[Critique] = []
        if not self.task.steps[place].strip():
            step = failed(place, "empty", "the step has no text")
        else:
            try:
                critiques = await self.in_time(sample)
                step = self.vote(place, critiques)
            except LateError as error:
                step = failed(place, "deadline", str(error))
            except PromptTooLongError as error:
                step = failed(place, "too_long", str(error))
            except EngineError as error:
                await self.engine.check_health()
                step = failed(place, "error", str(error))
        self._emit(step)
        return step, critiques

    async def in_time(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, done in one of the scorer's slots.

        Raises:
            LateError: the deadline has passed; what the engine was still writing is given up.
        """
        if self._end is None or asyncio.get_running_loop().time() < self._end:
            try:
                async with asyncio.timeout_at(self._end) as limit, self._equipment.slots:
                    return await work()
            except TimeoutError:
                if not limit.expired():  # one of the engine's own
                    raise
        raise LateError(f"not judged within {self.task.deadline_s:g} s")

    def vote(self, place: int, critiques: list[Critique]) -> StepJudgement:
        """The judgement of step `place` by its critiques."""
        score, verdict, votes = vote(critiques)
        reason = None if verdict else _no_verdict(critiques)
        return StepJudgement(
            index=place,
            score=score,
            calibrated=None if score is None else self._calibrate(score),
            verdict=verdict,
            votes=votes,
            status="ok" if verdict else "no_valid_critique",
            reason=reason,
            critiques=critiques if self.task.return_critiques else None,
        )

    def emit(self, steps: list[StepJudgement]) -> list[StepJudgement]:
        """Emit settled steps, in order; returns them."""
        for step in steps:
            self._emit(step)
        return steps

    def leave_out(self, first: int) -> list[StepJudgement]:
        """The steps from `first` on as `not_scored`, emitted."""
        return self.emit([failed(i, "not_scored") for i in range(first, len(self.task.steps))])


def _no_verdict(critiques: Sequence[Critique]) -> str:
    """Why critiques without a verdict have none, as far as is known."""
    reason = f"none of {len(critiques)} critiques has a verdict"
    masses = [each.label_mass for each in critiques if each.label_mass is not None]
    if not masses:
        return reason
    return f"{reason}: both labels together have a probability of at most {max(masses):.2g}"


def failed(place: int, status: StepStatus, reason: str | None = None) -> StepJudgement:
    """The result of a step without a score."""
    return StepJudgement(index=place, score=None, verdict=None, status=status, reason=reason)
