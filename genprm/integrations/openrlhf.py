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
    the end tokens and white space after it."""
    _, found, after = query.partition(prompt) if prompt else ("", "", "")
    text = (after if found else query).rstrip()
    while ended := next(filter(text.endswith, end_tokens), ""):
        text = text.removesuffix(ended).rstrip()
    return text


def reward_answer(
    judgements: Sequence[Judgement | None], *, unscored: float = 0.0
) -> dict[str, Any]:
    """The answer for these rollouts, in order; None stands for one with nothing to judge.

    `rewards` are the solution scores, `unscored` where there is none; `scores` the same between 0
    and 1. `extra_logs` has, each a list: `unscored` (1 or 0), `covered`, `steps`, `first_error`
    (0-based, -1 for none known) and `correct_share`, the share of steps before the first error.
    """
    known = [None if judgement is None else judgement.solution_score for judgement in judgements]
    rewards = [unscored if score is None else score for score in known]
    facts = [_facts(judgement) for judgement in judgements]
    logs = {name: [each[name] for each in facts] for name in _facts(None)}
    logs["unscored"] = [float(score is None) for score in known]
    scores = [min(1.0, max(0.0, reward)) for reward in rewards]
    return {"rewards": rewards, "scores": scores, "extra_logs": logs}


def _facts(judgement: Judgement | None) -> dict[str, float]:
    if judgement is None:
        return {"covered": 0.0, "steps": 0.0, "first_error": -1.0, "correct_share": 0.0}
    steps, error = len(judgement.steps), judgement.first_error
    right = steps if error < 0 else error
    return {
        "covered": float(judgement.covered),
        "steps": float(steps),
        "first_error": float(error),
        "correct_share": right / steps if judgement.covered else 0.0,
    }
