"""The routes that look like other reward services, over the same critic.

Their formats are `cluster.serving.rewards` and `cluster.serving.pooling`; `cluster.serving.compat`
has what is not scored. Answers say how many scores are `serve.unscored` in a header, too.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

import genprm
from cluster.serving.body import build_answer, json_body, parse_body
from cluster.serving.compat import Chats, Unjudged
from cluster.serving.host import CriticHost
from cluster.serving.pooling import (
    PoolingRequest,
    PoolingTranslator,
    TokenizeRequest,
    encode_text,
    pack_rows,
)
from cluster.serving.rewards import REWARD_BODY, RewardTranslator
from genprm.client.calls import MAX_BATCH_STEPS
from genprm.prompts.chat import chat_marks
from genprm.records import Judgement
from genprm.rewards.memory import JudgementMemory
from genprm.scoring.base import ScoreItem

UNSCORED_HEADER = "Genprm-Unscored"
POOLING_BODY = json_body(PoolingRequest.model_json_schema())

K = TypeVar("K")


class SteadyCritic:
    """Judges what requests ask for, the same text once while the critic is the same."""

    def __init__(self, host: CriticHost):
        self._host, self._memory = host, JudgementMemory()

    async def judge(
        self, solutions: Mapping[K, ScoreItem | Unjudged]
    ) -> dict[K, Judgement | Unjudged]:
        """The judgements of those that can be judged. However many they are, about MAX_BATCH_STEPS
        steps are judged at once.

        Raises:
            EngineError, InputError: see `StepScorer.score`.
        """
        judgements: list[Judgement] = []
        for part in _parts(s for s in solutions.values() if isinstance(s, ScoreItem)):
            critic = self._host.scorer.critic
            judgements += await self._memory.judge(self._host.score_batch, part, critic)
        rest = iter(judgements)
        return {k: s if isinstance(s, Unjudged) else next(rest) for k, s in solutions.items()}


def add_compat_routes(app: FastAPI, host: CriticHost) -> None:
    """Put `/get_reward` and vLLM's routes on an application."""
    chats = Chats(chat_marks(host.engine.tokenizer))
    critic = SteadyCritic(host)
    _add_reward_route(app, RewardTranslator(chats, host.config.splitter, host.config.serve), critic)
    translator = PoolingTranslator(chats, host.config.splitter, host.config.serve, host.engine)
    _add_scoring_routes(app, translator, critic)
    _add_server_routes(app, translator)


def _add_reward_route(app: FastAPI, translator: RewardTranslator, critic: SteadyCritic) -> None:
    @app.post("/get_reward", openapi_extra=json_body(REWARD_BODY))
    async def get_reward(request: Request) -> JSONResponse:
        """The rewards of rollouts, solution scores in 0 to 1, rounded to the votes: OpenRLHF's
        remote reward model; or the reward of one, as a bare number: slime's `remote_rm`.

        Empty lists are answered with empty lists. What has no score is `serve.unscored`, flagged.
        Errors as `/v1/score`, for what is neither form and where the engine failed.
        """
        rollouts = await parse_body(request, translator.parse)
        judgements = await critic.judge(rollouts.solutions)

        def build() -> JSONResponse:
            content, missing = translator.answer(rollouts, judgements)
            return JSONResponse(content, headers=_flag(missing))

        steps = sum(len(s.steps) for s in rollouts.solutions.values() if isinstance(s, ScoreItem))
        return await build_answer(len(rollouts.solutions) + steps, build)


def _add_scoring_routes(app: FastAPI, translator: PoolingTranslator, critic: SteadyCritic) -> None:
    @app.post("/pooling", openapi_extra=POOLING_BODY)
    async def pooling(request: Request) -> Response:
        """vLLM's token classification, as a discriminative process reward model answers it: for
        each step marker, P(incorrect) and P(correct).
        """
        options, conversations = await parse_body(
            request, lambda b: translator.parse(b, pooled=True)
        )
        solutions = {
            (field, turn): answer.solution
            for field, answers in conversations.items()
            for turn, answer in enumerate(answers)
        }
        judgements = await critic.judge(solutions)

        def build() -> Response:
            rows = [
                translator.rows(
                    field,
                    answers,
                    [judgements[field, turn] for turn in range(len(answers))],
                    options.carry_minimum,
                )
                for field, answers in conversations.items()
            ]
            headers = _flag(sum(len(flags.get("unscored", ())) for _, flags in rows))
            frame = _frame("pool", translator, judgements.values())
            if options.encoding_format in ("float", "base64"):
                data = [
                    {"index": i, "object": "pooling", "data": encode_text(values, options), **flags}
                    for i, (values, flags) in enumerate(rows)
                ]
                return JSONResponse({**frame, "data": data}, headers=headers)
            body, places = pack_rows(rows, options)
            if options.encoding_format == "bytes":
                headers["metadata"] = json.dumps({**frame, "data": places})
            return Response(body, media_type="application/octet-stream", headers=headers)

        pieces = (len(a.pieces) for answers in conversations.values() for a in answers)
        return await build_answer(len(conversations) + sum(pieces), build)

    @app.post("/classify", openapi_extra=POOLING_BODY)
    async def classify(request: Request) -> JSONResponse:
        """vLLM's classification: P(incorrect) and P(correct) of whole solutions, by aggregate."""
        _, conversations = await parse_body(request, lambda b: translator.parse(b, pooled=False))
        nothing = Unjudged("no assistant's turn in it")
        solutions = {f: a[0].solution if a else nothing for f, a in conversations.items()}
        judgements = await critic.judge(solutions)

        def build() -> JSONResponse:
            data = [
                {"index": i, **translator.classes(field, judgement)}
                for i, (field, judgement) in enumerate(judgements.items())
            ]
            headers = _flag(sum("unscored" in row for row in data))
            frame = _frame("classify", translator, judgements.values())
            return JSONResponse({**frame, "data": data}, headers=headers)

        return await build_answer(len(judgements), build)


def _add_server_routes(app: FastAPI, translator: PoolingTranslator) -> None:
    started = int(time.time())

    @app.get("/v1/models")
    async def models() -> JSONResponse:
        """vLLM's list of models: the critic, with which its clients begin."""
        return JSONResponse(translator.models(started))

    @app.post("/tokenize", openapi_extra=json_body(TokenizeRequest.model_json_schema()))
    async def tokenize(request: Request) -> JSONResponse:
        """vLLM's token ids of a text, by the critic's tokenizer: `/pooling` and `/classify` take
        them as `input`."""
        return JSONResponse(await parse_body(request, translator.token_ids))

    @app.get("/ping")
    async def ping() -> Response:
        """vLLM's name for `/health`, with an empty answer."""
        await translator.engine.check_health()
        return Response()

    @app.get("/version")
    async def version() -> JSONResponse:
        """The version of genprm, where vLLM has its own."""
        return JSONResponse({"version": genprm.__version__})


def _parts(items: Iterable[ScoreItem]) -> Iterator[list[ScoreItem]]:
    """The items in order, in lists of at most MAX_BATCH_STEPS steps."""
    part: list[ScoreItem] = []
    steps = 0
    for item in items:
        if part and steps + len(item.steps) > MAX_BATCH_STEPS:
            yield part
            part, steps = [], 0
        part.append(item)
        steps += len(item.steps)
    if part:
        yield part


def _flag(missing: int) -> dict[str, str]:
    return {UNSCORED_HEADER: str(missing)} if missing else {}


def _frame(
    kind: str, translator: PoolingTranslator, judgements: Iterable[Judgement | Unjudged]
) -> dict[str, Any]:
    """vLLM's envelope, without `data`."""
    usages = [each.usage for each in judgements if isinstance(each, Judgement)]
    prompt, completion = (
        sum(usage.get(name, 0) for usage in usages)
        for name in ("prompt_tokens", "completion_tokens")
    )
    return {
        "id": f"{kind}-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": translator.engine.name,
        "data": [],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
