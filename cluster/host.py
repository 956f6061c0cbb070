"""One engine with its scorer, on the event loop that started them: what every judgement goes
through, over HTTP, by a handle or in an actor. Knows nothing of either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence

from cluster.critics import critic_source, make_scorer
from cluster.metrics import ScoringMetrics
from genprm.concurrent import together
from genprm.config import Config
from genprm.engines import build_engine
from genprm.engines.base import Engine
from genprm.records import Judgement, StepJudgement
from genprm.scorer import ScoreItem, Scorer


class CriticHost:
    """A critic that judges, and counts what it judges (`cluster.metrics`)."""

    def __init__(self, engine: Engine, scorer: Scorer, config: Config):
        self.engine, self.scorer, self.config = engine, scorer, config
        self._metrics = ScoringMetrics()

    @classmethod
    async def start(cls, config: Config) -> CriticHost:
        """Load the critic and start its engine: seconds to minutes.

        Raises:
            ConfigError: settings, model, adapter, tokenizer or pack that do not belong together.
            EngineError: the engine did not come up.
        """
        source = critic_source(config)
        engine = await build_engine(config.engine, source.model, source.adapter_rank)
        try:
            scorer = await make_scorer(config, engine)
        except BaseException:
            await engine.close()
            raise
        return cls(engine, scorer, config)

    async def score(self, item: ScoreItem) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        [judgement] = await self.score_batch([item])
        return judgement

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        told = [self.stream(item) for item in items]
        return await together([_last(each) for each in told])

    def stream(self, item: ScoreItem) -> AsyncGenerator[StepJudgement | Judgement]:
        """Judge one solution and tell each step when it is settled; see `Scorer.stream`."""
        return self._counted(item, self.scorer.stream(item))

    async def _counted(
        self, item: ScoreItem, told: AsyncGenerator[StepJudgement | Judgement]
    ) -> AsyncGenerator[StepJudgement | Judgement]:
        begun = time.monotonic()
        votes = item.votes or self.config.score.votes
        with self._metrics.judging():
            async with contextlib.aclosing(told):
                async for said in told:
                    seconds = time.monotonic() - begun
                    if isinstance(said, Judgement):
                        self._metrics.judgement(said, votes, seconds)
                    else:
                        self._metrics.step(said, seconds)
                    yield said


async def _last(told: AsyncGenerator[StepJudgement | Judgement]) -> Judgement:
    """The judgement at the end of a stream."""
    async with contextlib.aclosing(told):
        async for said in told:
            if isinstance(said, Judgement):
                return said
    raise AssertionError("a stream ends with its judgement")
