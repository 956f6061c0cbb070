"""From the texts of a trainer to judgements, by any step scorer; also from code that cannot await.

Knows no trainer. A strange text never fails a whole batch: a solution that no scorer would accept
is None here, and the shim decides what that means.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from genprm.client.calls import MAX_BODY_BYTES, MAX_STEPS
from genprm.client.http import AsyncClient
from genprm.errors import ConfigError
from genprm.records import Judgement
from genprm.rewards.memory import memory_of
from genprm.scoring.base import ScoreItem, ScoreOptions, StepScorer
from genprm.steps import split

T = TypeVar("T")

# A batch of rollouts is judged at about the same time, and a busy service lets requests wait: the
# last answer of a large batch takes minutes.
DEADLINE_S, ATTEMPT_S = 1800.0, 600.0
MAX_CHARS = MAX_BODY_BYTES // 6  # a character of JSON has at most six bytes

_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a fork has no threads
_starting = threading.Lock()


def connect(scorer: StepScorer | str, token: str | None = None) -> StepScorer:
    """The scorer, or a client for the service at that address, which gives a request up after
    DEADLINE_S seconds and tries again after ATTEMPT_S.

    Raises:
        ConfigError: the address is not one of a service; no `StepScorer`.
    """
    if isinstance(scorer, str):
        return AsyncClient(scorer, token, deadline_s=DEADLINE_S, attempt_s=ATTEMPT_S)
    if not hasattr(scorer, "score_batch"):
        name = type(scorer).__name__
        raise ConfigError(f"scorer: {name} has no `score_batch` (genprm.scoring.base.StepScorer)")
    return scorer


async def judge(
    scorer: StepScorer,
    problems: Sequence[str],
    solutions: Sequence[str],
    splitter: str,
    options: ScoreOptions,
) -> list[Judgement | None]:
    """The judgement of each solution, cut into steps by `splitter`, in order. A solution that was
    judged before has the same one again (`genprm.rewards.memory`).

    None where the problem is blank, or where the solution has no steps, or more than a request to
    the service may have; the scorer does not get it.

    Raises:
        InputError: an unknown splitter, an option that the scorer refuses.
        EngineError: the engine is dead, or the service does not answer.
    """
    items: list[ScoreItem] = []
    accepted: list[bool] = []
    for problem, solution in zip(problems, solutions, strict=True):
        problem, steps = _clean(problem), split(_clean(solution), splitter)
        fits = len(steps) <= MAX_STEPS and len(problem) + len(solution) < MAX_CHARS
        accepted.append(bool(problem.strip() and steps and fits))
        if accepted[-1]:
            items.append(ScoreItem(problem, steps, **options))
    judgements = iter(await memory_of(scorer).judge(scorer.score_batch, items))
    return [next(judgements) if is_accepted else None for is_accepted in accepted]


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end for a caller that cannot await, in any thread; returns its result.

    All coroutines run in one event loop, in a thread of its own that starts with the first call:
    clients and scorers belong to the loop in which they were first used.
    """
    return _submit(coroutine).result()


def in_own_loop(coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
    """`wait_for` for a caller that can await, but whose event loop may be another each time."""
    return asyncio.wrap_future(_submit(coroutine))


def _submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    with _starting:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="genprm", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(coroutine, loop)


def _clean(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which have no UTF-8; keeps its length."""
    return text.encode("utf-32", "surrogatepass").decode("utf-32", "replace")
