"""One text, one reward: judgements that were asked for before are not asked for again.

Critiques are sampled, so the same text gets another score each time, and in reinforcement learning
a group often holds one text several times. What is remembered belongs to one version of the
critic: when another answers, it is forgotten.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence

from genprm.records import CriticInfo, Judgement, content_id
from genprm.scoring.base import ScoreItem, StepScorer

SIZE = 4096  # judgements of one scorer, those used last: about 80 MB where they have ten steps
PASSING = ("deadline", "error")  # statuses that say nothing of the text


class JudgementCache:
    """The judgements of one scorer by content, all by the version of its critic that answered
    last. Safe to share between threads."""

    def __init__(self, size: int = SIZE):
        self.critic: CriticInfo | None = None
        self._size, self._lock = size, threading.Lock()
        self._judgements: OrderedDict[str, Judgement] = OrderedDict()

    def get(self, key: str) -> Judgement | None:
        """The judgement under `key`, if it is remembered."""
        with self._lock:
            if key in self._judgements:
                self._judgements.move_to_end(key)
            return self._judgements.get(key)

    def keep(self, key: str, judgement: Judgement) -> Judgement:
        """Remember a judgement, unless a step failed in passing, and return the one that holds:
        where two calls asked for one text at once, the first answer."""
        with self._lock:
            if judgement.critic != self.critic:
                self.critic = judgement.critic
                self._judgements.clear()
            if any(step.status in PASSING for step in judgement.steps):
                return judgement
            kept = self._judgements.setdefault(key, judgement)
            self._judgements.move_to_end(key)
            while len(self._judgements) > self._size:
                self._judgements.popitem(last=False)
            return kept


_caches: weakref.WeakKeyDictionary[StepScorer, JudgementCache] = weakref.WeakKeyDictionary()


async def score_once(scorer: StepScorer, items: Sequence[ScoreItem]) -> list[Judgement]:
    """As `scorer.score_batch`, but equal items have one judgement, in this call and in later ones.

    All shims of a process that share a scorer share what is remembered. The time limit of an item
    does not count as a difference.
    """
    cache = _cache_of(scorer)
    keys = [_key(item) for item in items]
    judgements: dict[str, Judgement] = {}
    for _ in range(2):  # once more where the answers come from another version of the critic
        kept = {key: cache.get(key) for key in keys}
        judgements |= {key: judgement for key, judgement in kept.items() if judgement is not None}
        missing = {key: item for key, item in zip(keys, items, strict=True) if kept[key] is None}
        critic = cache.critic
        if missing:
            answers = await scorer.score_batch(list(missing.values()))
            for key, judgement in zip(missing, answers, strict=True):
                judgements[key] = cache.keep(key, judgement)
        if cache.critic == critic or len(missing) == len(kept):
            break
    return [judgements[key] for key in keys]


def _cache_of(scorer: StepScorer) -> JudgementCache:
    try:
        return _caches.setdefault(scorer, JudgementCache())
    except TypeError:  # neither hashable nor weakly referable: remembered for this call only
        return JudgementCache()


def _key(item: ScoreItem) -> str:
    options = {name: value for name, value in item.options.items() if name != "deadline_s"}
    return content_id(item.problem, list(item.steps), options)
