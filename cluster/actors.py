"""The handles by which pipelines call a critic in another process of a Ray cluster.

The Serve application and `ScorerActor` each put a `CriticHost` into an actor. `connect` finds a
running service; what it returns is a `StepScorer` and pickles, so a trainer or another actor can
hold it. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Unpack

import ray
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.serving.host import CriticHost
from cluster.serving.version import CriticVersion
from genprm.config.root import Config
from genprm.errors import ConfigError, EngineError, GenprmError
from genprm.records import BestOfN, CriticInfo, Judgement
from genprm.scoring.base import ScoreItem, ScoreOptions
from genprm.search.best_of_n import best_of_n

DEFAULT_NAME = "genprm"


class ScorerHandle:
    """A running scoring service as a `StepScorer`: the same methods, records and errors.

    Build it with `connect`. It pickles, and may be used from any process of the cluster.
    """

    def __init__(self, handle: DeploymentHandle):
        self._handle = handle

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`.

        A step that is blank or too long is a status of that step, where HTTP would refuse the
        request: a pipeline must not lose the others. Also raises EngineError if the replica died
        or the service is overloaded; the call may be repeated.
        """
        row = await _answer(self._handle.score.remote(problem, list(steps), id=id, **options))
        return Judgement.model_validate(row)

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order of `items`, by one call to one replica."""
        rows = await _answer(self._handle.score_batch.remote(list(items)))
        return [Judgement.model_validate(row) for row in rows]

    async def best_of_n(
        self, problem: str, candidates: Sequence[Sequence[str]], **options: Unpack[ScoreOptions]
    ) -> BestOfN:
        """The best candidate, by one call to one replica; see `genprm.search.best_of_n`."""
        return await best_of_n(self, problem, candidates, **options)

    async def reload(self, directory: str | Path) -> CriticInfo:
        """Let another version of the critic, a LoRA adapter that all nodes see in `directory`,
        judge in every replica, also in those that start later.

        No request is dropped or waits; each judgement ends with the version that it began with.
        All replicas load the version before any of them judges with it.

        Raises:
            ConfigError: full weights, or an adapter for another base, tokenizer or prompt pack;
                nothing has changed.
            EngineError: a replica cannot load it or died; the call may be repeated.
        """
        path = str(Path(directory).expanduser().resolve())
        await _answer(self._handle.broadcast("prepare", path).results_async())
        critic, *_ = await _answer(self._handle.broadcast("adopt", path).results_async())
        return CriticInfo.model_validate(critic)


def connect(name: str = DEFAULT_NAME) -> ScorerHandle:
    """The scoring service called `name` on the Ray cluster that this process belongs to.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ScorerHandle(serve.get_app_handle(name))
    except RayServeException:
        raise ConfigError(
            f"no scoring service {name!r} on this Ray cluster; `genprm serve` starts one"
        ) from None


@ray.remote
class ScorerActor:
    """A critic in a Ray actor of its own, for pipelines that do not want Serve.

        actor = ScorerActor.options(**engine_options(config, 1)).remote(config)
        judgement = await actor.score.remote(problem, steps, votes=4)

    The engine starts with the first call; `ready` waits for it. Killing the actor ends it.
    """

    def __init__(self, config: Config):
        self._config = config
        self._version = CriticVersion(ray.get_runtime_context().get_actor_id())
        self._starting: asyncio.Task[CriticHost] | None = None

    async def _host(self) -> CriticHost:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        # a caller that is cancelled must not take the engine that others use with it
        return await asyncio.shield(self._starting)

    async def _start(self) -> CriticHost:
        host = await CriticHost.start(self._config)
        if (directory := await self._version.get()) is not None:  # before Ray restarted the actor
            await host.adopt(directory)
        return host

    async def ready(self) -> None:
        """Return when the engine is up. Raises what `CriticHost.start` raises."""
        await self._host()

    async def score(
        self,
        problem: str,
        steps: Sequence[str],
        *,
        id: str | None = None,
        **options: Unpack[ScoreOptions],
    ) -> Judgement:
        """Judge one solution; see `StepScorer.score`."""
        return await (await self._host()).score(ScoreItem(problem, steps, id, **options))

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order of `items`."""
        return await (await self._host()).score_batch(items)

    async def best_of_n(
        self, problem: str, candidates: Sequence[Sequence[str]], **options: Unpack[ScoreOptions]
    ) -> BestOfN:
        """The best candidate; see `genprm.search.best_of_n.best_of_n`."""
        return await best_of_n(self, problem, candidates, **options)

    async def reload(self, directory: str | Path) -> CriticInfo:
        """Let another version of the critic judge, also after Ray restarted this actor; see
        `ScorerHandle.reload`. `directory` is a path on the actor's node."""
        host, path = await self._host(), str(Path(directory).expanduser().resolve())
        critic = await host.adopt(path)
        await self._version.set(path)
        return critic


async def _answer(response: Awaitable[Any]) -> Any:
    """The result of a call; Serve's errors become errors of genprm."""
    try:
        return await response
    except RayTaskError as error:
        if isinstance(error.cause, GenprmError):
            raise error.cause from None  # the one line, without the replica's traceback
        raise
    except (RayActorError, BackPressureError, DeploymentUnavailableError) as error:
        raise EngineError(f"the scoring service did not answer: {error}") from error
