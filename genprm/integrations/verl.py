"""A critic as the reward of verl: one number per response, or one per step.

A number per response, without a file of your own:

    reward.custom_reward_function.path=pkg://genprm.integrations.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.url=http://critic:8000

For rewards of steps see `step_reward_manager`. Follows verl 0.9.1 and its main branch, since the
configuration has `reward.*` keys: `verl/trainer/ppo/reward.py`, `reward_loop.py` and
`reward_manager/{base,naive,remote}.py` in `verl/experimental/reward_loop`, and
`verl/experimental/agent_loop/agent_loop.py`. The reward manager `remote` takes no async function
such as this one; the default, `naive`, does.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from genprm.client.http import AsyncClient
from genprm.errors import ConfigError, InputError
from genprm.integrations.chat import problem_of
from genprm.integrations.judge import DEADLINE_S, connect, in_own_loop, judge
from genprm.integrations.solution_rewards import reward_figures
from genprm.rewards.credit import (
    Shape,
    decode_with_offsets,
    describe,
    min_form,
    step_rewards,
    token_rewards,
)
from genprm.rewards.precision import check_precision, with_precision
from genprm.scoring.base import ScoreOptions, StepScorer

# Where data sets of verl and for it keep the problem: a text or a chat in `extra_info`.
PROBLEM_KEYS = ("question", "problem", "raw_problem", "prompt", "raw_prompt")
NO_PROBLEM = (
    "extra_info has no {keys}, and verl gives a reward function no prompt: where the data is"
    " written, set row['extra_info']['question'] to the problem, or name its key by problem_key"
)
HALF_SET = (
    "reward.reward_model.enable is on and reward.custom_reward_function.path is not set, so verl"
    " would train on the score of its reward model and never ask this manager: set the path to"
    f" pkg://{__name__} as well"
)


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str,
    token: str | None = None,
    reward: str = "solution_score",
    precision: str = "rounded",
    unscored: float = 0.0,
    splitter: str = "lines",
    problem_key: str | None = None,
    wait_s: float = DEADLINE_S,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
    **options: Unpack[ScoreOptions],
) -> dict[str, float]:
    """The reward of one response, by the scoring service at `url`.

    Keyword-only arguments come from `reward_kwargs`, but for the last two, which verl passes where
    it serves a reward model of its own. Neither these two nor `ground_truth` are used.

    Args:
        reward: see `genprm.rewards.credit.solution_reward`.
        precision: see `genprm.rewards.precision`.
        unscored: the score of a response that has none: verl needs a number.
        splitter: how responses are cut into steps; the critic's training data was cut the same.
        problem_key: where `extra_info` has the problem; without it the first of PROBLEM_KEYS.
        wait_s: seconds to wait for an answer, retries included. All responses of a batch are sent
            at about the same time, so this is the time for the batch.
        options: of `StepScorer.score`.

    Returns:
        The figures of `reward_figures`: verl takes `score` and logs the others. There is no `acc`,
        since nothing here knows it.

    Raises:
        InputError: `extra_info` has no key for a problem (a blank one is unscored), an unknown
            reward, what the service refuses.
        ConfigError, EngineError: wrong token or address; no answer.
    """
    keys = (problem_key,) if problem_key else PROBLEM_KEYS
    problem = _problem(extra_info, keys)
    if problem is None:
        raise InputError(NO_PROBLEM.format(keys=", ".join(map(repr, keys))))
    scorer = _client(url, token, wait_s)
    judging = judge(scorer, [problem], [solution_str], splitter, options)
    [judgement] = await in_own_loop(judging)
    return reward_figures(judgement, reward, unscored, precision)


@functools.lru_cache(maxsize=8)
def _client(url: str, token: str | None, wait_s: float) -> AsyncClient:
    return AsyncClient(url, token, deadline_s=wait_s, attempt_s=wait_s / 3)


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
    scorer: StepScorer | str,
    *,
    shape: Shape = min_form,
    precision: str = "rounded",
    unscored: float = 0.0,
    splitter: str = "lines",
    problem_key: str | None = None,
    **options: Unpack[ScoreOptions],
) -> type:
    """A reward manager with rewards of steps, each at the last token of its step.

        # step_rewards.py, whose path is reward.reward_manager.module.path, with
        # reward.reward_manager.source=importlib and reward.reward_manager.name=StepRewards
        from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
        StepRewards = step_reward_manager(RewardManagerBase, "http://critic:8000")

    verl asks a manager for the rewards of all tokens (`assemble_rm_scores`) only where it scores
    whole batches after the rollout, that is with a colocated reward model: one that is loaded for
    nothing, since verl must also be told by `reward.custom_reward_function.path` to ask the
    manager and not the model. The path alone will do; the function is not called. Where it scores
    responses while others are still being written, it takes one number and puts it on the last
    token; there the rewards of the steps count by their sum, which `min_form` makes about the
    smallest of 2 * score - 1.

    Args:
        base: verl's `RewardManagerBase`.
        scorer: who judges, or the address of a service.
        precision: see `genprm.rewards.precision`.
        shape: see `genprm.rewards.credit.step_rewards`. Steps after the first error have no
            reward, so that they are not judged unless the options ask for it.
        splitter: how responses are cut into steps; the critic's training data was cut the same.
        unscored: the reward of a response that has none, at its last token; here 0 is neither
            good nor bad.
        problem_key: where `extra_info` has the problem; without it the first of PROBLEM_KEYS there,
            and else the last user message of `raw_prompt`.
        options: of `StepScorer.score`.

    Raises:
        InputError: there is no such precision.
        ConfigError: the address is not one of a service; when verl builds the manager, HALF_SET.
    """
    check_precision(precision)
    critic = connect(scorer)
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
            if _asks_its_model(config):
                raise ConfigError(HALF_SET)
            # by name: their order has changed between versions
            super().__init__(config=config, tokenizer=tokenizer, compute_score=compute_score)

        async def run_single(self, data: Any) -> dict[str, Any]:
            """The rewards of one response; of several sequences, those of the last, as in verl."""
            item = data[len(data) - 1]
            ids = _response_ids(item)
            text, offsets = await asyncio.to_thread(decode_with_offsets, self._decode, ids)
            problem = _problem_of_row(item.non_tensor_batch, problem_key)
            judging = judge(critic, [problem], [text], splitter, score_options)
            [judgement] = await in_own_loop(judging)
            rewards = step_rewards(with_precision(judgement, precision), shape)
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


def _problem_of_row(columns: Mapping[str, Any], key: str | None) -> str:
    problem = _problem(columns.get("extra_info"), (key,) if key else PROBLEM_KEYS)
    if not problem and "raw_prompt" in columns:
        problem = problem_of(columns["raw_prompt"])
    if problem is None:
        names = ", ".join(map(repr, (key,) if key else PROBLEM_KEYS))
        raise InputError(f"extra_info has no {names}, and the row no 'raw_prompt'")
    return problem


def _problem(extra_info: Mapping[str, Any] | None, keys: Sequence[str]) -> str | None:
    """The first of the keys that has a text or a chat with a user's message; "" where they are
    blank, as a row may be among good ones, and None where there is no such key."""
    columns = extra_info or {}
    problems = [problem_of(columns[key]) for key in keys if key in columns]
    return next((text for text in problems if text.strip()), "" if problems else None)


def _asks_its_model(config: Any) -> bool:
    """Whether verl asks a reward model in place of the manager (`RewardLoopWorker.compute_score`).
    Also reads configurations whose keys are not under `reward` yet."""
    section = _setting(config, "reward") or config
    enabled = _setting(_setting(section, "reward_model"), "enable")
    return bool(enabled) and not _setting(_setting(section, "custom_reward_function"), "path")


def _setting(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
