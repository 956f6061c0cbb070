"""The policy: a language model that continues a problem and its first steps, and is graded.

Everything that samples solutions goes through `Policy.continuations`: `genprm solve` continues a
problem without steps, rollouts of `genprm label` continue its prefixes. Prompts come from the pack,
grades from the problem's verifier. Knows no labels and no batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from genprm.config.solve import SolveConfig
from genprm.engines.base import Engine
from genprm.generation import Sampling, Usage
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import solve_prompt
from genprm.records import Problem, Solution, content_id
from genprm.steps import SPLITTERS, split
from genprm.util.seeds import derive_seed
from genprm.verifiers import verifier_for
from genprm.verifiers.base import Grade, grade


@dataclass(frozen=True, slots=True)
class Continuation:
    """One way in which the policy went on from a prefix.

    `steps` are those that it added, `token_ids` what it sampled. `grade` is of the prefix and
    these steps together, so that the last answer stated in either counts; answer and verdict are
    None if the continuation did not end by itself.
    """

    text: str
    token_ids: tuple[int, ...]
    steps: tuple[str, ...]
    finish_reason: str
    grade: Grade


class Continuations(NamedTuple):
    """The continuations of one request, in sampling order, and what the request cost."""

    items: tuple[Continuation, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Policy:
    """A model in an engine, with the prompts of a pack, sampled in one way.

    `splitter` cuts what it writes into steps, and joins the steps that it is given. `sampling`
    holds for all requests but for `n` and `seed`, which each has of its own.
    """

    engine: Engine
    pack: PromptPack
    splitter: str
    sampling: Sampling

    async def continuations(
        self, problem: Problem, steps: Sequence[str], n: int, seed: int
    ) -> Continuations:
        """Continue the first `steps` of a solution to its end, n times in one request.

        `seed` must differ between requests by more than n (`genprm.util.seeds.derive_seed`):
        child i samples with seed + i.

        Raises:
            InputError: the problem has no answer to verify against.
            PromptTooLongError, EngineError: from the engine.
        """
        verifier = verifier_for(problem)
        sampling = replace(self.sampling, n=n, seed=seed)
        separator = SPLITTERS[self.splitter].separator
        prompt = solve_prompt(self.pack, self.engine.tokenizer, problem.problem, steps, separator)
        generation = await self.engine.generate(prompt, sampling)

        def graded() -> tuple[Continuation, ...]:
            continuations = []
            for completion in generation.completions:
                added = tuple(split(completion.text, self.splitter))
                ended = completion.finish_reason == "stop"
                continuations.append(
                    Continuation(
                        completion.text,
                        completion.token_ids,
                        added,
                        completion.finish_reason,
                        grade(verifier, problem, [*steps, *added]) if ended else Grade(None, None),
                    )
                )
            return tuple(continuations)

        # verifiers may run programs, for seconds
        return Continuations(await asyncio.to_thread(graded), generation.usage)


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

    A truncated solution keeps its steps, with `final_answer` and `outcome` null.

    Raises:
        InputError: the problem has no answer to verify against.
        PromptTooLongError, EngineError: from the engine.
    """
    sampling = Sampling(
        temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens
    )
    policy = Policy(engine, pack, splitter, sampling)
    samples, usage = await policy.continuations(
        problem, [], config.samples_per_problem, derive_seed(seed, "solve", problem.id)
    )
    return [
        Solution(
            **problem.row()
            | {
                "id": f"{problem.id}-{content_id(seed, number)[:8]}",
                "problem_id": problem.id,
                "steps": list(sample.steps),
                "final_answer": sample.grade.answer,
                "outcome": sample.grade.correct,
                "policy": engine.name,
                "splitter": splitter,
                "temperature": config.temperature,
                "sample": number,
                "finish_reason": sample.finish_reason,
                "completion_tokens": len(sample.token_ids),
                "prompt_tokens": usage.prompt_tokens,
            }
        )
        for number, sample in enumerate(samples)
        if sample.steps
    ]
