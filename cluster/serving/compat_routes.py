"""The routes that look like other reward services, over the same critic.

What they say is `cluster.serving.compat`; see there for what is not scored.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from cluster.serving.body import json_body, understood
from cluster.serving.compat import PoolingRequest, RewardRequest, Translator
from cluster.serving.host import CriticHost
from genprm.prompts.chat import chat_marks
from genprm.records import Judgement


def add_compat_routes(app: FastAPI, host: CriticHost) -> None:
    """Put `/get_reward`, `/pooling` and `/classify` on an application."""
    marks = chat_marks(host.engine.tokenizer)
    translator = Translator(marks, host.config.splitter, host.config.serve)

    @app.post("/get_reward", openapi_extra=json_body(RewardRequest.model_json_schema()))
    async def get_reward(request: Request) -> JSONResponse:
        """OpenRLHF's remote reward model: the rewards of rollouts, solution scores in 0 to 1.

        Empty lists are answered with empty lists. Errors as `/v1/score`, and 422 or 503 for a
        rollout that has no score, unless the service was told what stands for one.
        """
        asked = await understood(request, translator.rollouts)
        items = [item for item in asked.values() if item is not None]
        judged = iter(await host.score_batch(items))
        known = {field: None if item is None else next(judged) for field, item in asked.items()}
        return JSONResponse(translator.rewards(known))

    @app.post("/pooling", openapi_extra=json_body(PoolingRequest.model_json_schema()))
    async def pooling(request: Request) -> JSONResponse:
        """vLLM's token classification, as a discriminative process reward model answers it: for
        each step of the assistant's turn, P(incorrect) and P(correct).
        """
        asked = await understood(request, translator.conversations)
        items = [replace(item, stop_at_first_error=False) for item in asked.values()]  # every row
        judged = await host.score_batch(items)
        rows = translator.step_rows(dict(zip(asked, judged, strict=True)))
        return JSONResponse(answer("pool", host, judged, rows))

    @app.post("/classify", openapi_extra=json_body(PoolingRequest.model_json_schema()))
    async def classify(request: Request) -> JSONResponse:
        """vLLM's classification: P(incorrect) and P(correct) of whole solutions, by aggregate."""
        asked = await understood(request, translator.conversations)
        judged = await host.score_batch(list(asked.values()))
        rows = translator.classes(dict(zip(asked, judged, strict=True)))
        return JSONResponse(answer("classify", host, judged, rows))


def answer(
    kind: str, host: CriticHost, judged: Sequence[Judgement], data: list[dict[str, Any]]
) -> dict[str, Any]:
    """vLLM's envelope around `data`."""
    spent = [judgement.usage for judgement in judged]
    prompt, completion = (
        sum(usage.get(f"{what}_tokens", 0) for usage in spent) for what in ("prompt", "completion")
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
