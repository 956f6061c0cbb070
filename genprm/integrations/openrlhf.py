"""OpenRLHF's remote reward model: what its rollouts mean, and the answer that it reads.

It posts `query` (prompt and response as one text, special tokens kept), `prompts` and `labels`, a
text each per rollout, and reads `rewards`, `scores` between 0 and 1 and `extra_logs`, a number
each per rollout. Knows no HTTP and imports nothing of OpenRLHF.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genprm.records import Judgement


def bare_response(query: str, prompt: str, end_tokens: Sequence[str]) -> str:
    """The response in a query: without the prompt before it, where the query has it, and without
    the end-of-turn tokens and white space around it."""
    _, found, after = query.partition(prompt) if prompt else ("", "", "")
    text = (after if found else query).strip()
    while ended := next(filter(text.endswith, end_tokens), ""):
        text = text.removesuffix(ended).rstrip()
    return text


def reward_answer(judgements: Sequence[Judgement | None]) -> dict[str, Any]:
    """The answer for these rollouts, in order; None stands for one with nothing to judge.

    `rewards` and `scores` are the solution score, null where there is none. `extra_logs` tells of
    each: `scored` (1 or 0), `steps`, `first_error` (0-based, -1 for none), `min_step_score` and
    `mean_step_score` over the scored steps (0 where there are none: `scored` tells them apart),
    `invalid_share` of the critiques, and `critique_tokens`.
    """
    rewards = [None if judgement is None else judgement.solution_score for judgement in judgements]
    logs = [_logs(judgement) for judgement in judgements]
    names = list(_logs(None))
    return {
        "rewards": rewards,
        "scores": [None if reward is None else min(1.0, max(0.0, reward)) for reward in rewards],
        "extra_logs": {name: [log[name] for log in logs] for name in names} if logs else {},
    }


def _logs(judgement: Judgement | None) -> dict[str, float]:
    steps = judgement.steps if judgement else []
    scores = [step.score for step in steps if step.score is not None]
    votes = [step.votes for step in steps]
    invalid = sum(each.invalid for each in votes)
    critiques = invalid + sum(each.correct + each.incorrect for each in votes)
    return {
        "scored": float(judgement is not None and judgement.solution_score is not None),
        "steps": float(len(steps)),
        "first_error": float(judgement.first_error if judgement else -1),
        "min_step_score": min(scores, default=0.0),
        "mean_step_score": sum(scores) / len(scores) if scores else 0.0,
        "invalid_share": invalid / critiques if critiques else 0.0,
        "critique_tokens": float(judgement.usage.get("completion_tokens", 0) if judgement else 0),
    }
