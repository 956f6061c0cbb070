"""The HTTP face of the scoring service: requests in, judgements and one-line errors out.

An ASGI application over any scorer, in whatever process that lives; knows nothing of Ray. Every
answer but the page is JSON; every error is `{"error": one line, "field": what to change or null}`,
on vLLM's routes as vLLM has it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from cluster.serving.body import json_body, parse_body
from cluster.serving.compat_routes import add_compat_routes
from cluster.serving.host import CriticHost
from cluster.serving.page import add_page
from cluster.serving.pooling import VLLM_PATHS, error_answer
from cluster.serving.schema import (
    MAX_VOTES,
    RequestError,
    ScoreRequest,
    batch_steps,
    parse_batch,
    parse_request,
    refuse_unscorable,
    steps_of,
)
from cluster.serving.tokens import BearerTokens, path_of
from genprm.client.calls import MAX_BATCH, MAX_BATCH_STEPS, MAX_BODY_BYTES, MAX_STEPS
from genprm.errors import EngineError, InputError, one_line
from genprm.records import Judgement, StepJudgement
from genprm.scoring.base import OPTIONS, SETTINGS, ScoreItem

SCORE_BODY = json_body(ScoreRequest.model_json_schema())
BATCH_BODY = json_body(
    {
        "type": "array",
        "items": ScoreRequest.model_json_schema(),
        "minItems": 1,
        "maxItems": MAX_BATCH,
    }
)
logger = logging.getLogger(__name__)


def build_routes(host: CriticHost, token_hashes: Sequence[str] = ()) -> FastAPI:
    """The routes of one replica. The engine is closed when the application shuts down.

    With `token_hashes` (`cluster.serving.tokens`) every route but `/health` and the page
    needs a bearer token.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await host.engine.close()

    # no docs pages: FastAPI's load their scripts from the internet; /openapi.json is there
    app = FastAPI(title="genprm scoring service", lifespan=lifespan, docs_url=None, redoc_url=None)
    _answer_errors_in_json(app)
    app.add_middleware(BearerTokens, hashes=token_hashes)

    def parse_one(body: bytes) -> tuple[ScoreRequest, list[str]]:
        request = parse_request(body)
        return request, steps_of(request, host.config.splitter)

    def parse_many(body: bytes) -> list[tuple[ScoreRequest, list[str]]]:
        requests = parse_batch(body)
        steps = batch_steps(requests, host.config.splitter)
        return list(zip(requests, steps, strict=True))

    @app.post("/v1/score", openapi_extra=SCORE_BODY)
    async def score(request: Request) -> Response:
        """Judge one solution, every step of it.

        200: a judgement with exactly one result per step, in order. With `stream` a line for each
        step when it is settled and one with the rest, or with `error` if the engine failed on the
        way. A step too long for the critic's context has status `too_long`, as have those after it,
        and one that is not judged in time `deadline`; the rest stands.
        4xx: malformed JSON (400), no token where one is needed (401), a body over 4 MiB (413),
        anything else that cannot be judged (422): an unknown, missing or out-of-range field, a
        blank problem or step, a problem and first step that together do not fit the context (in a
        stream that is a status). `field` names it.
        503: the engine failed; the same request may be sent again.
        """
        body, steps = await parse_body(request, parse_one)
        item = _item(body, steps)
        if body.stream:
            lines = _lines(host.stream(item))
            return StreamingResponse(lines, media_type="application/x-ndjson")
        judgement = await host.score(item)
        refuse_unscorable(judgement, body.problem, steps)
        return JSONResponse(judgement.row())

    @app.post("/v1/steps", openapi_extra=SCORE_BODY)
    async def split(request: Request) -> JSONResponse:
        """The steps that `/v1/score` would judge for the same body, which it checks alike."""
        _, steps = await parse_body(request, parse_one)
        return JSONResponse({"steps": steps})

    @app.post("/v1/score/batch", openapi_extra=BATCH_BODY)
    async def score_batch(request: Request) -> JSONResponse:
        """Judge many solutions, each as `/v1/score` does: a list in, a list out, in order.

        Refused as a whole, with the place of what is wrong, such as `[3].votes`; but a first step
        that is too long is a status here, for the others' sake.
        """
        items = [_item(*parsed) for parsed in await parse_body(request, parse_many)]
        return JSONResponse([j.row() for j in await host.score_batch(items)])

    @app.get("/health")
    async def health() -> JSONResponse:
        """200 while the engine can serve, else 503."""
        await host.engine.check_health()
        return JSONResponse({"status": "ok"})

    @app.get("/v1/model")
    async def model() -> JSONResponse:
        """Which critic serves, what a request gets by default, and the limits of a request."""
        return JSONResponse(describe(host))

    add_compat_routes(app, host)
    add_page(app)
    return app


def _item(request: ScoreRequest, steps: list[str]) -> ScoreItem:
    return ScoreItem(request.problem, steps, request.id, **request.model_dump(include=set(OPTIONS)))


async def _lines(events: AsyncGenerator[StepJudgement | Judgement]) -> AsyncIterator[str]:
    """A stream as JSON lines; the last one is the error where the stream fails."""
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                row = event.row()
                if isinstance(event, Judgement):
                    del row["steps"]
                yield json.dumps(row) + "\n"
    except Exception as error:  # the HTTP status has been sent
        message = str(error)
        if not isinstance(error, EngineError):
            logger.exception("a stream broke off")
            message = f"internal error: {type(error).__name__}"
        yield json.dumps({"error": one_line(message), "field": None}) + "\n"


def describe(host: CriticHost) -> dict[str, Any]:
    """The answer to `GET /v1/model`."""
    score, stopping = host.config.score, host.config.score.early_stopping
    return {
        "critic": host.scorer.critic.row(),
        "calibrations": [  # with which votes there are calibrated scores
            calibration.model_dump(mode="json", include={"method", "votes", "early_stop"})
            for calibration in host.scorer.calibrations
        ],
        "context_tokens": host.engine.max_model_len,
        "capabilities": asdict(host.engine.capabilities),
        "defaults": {
            **{name: getattr(score, name) for name in SETTINGS},
            "splitter": host.config.splitter,
        },
        "early_stopping": {"round_votes": stopping.round_votes, "stop_risk": stopping.risk},
        "limits": {
            "votes": MAX_VOTES,
            "steps": MAX_STEPS,
            "body_bytes": MAX_BODY_BYTES,
            "batch": MAX_BATCH,
            "batch_steps": MAX_BATCH_STEPS,
        },
    }


def _answer_errors_in_json(app: FastAPI) -> None:
    @app.exception_handler(InputError)
    async def bad_input(request: Request, error: InputError) -> JSONResponse:
        field = error.field or "body"
        status = error.status if isinstance(error, RequestError) else 422
        return _error(request, status, f"{field}: {error.message}", field)

    @app.exception_handler(EngineError)
    async def engine_failed(request: Request, error: EngineError) -> JSONResponse:
        return _error(request, 503, str(error), None)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        return _error(request, error.status_code, f"{error.detail}: {where}", None)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return _error(request, 500, f"internal error: {type(error).__name__}", None)


def _error(request: Request, status: int, message: str, field: str | None) -> JSONResponse:
    if path_of(request.scope) in VLLM_PATHS:
        status, content = error_answer(status, one_line(message), field)
    else:
        content = {"error": one_line(message), "field": field}
    return JSONResponse(content, status_code=status)
