"""One engine with its scorer, on the event loop that started them: what every judgement goes
through, over HTTP, by a handle or in an actor. Knows nothing of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence

from cluster.serving.metrics import ScoringMetrics, counts
from genprm.config.root import Config
from genprm.engines import build_engine
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.generation import Sampling
from genprm.models.names import model_identity
from genprm.prompts.render import critique_prompt
from genprm.records import CriticInfo, Judgement, StepJudgement
from genprm.scoring.base import ScoreItem
from genprm.scoring.critic import critic_source, make_scorer, with_adapter
from genprm.scoring.scorer import Scorer
from genprm.util.aio import together


class CriticHost:
    """A critic that judges, and counts what it judges (`cluster.serving.metrics`).

    Where the critic is an adapter, another version of it may take over while it judges: each
    judgement is made by the version that it began with.
    """

    def __init__(self, engine: Engine, scorer: Scorer, config: Config):
        self.engine, self.scorer, self.config = engine, scorer, config
        self._deployed = config
        self._metrics = ScoringMetrics()
        self._loading = asyncio.Lock()
        self._ready: tuple[Config, Scorer] | None = None
        self._weights: dict[str, str] = {}  # of adapters that the engine knows by their path

    @classmethod
    async def start(cls, config: Config) -> CriticHost:
        """Load the critic and start its engine: seconds to minutes. Votes are stopped early unless
        the config says otherwise.

        Raises:
            ConfigError: settings, model, adapter, tokenizer or pack that do not belong together.
            EngineError: the engine did not come up.
        """
        stopping = config.score.early_stopping
        if stopping.enabled is None:
            enabled = stopping.model_copy(update={"enabled": True})
            score = config.score.model_copy(update={"early_stopping": enabled})
            config = config.model_copy(update={"score": score})
        source = critic_source(config)
        engine = await build_engine(config.engine, source.model, source.adapter_rank)
        try:
            scorer = await make_scorer(config, engine)
        except BaseException:
            await engine.close()
            raise
        host = cls(engine, scorer, config)
        if source.adapter is not None:
            host._weights[source.adapter] = await asyncio.to_thread(model_identity, source.adapter)
        return host

    async def prepare(self, directory: str) -> None:
        """Load the version of the critic in `directory`, an absolute path, beside the one that
        judges.

        Raises:
            ConfigError: not an adapter for this base, tokenizer and prompt pack, or one whose
                weights have changed since it was loaded from there.
            EngineError: the engine cannot load it.
        """
        async with self._loading:
            self._ready = await self._load(directory)

    async def adopt(self, directory: str) -> CriticInfo:
        """Let the version in `directory` judge whatever comes from here on. Raises what `prepare`
        raises, where that was not called before."""
        async with self._loading:
            if self._ready is None and self.config.models.critic == directory:
                return self.scorer.critic
            if self._ready is None or self._ready[0].models.critic != directory:
                self._ready = await self._load(directory)
            (self.config, self.scorer), self._ready = self._ready, None
            return self.scorer.critic

    async def _load(self, directory: str) -> tuple[Config, Scorer]:
        config = await asyncio.to_thread(with_adapter, self._deployed, self.engine, directory)
        weights = await asyncio.to_thread(model_identity, directory)
        if self._weights.get(directory, weights) != weights:
            raise ConfigError(
                f"{directory}: its weights have changed since they were loaded; "
                "write each version to a directory of its own"
            )
        scorer = await make_scorer(config, self.engine)
        # what the engine cannot load or run is refused here, and not by the first judgement
        probe = critique_prompt(config.prompt_pack(), self.engine.tokenizer, "1 + 1", ["= 2"])
        await self.engine.generate(probe, Sampling(max_tokens=1), adapter=directory)
        self._weights[directory] = weights
        return config, scorer

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
        score = self.config.score
        votes = item.votes or score.votes
        early = bool(score.early_stopping.enabled) if item.early_stop is None else item.early_stop
        whole = self.scorer.pack.unit == "solution"
        async with contextlib.aclosing(told):
            async for said in told:
                seconds = time.monotonic() - begun
                if isinstance(said, Judgement):
                    self._metrics.judgement(said, counts(said, votes, early, whole), seconds)
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
