"""The formats of other reward services: their requests as solutions, judgements as their answers.

`/get_reward` is OpenRLHF's remote reward model; `/pooling` and `/classify` are vLLM's routes to a
discriminative process reward model. Pure translation: no HTTP, no Ray, no engine. None of these
formats can say that something was not scored: such a request is refused, unless `serve.unscored`
names a number to return instead, and then the answer marks where it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from cluster.serving.schema import RequestError, parse_as
from genprm import steps as splitting
from genprm.client.calls import MAX_BATCH, MAX_BATCH_STEPS, MAX_STEPS
from genprm.config.serve import ServeConfig
from genprm.integrations.openrlhf import bare_response, reward_answer
from genprm.prompts.chat import ChatMarks
from genprm.records import Judgement, StepJudgement
from genprm.scoring.base import ScoreItem

LABELS = ("incorrect", "correct")  # the classes of `probs`
CALLERS_FAULT = ("empty", "too_long")  # statuses that the same request meets again
NO_ROOM = "this format has no null, and serve.unscored is not set"
Item = TypeVar("Item", bound=ScoreItem | None)


class _Tolerant(BaseModel):
    """Strict about the fields that are read; others, which clients of these formats send, pass."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class RewardRequest(_Tolerant):
    """The body of OpenRLHF's `POST /get_reward`: a text of each list for each rollout. `labels`
    are not read."""

    query: list[str] = Field(max_length=MAX_BATCH)
    prompts: list[str] = Field(max_length=MAX_BATCH)


class Turn(_Tolerant):
    """One chat message."""

    role: str
    content: str


Texts = Annotated[list[str], BeforeValidator(lambda it: [it] if isinstance(it, str) else it)]


class PoolingRequest(_Tolerant):
    """The body of vLLM's `POST /pooling` and `POST /classify`: `input`, conversations as the
    critic's chat template renders them, or `messages`, one conversation. Answers are probabilities
    whatever `use_activation` says."""

    input: Texts | None = Field(None, min_length=1, max_length=MAX_BATCH)
    messages: list[Turn] | None = Field(None, min_length=1)
    task: Literal["token_classify", "classify"] | None = None
    encoding_format: Literal["float"] = "float"


_REWARD, _POOLING = TypeAdapter(RewardRequest), TypeAdapter(PoolingRequest)


@dataclass(frozen=True)
class Translator:
    """Requests to solutions and judgements to answers, under one service's settings.

    `marks` are those of the critic's chat template, if it has one; `splitter` finds the steps of
    an answer without `serve.step_marker` in it. The keys of solutions and judgements are the fields
    of the request that they come from, which errors name.
    """

    marks: ChatMarks | None
    splitter: str
    serve: ServeConfig

    def rollouts(self, body: bytes) -> dict[str, ScoreItem | None]:
        """The solutions in a `/get_reward` request; None for a rollout whose response has no text.

        Raises:
            RequestError: names the field at fault.
        """
        request = parse_as(_REWARD, body)
        if len(request.query) != len(request.prompts):
            message = f"has {len(request.prompts)} entries where query has {len(request.query)}"
            raise RequestError(message, field="prompts")
        pairs = enumerate(zip(request.query, request.prompts, strict=True))
        return _bounded({f"query[{place}]": self._rollout(place, *pair) for place, pair in pairs})

    def conversations(self, body: bytes) -> dict[str, ScoreItem]:
        """The solutions in a request to `/pooling` or `/classify`.

        Raises:
            RequestError: names the field at fault.
        """
        request = parse_as(_POOLING, body)
        if request.messages is not None and request.input is None:
            problem, answer = _two_turns(request.messages)
            return {"messages": self._conversation("messages", problem, answer)}
        if request.input is None or request.messages is not None:
            raise RequestError("give either input or messages", field="input")
        items = {}
        for place, text in enumerate(request.input):
            field = f"input[{place}]"
            turns = self.marks.turns(text) if self.marks else None
            if turns is None:
                hint = "render it with the critic's chat template, or send messages"
                message = f"a user's and an assistant's turn were not found: {hint}"
                raise RequestError(message, field=field)
            items[field] = self._conversation(field, *turns)
        return _bounded(items)

    def rewards(self, judged: Mapping[str, Judgement | None]) -> dict[str, Any]:
        """The answer of `/get_reward`; `extra_logs.scored` is 0 where a reward is `serve.unscored`.

        Raises:
            RequestError: a rollout without a score, where `serve.unscored` is not set.
        """
        for field, judgement in judged.items():
            self._score(field, judgement)
        return reward_answer(list(judged.values()), unscored=self.serve.unscored or 0.0)

    def step_rows(self, judged: Mapping[str, Judgement]) -> list[dict[str, Any]]:
        """`data` of `/pooling`: `[[p_incorrect, p_correct], ...]`, a row for each step. `unscored`
        has the places of steps whose score is `serve.unscored`.

        Raises:
            RequestError: a step without a score, where `serve.unscored` is not set.
        """
        rows = []
        for place, (field, judgement) in enumerate(judged.items()):
            scores = [self._step_score(field, step) for step in judgement.steps]
            missing = [step.index for step in judgement.steps if step.score is None]
            pairs = [[1 - score, score] for score in scores]
            rows.append(_data(place, "unscored", missing, object="pooling", data=pairs))
        return rows

    def classes(self, judged: Mapping[str, Judgement]) -> list[dict[str, Any]]:
        """`data` of `/classify`: `probs` of incorrect and correct by the aggregate of the steps.
        `unscored` is true where the score is `serve.unscored`.

        Raises:
            RequestError: a solution without a score, where `serve.unscored` is not set.
        """
        rows = []
        for place, (field, judgement) in enumerate(judged.items()):
            score = self._score(field, judgement)
            probs, label = [1 - score, score], LABELS[score > 0.5]
            missing = judgement.solution_score is None
            rows.append(
                _data(place, "unscored", missing, label=label, probs=probs, num_classes=len(probs))
            )
        return rows

    def _rollout(self, place: int, query: str, prompt: str) -> ScoreItem | None:
        problem = self.marks.question(prompt) if self.marks else prompt
        if not problem.strip():
            raise RequestError("must not be empty", field=f"prompts[{place}]")
        turns = self.marks.turns(query) if self.marks and prompt not in query else None
        response = bare_response(turns[1] if turns else query, prompt)
        steps = splitting.split(response, self.splitter)
        return _item(f"query[{place}]", problem, steps) if steps else None

    def _conversation(self, field: str, problem: str, answer: str) -> ScoreItem:
        answer = bare_response(answer, "")
        if self.serve.step_marker in answer:
            pieces = answer.removesuffix(self.serve.step_marker).split(self.serve.step_marker)
            steps = [piece.strip() for piece in pieces]
        else:
            steps = splitting.split(answer, self.splitter)
        if not problem.strip() or not steps or not all(steps):
            empty = f"step {steps.index('')}" if "" in steps else "a turn"
            raise RequestError(f"{empty} must not be empty", field=field)
        return _item(field, problem, steps)

    def _score(self, field: str, judgement: Judgement | None) -> float:
        """A solution's score, or `serve.unscored`."""
        if judgement is not None and judgement.solution_score is not None:
            return judgement.solution_score
        if self.serve.unscored is not None:
            return self.serve.unscored
        if judgement is None:
            raise RequestError(f"no response in it; {NO_ROOM}", field=field)
        unscored = (s for s in judgement.steps if s.score is None and s.status != "not_scored")
        return self._step_score(field, next(unscored))

    def _step_score(self, field: str, step: StepJudgement) -> float:
        if step.score is not None:
            return step.score
        if self.serve.unscored is not None:
            return self.serve.unscored
        message = f"step {step.index} has no score ({step.status}: {step.reason}); {NO_ROOM}"
        status = 422 if step.status in CALLERS_FAULT else 503
        raise RequestError(message, field=field, status=status)


def _data(place: int, flag: str, flagged: Any, **fields: Any) -> dict[str, Any]:
    return {"index": place, **fields, **({flag: flagged} if flagged else {})}


def _two_turns(messages: Sequence[Turn]) -> tuple[str, str]:
    """The user's text and the assistant's; system messages are meant for another model."""
    turns = [turn for turn in messages if turn.role != "system"]
    if [turn.role for turn in turns] != ["user", "assistant"]:
        roles = ", ".join(turn.role for turn in turns)[:100]
        message = f"expected one of user and one of assistant, got {roles}"
        raise RequestError(message, field="messages")
    return turns[0].content, turns[1].content


def _item(field: str, problem: str, steps: list[str]) -> ScoreItem:
    if len(steps) > MAX_STEPS:
        raise RequestError(f"has {len(steps)} steps, at most {MAX_STEPS}", field=field)
    return ScoreItem(problem.strip(), steps)


def _bounded(items: dict[str, Item]) -> dict[str, Item]:
    total = sum(len(item.steps) for item in items.values() if item is not None)
    if total > MAX_BATCH_STEPS:
        raise RequestError(f"has {total} steps in all, at most {MAX_BATCH_STEPS}", field="body")
    return items
