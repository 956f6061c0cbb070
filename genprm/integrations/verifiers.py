"""A critic as a reward of verifiers, and so of prime-rl.

    rubric = vf.Rubric(funcs=[build_reward_func("http://critic:8000")])

Follows `Rubric._call_individual_reward_func` in `verifiers/rubrics/rubric.py` of verifiers 0.1 to
0.4: a function is called by the names of its parameters, and an exception, or a reward that is no
number, counts 0 in silence. Therefore what is unscored is a number here, too, and `state` says so.
In `verifiers.v1` a method decorated by `vf.reward` may await the same function:

    return await critic(prompt=self.data.prompt, completion=trace.last_reply)
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


def build_reward_func(
    scorer: StepScorer | str, *, name: str = "genprm", **settings: Unpack[RewardSettings]
) -> Callable[..., Coroutine[Any, Any, float]]:
    """A reward function: the last user message of the prompt is the problem, the assistant's turns
    are the solution.

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
