"""Solutions to judgements, over any engine: what is asked, and what the judged steps come to.

How steps get critiques is the pack's unit (`genprm.scoring.judging`), how a critique gets its
verdict `genprm.scoring.critiques`. A step that cannot be judged has a status and a
reason, and every given step has exactly one result. Knows no files, no HTTP and no Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple, get_args

from genprm.config.score import ScoreConfig
from genprm.engines.base import Engine
from genprm.errors import InputError
from genprm.prompts.packs import PromptPack
from genprm.records import (
    Aggregate,
    CriticInfo,
    Judgement,
    ScoreCalibration,
    StepJudgement,
    content_id,
)
from genprm.scoring.base import ScoreItem, StepScorer
from genprm.scoring.calibration import calibrated
from genprm.scoring.critiques import CritiqueSampler
from genprm.scoring.judging import Task, Unit
from genprm.scoring.voting import covered, first_error, solution_score
from genprm.util.aio import together

__all__ = ["ScoreItem", "Scorer", "StepScorer"]


class Scorer:
    """The generative critic: critiques by `engine`, asked with `pack`.

    `adapter` is the LoRA adapter that the engine puts on, `critic_version` what judgements call
    this critic, `calibrations` what its scores mean where votes are asked for as one was fitted.
    Safe for many concurrent calls from one event loop; together they keep at most
    `config.max_concurrency` steps in flight.

    Raises:
        ConfigError: pack and engine do not fit; see `CritiqueSampler`.
    """

    def __init__(
        self,
        engine: Engine,
        pack: PromptPack,
        config: ScoreConfig,
        adapter: str | None = None,
        critic_version: str | None = None,
        calibrations: Sequence[ScoreCalibration] = (),
    ):
        self.pack = pack
        self._config = config
        self.calibrations = tuple(calibrations)
        sampler = CritiqueSampler(engine, pack, config, adapter)
        self._unit = Unit(engine, pack, config, sampler)
        self.critic = CriticInfo(
            model=engine.name,
            version=critic_version,
            pack=pack.name,
            fingerprint=pack.fingerprint,
            scoring="label_probs" if sampler.labels else "hard_votes",
        )

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        votes: int | None = None,
        aggregate: Aggregate | None = None,
        return_critiques: bool | None = None,
        stop_at_first_error: bool | None = None,
        early_stop: bool | None = None,
        seed: int | None = None,
        deadline_s: float | None = None,
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        item = ScoreItem(
            problem,
            steps,
            id,
            votes,
            aggregate,
            return_critiques,
            stop_at_first_error,
            early_stop,
            seed,
            deadline_s,
        )
        [judgement] = await self.score_batch([item])
        return judgement

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        requests = [self._checked(item) for item in items]
        return await together([self._judge(request) for request in requests])

    def stream(self, item: ScoreItem) -> AsyncGenerator[StepJudgement | Judgement]:
        """Judge one solution and tell each step when it is settled, in the order of that; the
        judgement comes last. Leaving the iterator gives up what is still to be judged.

        Raises:
            InputError: at once, for an item that is no solution.
        """
        return self._told(self._checked(item))

    async def _told(self, request: _Request) -> AsyncGenerator[StepJudgement | Judgement]:
        settled_steps: asyncio.Queue[StepJudgement | None] = asyncio.Queue()
        judging = asyncio.create_task(self._judge(request, settled_steps.put_nowait))
        judging.add_done_callback(lambda _: settled_steps.put_nowait(None))
        try:
            while (step := await settled_steps.get()) is not None:
                yield step
            yield await judging
        finally:
            judging.cancel()

    def _checked(self, item: ScoreItem) -> _Request:
        """The item with the scorer's own settings filled in; InputError names a broken field."""
        steps = item.steps
        if not isinstance(item.problem, str):
            raise InputError("field 'problem': expected a string")
        if isinstance(steps, str) or not all(isinstance(step, str) for step in steps):
            raise InputError("field 'steps': expected a list of strings")
        if not steps:
            raise InputError("field 'steps': expected at least one step")
        config = self._config
        votes = config.votes if item.votes is None else item.votes
        if votes < 1:
            raise InputError(f"field 'votes': expected at least 1, got {votes}")
        if votes > 1 and config.temperature == 0:
            raise InputError(f"field 'votes': temperature 0 allows one vote, got {votes}")
        how = item.aggregate or config.aggregate
        if how not in get_args(Aggregate):
            raise InputError(f"field 'aggregate': no such aggregation: {how!r}")
        if how == "overall" and self.pack.overall is None:
            raise InputError(
                f"field 'aggregate': pack {self.pack.name} asks for no verdict of the whole"
            )
        deadline = config.deadline_s if item.deadline_s is None else item.deadline_s
        if deadline is not None and not deadline > 0:
            raise InputError(f"field 'deadline_s': expected more than 0, got {deadline}")
        keep, stop, early = item.return_critiques, item.stop_at_first_error, item.early_stop
        return _Request(
            id=item.id or content_id(item.problem, list(steps)),
            problem=item.problem,
            steps=tuple(steps),
            votes=votes,
            aggregate=how,
            keep=config.return_critiques if keep is None else keep,
            stop=config.stop_at_first_error if stop is None else stop,
            early=bool(config.early_stopping.enabled) if early is None else early,
            seed=item.seed,
            deadline_s=deadline,
        )

    async def _judge(
        self,
        request: _Request,
        tell: Callable[[StepJudgement], None] = lambda step: None,
    ) -> Judgement:
        """All steps; each is told when it is settled."""
        deadline = request.deadline_s
        end = None if deadline is None else asyncio.get_running_loop().time() + deadline
        steps, usage, overall = await self._unit.judge(
            Task(
                problem=request.problem,
                steps=request.steps,
                votes=request.votes,
                keep=request.keep,
                stop=request.stop,
                early=request.early,
                seed=request.seed,
                deadline_s=deadline,
                end=end,
                tell=tell,
                calibrate=lambda score: self._calibrated(request, score),
            )
        )
        how = request.aggregate
        return Judgement(
            id=request.id,
            steps=steps,
            first_error=first_error(steps),
            solution_score=overall if how == "overall" else solution_score(steps, how),
            aggregate=how,
            overall=overall,
            covered=covered(steps),
            usage=usage,
            critic=self.critic,
        )

    def _calibrated(self, request: _Request, score: float) -> float | None:
        """Calibrated P(correct) of a score; None if no calibration was fitted with these votes and
        early stopping."""
        for known in self.calibrations:
            if (request.votes, request.early) == (known.votes, known.early_stop):
                return calibrated(known, score)
        return None


class _Request(NamedTuple):
    """A checked `ScoreItem` with every setting filled in."""

    id: str
    problem: str
    steps: tuple[str, ...]
    votes: int
    aggregate: Aggregate
    keep: bool
    stop: bool
    early: bool
    seed: int | None
    deadline_s: float | None
