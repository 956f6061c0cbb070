"""A critic as a reward of verifiers, and so of prime-rl.

    critic = build_task_reward("http://critic:8000")  # in my_rewards.py
    TaskConfig(rewards={"critic": {"fn": "my_rewards.critic"}})

is for `verifiers.v1`, the only form since 0.4, and follows `Task.score` in `verifiers/v1/task.py`
of 0.4. Up to 0.3 there are rubrics,

    rubric = vf.Rubric(funcs=[build_reward_func("http://critic:8000")])

by `Rubric._call_individual_reward_func` in `verifiers/legacy/rubrics/rubric.py` of 0.3, where an
exception, or a reward that is no number, counts 0 in silence. Both call a function by the names of
its parameters. What is unscored is a number here, too, and the trace or the state says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any, Unpack

from genprm.errors import GenprmError, one_line
from genprm.integrations.chat import problem_of, solution_of
from genprm.integrations.judge import in_own_loop
from genprm.integrations.solution_rewards import RewardSettings, SolutionRewards
from genprm.scoring.base import StepScorer

logger = logging.getLogger("genprm.integrations.verifiers")


def build_task_reward(
    scorer: StepScorer | str, *, name: str = "genprm", **settings: Unpack[RewardSettings]
) -> Callable[..., Coroutine[Any, Any, float]]:
    """A reward function for tasks of `verifiers.v1`: the last user message of the task's prompt is
    the problem, what the policy wrote in all its turns is the solution; in a trace of several
    agents, the reply of the root agent.

    Args:
        scorer: who judges, or the address of a service.
        name: the figures of `reward_figures` are metrics of the trace, as `NAME/...`.
        settings: see `RewardSettings`.

    Raises:
        InputError, ConfigError: as `SolutionRewards`. verifiers makes an exception in a call an
            error of the trace.
    """
    critic = SolutionRewards(scorer, **settings)

    async def reward_func(task: Any, trace: Any) -> float:
        solution = trace.root_reply or solution_of(trace.assistant_messages)
        judging = critic.figures([problem_of(task.prompt)], [solution])
        [figures] = await in_own_loop(judging)
        trace.record_metrics({f"{name}/{key}": value for key, value in figures.items()})
        return figures["score"]

    return reward_func


def build_reward_func(
    scorer: StepScorer | str, *, name: str = "genprm", **settings: Unpack[RewardSettings]
) -> Callable[..., Coroutine[Any, Any, float]]:
    """A reward function for rubrics: the last user message of the prompt is the problem, the
    assistant's turns are the solution.

    Args:
        scorer: who judges, or the address of a service.
        name: what verifiers calls the reward; the figures of `reward_figures` are under it in the
            state.
        settings: see `RewardSettings`.

    Raises:
        InputError, ConfigError: as `SolutionRewards`.
    """
    critic = SolutionRewards(scorer, **settings)

    async def reward_func(
        prompt: Any, completion: Any, state: MutableMapping[str, Any] | None = None
    ) -> float:
        try:
            judging = critic.figures([problem_of(prompt)], [solution_of(completion)])
            [figures] = await in_own_loop(judging)
        except GenprmError as error:  # verifiers makes a 0 of it
            logger.error("no reward: %s", one_line(error))
            raise
        if state is not None:
            state[name] = figures
        return figures["score"]

    reward_func.__name__ = name
    return reward_func
