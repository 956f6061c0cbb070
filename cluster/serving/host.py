"""One engine with its scorer, on the event loop that started them. Every judgement goes through
here, whether it is asked for over HTTP, by a handle or in an actor; knows nothing of these.
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
from genprm.scoring.critic import Critic, load_critic
from genprm.scoring.judging import Task
from genprm.scoring.scorer import Scorer
from genprm.util.aio import together


class CriticHost:
    """A critic that judges, and counts what it judges (`cluster.serving.metrics`).

    Where the critic is an adapter, another version of it may take over at any time: each judgement
    is made by the version that it began with.
    """

    def __init__(self, engine: Engine, critic: Critic, scorer: Scorer):
        self.engine, self.critic, self.scorer = engine, critic, scorer
        self._deployed = critic
        self._metrics = ScoringMetrics()
        self._loading = asyncio.Lock()
        self._ready: tuple[Critic, Scorer] | None = None
        self._weights: dict[str, str] = {}  # of adapters that the engine knows by their path

    @property
    def config(self) -> Config:
        """The config of the critic that judges."""
        return self.critic.config

    @classmethod
    async def start(cls, config: Config) -> CriticHost:
        """Load the critic and start its engine: seconds to minutes. Votes are stopped early unless
        the config says otherwise.

        Raises:
            ConfigError: settings, model, adapter, tokenizer or pack that do not belong together.
            EngineError: the engine did not come up.
        """
        config = config.with_pack_sampling()
        if config.score.early_stop is None:
            stopping = config.score.early_stopping.model_copy(update={"enabled": True})
            score = config.score.model_copy(update={"early_stopping": stopping})
            config = config.model_copy(update={"score": score})
        critic = load_critic(config)
        source = critic.source
        engine = await build_engine(config.engine, source.model, source.adapter_rank)
        try:
            scorer = await critic.scorer(engine)
        except BaseException:
            await engine.close()
            raise
        host = cls(engine, critic, scorer)
        if source.adapter is not None:
            host._weights[source.adapter] = await asyncio.to_thread(model_identity, source.adapter)
        return host

    async def prepare(self, directory: str) -> None:
        """Load the version of the critic in `directory`, an absolute path; the present one goes on
        judging.

        Raises:
            ConfigError: not an adapter for this base, tokenizer and prompt pack, or one whose
                weights have changed since it was loaded from there.
            EngineError: the engine cannot load it.
        """
        async with self._loading:
            self._ready = await self._load(directory)

    async def adopt(self, directory: str) -> CriticInfo:
        """Let the version in `directory` judge every request from here on. Loads it and raises as
        `prepare` does, where that was not called before."""
        async with self._loading:
            if self._ready is None and self.config.models.critic == directory:
                return self.scorer.critic
            if self._ready is None or self._ready[0].config.models.critic != directory:
                self._ready = await self._load(directory)
            (self.critic, self.scorer), self._ready = self._ready, None
            return self.scorer.critic

    async def _load(self, directory: str) -> tuple[Critic, Scorer]:
        critic = await asyncio.to_thread(self._deployed.with_adapter, self.engine, directory)
        weights = await asyncio.to_thread(model_identity, directory)
        if self._weights.get(directory, weights) != weights:
            raise ConfigError(
                f"{directory}: its weights have changed since they were loaded; "
                "write each version to a directory of its own"
            )
        scorer = await critic.scorer(self.engine)
        # what the engine cannot load or run is refused here, and not by the first judgement
        probe = critique_prompt(critic.pack, self.engine.tokenizer, "1 + 1", ["= 2"])
        await self.engine.generate(probe, Sampling(max_tokens=1), adapter=directory)
        self._weights[directory] = weights
        return critic, scorer

    async def score(self, item: ScoreItem) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        [judgement] = await self.score_batch([item])
        return judgement

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many; see `StepScorer.score_batch`."""
        streams = [self.stream(item) for item in items]
        return await together([_judgement(stream) for stream in streams])

    def stream(self, item: ScoreItem) -> AsyncGenerator[StepJudgement | Judgement]:
        """Judge one solution step by step; see `Scorer.stream`."""
        return self._counted(self.scorer.check(item), self.scorer)

    async def _counted(
        self, task: Task, scorer: Scorer
    ) -> AsyncGenerator[StepJudgement | Judgement]:
        start = time.monotonic()
        per_solution = scorer.pack.unit == "solution"
        async with contextlib.aclosing(scorer.stream_task(task)) as events:
            async for event in events:
                seconds = time.monotonic() - start
                if isinstance(event, Judgement):
                    new = counts(event, task.votes, task.early_stop, per_solution)
                    self._metrics.judgement(event, new, seconds)
                else:
                    self._metrics.step(event, seconds)
                yield event


async def _judgement(events: AsyncGenerator[StepJudgement | Judgement]) -> Judgement:
    """The judgement at the end of a stream."""
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Judgement):
                return event
    raise AssertionError("a stream ends with its judgement")
