"""`POST /get_reward`: rollouts of a trainer in, their rewards out.

Two forms of request: OpenRLHF's lists of queries and prompts, and slime's one prompt and response,
whose answer is a bare number. See `cluster.serving.compat` for what cannot be judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter
from pydantic_core import from_json

from cluster.serving.compat import (
    MAX_ENTRIES,
    MAX_REQUEST_STEPS,
    Text,
    Tolerant,
    Translator,
    Turn,
    Unjudged,
    plain_text,
    solution_item,
)
from cluster.serving.schema import RequestError, validate_as
from genprm import steps as splitting
from genprm.errors import one_line
from genprm.integrations.chat import user_content
from genprm.integrations.openrlhf import bare_response, reward_answer
from genprm.prompts.chat import strip_end_tokens
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem


def _prompt_text(prompt: Any) -> Any:
    """The text of a prompt, of a list of messages the last user's content; None with a part that
    is no text, such as an image."""
    is_chat = isinstance(prompt, list) and any(isinstance(p, dict) and "role" in p for p in prompt)
    content = user_content(prompt) if is_chat else prompt
    if isinstance(content, list) and any(isinstance(part, dict) for part in content):
        try:
            return plain_text(content)
        except ValueError:
            return None
    return plain_text(content)


# None: the problem is not all text.
Prompt = Annotated[
    str | None, BeforeValidator(_prompt_text, json_schema_input_type=str | list[Turn] | None)
]


class RewardRequest(Tolerant):
    """The form of OpenRLHF: a text of each list for each rollout, where the query is the prompt and
    the response after it. `labels` are not read."""

    query: list[Text]
    prompts: list[Prompt]


class SampleRequest(Tolerant):
    """The form of slime's `remote_rm`: one rollout. `label` is not read."""

    prompt: Prompt
    response: Text


# What a tokenizer puts before a prompt, such as `<s>` or `[gMASK]<sop>`.
_SPECIAL_TOKENS = re.compile(r"\s*(?:(?:<[^<>\s]+>|\[\w+\])\s*)*")
REWARD_BODY = TypeAdapter[Any](RewardRequest | SampleRequest).json_schema()
_REWARD, _SAMPLE = TypeAdapter(RewardRequest), TypeAdapter(SampleRequest)


@dataclass(frozen=True)
class Rollouts:
    """What to judge, by the field that it comes from; `single`: the answer is one number."""

    solutions: dict[str, ScoreItem | Unjudged]
    single: bool


class RewardTranslator(Translator):
    """Requests to solutions and judgements to answers."""

    def parse(self, body: bytes) -> Rollouts:
        """The rollouts in a request.

        Raises:
            RequestError: neither of the two forms; names the field at fault.
        """
        content = _read_json(body)
        if isinstance(content, dict) and "response" in content and "query" not in content:
            sample = validate_as(_SAMPLE, content)
            response = strip_end_tokens(sample.response)
            return Rollouts({"response": self._solution(sample.prompt, response)}, single=True)
        request = validate_as(_REWARD, content)
        if len(request.query) != len(request.prompts):
            message = f"has {len(request.prompts)} entries where query has {len(request.query)}"
            raise RequestError(message, field="prompts")
        if len(request.query) > MAX_ENTRIES:
            message = f"has {len(request.query)} entries, at most {MAX_ENTRIES}"
            raise RequestError(message, field="query")
        solutions: dict[str, ScoreItem | Unjudged] = {}
        steps = 0
        for place, pair in enumerate(zip(request.query, request.prompts, strict=True)):
            solution = self._rollout(*pair)
            if isinstance(solution, ScoreItem):
                steps += len(solution.steps)
                if steps > MAX_REQUEST_STEPS:
                    message = f"beyond the {MAX_REQUEST_STEPS} steps of a request that are judged"
                    solution = Unjudged(message)
            solutions[f"query[{place}]"] = solution
        return Rollouts(solutions, single=False)

    def answer(
        self, rollouts: Rollouts, judgements: Mapping[str, Judgement | Unjudged]
    ) -> tuple[dict[str, Any] | float, int]:
        """The answer, its rewards rounded to the votes, and how many of them are `serve.unscored`;
        `extra_logs.scored` is 0 for these in OpenRLHF's form.

        Raises:
            RequestError: a rollout without a score, where `serve.unscored` is null.
        """
        for field, judgement in judgements.items():
            self.numbers.solution(field, judgement)
        scored = [None if isinstance(j, Unjudged) else j for j in judgements.values()]
        answer = reward_answer(scored, unscored=self.numbers.filler, precision="rounded")
        missing = sum(1 - int(flag) for flag in answer["extra_logs"].get("scored", ()))
        return (answer["rewards"][0] if rollouts.single else answer), missing

    def _rollout(self, query: str, prompt: str | None) -> ScoreItem | Unjudged:
        prompt_text = prompt or ""
        at = query.find(prompt_text)
        response: str | None
        if at >= 0 and _SPECIAL_TOKENS.fullmatch(query, 0, at):
            response = bare_response(query, prompt_text)
        else:  # as where its tokenizer wrote the prompt otherwise; a response may repeat the prompt
            response = self.chats.answer(query, prompt_text)
        if response is None:
            return Unjudged("the query does not begin with its prompt")
        return self._solution(prompt, response)

    def _solution(self, prompt: str | None, response: str) -> ScoreItem | Unjudged:
        if prompt is None:
            return Unjudged("the prompt has a part that is no text, which the critic cannot see")
        problem = self.chats.question(prompt)
        return solution_item(problem, splitting.split(response, self.splitter))


def _read_json(body: bytes) -> Any:
    """The content of a body. Halves of surrogate pairs, which have no UTF-8 and which a policy may
    write, are U+FFFD in it: one of them must not cost a whole batch its rewards.

    Raises:
        RequestError: not JSON.
    """
    try:
        return from_json(body)
    except ValueError as error:
        message = one_line(f"invalid JSON: {error}")
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
        return from_json(text.encode("utf-32", "surrogatepass").decode("utf-32", "replace"))
    except (ValueError, RecursionError):
        raise RequestError(message, field="body", status=400) from None
