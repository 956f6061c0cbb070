"""The routes that look like other reward services, over the same critic.

Their formats are `cluster.serving.compat`; see there for what is not scored.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from cluster.serving.body import json_body, parse_body
from cluster.serving.compat import PoolingRequest, RewardRequest, Translator
from cluster.serving.host import CriticHost
from genprm.prompts.chat import chat_marks
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem


def add_compat_routes(app: FastAPI, host: CriticHost) -> None:
    """Put `/get_reward`, `/pooling` and `/classify` on an application."""
    marks = chat_marks(host.engine.tokenizer)
    translator = Translator(marks, host.config.splitter, host.config.serve)

    @app.post("/get_reward", openapi_extra=json_body(RewardRequest.model_json_schema()))
    async def get_reward(request: Request) -> JSONResponse:
        """OpenRLHF's remote reward model: the rewards of rollouts, solution scores in 0 to 1.

        Empty lists are answered with empty lists. Errors as `/v1/score`, and 422 or 503 for a
        rollout that has no score, unless `serve.unscored` is set.
        """
        rollouts = await parse_body(request, translator.rollouts)
        items = [item for item in rollouts.values() if item is not None]
        rest = iter(await host.score_batch(items))
        judgements = {
            field: None if item is None else next(rest) for field, item in rollouts.items()
        }
        return JSONResponse(translator.rewards(judgements))

    @app.post("/pooling", openapi_extra=json_body(PoolingRequest.model_json_schema()))
    async def pooling(request: Request) -> JSONResponse:
        """vLLM's token classification, as a discriminative process reward model answers it: for
        each step of the assistant's turn, P(incorrect) and P(correct).
        """
        conversations = await parse_body(request, translator.conversations)
        items = [  # the answer has a row for every step
            ScoreItem(item.problem, item.steps, stop_at_first_error=False)
            for item in conversations.values()
        ]
        judgements = await host.score_batch(items)
        rows = translator.step_rows(dict(zip(conversations, judgements, strict=True)))
        return JSONResponse(answer("pool", host, judgements, rows))

    @app.post("/classify", openapi_extra=json_body(PoolingRequest.model_json_schema()))
    async def classify(request: Request) -> JSONResponse:
        """vLLM's classification: P(incorrect) and P(correct) of whole solutions, by aggregate."""
        conversations = await parse_body(request, translator.conversations)
        judgements = await host.score_batch(list(conversations.values()))
        rows = translator.classes(dict(zip(conversations, judgements, strict=True)))
        return JSONResponse(answer("classify", host, judgements, rows))


def answer(
    kind: str, host: CriticHost, judgements: Sequence[Judgement], data: list[dict[str, Any]]
) -> dict[str, Any]:
    """vLLM's envelope around `data`."""
    prompt, completion = (
        sum(judgement.usage.get(name, 0) for judgement in judgements)
        for name in ("prompt_tokens", "completion_tokens")
    )
    return {
        "id": f"{kind}-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": host.engine.name,
        "data": data,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
