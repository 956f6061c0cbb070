"""The HTTP face of the scoring service: requests in, judgements and one-line errors out.

An ASGI application over any scorer, in whatever process that lives; knows nothing of Ray. Every
answer but the page is JSON; every error is `{"error": one line, "field": what to change or null}`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from cluster.serving.body import json_body, understood
from cluster.serving.compat_routes import add_compat_routes
from cluster.serving.host import CriticHost
from cluster.serving.page import add_page
from cluster.serving.schema import (
    MAX_VOTES,
    RequestError,
    ScoreRequest,
    batch_steps,
    given_steps,
    parse_batch,
    parse_request,
    refuse_unscorable,
)
from cluster.serving.tokens import BearerTokens
from genprm.client.calls import MAX_BATCH, MAX_BATCH_STEPS, MAX_BODY_BYTES, MAX_STEPS
from genprm.errors import EngineError, InputError, one_line
from genprm.records import Judgement, StepJudgement
from genprm.scoring.base import ScoreItem

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

# What a request gets when it leaves the field out.
REQUEST_DEFAULTS = {
    *("votes", "aggregate", "return_critiques", "stop_at_first_error", "deadline_s")
}


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

    def one(body: bytes) -> tuple[ScoreRequest, list[str]]:
        asked = parse_request(body)
        return asked, given_steps(asked, host.config.splitter)

    def many(body: bytes) -> list[tuple[ScoreRequest, list[str]]]:
        asked = parse_batch(body)
        steps = batch_steps(asked, host.config.splitter)
        return list(zip(asked, steps, strict=True))

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
        asked, steps = await understood(request, one)
        if asked.stream:
            told = host.stream(_item(asked, steps))
            return StreamingResponse(_lines(told), media_type="application/x-ndjson")
        judgement = await host.score(_item(asked, steps))
        refuse_unscorable(judgement, asked.problem, steps)
        return JSONResponse(judgement.row())

    @app.post("/v1/steps", openapi_extra=SCORE_BODY)
    async def split(request: Request) -> JSONResponse:
        """The steps that `/v1/score` would judge for the same body, which it checks alike."""
        _, steps = await understood(request, one)
        return JSONResponse({"steps": steps})

    @app.post("/v1/score/batch", openapi_extra=BATCH_BODY)
    async def score_batch(request: Request) -> JSONResponse:
        """Judge many solutions, each as `/v1/score` does: a list in, a list out, in order.

        Refused as a whole, with the place of what is wrong, such as `[3].votes`; but a first step
        that is too long is a status here, for the others' sake.
        """
        items = [_item(each, given) for each, given in await understood(request, many)]
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


def _item(asked: ScoreRequest, steps: list[str]) -> ScoreItem:
    """What the scorer is asked: the request's own options, with the steps that it means."""
    options = asked.model_dump(exclude={"problem", "steps", "solution", "splitter", "stream"})
    return ScoreItem(asked.problem, steps, **options)


async def _lines(told: AsyncGenerator[StepJudgement | Judgement]) -> AsyncIterator[str]:
    """What a scorer tells, a JSON line each; what fails on the way is the last of them."""
    try:
        async with contextlib.aclosing(told):
            async for said in told:
                row = said.row()
                if isinstance(said, Judgement):
                    del row["steps"]
                yield json.dumps(row) + "\n"
    except Exception as error:  # the status is long sent
        message = str(error)
        if not isinstance(error, EngineError):
            logger.exception("a stream broke off")
            message = f"internal error: {type(error).__name__}"
        yield json.dumps({"error": one_line(message), "field": None}) + "\n"


def describe(host: CriticHost) -> dict[str, Any]:
    """What `GET /v1/model` says."""
    score, stopping = host.config.score, host.config.score.early_stopping
    return {
        "critic": host.scorer.critic.row(),
        "calibrations": [  # with which votes there are calibrated scores
            known.model_dump(mode="json", include={"method", "votes", "early_stop"})
            for known in host.scorer.calibrations
        ],
        "context_tokens": host.engine.max_model_len,
        "capabilities": asdict(host.engine.capabilities),
        "defaults": {
            **score.model_dump(mode="json", include=REQUEST_DEFAULTS),
            "early_stop": stopping.enabled,
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
    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        return _error(error.status, str(error), error.field)

    @app.exception_handler(InputError)
    async def bad_input(request: Request, error: InputError) -> JSONResponse:
        named = re.match(r"field '(\w+)': ", str(error))  # as the scorer says it
        field, message = (named[1], str(error)[named.end() :]) if named else ("body", str(error))
        return _error(422, f"{field}: {message}", field)

    @app.exception_handler(EngineError)
    async def engine_failed(request: Request, error: EngineError) -> JSONResponse:
        return _error(503, str(error), None)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        return _error(error.status_code, f"{error.detail}: {where}", None)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return _error(500, f"internal error: {type(error).__name__}", None)


def _error(status: int, message: str, field: str | None) -> JSONResponse:
    content: dict[str, Any] = {"error": one_line(message), "field": field}
    return JSONResponse(content, status_code=status)
