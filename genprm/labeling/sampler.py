"""All sampling for the labels of one solution: rollouts by prefix, pooled, and what they cost.

The only way in which estimators get rollouts, so that their costs compare. Prefix t is the first t
steps of the solution; prefix 0 is the problem alone. Knows nothing of values or labels.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genprm.config.label import LabelConfig
from genprm.engines.base import Engine
from genprm.errors import PromptTooLongError
from genprm.generation import Usage
from genprm.labeling.doubts import Watch
from genprm.labeling.rollouts import Outcome, RolloutCounts, policy_of, rollout_prefix
from genprm.prompts.packs import PromptPack
from genprm.records import Solution
from genprm.util.aio import together
from genprm.util.seeds import derive_seed
from genprm.verifiers import verifier_for


@dataclass(slots=True)
class Pool:
    """The outcomes of one prefix: of its own rollouts, and of those that passed through it.

    `repeats` counts its own rollouts that end in the solution's own answer, which is wrong.
    """

    own: list[Outcome] = field(default_factory=list)
    borrowed: list[Outcome] = field(default_factory=list)
    repeats: int = 0
    truncated: int = 0
    reason: str | None = None  # why there can be no rollouts

    def counts(self) -> RolloutCounts:
        return RolloutCounts((*self.own, *self.borrowed), self.truncated, reason=self.reason)


class PrefixSampler:
    """Rolls out prefixes of one solution and keeps their outcomes.

    `outcome` is whether the finished solution is right, None for an unfinished one: a finished
    solution's last prefix needs no rollouts, its value is the outcome. `own_answer` is the answer
    that the solution states. With `reuse`, a rollout from prefix t whose next steps are those of
    the solution also counts for the prefixes that it passes through: given that it got there, what
    follows is a draw from that prefix like any other, whatever its outcome (as in OmegaPRM's tree,
    without its selection of wrong ones).
    """

    def __init__(
        self,
        engine: Engine,
        pack: PromptPack,
        solution: Solution,
        config: LabelConfig,
        seed: int,
        outcome: bool | None,
        own_answer: str | None = None,
        splitter: str = "lines",
    ):
        self._policy = policy_of(engine, pack, config, splitter)
        self._config, self._seed = config, seed
        self.solution, self.outcome, self.own_answer = solution, outcome, own_answer
        self.steps = len(solution.steps)
        self.pools = [Pool() for _ in range(self.steps + 1)]
        self.watch = Watch(config, seed, solution.id)
        self.usage = Usage()
        self._rounds = [0] * (self.steps + 1)
        if outcome is not None:
            self.pools[-1].own.append(outcome)
        # The solution is itself a rollout from each of its prefixes, if the same policy wrote it.
        self.solution_counts = (
            config.reuse == "solution" and outcome is not None and solution.policy == engine.name
        )
        if self.solution_counts:
            for pool in self.pools[1:-1]:
                pool.borrowed.append(outcome)

    @property
    def rollouts(self) -> int:
        """How many rollouts were sampled so far."""
        return self.usage.completions

    @property
    def open(self) -> range:
        """The prefixes whose values need rollouts; the empty prefix, the problem, is left out."""
        return range(1, self.steps + (self.outcome is None))

    def counts(self, prefix: int) -> RolloutCounts:
        """The counts of a prefix, of its own rollouts and of borrowed ones."""
        return self.pools[prefix].counts()

    async def sample(self, plan: Mapping[int, int], *, repeats: bool = False) -> None:
        """Add rollouts, `plan` prefix → how many; all prefixes at once.

        A prefix that is too long for the engine gets a reason in place of rollouts. With `repeats`
        wrong ones are compared with the solution's own answer, too.

        Raises:
            EngineError: from the engine; none of these rollouts is left running.
        """
        results = await together(self._one(prefix, n) for prefix, n in plan.items() if n > 0)
        for prefix, counts in results:
            pool = self.pools[prefix]
            pool.own += counts.outcomes
            pool.truncated += counts.truncated
            pool.reason = counts.reason
            self.usage += counts.usage
            self.watch.note(prefix, counts)
            if repeats:
                pool.repeats += await asyncio.to_thread(self._repeats, counts)
            if self._config.reuse != "none":
                for outcome, steps in zip(counts.outcomes, counts.continuations, strict=True):
                    reached = self._reached(prefix, steps)
                    for passed in self.pools[prefix + 1 : reached + 1]:
                        passed.borrowed.append(outcome)

    def _repeats(self, counts: RolloutCounts) -> int:
        """How many wrong rollouts have the solution's own answer."""
        if self.own_answer is None:
            return 0
        wrong = (
            answer
            for outcome, answer in zip(counts.outcomes, counts.answers, strict=True)
            if outcome is False and answer is not None
        )
        own = self.solution.model_copy(update={"answer": self.own_answer})
        check = verifier_for(self.solution).check
        return sum(check(answer, own) is True for answer in wrong)

    async def _one(self, prefix: int, n: int) -> tuple[int, RolloutCounts]:
        round_number, self._rounds[prefix] = self._rounds[prefix], self._rounds[prefix] + 1
        seed = derive_seed(self._seed, "rollout", self.solution.id, prefix, round_number)
        steps = self.solution.steps[:prefix]
        try:
            counts = await rollout_prefix(
                self._policy, self.solution, steps, n, seed, self._config.second_verifier
            )
        except PromptTooLongError as error:
            counts = RolloutCounts((), reason=str(error))
        return prefix, counts

    def _reached(self, prefix: int, steps: Sequence[str]) -> int:
        """The last open prefix that a rollout from `prefix` passes through."""
        own = self.solution.steps[prefix : self.open.stop - 1]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(steps, own, strict=False))
        return prefix + sum(1 for _ in same)
