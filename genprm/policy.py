"""Sampling solutions of a problem from a policy: one request, split, read, verified.

Knows nothing of labels or batches. Prompts come from the pack, the check from the row's verifier.
"""

from __future__ import annotations

import asyncio

from genprm.config.solve import SolveConfig
from genprm.engines.base import Engine
from genprm.generation import Completion, Sampling
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import solve_prompt
from genprm.records import Problem, Solution, content_id
from genprm.steps import split
from genprm.util.seeds import derive_seed
from genprm.verifiers import verifier_for
from genprm.verifiers.base import Grade, Verifier, grade


async def solve_problem(
    engine: Engine,
    pack: PromptPack,
    problem: Problem,
    config: SolveConfig,
    seed: int,
    splitter: str = "lines",
) -> list[Solution]:
    """Sample `config.samples_per_problem` solutions and cut them into steps by `splitter`; those
    without any step are left out.

    A truncated solution keeps its steps, with `final_answer` and `outcome` null. Extra columns:
    `problem_id`, `sample` (its number), `finish_reason`, `completion_tokens`, and
    `prompt_tokens` of the one request that all samples of the problem share.

    Raises:
        InputError: the problem has no answer to verify against.
        PromptTooLongError, EngineError: from the engine.
    """
    verifier = verifier_for(problem)
    sampling = Sampling(
        n=config.samples_per_problem,
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        seed=derive_seed(seed, "solve", problem.id),
    )
    prompt = solve_prompt(pack, engine.tokenizer, problem.problem)
    generation = await engine.generate(prompt, sampling)
    steps_per_sample = [split(c.text, splitter) for c in generation.completions]
    grades = await asyncio.to_thread(
        _grade_all, verifier, problem, generation.completions, steps_per_sample
    )
    return [
        Solution(
            **problem.row()
            | {
                "id": f"{problem.id}-{content_id(seed, i)[:8]}",
                "problem_id": problem.id,
                "steps": steps,
                "final_answer": answer,
                "outcome": correct,
                "policy": engine.name,
                "splitter": splitter,
                "temperature": config.temperature,
                "sample": i,
                "finish_reason": completion.finish_reason,
                "completion_tokens": len(completion.token_ids),
                "prompt_tokens": generation.prompt_tokens,
            }
        )
        for i, (completion, steps, (answer, correct)) in enumerate(
            zip(generation.completions, steps_per_sample, grades, strict=True)
        )
        if steps
    ]


def _grade_all(
    verifier: Verifier,
    problem: Problem,
    completions: tuple[Completion, ...],
    steps_per_sample: list[list[str]],
) -> list[Grade]:
    """One grade per completion; one that did not end by itself has no final answer."""
    return [
        grade(verifier, problem, steps) if c.finish_reason == "stop" else Grade(None, None)
        for c, steps in zip(completions, steps_per_sample, strict=True)
    ]
