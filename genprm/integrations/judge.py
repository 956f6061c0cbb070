"""From the texts of a trainer to judgements, by any step scorer; also from code that cannot await.

Knows no trainer. A strange text never fails a whole batch: a solution that no scorer would accept
is None here, and the shim decides what that means.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from genprm.client.calls import MAX_STEPS
from genprm.errors import InputError
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem, ScoreOptions, StepScorer
from genprm.steps import split

T = TypeVar("T")

_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a fork has no threads
_starting = threading.Lock()


async def judge(
    scorer: StepScorer,
    problems: Sequence[str],
    solutions: Sequence[str],
    splitter: str,
    options: ScoreOptions,
) -> list[Judgement | None]:
    """The judgement of each solution, cut into steps by `splitter`, in order.

    None for a solution without steps, or with more than a request to the service may have; the
    scorer does not get it.

    Raises:
        InputError: a blank problem (which is not the policy's doing), an unknown splitter, an
            option that the scorer refuses.
        EngineError: the engine is dead, or the service does not answer.
    """
    items: list[ScoreItem] = []
    accepted: list[bool] = []
    for problem, solution in zip(problems, solutions, strict=True):
        if not problem.strip():
            raise InputError("must not be empty", field="problem")
        steps = split(solution, splitter)
        accepted.append(0 < len(steps) <= MAX_STEPS)
        if accepted[-1]:
            items.append(ScoreItem(problem, steps, **options))
    judgements = iter(await scorer.score_batch(items) if items else ())
    return [next(judgements) if is_accepted else None for is_accepted in accepted]


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end for a caller that cannot await, in any thread; returns its result.

    All coroutines run in one event loop, in a thread of its own that starts with the first call:
    clients and scorers belong to the loop in which they were first used.
    """
    with _starting:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="genprm", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
