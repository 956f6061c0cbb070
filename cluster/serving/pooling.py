"""`POST /pooling` and `POST /classify` as vLLM 0.32 answers them with a process reward model, so
that the generative critic looks like a discriminative one. Also its list of models, its errors.

A row of `/pooling` belongs to each step marker of the assistant's turns: without one there are no
rows. See `cluster.serving.compat` for what cannot be judged.
"""

from __future__ import annotations

import base64
import itertools
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from cluster.serving.compat import (
    MAX_ENTRIES,
    MAX_REQUEST_STEPS,
    Tolerant,
    Translator,
    Turn,
    Unjudged,
    solution_item,
)
from cluster.serving.schema import RequestError, parse_as
from genprm import steps as splitting
from genprm.client.calls import MAX_BATCH, MAX_BODY_BYTES
from genprm.engines.base import Engine
from genprm.prompts.chat import strip_end_tokens
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem

# Characters before all turns that are judged: each of them has the turns before it in its problem.
MAX_PROBLEM_CHARS = 4 * MAX_BODY_BYTES
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
    """An assistant's turn that is asked about. `pieces`: the text before each marker, which may be
    blank. `solution`: what is judged of it."""

    pieces: tuple[str, ...]
    solution: ScoreItem | Unjudged


@dataclass(frozen=True)
class PoolingTranslator(Translator):
    """Requests to solutions and judgements to answers, under one service's settings.

    Solutions and judgements are keyed by the field of the request that they come from, which errors
    name, and by the place of the assistant's turn in the conversation.
    """

    engine: Engine

    def parse(self, body: bytes, *, pooled: bool) -> tuple[PoolingRequest, dict[str, list[Answer]]]:
        """The request, and of each conversation what is judged: for `/pooling` (`pooled`) the
        assistant's turns with a marker, for `/classify` the last turn, or none without any.

        Raises:
            RequestError: names the field at fault, or asks for more than one request may.
        """
        request = parse_as(_POOLING, body)
        if pooled and request.task not in (None, "token_classify"):
            message = f"unsupported task {request.task!r}; supported is token_classify"
            raise RequestError(message, field="task")
        if (request.input is None) == (request.messages is None):
            raise RequestError("give either input or messages", field="input")
        if len(request.input or ()) > MAX_ENTRIES:
            message = f"has {len(request.input or ())} entries, at most {MAX_ENTRIES}"
            raise RequestError(message, field="input")
        conversations: dict[str, list[Answer]] = {}
        chars = steps = 0
        for field, turns in self._conversations(request, pooled):
            answers = conversations[field] = []
            for answer in self._answers(turns, pooled):
                answers.append(answer)
                judged = 0
                if isinstance(answer.solution, ScoreItem):
                    chars += len(answer.solution.problem)
                    judged = len(answer.solution.steps)
                steps += max(judged, len(answer.pieces))  # a piece that is not judged has a row
                _refuse_more(field, "answers with a marker", len(answers), MAX_BATCH)
                _refuse_more(field, "steps in all", steps, MAX_REQUEST_STEPS)
                _refuse_more(field, "characters before answers", chars, MAX_PROBLEM_CHARS)
        return request, conversations

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
        numbers = self.numbers
        scores: list[float | None] = []
        empty: list[int] = []
        for answer, judgement in zip(answers, judgements, strict=True):
            steps = iter(() if isinstance(judgement, Unjudged) else judgement.steps)
            before: float | None = None if isinstance(judgement, Unjudged) else 1.0
            if before is None:
                numbers.solution(field, judgement)
            for text in answer.pieces:
                if not text:
                    empty.append(len(scores))
                elif (step := next(steps, None)) is not None:
                    numbers.step(field, step)
                    before = step.score
                scores.append(before)
        unscored = [place for place, score in enumerate(scores) if score is None]
        # filled before it is carried: a step that could not be judged must not leave the last row
        # with the score of a solution that could be
        values = [numbers.filler if score is None else score for score in scores]
        if carry:
            values = list(itertools.accumulate(values, min))
        flags = {"unscored": unscored, "empty": empty}
        return [[1 - score, score] for score in values], {k: v for k, v in flags.items() if v}

    def classes(self, field: str, judgement: Judgement | Unjudged) -> dict[str, Any]:
        """The answer of `/classify` for a conversation: `probs` of incorrect and correct by the
        aggregate of the steps. `unscored` is true where the score is `serve.unscored`.

        Raises:
            RequestError: no score, where `serve.unscored` is null.
        """
        score = self.numbers.solution(field, judgement)
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

    def _conversations(
        self, request: PoolingRequest, pooled: bool
    ) -> Iterator[tuple[str, list[Turn]]]:
        """The field and the turns of each conversation."""
        if request.messages is not None:
            yield "messages", [turn for turn in request.messages if turn is not None]
        for place, each in enumerate(request.input or ()):
            field = f"input[{place}]"
            text = self._text(field, each)
            turns = self.chats.turns(text)
            # A client whose every text is like this would train on nothing but `serve.unscored`.
            if not turns and (not pooled or self.serve.step_marker in text):
                raise RequestError(NO_TURNS, field=field)
            yield field, turns

    def _answers(self, messages: Sequence[Turn], pooled: bool) -> Iterator[Answer]:
        """The assistant's turns to judge, each as a solution to what was said before it."""
        marker = self.serve.step_marker
        turns = [turn for turn in messages if turn.role not in SYSTEM]
        places = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
        if pooled:
            places = [place for place in places if marker in turns[place].content]
        else:
            places = places[-1:]
        contents = [turn.content.replace(marker, "\n").strip() for turn in turns]
        for place in places:
            problem = "\n\n".join(contents[:place])
            *pieces, rest = strip_end_tokens(turns[place].content).split(marker)
            pieces = [piece.strip() for piece in pieces]
            steps = [text for text in pieces if text]
            if pooled:  # every step has its row, also those after an error
                item = solution_item(problem, steps, stop_at_first_error=False)
            elif pieces:
                item = solution_item(problem, steps + ([rest.strip()] if rest.strip() else []))
            else:
                item = solution_item(problem, splitting.split(rest, self.splitter))
            yield Answer(tuple(pieces), item)


def _refuse_more(field: str, what: str, count: int, limit: int) -> None:
    if count > limit:
        raise RequestError(f"has more {what} than {limit}, at most so many are judged", field=field)


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
