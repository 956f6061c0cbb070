"""Solutions to judgements, over any engine: what a request asks for, and what its steps come to.

Which critiques a step gets is the pack's unit (`UNITS`, a module each), how a critique gets its
verdict is `genprm.scoring.critiques`. A step that cannot be judged has a status and a reason, and
every step has exactly one result. Knows no files, no HTTP and no Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Unpack, get_args

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
from genprm.scoring.base import OPTIONS, SETTINGS, ScoreItem, ScoreOptions
from genprm.scoring.calibration import calibrated
from genprm.scoring.critiques import CritiqueSampler, reads_labels
from genprm.scoring.judging import Equipment, Judged, Judging, Task
from genprm.scoring.prefix import judge_prefixes
from genprm.scoring.solution import judge_solution
from genprm.scoring.turns import judge_turns
from genprm.scoring.voting import covered, first_error, solution_score
from genprm.util.aio import together

# What one critique is about, by the name that packs give it.
UNITS: dict[str, Callable[[Judging], Awaitable[Judged]]] = {
    "prefix": judge_prefixes,
    "turns": judge_turns,
    "solution": judge_solution,
}


class Scorer:
    """The generative critic: critiques by `engine`, asked with `pack`.

    Safe for many concurrent calls from one event loop; together they keep at most
    `config.max_concurrency` steps in flight.

    Args:
        config: the settings of requests that leave an option out, and how critiques are sampled.
        adapter: the LoRA adapter that the engine puts on.
        critic_version: what judgements call this critic.
        calibrations: what its scores mean, for requests that vote as one of these was fitted.

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
        self.calibrations = tuple(calibrations)
        self.critic = critic_info(engine, pack, config, critic_version)
        self._config = config
        self._equipment = Equipment(
            engine, pack, config, CritiqueSampler(engine, pack, config, adapter)
        )

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        return await self._judge(self.check(ScoreItem(problem, steps, id, **options)))

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        tasks = [self.check(item) for item in items]
        return await together([self._judge(task) for task in tasks])

    def stream(self, item: ScoreItem) -> AsyncGenerator[StepJudgement | Judgement]:
        """Judge one solution: each step's judgement when it is settled, in that order, and then the
        whole. Leaving the iterator gives up what is still to be judged.

        Raises:
            InputError: at once, as `check`.
        """
        return self.stream_task(self.check(item))

    async def stream_task(self, task: Task) -> AsyncGenerator[StepJudgement | Judgement]:
        """`stream` of a solution that is checked already."""
        settled: asyncio.Queue[StepJudgement | None] = asyncio.Queue()
        judging = asyncio.create_task(self._judge(task, settled.put_nowait))
        judging.add_done_callback(lambda _: settled.put_nowait(None))
        try:
            while (step := await settled.get()) is not None:
                yield step
            yield await judging
        finally:
            judging.cancel()

    def check(self, item: ScoreItem) -> Task:
        """The item as a task, with the scorer's own settings where it leaves an option out.

        Raises:
            InputError: the item is not a solution, or asks for what this critic cannot do; has the
                field.
        """
        if not isinstance(item.problem, str):
            raise InputError("expected a string", field="problem")
        steps = item.steps
        if isinstance(steps, str) or not all(isinstance(step, str) for step in steps):
            raise InputError("expected a list of strings", field="steps")
        if not steps:
            raise InputError("expected at least one step", field="steps")
        config = self._config
        options: dict[str, Any] = dict.fromkeys(OPTIONS)
        options |= {name: getattr(config, name) for name in SETTINGS}
        options |= {name: value for name, value in item.options.items() if value is not None}
        options["early_stop"] = bool(options["early_stop"])  # null: as `score.early_stopping`
        task = Task(
            id=item.id or content_id(item.problem, list(steps)),
            problem=item.problem,
            steps=tuple(steps),
            **options,
        )
        if task.votes < 1:
            raise InputError(f"expected at least 1, got {task.votes}", field="votes")
        if task.votes > 1 and config.temperature == 0:
            raise InputError(f"temperature 0 allows one vote, got {task.votes}", field="votes")
        if task.aggregate not in get_args(Aggregate):
            raise InputError(f"no such aggregation: {task.aggregate!r}", field="aggregate")
        if task.aggregate == "overall" and self.pack.overall is None:
            message = f"pack {self.pack.name} asks for no verdict of the whole"
            raise InputError(message, field="aggregate")
        if task.deadline_s is not None and not task.deadline_s > 0:
            raise InputError(f"expected more than 0, got {task.deadline_s}", field="deadline_s")
        return task

    async def _judge(
        self, task: Task, emit: Callable[[StepJudgement], None] = lambda step: None
    ) -> Judgement:
        def p_correct(score: float) -> float | None:
            for each in self.calibrations:
                if (task.votes, task.early_stop) == (each.votes, each.early_stop):
                    return calibrated(each, score)
            return None

        judging = Judging(self._equipment, task, p_correct, emit)
        steps, overall = await UNITS[self.pack.unit](judging)
        how = task.aggregate
        return Judgement(
            id=task.id,
            steps=steps,
            first_error=first_error(steps),
            solution_score=overall if how == "overall" else solution_score(steps, how),
            aggregate=how,
            overall=overall,
            covered=covered(steps),
            usage=judging.ledger.row(),
            critic=self.critic,
        )


def critic_info(
    engine: Engine, pack: PromptPack, config: ScoreConfig, version: str | None
) -> CriticInfo:
    """What the judgements of a `Scorer` with these arguments call their critic."""
    return CriticInfo(
        model=engine.name,
        version=version,
        pack=pack.name,
        fingerprint=pack.fingerprint,
        scoring="label_probs" if reads_labels(engine, config) else "hard_votes",
    )
