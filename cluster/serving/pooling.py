"""`POST /pooling` and `POST /classify` as vLLM 0.32 answers them with a process reward model, so
that the generative critic looks like a discriminative one. Also its list of models, its errors.

A row of `/pooling` belongs to each step marker of the assistant's turns: without one there are no
rows. See `cluster.serving.compat` for what cannot be judged.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from cluster.serving.compat import Chats, Numbers, Tolerant, Turn, Unjudged, solution_of
from cluster.serving.schema import RequestError, parse_as
from genprm import steps as splitting
from genprm.config.serve import ServeConfig
from genprm.engines.base import Engine
from genprm.integrations.openrlhf import bare_response
from genprm.records import Judgement
from genprm.rewards.carried import carry_minimum
from genprm.scoring.base import ScoreItem

LABELS = ("incorrect", "correct")  # the classes of `probs`
SYSTEM = ("system", "developer")  # roles whose turns are meant for another model
NO_TURNS = (
    "a user's turn was not found: render it with the critic's chat template, or send messages"
)
FLOATS = {"float32": "f", "float16": "e"}  # of `struct`
ORDERS = {"native": "=", "little": "<", "big": ">"}
ERROR_TYPES = {
    400: "BadRequestError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}

# Whose errors have vLLM's shape.
VLLM_PATHS = frozenset({"/pooling", "/classify", "/tokenize", "/v1/models", "/ping", "/version"})

TokenIds = list[int]
Row = list[float]  # P(incorrect), P(correct)


def _as_list(value: Any) -> Any:
    """One text, or the token ids of one, as a list of one input."""
    if isinstance(value, str) or (value and _are_token_ids(value)):
        return [value]
    for place, each in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(each, str) and not _are_token_ids(each):
            raise ValueError(f"[{place}] is neither a text nor a list of token ids")
    return value


def _are_token_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


Inputs = Annotated[
    list[str | TokenIds],
    BeforeValidator(_as_list, json_schema_input_type=str | TokenIds | list[str] | list[TokenIds]),
]


class PoolingRequest(Tolerant):
    """The body of vLLM's `POST /pooling` and `POST /classify`: `input`, conversations as a chat
    template renders them, or their token ids by the critic's tokenizer; or `messages`, one
    conversation. The critic answers under any `model`, with probabilities whatever `use_activation`
    says. Encodings, `task` and `carry_minimum` are read by `/pooling` only."""

    input: Inputs | None = Field(None, min_length=1)
    messages: list[Turn | None] | None = Field(None, min_length=1)
    task: str | None = None
    encoding_format: Literal["float", "base64", "bytes", "bytes_only"] = "float"
    embed_dtype: Literal["float32", "float16"] = "float32"
    endianness: Literal["native", "little", "big"] = "native"
    carry_minimum: bool = True
    """Whether a step has the lowest score of all up to it, or its own."""


class TokenizeRequest(Tolerant):
    """The body of vLLM's `POST /tokenize`: one text."""

    prompt: str


_POOLING, _TOKENIZE = TypeAdapter(PoolingRequest), TypeAdapter(TokenizeRequest)


@dataclass(frozen=True)
class Answer:
    """An assistant's turn. `problem`: the turns before it. `pieces`: the text before each marker,
    which may be blank. `rest`: the text after the last one, or all of it without any."""

    problem: str
    pieces: tuple[str, ...]
    rest: str

    def steps(self, splitter: str) -> list[str]:
        """All of the turn as steps that have text."""
        if not self.pieces:
            return splitting.split(self.rest, splitter)
        return [text for text in (*self.pieces, self.rest.strip()) if text]


@dataclass(frozen=True)
class PoolingTranslator:
    """Requests to solutions and judgements to answers, under one service's settings.

    Solutions and judgements are keyed by the field of the request that they come from, which errors
    name, and by the place of the assistant's turn in the conversation.
    """

    engine: Engine
    chats: Chats
    splitter: str
    serve: ServeConfig

    def parse(self, body: bytes, *, pooled: bool) -> tuple[PoolingRequest, dict[str, list[Answer]]]:
        """The request, and the assistant's turns of each conversation; `pooled` for `/pooling`.

        Raises:
            RequestError: names the field at fault.
        """
        request = parse_as(_POOLING, body)
        if pooled and request.task not in (None, "token_classify"):
            message = f"unsupported task {request.task!r}; supported is token_classify"
            raise RequestError(message, field="task")
        if (request.input is None) == (request.messages is None):
            raise RequestError("give either input or messages", field="input")
        if request.messages is not None:
            turns = [turn for turn in request.messages if turn is not None]
            return request, {"messages": self._answers(turns)}
        texts = {f"input[{i}]": each for i, each in enumerate(request.input or ())}
        return request, {
            field: self._rendered(field, self._text(field, text), pooled)
            for field, text in texts.items()
        }

    def token_ids(self, body: bytes) -> dict[str, Any]:
        """The answer of `/tokenize`, by the critic's tokenizer; raises as `parse`."""
        request = parse_as(_TOKENIZE, body)
        if self.engine.tokenizer is None:
            raise RequestError("the engine has no tokenizer here", field="prompt")
        ids = list(self.engine.tokenizer(request.prompt, add_special_tokens=False)["input_ids"])
        return {"count": len(ids), "max_model_len": self.engine.max_model_len, "tokens": ids}

    def models(self, created: int) -> dict[str, Any]:
        """The answer of `/v1/models`: the critic."""
        card: dict[str, Any] = {
            "id": self.engine.name,
            "object": "model",
            "created": created,
            "owned_by": "genprm",
            "root": self.engine.name,
            "parent": None,
            "max_model_len": self.engine.max_model_len,
            "permission": [],
        }
        return {"object": "list", "data": [card]}

    def marked_steps(self, answers: Sequence[Answer]) -> list[ScoreItem | Unjudged]:
        """What `/pooling` judges of a conversation: the steps with text of each turn, none of which
        is left out after an error."""
        return [
            solution_of(a.problem, [text for text in a.pieces if text], stop_at_first_error=False)
            for a in answers
        ]

    def last_answer(self, answers: Sequence[Answer]) -> ScoreItem | Unjudged:
        """What `/classify` judges of a conversation."""
        if not answers:
            return Unjudged("no assistant's turn in it")
        return solution_of(answers[-1].problem, answers[-1].steps(self.splitter))

    def rows(
        self,
        field: str,
        answers: Sequence[Answer],
        judgements: Sequence[Judgement | Unjudged],
        carry: bool,
    ) -> tuple[list[Row], dict[str, list[int]]]:
        """The rows of a conversation, one for each marker, and the places that are flagged:
        `unscored`, whose score is `serve.unscored`, and `empty`, steps without text: one adds
        nothing and has the score before it, or 1 at the beginning of a turn.

        Raises:
            RequestError: a step without a score, where `serve.unscored` is null.
        """
        numbers = Numbers(self.serve.unscored)
        scores: list[float | None] = []
        empty: list[int] = []
        for answer, judgement in zip(answers, judgements, strict=True):
            steps = iter(() if isinstance(judgement, Unjudged) else judgement.steps)
            before: float | None = None if isinstance(judgement, Unjudged) else 1.0
            if before is None and answer.pieces:
                numbers.solution(field, judgement)
            for text in answer.pieces:
                if not text:
                    empty.append(len(scores))
                elif (step := next(steps, None)) is not None:
                    numbers.step(field, step)
                    before = step.score
                scores.append(before)
        unscored = [place for place, score in enumerate(scores) if score is None]
        values = carry_minimum(scores) if carry else scores
        instead = self.serve.unscored or 0.0  # where it is null and needed, `numbers` has raised
        filled = [instead if score is None else score for score in values]
        flags = {"unscored": unscored, "empty": empty}
        return [[1 - score, score] for score in filled], {k: v for k, v in flags.items() if v}

    def classes(self, field: str, judgement: Judgement | Unjudged) -> dict[str, Any]:
        """The answer of `/classify` for a conversation: `probs` of incorrect and correct by the
        aggregate of the steps. `unscored` is true where the score is `serve.unscored`.

        Raises:
            RequestError: no score, where `serve.unscored` is null.
        """
        score = Numbers(self.serve.unscored).solution(field, judgement)
        missing = isinstance(judgement, Unjudged) or judgement.solution_score is None
        answer = {"label": LABELS[score > 0.5], "probs": [1 - score, score], "num_classes": 2}
        return {**answer, "unscored": True} if missing else answer

    def _text(self, field: str, text: str | TokenIds) -> str:
        if isinstance(text, str):
            if not text:
                raise RequestError("must not be empty", field=field)
            return text
        try:
            return str(self.engine.tokenizer.decode(text))
        except Exception:  # tokenizers differ in what they raise; without one it is no method
            message = "these are not token ids of the critic's tokenizer"
            raise RequestError(message, field=field) from None

    def _rendered(self, field: str, text: str, pooled: bool) -> list[Answer]:
        turns = self.chats.turns(text)
        if turns is not None:
            return [self._answer(*turns)]
        if pooled and self.serve.step_marker not in text:
            return []
        # A client whose every text is like this would train on nothing but `serve.unscored`.
        raise RequestError(NO_TURNS, field=field)

    def _answers(self, messages: Sequence[Turn]) -> list[Answer]:
        """Each of the assistant's turns, as a solution to what was said before it."""
        answers: list[Answer] = []
        before: list[str] = []
        for turn in messages:
            if turn.role == "assistant":
                answers.append(self._answer("\n\n".join(before), turn.content))
            if turn.role not in SYSTEM:
                before.append(turn.content.replace(self.serve.step_marker, "\n").strip())
        return answers

    def _answer(self, problem: str, text: str) -> Answer:
        *pieces, rest = bare_response(text, "").split(self.serve.step_marker)
        return Answer(problem, tuple(piece.strip() for piece in pieces), rest)


def encode_rows(rows: Sequence[Row], request: PoolingRequest) -> bytes:
    """The numbers of all rows, one after the other, in the request's type and byte order."""
    numbers = [number for row in rows for number in row]
    form = f"{ORDERS[request.endianness]}{len(numbers)}{FLOATS[request.embed_dtype]}"
    return struct.pack(form, *numbers)


def encode_text(rows: Sequence[Row], request: PoolingRequest) -> list[Row] | str:
    """The rows as an answer in JSON holds them."""
    if request.encoding_format == "float":
        return list(rows)
    return base64.b64encode(encode_rows(rows, request)).decode()


def pack_rows(
    conversations: Sequence[tuple[list[Row], Mapping[str, Any]]], request: PoolingRequest
) -> tuple[bytes, list[dict[str, Any]]]:
    """The rows of all conversations in one piece, and where those of each lie in it."""
    body, places = b"", []
    for index, (rows, flags) in enumerate(conversations):
        part = encode_rows(rows, request)
        form = {"embed_dtype": request.embed_dtype, "endianness": request.endianness}
        span = {"start": len(body), "end": len(body) + len(part), "shape": [len(rows), 2]}
        places.append({"index": index, **form, **span, **flags})
        body += part
    return body, places


def error_answer(status: int, message: str, field: str | None) -> tuple[int, dict[str, Any]]:
    """Status and body of an error as vLLM gives them: what is wrong with a request is 400."""
    status = 400 if status == 422 else status
    kind = ERROR_TYPES.get(status, "Error")
    return status, {"error": {"message": message, "type": kind, "param": field, "code": status}}
