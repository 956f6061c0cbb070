"""`POST /get_reward`: rollouts of a trainer in, their rewards out.

Two forms of request: OpenRLHF's lists of queries and prompts, and slime's one prompt and response,
whose answer is a bare number. See `cluster.serving.compat` for what cannot be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter
from pydantic_core import from_json

from cluster.serving.compat import (
    Chats,
    Numbers,
    Text,
    Tolerant,
    Turn,
    Unjudged,
    plain_text,
    solution_of,
)
from cluster.serving.schema import RequestError, parse_as
from genprm import steps as splitting
from genprm.config.serve import ServeConfig
from genprm.integrations.chat import user_content
from genprm.integrations.openrlhf import bare_response, reward_answer
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem


def _prompt_text(prompt: Any) -> Any:
    """The text of a prompt; of a list of messages the last user's content."""
    is_chat = isinstance(prompt, list) and any(isinstance(p, dict) and "role" in p for p in prompt)
    return plain_text(user_content(prompt) if is_chat else prompt)


Prompt = Annotated[
    str, BeforeValidator(_prompt_text, json_schema_input_type=str | list[Turn] | None)
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


REWARD_BODY = TypeAdapter[Any](RewardRequest | SampleRequest).json_schema()
_REWARD, _SAMPLE = TypeAdapter(RewardRequest), TypeAdapter(SampleRequest)


@dataclass(frozen=True)
class Rollouts:
    """What to judge, by the field that it comes from; `single`: the answer is one number."""

    solutions: dict[str, ScoreItem | Unjudged]
    single: bool


@dataclass(frozen=True)
class RewardTranslator:
    """Requests to solutions and judgements to answers, under one service's settings. Responses are
    cut into steps by `splitter`."""

    chats: Chats
    splitter: str
    serve: ServeConfig

    def parse(self, body: bytes) -> Rollouts:
        """The rollouts in a request.

        Raises:
            RequestError: neither of the two forms; names the field at fault.
        """
        if _is_sample(body):
            sample = parse_as(_SAMPLE, body)
            problem = self.chats.question(sample.prompt)
            response = bare_response(sample.response, "")
            return Rollouts({"response": self._solution(problem, response)}, single=True)
        request = parse_as(_REWARD, body)
        if len(request.query) != len(request.prompts):
            message = f"has {len(request.prompts)} entries where query has {len(request.query)}"
            raise RequestError(message, field="prompts")
        pairs = enumerate(zip(request.query, request.prompts, strict=True))
        return Rollouts({f"query[{i}]": self._rollout(*pair) for i, pair in pairs}, single=False)

    def answer(
        self, rollouts: Rollouts, judgements: Mapping[str, Judgement | Unjudged]
    ) -> tuple[dict[str, Any] | float, int]:
        """The answer, its rewards rounded to the votes, and how many of them are `serve.unscored`;
        `extra_logs.scored` is 0 for these in OpenRLHF's form.

        Raises:
            RequestError: a rollout without a score, where `serve.unscored` is null.
        """
        for field, judgement in judgements.items():
            Numbers(self.serve.unscored).solution(field, judgement)
        scored = [None if isinstance(j, Unjudged) else j for j in judgements.values()]
        answer = reward_answer(scored, unscored=self.serve.unscored or 0.0, precision="rounded")
        missing = sum(1 - int(flag) for flag in answer["extra_logs"].get("scored", ()))
        return (answer["rewards"][0] if rollouts.single else answer), missing

    def _rollout(self, query: str, prompt: str) -> ScoreItem | Unjudged:
        # A query that its tokenizer wrote otherwise is taken apart by the marks of its prompt; a
        # response may hold marks, too, and must not move where it begins.
        marks = None if prompt in query else self.chats.marks(prompt)
        turns = marks.turns(query) if marks else None
        response = bare_response(turns[1], "") if turns else bare_response(query, prompt)
        return self._solution(self.chats.question(prompt), response)

    def _solution(self, problem: str, response: str) -> ScoreItem | Unjudged:
        return solution_of(problem, splitting.split(response, self.splitter))


def _is_sample(body: bytes) -> bool:
    try:
        content = from_json(body)
    except ValueError:  # refused when it is parsed as a request
        return False
    return isinstance(content, dict) and "response" in content and "query" not in content
