"""A critic as a reward of TRL's GRPOTrainer and RLOOTrainer.

    critic = CriticReward("http://critic:8000")
    trainer = GRPOTrainer(model, reward_funcs=[critic, accuracy_reward], ...)

Follows trl 1.16.0, `GRPOTrainer._calculate_rewards` in `trl/trainer/grpo_trainer.py`: an async
callable gets `prompts`, `completions`, `completion_ids`, each further column of the dataset as a
list, `trainer_state`, `log_extra` and `log_metric`, all by name, and answers one float or None per
completion. Trainers of TRL take no reward per step or token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from genprm.errors import InputError
from genprm.integrations.chat import problem_of, solution_of
from genprm.integrations.judge import connect, judge
from genprm.rewards.credit import check_reward, describe, solution_reward
from genprm.rewards.precision import check_precision, with_precision
from genprm.scoring.base import ScoreOptions, StepScorer

Messages = Sequence[Mapping[str, Any]]


class CriticReward:
    """One reward per completion, in [0, 1]; None where the critic has none, which TRL leaves out
    of the weighted sum.

    It can be pickled if the scorer can (an `AsyncClient` and a handle can), and sends all
    completions of a call at once. It logs, as `NAME/...`, the share of unscored completions, and
    over the others the means of steps and of the share of steps before the first error. When a
    policy games the critic, the number of steps often shows it first.

    Args:
        scorer: who judges, or the address of a service.
        reward: see `genprm.rewards.credit.solution_reward`.
        precision: see `genprm.rewards.precision`.
        splitter: how completions are cut into steps; the critic's training data was cut the same.
        problem_column: the column of the dataset that holds the problem. Without it the prompt is
            the problem. Of either a text is taken as it is, of a conversation the last user
            message.
        name: what TRL calls the reward in its logs.
        options: of `StepScorer.score`, for all completions.

    Raises:
        InputError: there is no such reward or precision; in a call, the column is missing, or
            `judge` raises it.
        EngineError: in a call, the critic does not answer; without its critic, training stops.
    """

    def __init__(
        self,
        scorer: StepScorer | str,
        *,
        reward: str = "solution_score",
        precision: str = "rounded",
        splitter: str = "lines",
        problem_column: str | None = None,
        name: str = "genprm",
        **options: Unpack[ScoreOptions],
    ):
        check_reward(reward)
        check_precision(precision)
        self.__name__ = name
        self._scorer, self._splitter = connect(scorer), splitter
        self._reward, self._precision = reward, precision
        self._problem_column, self._options = problem_column, options

    async def __call__(
        self,
        prompts: Sequence[str | Messages],
        completions: Sequence[str | Messages],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """The rewards, in the order of the completions."""
        problems = self._problems(prompts, columns)
        solutions = [solution_of(completion) for completion in completions]
        judgements = await judge(self._scorer, problems, solutions, self._splitter, self._options)
        rewards = [
            solution_reward(with_precision(judgement, self._precision), self._reward)
            for judgement in judgements
        ]
        if log_metric is not None and rewards:
            scored = [
                describe(j) for j, r in zip(judgements, rewards, strict=True) if r is not None
            ]
            log_metric(f"{self.__name__}/unscored", 1 - len(scored) / len(rewards))
            for name in ("steps", "correct_share") if scored else ():
                mean = sum(figures[name] for figures in scored) / len(scored)
                log_metric(f"{self.__name__}/{name}", mean)
        return rewards

    def _problems(
        self, prompts: Sequence[str | Messages], columns: Mapping[str, Any]
    ) -> Sequence[str]:
        if self._problem_column is None:
            return [problem_of(prompt) for prompt in prompts]
        if self._problem_column not in columns:
            names = ", ".join(name for name, column in columns.items() if isinstance(column, list))
            raise InputError(f"problem_column: no column {self._problem_column!r}; known: {names}")
        return [problem_of(problem) for problem in columns[self._problem_column]]
