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
from genprm.generation import Sampling, Usage
from genprm.policy import Policy
from genprm.prompts.packs import PromptPack
from genprm.records import Problem
from genprm.verifiers import get_verifier, verifier_for
from genprm.verifiers.base import Grade

Outcome = bool | None  # of a rollout: right, wrong, or invalid


@dataclass(frozen=True, slots=True)
class RolloutCounts:
    """What became of the rollouts of one prefix.

    `outcomes` has one entry per rollout in sampling order: right, wrong, or None for an invalid
    one (no answer to read, no verdict on it, or not ended by itself; `truncated` of those ran out
    of tokens). `reason` says why there are no rollouts at all. The counts of one request also keep,
    per rollout, the steps that it added (`continuations`), why it ended, the answer that it states
    and a second verifier's verdict on that answer.
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


def policy_of(engine: Engine, pack: PromptPack, config: LabelConfig, splitter: str) -> Policy:
    """The policy as labelling samples it."""
    sampling = Sampling(
        temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens
    )
    return Policy(engine, pack, splitter, sampling)


async def rollout_prefix(
    policy: Policy,
    problem: Problem,
    steps_prefix: Sequence[str],
    n: int,
    seed: int,
    second_verifier: str | None = None,
) -> RolloutCounts:
    """Complete `steps_prefix` n times in one request, and count what came of it.

    Seed and errors are those of `Policy.continuations`.
    """
    rollouts, usage = await policy.continuations(problem, steps_prefix, n, seed)
    grades = [rollout.grade for rollout in rollouts]
    second = await asyncio.to_thread(second_opinions, second_verifier, problem, grades)
    return RolloutCounts(
        outcomes=tuple(grade.correct for grade in grades),
        truncated=sum(rollout.finish_reason == "length" for rollout in rollouts),
        usage=usage,
        continuations=tuple(rollout.steps for rollout in rollouts),
        ends=tuple(rollout.finish_reason for rollout in rollouts),
        answers=tuple(grade.answer for grade in grades),
        second=second,
    )


def second_opinions(
    name: str | None, problem: Problem, grades: Sequence[Grade]
) -> tuple[Outcome, ...]:
    """The second verifier's verdicts on stated answers; empty for a program, which has its tests,
    and where the second verifier is also the first."""
    if name is None or problem.tests or verifier_for(problem).name == name:
        return ()
    check = get_verifier(name).check
    return tuple(None if g.answer is None else check(g.answer, problem) for g in grades)
