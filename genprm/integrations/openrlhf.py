r"""A critic as the reward of OpenRLHF: `--reward.remote_url` with a Python file.

    # reward.py
    from genprm.integrations.openrlhf import build_reward_func
    reward_func = build_reward_func("http://critic:8000")

The service answers `POST /get_reward` in the same way; a file is needed for a token, a handle or
another reward. Follows `SingleTurnAgentExecutor` in `openrlhf/utils/agent.py` of OpenRLHF 0.11, and
`openrlhf/cli/serve_rm.py`, whose shape of request and answer `POST /get_reward` has. A call has one
query: prompt and response in one text, special tokens included. The answer must have a number
for each, so that what is unscored gets one, and is flagged in `extra_logs`. OpenRLHF takes an
exception for a reward of None, with which it crashes later and elsewhere, so that a critic that
does not answer makes unscored responses, too. One number per response is all that this interface
has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from genprm.errors import EngineError, GenprmError, one_line
from genprm.integrations.judge import wait_for
from genprm.integrations.solution_rewards import RewardSettings, SolutionRewards, reward_figures
from genprm.prompts.chat import END_TOKENS, find_marks, strip_end_tokens
from genprm.records import Judgement
from genprm.scoring.base import StepScorer

logger = logging.getLogger("genprm.integrations.openrlhf")


def build_reward_func(
    scorer: StepScorer | str,
    *,
    prompt_prefix: str = "",
    prompt_suffix: str = "",
    end_tokens: Sequence[str] = END_TOKENS,
    **settings: Unpack[RewardSettings],
) -> Callable[..., dict[str, Any]]:
    """The `reward_func(queries, prompts, labels)` that OpenRLHF looks for in the file.

    It may be called from many threads. Labels are not used.

    Args:
        scorer: who judges, or the address of a service.
        prompt_prefix, prompt_suffix: see `problem_text`.
        end_tokens: see `bare_response`.
        settings: see `RewardSettings`.

    Raises:
        InputError: there is no such reward or precision; in a call, an option that the scorer
            refuses.
        ConfigError: the address is not one of a service; in a call, it refuses the token.
    """
    critic = SolutionRewards(scorer, **settings)

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **ignored: Any
    ) -> dict[str, Any]:
        problems = [problem_text(prompt, prompt_prefix, prompt_suffix) for prompt in prompts]
        responses = [
            bare_response(query, prompt, end_tokens)
            for query, prompt in zip(queries, prompts, strict=True)
        ]
        try:
            figures = wait_for(critic.figures(problems, responses))
        except EngineError as error:
            logger.error("no score, so the reward is %g: %s", critic.unscored, one_line(error))
            figures = critic.figures_of([None] * len(responses))
        except GenprmError as error:  # a mistake in the settings; OpenRLHF hides the exception
            logger.error("no reward: %s", one_line(error))
            raise
        return _answer(figures)

    return reward_func


def bare_response(query: str, prompt: str, end_tokens: Sequence[str] = END_TOKENS) -> str:
    """The text of the policy: the query without the prompt before it and the end tokens after it.

    A token of the tokenizer may come before the prompt. A query that does not contain the prompt,
    as when OpenRLHF had to cut a long one, is returned as it is.
    """
    at = query.find(prompt) if prompt else -1
    return strip_end_tokens(query[at + len(prompt) :] if at >= 0 else query, end_tokens)


def problem_text(prompt: str, prefix: str = "", suffix: str = "") -> str:
    r"""The problem inside a prompt: the text after the last `prefix` and before the next `suffix`;
    without either, the last user's turn of a chat format in wide use, or else the whole prompt, as
    `POST /get_reward` finds it.

    They are for other formats, and for instructions around the problem: with the suffix
    `" Let's think step by step<|im_end|>"` and the prefix `"<|im_start|>user\n"` the one that
    follows every problem is dropped, too. A prefix or suffix that does not occur in a prompt cuts
    nothing from it. The critic reads markup that is left as plain text, which it was not trained
    on.
    """
    if not prefix and not suffix:
        return _last_question(prompt).strip()
    problem = prompt.rpartition(prefix)[2] if prefix else prompt
    return (problem.partition(suffix)[0] if suffix else problem).strip()


def _last_question(prompt: str) -> str:
    marks = find_marks(prompt)
    return strip_end_tokens(marks.question(prompt)) if marks else prompt


def reward_answer(
    judgements: Sequence[Judgement | None],
    reward: str = "solution_score",
    unscored: float = 0.0,
    precision: str = "exact",
) -> dict[str, Any]:
    """The answer to OpenRLHF: a number for each judgement, in order; empty lists without any.

    Args:
        judgements: None where a response could not be judged.
        reward: see `genprm.rewards.credit.solution_reward`.
        unscored: the reward of a response without one; at 0 a policy gains nothing by writing
            text that cannot be judged.
        precision: see `genprm.rewards.precision`.

    Returns:
        `rewards`; `scores`, the same clipped to [0, 1] for dynamic filtering; and `extra_logs`, a
        list per name: `scored` (0 where the reward is `unscored`, else 1), and the figures of
        `genprm.rewards.credit.describe`.
    """
    return _answer([reward_figures(each, reward, unscored, precision) for each in judgements])


def _answer(figures: Sequence[dict[str, float]]) -> dict[str, Any]:
    rewards = [each["score"] for each in figures]
    names = [name for name in (figures[0] if figures else ()) if name != "score"]
    return {
        "rewards": rewards,
        "scores": [min(max(value, 0.0), 1.0) for value in rewards],
        "extra_logs": {name: [each[name] for each in figures] for name in names},
    }
