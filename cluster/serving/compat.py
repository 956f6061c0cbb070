"""What the formats of other reward services share: texts as their clients write them, and a number
where there is no score.

Pure translation: no HTTP, no Ray, no engine. `/get_reward` is `cluster.serving.rewards`, vLLM's
routes are `cluster.serving.pooling`. None of their formats can say that something was not scored,
and a trainer that is refused an answer ends: what cannot be judged has the number `serve.unscored`,
and the answer marks where. With null there, such a request is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from cluster.serving.schema import RequestError
from genprm.client.calls import MAX_BATCH_STEPS, MAX_STEPS
from genprm.config.serve import ServeConfig
from genprm.integrations.chat import content_text
from genprm.prompts.chat import ChatMarks, find_marks, strip_end_tokens
from genprm.records import Judgement, StepJudgement
from genprm.scoring.base import ScoreItem

CALLERS_FAULT = ("empty", "too_long")  # statuses that the same request meets again
# Entries of one request, and steps of all of them together. Far more than a trainer sends, and few
# enough that one caller cannot fill the memory or keep the critic for hours.
MAX_ENTRIES = MAX_REQUEST_STEPS = 8 * MAX_BATCH_STEPS
NO_ROOM = "this format has no null, and serve.unscored is null"


class Tolerant(BaseModel):
    """Strict about the fields that are read; others, which clients of these formats send, pass."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class TextPart(Tolerant):
    """One part of a message's content."""

    type: str = "text"
    text: str | None


def plain_text(content: Any) -> Any:
    """The text of a message's content (`content_text`); what is neither a text, parts nor null is
    returned for pydantic to refuse.

    Raises:
        ValueError: a part that is no text, such as an image.
    """
    if not isinstance(content, list | None):
        return content
    for part in content or ():
        if not isinstance(part.get("text", part) if isinstance(part, dict) else part, str | None):
            raise ValueError("only text can be judged: expected a string or parts of type text")
    return content_text(content)


Text = Annotated[
    str, BeforeValidator(plain_text, json_schema_input_type=str | list[TextPart] | None)
]


class Turn(Tolerant):
    """One chat message."""

    role: str
    content: Text = ""


@dataclass(frozen=True)
class Unjudged:
    """Stands in place of a solution, and of its judgement, where a request has none to judge."""

    reason: str


@dataclass(frozen=True)
class Numbers:
    """Scores as numbers: `unscored` where there is none, an error where that is None."""

    unscored: float | None

    @property
    def filler(self) -> float:
        """The number in place of a score, once it is certain that there may be one."""
        return self.unscored or 0.0

    def solution(self, field: str, judgement: Judgement | Unjudged) -> float:
        """The score of a solution.

        Raises:
            RequestError: it has none, and `unscored` is None.
        """
        if isinstance(judgement, Unjudged):
            return self._instead(field, judgement.reason, 422)
        if judgement.solution_score is not None:
            return judgement.solution_score
        for step in judgement.steps:
            if step.score is None and step.status != "not_scored":
                return self.step(field, step)
        return self._instead(field, "no score", 503)

    def step(self, field: str, step: StepJudgement) -> float:
        """The score of a step; raises as `solution`."""
        if step.score is not None:
            return step.score
        message = f"step {step.index} has no score ({step.status}: {step.reason})"
        return self._instead(field, message, 422 if step.status in CALLERS_FAULT else 503)

    def _instead(self, field: str, reason: str, status: int) -> float:
        if self.unscored is None:
            raise RequestError(f"{reason}; {NO_ROOM}", field=field, status=status)
        return self.unscored


@dataclass(frozen=True)
class Chats:
    """Takes rendered conversations apart: by the marks of the critic's chat template (`own`), or by
    those of a format in wide use."""

    own: ChatMarks | None

    def marks(self, text: str) -> ChatMarks | None:
        """The marks of the format that a text is in; None for a text that is no conversation."""
        return self.own if self.own and self.own.find(text) >= 0 else find_marks(text)

    def question(self, prompt: str) -> str:
        """The last user's turn of a prompt, or the prompt where it has no turns."""
        marks = self.marks(prompt)
        return strip_end_tokens(marks.question(prompt)).strip() if marks else prompt

    def answer(self, query: str, prompt: str) -> str | None:
        """The answer in a query that does not hold its prompt as it is, because a tokenizer wrote
        it otherwise; None where it cannot be told from the prompt."""
        marks = self.marks(prompt)
        answer = marks.answer(query, prompt) if marks else None
        return None if answer is None else strip_end_tokens(answer)

    def turns(self, text: str) -> list[Turn]:
        """All turns from the first user's; none for a text in no known format."""
        marks = self.marks(text)
        turns = marks.turns(text) if marks else []
        return [Turn(role=role, content=strip_end_tokens(content)) for role, content in turns]


@dataclass(frozen=True)
class Translator:
    """What the formats share of one service's settings. Responses are cut into steps by
    `splitter`."""

    chats: Chats
    splitter: str
    serve: ServeConfig

    @property
    def numbers(self) -> Numbers:
        """Scores as numbers."""
        return Numbers(self.serve.unscored)


def solution_item(problem: str, steps: Sequence[str], **options: Any) -> ScoreItem | Unjudged:
    """The solution to judge. Where it has no problem, no steps or more steps than a request may
    have, the reason why it cannot be judged."""
    if not problem.strip():
        return Unjudged("no problem in it")
    if not steps:
        return Unjudged("no response in it")
    if len(steps) > MAX_STEPS:
        return Unjudged(f"has {len(steps)} steps, at most {MAX_STEPS} are judged")
    return ScoreItem(problem.strip(), list(steps), **options)
