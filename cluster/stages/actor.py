"""The actor that owns an engine and works on many rows at once, each charged for its own calls.

A row that fails becomes a result with its reason, a call that a healthy engine refused is tried
again, and a dead engine ends the process, so that Ray starts a fresh one with the same rows.
Knows no files, and of a row only that it is a JSON object.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from cluster.stages import outputs
from genprm.config.root import Config
from genprm.engines import build_engine
from genprm.engines.base import Engine
from genprm.errors import ConfigError, EngineError, GenprmError, one_line
from genprm.generation import Generation, Prompt, Sampling, Usage
from genprm.models.names import CriticSource
from genprm.records import Row

if TYPE_CHECKING:
    from ray.actor import ActorHandle

MAX_DEATHS = 3  # engines that may die over the same block of rows; then the stage gives up
ROW_ATTEMPTS = 3  # for a call that a healthy engine refused
RETRY_SECONDS = 1.0

RowWork = Callable[[Row], Awaitable[list[Row]]]
# Runs in the actor once its engine is up; returns the function from an input row to output rows.
MakeWork = Callable[[Config, Engine | None], Awaitable[RowWork]]
# Which model the engine loads; runs in the driver, to fail early, and where the engine is.
ChooseModel = Callable[[Config], CriticSource]


class RowFailure(GenprmError):
    """One row cannot be done; the message becomes its `error`."""


@dataclass(slots=True)
class Meter:
    """What the calls of one row cost."""

    usage: Usage = field(default_factory=Usage)
    sequence_ms: int = 0
    resent: int = 0

    def columns(self) -> dict[str, int]:
        """The columns of a result that say what it cost, see `outputs.COST_COLUMNS`."""
        return {**asdict(self.usage), "sequence_ms": self.sequence_ms, "resent": self.resent}


_METER: contextvars.ContextVar[Meter] = contextvars.ContextVar("meter")


class MeteredEngine:
    """An engine that charges each call to the row whose task makes it."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.name = engine.name
        self.capabilities = engine.capabilities
        self.max_model_len = engine.max_model_len
        self.tokenizer = engine.tokenizer

    async def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        label_token_ids: Sequence[int] = (),
        adapter: str | None = None,
    ) -> Generation:
        """See `Engine.generate`."""
        started = time.monotonic()
        generation = await self._engine.generate(
            prompt, sampling, label_token_ids=label_token_ids, adapter=adapter
        )
        meter = _METER.get()
        meter.usage += generation.usage
        meter.resent += generation.resent
        meter.sequence_ms += round(1000 * (time.monotonic() - started)) * sampling.n
        return generation

    async def check_health(self) -> None:
        """See `Engine.check_health`."""
        await self._engine.check_health()

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._engine.close()


class RowActor:
    """Owns one engine and works on all rows of a block, and on several blocks, at once.

    A row that fails becomes a result with its reason. A dead engine ends the process, so that
    Ray starts a fresh one and gives it the same blocks again.
    """

    def __init__(
        self, make: MakeWork, choose: ChooseModel | None, config: Config, board: ActorHandle
    ):
        self._make, self._choose, self._config, self._board = make, choose, config, board
        self._engine: Engine | None = None
        self._opening: asyncio.Task[RowWork] | None = None
        self._dying = False
        self._blocks: set[str] = set()  # in work, by the id of their first row

    async def __call__(self, block: pa.Table) -> AsyncIterator[pa.Table]:
        """One result row per input row, in order."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        block_id = block["id"][0].as_py()
        self._blocks.add(block_id)
        try:
            work = await asyncio.shield(self._opening)
            results = await asyncio.gather(*(self._result(work, r) for r in block.to_pylist()))
        except Exception as error:  # the driver gets it as it is, before Ray wraps it
            ours = isinstance(error, GenprmError)
            await self._board.fatal.remote(error if ours else GenprmError(reason(error)))
            raise
        finally:
            self._blocks.discard(block_id)
        yield pa.Table.from_pylist(results, schema=outputs.RESULT_SCHEMA)

    async def _open(self) -> RowWork:
        self._board.engine.remote("starting")
        if self._choose is not None:
            source = self._choose(self._config)
            engine = await build_engine(self._config.engine, source.model, source.adapter_rank)
            self._engine = MeteredEngine(engine)
        work = await self._make(self._config, self._engine)
        self._board.engine.remote("ready")
        return work

    async def _result(self, work: RowWork, staged: Row) -> Row:
        row = json.loads(staged["row"])
        meter = Meter()
        _METER.set(meter)
        started = time.time()
        error = staged["error"]  # of an earlier stage: the row is carried on as it is
        rows = [row]
        if error is None:
            try:
                rows = await self._attempt(work, row)
            except (ConfigError, EngineError):  # not this row's fault: the stage ends
                raise
            except Exception as failure:  # one bad row must not end the others
                error = reason(failure)
        usage = meter.usage
        self._board.row.remote(error is not None, usage.prompt_tokens, usage.completion_tokens)
        return {
            "id": staged["id"],
            "index": staged["index"],
            "row": outputs.canonical(rows),
            "error": error,
            **meter.columns(),
            "started": started,
            "seconds": time.time() - started,
        }

    async def _attempt(self, work: RowWork, row: Row) -> list[Row]:
        for attempt in range(1, ROW_ATTEMPTS + 1):
            try:
                return await work(row)
            except EngineError as error:
                await self._restart_if_dead(error)
                refusal = error
                await asyncio.sleep(RETRY_SECONDS * attempt)
        raise RuntimeError(f"the engine refused {ROW_ATTEMPTS} times: {reason(refusal)}")

    async def _restart_if_dead(self, error: EngineError) -> None:
        assert self._engine is not None  # it raised the error
        try:
            await self._engine.check_health()
        except EngineError as death:
            if self._dying:  # another row is about to end the process
                await asyncio.Event().wait()
            self._dying = True
            deaths = await self._board.died.remote(sorted(self._blocks))
            if deaths > MAX_DEATHS:
                raise EngineError(
                    f"{deaths} engines died over the same rows: {reason(death)}"
                ) from error
            os._exit(1)


def reason(error: BaseException) -> str:
    """The message of an error on one line of at most 500 characters, after the error's type unless
    the error is one of ours."""
    text, name = one_line(error, 500), type(error).__name__
    return text if isinstance(error, GenprmError) or text == name else f"{name}: {text}"
