"""Rollouts: complete one prefix k times and count how often the verifier accepts the answer.

The one rollout function that all estimators share, so that their costs compare. It knows nothing
of values or labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from genprm.config.label import LabelConfig
from genprm.engines.base import Engine
from genprm.generation import Completion, Sampling, Usage
from genprm.prompts.packs import PromptPack
from genprm.prompts.render import solve_prompt
from genprm.records import Problem
from genprm.steps import SPLITTERS, split
from genprm.verifiers import get_verifier, verifier_for
from genprm.verifiers.base import Grade, Verifier, grade

Outcome = bool | None  # of a rollout: right, wrong, or invalid


@dataclass(frozen=True, slots=True)
class RolloutCounts:
    """What became of the rollouts of one prefix.

    `outcomes` has one entry per rollout in sampling order: right, wrong, or None for an invalid
    one (no answer to read, no verdict on it, or not ended by itself; `truncated` of those ran out
    of tokens). `reason` says why there are no rollouts at all. Where they were kept,
    `continuations` has the steps that each rollout added, `ends` why it ended, `answers` what it
    stated and `second` what a second verifier says of that.
    """

    outcomes: tuple[Outcome, ...]
    truncated: int = 0
    usage: Usage = field(default_factory=Usage)
    reason: str | None = None
    continuations: tuple[tuple[str, ...], ...] = ()
    ends: tuple[str, ...] = ()
    answers: tuple[str | None, ...] = ()
    second: tuple[Outcome, ...] = ()

    @property
    def rollouts(self) -> int:
        return len(self.outcomes)

    @property
    def wins(self) -> int:
        return sum(outcome is True for outcome in self.outcomes)

    @property
    def invalid(self) -> int:
        return sum(outcome is None for outcome in self.outcomes)

    @property
    def value(self) -> float | None:
        """Share of all rollouts that were right, an invalid one counting as not right; None if
        every one was invalid, for then nothing is known."""
        return None if self.invalid == self.rollouts else self.wins / self.rollouts

    def why_no_value(self) -> str | None:
        """One line where `value` is None."""
        if self.value is not None:
            return None
        if self.reason is not None:
            return self.reason
        return f"all {self.rollouts} rollouts invalid, {self.truncated} of them truncated"


async def rollout_prefix(
    engine: Engine,
    pack: PromptPack,
    problem: Problem,
    steps_prefix: Sequence[str],
    config: LabelConfig,
    seed: int,
    *,
    n: int | None = None,
    splitter: str = "lines",
) -> RolloutCounts:
    """Complete `steps_prefix` n (else `config.rollouts`) times in one request, in the form of
    `splitter`.

    `seed` must differ between prefixes and rounds by more than the number of rollouts
    (`genprm.util.seeds.derive_seed`): child i samples with seed + i.

    Raises:
        InputError: the problem has no answer to verify against.
        PromptTooLongError, EngineError: from the engine.
    """
    verifier = verifier_for(problem)
    sampling = Sampling(
        n=config.rollouts if n is None else n,
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        seed=seed,
    )
    separator = SPLITTERS[splitter].separator
    prompt = solve_prompt(pack, engine.tokenizer, problem.problem, steps_prefix, separator)
    generation = await engine.generate(prompt, sampling)
    added = tuple(tuple(split(c.text, splitter)) for c in generation.completions)
    grades = await asyncio.to_thread(
        _grades, verifier, problem, steps_prefix, generation.completions, added
    )
    second = await asyncio.to_thread(second_opinions, config.second_verifier, problem, grades)
    return RolloutCounts(
        outcomes=tuple(grade.correct for grade in grades),
        truncated=sum(c.finish_reason == "length" for c in generation.completions),
        usage=generation.usage,
        continuations=added,
        ends=tuple(c.finish_reason for c in generation.completions),
        answers=tuple(grade.answer for grade in grades),
        second=second,
    )


def _grades(
    verifier: Verifier,
    problem: Problem,
    steps_prefix: Sequence[str],
    completions: Sequence[Completion],
    added: Sequence[Sequence[str]],
) -> tuple[Grade, ...]:
    """Grade prefix and continuation together: the last answer stated in either counts."""
    return tuple(
        grade(verifier, problem, [*steps_prefix, *steps])
        if c.finish_reason == "stop"
        else Grade(None, None)
        for c, steps in zip(completions, added, strict=True)
    )


def second_opinions(
    name: str | None, problem: Problem, grades: Sequence[Grade]
) -> tuple[Outcome, ...]:
    """What the second verifier says of stated answers: nothing of a program, which has its tests,
    and nothing where it is the first one too."""
    if name is None or problem.tests or verifier_for(problem).name == name:
        return ()
    check = get_verifier(name).check
    return tuple(None if g.answer is None else check(g.answer, problem) for g in grades)
