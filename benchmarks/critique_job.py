"""Shared by the benchmarks of scoring: solutions, the critique prompts of their prefixes as one job
of raw `LLM.generate`, and the tokens of critiques in judgements."""

from __future__ import annotations

import random
from collections.abc import Sequence

from genprm import tasks
from genprm.config.root import Config
from genprm.generation import Sampling
from genprm.prompts.render import critique_prompt
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem
from raw_vllm import Job

SLIP_RATE = 0.2


def written_solutions(n: int) -> list[ScoreItem]:
    """`n` solutions of each task, with slips."""
    rng, items = random.Random(0), []
    for name in tasks.TASKS:
        for _ in range(n):
            problem, steps = tasks.get(name).solution(rng, SLIP_RATE)
            items.append(ScoreItem(problem.problem, steps))
    rng.shuffle(items)
    return items


def ending(items: Sequence[ScoreItem], end: str) -> list[ScoreItem]:
    """The same solutions with another end of each problem, so that no step is cached."""
    return [ScoreItem(item.problem + end, item.steps) for item in items]


def critique_job(
    config: Config, model: str, items: Sequence[ScoreItem], one_by_one: int = 0
) -> Job:
    """The critique prompts of every prefix, as the scorer sends them."""
    from transformers import AutoTokenizer

    pack, score = config.prompt_pack(), config.score
    tokenizer = AutoTokenizer.from_pretrained(model)
    return Job(
        model=model,
        engine=config.engine,
        sampling=Sampling(
            n=score.votes,
            temperature=score.temperature,
            top_p=score.top_p,
            max_tokens=score.max_critique_tokens,
            stop=(pack.opener, *pack.stop),
        ),
        prompts=[
            list(critique_prompt(pack, tokenizer, item.problem, item.steps[: t + 1]).token_ids)
            for item in items
            for t in range(len(item.steps))
        ],
        one_by_one=one_by_one,
    )


def critique_tokens(judged: Sequence[Judgement]) -> int:
    """The tokens of critiques, without the requests that read verdicts (one token each)."""
    return sum(j.usage["completion_tokens"] - (j.usage["requests"] - len(j.steps)) for j in judged)
