"""One text, one reward: a critic is asked once about the same solution.

Critiques are sampled, so that a second judgement of one text is another draw of votes. Trainers
send the same text again, in a retry or as a rollout that came twice in a group: it gets the
judgement of the first time, while that is remembered and the critic is the same. Its seed follows
from the content, with which other processes sample the same critiques, as far as the engine honours
seeds and its numbers do not depend on the batch.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from genprm.errors import InputError
from genprm.records import CriticInfo, Judgement, content_id
from genprm.scoring.base import ScoreItem, ScoreOptions, StepScorer
from genprm.util.seeds import derive_seed

REMEMBERED_STEPS = 40_960  # of the judgements used last together: about 80 MB
PASSING = ("deadline", "error")  # statuses that say nothing of the text

# How to judge many solutions, as `StepScorer.score_batch`.
ScoreBatch = Callable[[Sequence[ScoreItem]], Awaitable[list[Judgement]]]


@dataclass(eq=False)
class _Request:
    """What a scorer was asked for and has not answered yet, and how many callers wait for it."""

    keys: Collection[str]
    task: asyncio.Task[dict[str, Judgement]]
    callers: int = 0


class JudgementMemory:
    """The judgements of one scorer by content, all by one version of its critic. Safe to share
    between threads; judgements in flight are shared by the calls of one event loop."""

    def __init__(self, max_steps: int = REMEMBERED_STEPS):
        self._max_steps, self._steps = max_steps, 0  # of what is remembered
        # reentrant: a caller that is collected as garbage leaves wherever that happens
        self._lock = threading.RLock()
        self._critic: CriticInfo | None = None
        self._judgements: OrderedDict[str, Judgement] = OrderedDict()
        self._requests: dict[str, _Request] = {}  # in flight

    async def judge(
        self, score_batch: ScoreBatch, items: Sequence[ScoreItem], critic: CriticInfo | None = None
    ) -> list[Judgement]:
        """The judgements of the items, in order; `score_batch` is asked for those that are not
        remembered, and raises what it does. An item's id makes no difference, and judgements
        come without the texts of critiques: no reward is made of them, and they are large.

        Args:
            critic: the version that judges now, where the caller knows it; else that of the last
                answer counts.
        """
        if critic is not None:
            with self._lock:
                self._follow(critic)
        bare = [_without_texts(item) for item in items]
        by_key = {_key(item): item for item in bare}
        judgements = await self._judgements_of(score_batch, by_key)
        if len({judgement.critic for judgement in judgements.values()}) > 1:
            # the answers are by another version than what was remembered, and is forgotten now
            judgements = await self._judgements_of(score_batch, by_key)
        return [judgements[_key(item)] for item in bare]

    async def _judgements_of(
        self, score_batch: ScoreBatch, items: Mapping[str, ScoreItem]
    ) -> dict[str, Judgement]:
        judgements = await self._wait_for(score_batch, items, is_joining=True)
        rest = {key: item for key, item in items.items() if key not in judgements}
        if rest:  # alone this time, so that a failure is the caller's own
            judgements |= await self._wait_for(score_batch, rest, is_joining=False)
        return judgements

    async def _wait_for(
        self, score_batch: ScoreBatch, items: Mapping[str, ScoreItem], *, is_joining: bool
    ) -> dict[str, Judgement]:
        """The judgements that are remembered and those asked for now or, if `is_joining`, by other
        callers before. Those are missing whose request was refused for an item of its caller."""
        loop = asyncio.get_running_loop()
        with self._lock:
            judgements = {key: self._judgements[key] for key in items if key in self._judgements}
            for key in judgements:
                self._judgements.move_to_end(key)
            others = {
                key: self._requests[key]
                for key in items
                if is_joining and key not in judgements
                if key in self._requests and self._requests[key].task.get_loop() is loop
            }
            missing = {k: v for k, v in items.items() if k not in judgements and k not in others}
            own: _Request | None = None
            if missing:
                task = loop.create_task(self._ask(score_batch, missing, self._critic))
                task.add_done_callback(_take_error)
                own = _Request(missing.keys(), task)
                self._requests |= dict.fromkeys(missing, own)
            requests = {*others.values(), *([own] if own else ())}
            for request in requests:
                request.callers += 1
        try:
            for request in requests:
                try:
                    # shielded: a caller that gives up does not end what others wait for
                    answers = await asyncio.shield(request.task)
                except InputError:
                    if request is own:
                        raise
                else:
                    judgements |= {key: answers[key] for key in request.keys if key in items}
        finally:
            self._leave(requests)
        return judgements

    def _leave(self, requests: Iterable[_Request]) -> None:
        """Wait no longer for requests; one for which nobody waits ends, and cannot be joined."""
        with self._lock:
            for request in requests:
                request.callers -= 1
                if not request.callers and not request.task.done():
                    self._forget(request.keys, request.task)
                    request.task.cancel()

    async def _ask(
        self, score_batch: ScoreBatch, items: Mapping[str, ScoreItem], critic: CriticInfo | None
    ) -> dict[str, Judgement]:
        try:
            answers = await score_batch([_with_seed(item) for item in items.values()])
        finally:
            with self._lock:
                self._forget(items, asyncio.current_task())
        with self._lock:
            return {
                key: self._keep(key, judgement, critic)
                for key, judgement in zip(items, answers, strict=True)
            }

    def _forget(self, keys: Iterable[str], task: asyncio.Task[dict[str, Judgement]] | None) -> None:
        """Let nobody join a task any more."""
        for key in keys:
            if key in self._requests and self._requests[key].task is task:
                del self._requests[key]

    def _keep(self, key: str, judgement: Judgement, critic: CriticInfo | None) -> Judgement:
        """Remember a judgement, unless a step failed in passing, and return the one that holds: the
        first answer, where event loops asked for one text at once. `critic` judged when it was
        asked for."""
        if judgement.critic != self._critic:
            if self._critic != critic:  # it has changed since, and does not change back
                return judgement
            self._follow(judgement.critic)
        if any(step.status in PASSING for step in judgement.steps):
            return judgement
        if key not in self._judgements:
            self._judgements[key] = judgement
            self._steps += len(judgement.steps)
        first = self._judgements[key]
        self._judgements.move_to_end(key)
        while self._steps > self._max_steps:
            _, oldest = self._judgements.popitem(last=False)
            self._steps -= len(oldest.steps)
        return first

    def _follow(self, critic: CriticInfo) -> None:
        if critic != self._critic:
            self._judgements.clear()
            self._steps = 0
            if self._critic is not None:  # the first answer says by whom all in flight will be
                self._requests.clear()
            self._critic = critic


_memories: weakref.WeakKeyDictionary[StepScorer, JudgementMemory] = weakref.WeakKeyDictionary()


def memory_of(scorer: StepScorer) -> JudgementMemory:
    """What is remembered of a scorer in this process; it ends with the scorer."""
    try:
        return _memories.setdefault(scorer, JudgementMemory())
    except TypeError:  # neither hashable nor weakly referable: remembered for one call only
        return JudgementMemory()


def _without_texts(item: ScoreItem) -> ScoreItem:
    options: ScoreOptions = {**item.options, "return_critiques": False}
    return ScoreItem(item.problem, item.steps, item.id, **options)


def _key(item: ScoreItem) -> str:
    return content_id(item.problem, list(item.steps), item.options)


def _with_seed(item: ScoreItem) -> ScoreItem:
    if item.options.get("seed") is not None:
        return item
    seed = derive_seed("reward", item.problem, *item.steps)
    options: ScoreOptions = {**item.options, "seed": seed}
    return ScoreItem(item.problem, item.steps, item.id, **options)


def _take_error(task: asyncio.Task[dict[str, Judgement]]) -> None:
    """Take a failure out of a task for which nobody waits any more, so that none is logged."""
    if not task.cancelled():
        task.exception()
