"""A critic as the reward of slime: `--custom-rm-path my_rewards.reward`.

    # my_rewards.py
    reward = build_reward_func("http://critic:8000")

Follows `async_rm` and `batched_async_rm` in `slime/rollout/rm_hub/__init__.py` of slime's main
branch, and `Sample` in `slime/utils/types.py`: the function gets one sample, or with `--group-rm`
a list of them. The reward is a number, so that `--reward-key` is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Unpack

from genprm.integrations.chat import problem_of
from genprm.integrations.judge import in_own_loop
from genprm.integrations.openrlhf import problem_text
from genprm.integrations.solution_rewards import RewardSettings, SolutionRewards
from genprm.prompts.chat import strip_end_tokens
from genprm.scoring.base import StepScorer


def build_reward_func(
    scorer: StepScorer | str,
    *,
    problem_key: str | None = None,
    prompt_prefix: str = "",
    prompt_suffix: str = "",
    **settings: Unpack[RewardSettings],
) -> Callable[..., Coroutine[Any, Any, float | list[float]]]:
    """The function that slime calls. Each sample gets the figures of `reward_figures` as
    `metadata["genprm"]`; where `scored` is 0 in them, the reward is `unscored`.

    Args:
        scorer: who judges, or the address of a service.
        problem_key: where a sample's metadata has the problem; without it the prompt has: the last
            user message, or, as with `--apply-chat-template`, a text with markup.
        prompt_prefix, prompt_suffix: what is around the problem in such a text, where its format is
            not one in wide use; see `genprm.integrations.openrlhf.problem_text`.
        settings: see `RewardSettings`.

    Raises:
        InputError, ConfigError: as `SolutionRewards`.
    """
    critic = SolutionRewards(scorer, **settings)

    def problem(sample: Any) -> str:
        if problem_key is not None:
            return problem_of((sample.metadata or {}).get(problem_key))
        text = problem_of(sample.prompt)
        is_marked_up = isinstance(sample.prompt, str) or prompt_prefix or prompt_suffix
        return problem_text(text, prompt_prefix, prompt_suffix) if is_marked_up else text

    async def reward(args: Any, samples: Any, **ignored: Any) -> float | list[float]:
        batch = samples if isinstance(samples, list) else [samples]
        problems = [problem(sample) for sample in batch]
        responses = [strip_end_tokens(sample.response) for sample in batch]
        figures = await in_own_loop(critic.figures(problems, responses))
        for sample, each in zip(batch, figures, strict=True):
            if isinstance(sample.metadata, dict):
                sample.metadata["genprm"] = each
        scores = [each["score"] for each in figures]
        return scores if isinstance(samples, list) else scores[0]

    return reward
