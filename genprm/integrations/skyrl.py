"""A critic as the reward of a SkyRL environment: one answer, one number.

    # my_envs.py; in your entry point, register(id="critic", entry_point="my_envs:CriticEnv")
    from skyrl_gym.envs.base_text_env import BaseTextEnv
    CriticEnv = critic_env(BaseTextEnv, "http://critic:8000")

Follows `skyrl_gym/envs/base_text_env.py` of skyrl-gym 0.4: an environment is made with `env_config`
and the row of the data set as `extras`, gets the prompt by `init`, the policy's answer by `step`,
and says by `get_metrics` what is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from genprm.integrations.chat import problem_of
from genprm.integrations.judge import wait_for
from genprm.integrations.solution_rewards import RewardSettings, SolutionRewards
from genprm.scoring.base import StepScorer


def critic_env(
    base: type,
    scorer: StepScorer | str,
    *,
    problem_key: str | None = None,
    **settings: Unpack[RewardSettings],
) -> type:
    """An environment of one turn.

    Args:
        base: SkyRL's `BaseTextEnv`.
        scorer: who judges, or the address of a service.
        problem_key: the column that holds the problem, a text or a chat; without it the last user
            message of the prompt.
        settings: see `RewardSettings`.

    Raises:
        InputError, ConfigError: as `SolutionRewards`.
    """
    critic = SolutionRewards(scorer, **settings)

    class CriticEnv(base):
        """Rewards of whole answers by a critic; an answer that cannot be judged, such as an empty
        one, has the reward `unscored`, and `scored` is 0 in its metadata."""

        def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None):
            super().__init__()
            self._problem = problem_of((extras or {}).get(problem_key)) if problem_key else ""
            self._figures: dict[str, float] = {}

        def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
            """The prompt as it is; remembers the problem in it."""
            if problem_key is None:
                self._problem = problem_of(prompt)
            return prompt, {}

        def step(self, action: str) -> dict[str, Any]:
            """The output of the only step, in the keys of `BaseTextEnvStepOutput`."""
            [self._figures] = wait_for(critic.figures([self._problem], [action]))
            reward = self._figures["score"]
            return {
                "observations": [],
                "reward": reward,
                "done": True,
                "metadata": dict(self._figures),
                "postprocessed_action": None,
            }

        def get_metrics(self) -> dict[str, float]:
            """The figures of the answer, for SkyRL's logs."""
            return dict(self._figures)

    return CriticEnv
