"""A critic as the reward of verl: one number per response, or one per step.

A number per response, without a file of your own:

    reward.custom_reward_function.path=pkg://genprm.integrations.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.url=http://critic:8000

For rewards of steps see `step_reward_manager`. Follows the main branch of verl-project/verl since
its configuration has `reward.*` keys: `verl/trainer/ppo/reward.py`, `reward_loop.py` and
`reward_manager/{base,naive}.py` in `verl/experimental/reward_loop`, and
`verl/experimental/agent_loop/agent_loop.py`.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from genprm.client.http import AsyncClient
from genprm.errors import InputError
from genprm.integrations.judge import judge
from genprm.rewards.credit import (
    Shape,
    decode_with_offsets,
    describe,
    min_form,
    solution_reward,
    step_rewards,
    token_rewards,
)
from genprm.scoring.base import ScoreOptions, StepScorer


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str,
    token: str | None = None,
    reward: str = "solution_score",
    unscored: float = 0.0,
    splitter: str = "lines",
    problem_key: str = "question",
    wait_s: float = 600.0,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
    **options: Unpack[ScoreOptions],
) -> dict[str, float]:
    """The reward of one response, by the scoring service at `url`.

    Keyword-only arguments come from `reward_kwargs`, but for the last two, which verl passes where
    it serves a reward model of its own. Neither these two nor `ground_truth` are used.

    Args:
        reward: see `genprm.rewards.credit.solution_reward`.
        unscored: the score of a response that has none: verl needs a number.
        splitter: how responses are cut into steps; the critic's training data was cut the same.
        problem_key: where `extra_info` has the problem; `question` in verl's own data sets.
        wait_s: seconds to wait for an answer, retries included. All responses of a batch are sent
            at about the same time, so this is the time for the batch.
        options: of `StepScorer.score`.

    Returns:
        `score`, and figures that verl logs: `scored` (0 where the score is `unscored`, else 1), and
        the figures of `genprm.rewards.credit.describe`. There is no `acc`, since nothing here knows
        it.

    Raises:
        InputError: no problem in `extra_info`, an unknown reward, what the service refuses.
        ConfigError, EngineError: wrong token or address; no answer.
    """
    loop = asyncio.get_running_loop()  # a client belongs to one loop
    scorer = _client(loop, url, token, wait_s)
    problem = (extra_info or {}).get(problem_key)
    if not isinstance(problem, str):
        raise InputError(f"extra_info has no text {problem_key!r}: name its problem by problem_key")
    [judgement] = await judge(scorer, [problem], [solution_str], splitter, options)
    value = solution_reward(judgement, reward)
    score = unscored if value is None else value
    return {"score": score, "scored": float(value is not None), **describe(judgement)}


@functools.lru_cache(maxsize=8)
def _client(
    loop: asyncio.AbstractEventLoop, url: str, token: str | None, wait_s: float
) -> AsyncClient:
    return AsyncClient(url, token, deadline_s=wait_s, attempt_s=wait_s / 2)


class TokenRewards(float):
    """The reward of a response, and in `tokens` the share that each of its tokens has in it."""

    tokens: tuple[float, ...]

    def __new__(cls, tokens: Sequence[float]) -> TokenRewards:
        reward = super().__new__(cls, math.fsum(tokens))
        reward.tokens = tuple(tokens)
        return reward

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenRewards, (self.tokens,)


def step_reward_manager(
    base: type,
    scorer: StepScorer,
    *,
    shape: Shape = min_form,
    unscored: float = 0.0,
    splitter: str = "lines",
    problem_key: str = "question",
    **options: Unpack[ScoreOptions],
) -> type:
    """A reward manager with rewards of steps, each at the last token of its step.

        # step_rewards.py, whose path is reward.reward_manager.module.path, with
        # reward.reward_manager.source=importlib and reward.reward_manager.name=StepRewards
        from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
        StepRewards = step_reward_manager(RewardManagerBase, AsyncClient("http://critic:8000"))

    verl asks a manager for the rewards of all tokens (`assemble_rm_scores`) only where it scores
    whole batches after the rollout, that is with a colocated reward model. Where it scores
    responses while others are still being written, it takes one number and puts it on the last
    token; there the rewards of the steps count by their sum, which `min_form` makes about the
    smallest of 2 * score - 1.

    Args:
        base: verl's `RewardManagerBase`.
        scorer: who judges.
        shape: see `genprm.rewards.credit.step_rewards`. Steps after the first error have no
            reward, so that they are not judged unless the options ask for it.
        splitter: how responses are cut into steps; the critic's training data was cut the same.
        unscored: the reward of a response that has none, at its last token; here 0 is neither
            good nor bad.
        problem_key: where `extra_info` has the problem; without it the last user message of
            `raw_prompt` is the problem.
        options: of `StepScorer.score`.
    """
    score_options: ScoreOptions = {"stop_at_first_error": True, **options}

    class StepRewardManager(base):
        """Rewards of steps by a critic; verl's own `compute_score` is not called."""

        def __init__(
            self,
            config: Any,
            tokenizer: Any,
            compute_score: Any = None,
            reward_router_address: str | None = None,
            reward_model_tokenizer: Any = None,
        ):
            # by name: their order has changed between versions
            super().__init__(config=config, tokenizer=tokenizer, compute_score=compute_score)

        async def run_single(self, data: Any) -> dict[str, Any]:
            """The rewards of one response; of several sequences, those of the last, as in verl."""
            item = data[len(data) - 1]
            ids = _response_ids(item)
            text, offsets = await asyncio.to_thread(decode_with_offsets, self._decode, ids)
            problem = _problem(item.non_tensor_batch, problem_key)
            [judgement] = await judge(scorer, [problem], [text], splitter, score_options)
            rewards = step_rewards(judgement, shape)
            if rewards is None:
                tokens = [0.0] * (len(ids) - 1) + [unscored] * bool(ids)
            else:
                tokens = token_rewards(text, splitter, offsets, rewards)
            figures = {"scored": float(rewards is not None), **describe(judgement)}
            return {"reward_score": TokenRewards(tokens), "reward_extra_info": figures}

        def _decode(self, ids: Sequence[int]) -> str:
            text: str = self.tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            return text

        @classmethod
        def assemble_rm_scores(cls, data: Any, scores: Sequence[float]) -> Any:
            """The rewards of all tokens, [batch, response length]; `scores` come from
            `run_single`."""
            rewards = super().assemble_rm_scores(data, list(map(float, scores)))
            for row, score in zip(rewards, scores, strict=True):
                if isinstance(score, TokenRewards):
                    row[: len(score.tokens)] = row.new_tensor(score.tokens)
            return rewards

    return StepRewardManager


def _response_ids(item: Any) -> list[int]:
    """The tokens of a response, without the padding after them."""
    responses = item.batch["responses"]
    length = responses.shape[-1]
    tokens: list[int] = responses[: int(item.batch["attention_mask"][-length:].sum())].tolist()
    return tokens


def _problem(columns: Mapping[str, Any], key: str) -> str:
    problem = (columns.get("extra_info") or {}).get(key)
    if problem is None:
        users = [m["content"] for m in columns.get("raw_prompt", ()) if m["role"] == "user"]
        problem = users[-1] if users else None
    if not isinstance(problem, str):
        raise InputError(f"neither extra_info has a text {key!r} nor raw_prompt a user message")
    return problem
