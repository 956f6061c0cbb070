"""Judgements for rewards, which should not move: the same solution has the same judgement.

Critiques are sampled, so that a second judgement of one text is another draw of votes. Trainers
send the same text again, in a retry or as a rollout that came twice in a group. Here its judgement
is that of the first time, while this replica remembers it and the critic is the same; and its seed
follows from the content, which has the other replicas sample the same critiques too, as far as the
engine honours seeds and its numbers do not depend on the batch.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from cluster.serving.host import CriticHost
from genprm.client.calls import MAX_BATCH_STEPS
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem, ScoreOptions
from genprm.util.aio import together
from genprm.util.seeds import derive_seed

REMEMBERED = 2048  # judgements; one of 20 steps has some 30 kB

Content = tuple[str | bool | None, ...]


class SteadyScores:
    """Judges through a host, each content once."""

    def __init__(self, host: CriticHost):
        self._host, self._scorer = host, host.scorer
        self._judging: OrderedDict[Content, asyncio.Task[Judgement]] = OrderedDict()

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """The judgements of the items, in order. However many they are, about MAX_BATCH_STEPS steps
        are judged at once.

        Raises:
            EngineError, InputError: see `StepScorer.score`.
        """
        judgements: list[Judgement] = []
        for part in _parts(items):
            judgements += await together([self._score(item) for item in part])
        return judgements

    async def _score(self, item: ScoreItem) -> Judgement:
        if self._scorer is not self._host.scorer:  # another version of the critic
            self._scorer = self._host.scorer
            self._judging.clear()
        content = (item.options.get("stop_at_first_error"), item.problem, *item.steps)
        judging = self._judging.get(content)
        if judging is None:
            judging = asyncio.create_task(self._host.score(_with_seed(item)))
            judging.add_done_callback(lambda task: self._forget_failure(content, task))
            self._judging[content] = judging
            if len(self._judging) > REMEMBERED:
                self._judging.popitem(last=False)
        self._judging.move_to_end(content)
        # a caller that gives up does not end it: others may wait, and the caller will ask again
        return await asyncio.shield(judging)

    def _forget_failure(self, content: Content, task: asyncio.Task[Judgement]) -> None:
        failed = task.cancelled() or task.exception() or task.result().solution_score is None
        if failed and self._judging.get(content) is task:
            del self._judging[content]


def _with_seed(item: ScoreItem) -> ScoreItem:
    seed = derive_seed("reward", item.problem, *item.steps)
    options: ScoreOptions = {**item.options, "seed": seed}
    return ScoreItem(item.problem, item.steps, item.id, **options)


def _parts(items: Sequence[ScoreItem]) -> Iterator[list[ScoreItem]]:
    """The items in order, in lists of at most MAX_BATCH_STEPS steps."""
    part: list[ScoreItem] = []
    steps = 0
    for item in items:
        if part and steps + len(item.steps) > MAX_BATCH_STEPS:
            yield part
            part, steps = [], 0
        part.append(item)
        steps += len(item.steps)
    if part:
        yield part
