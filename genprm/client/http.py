"""The HTTP client of the scoring service: retries inside a deadline, with idempotent ids.

A dying replica shows as 500 or 503, or as silence; overload as 503 with Retry-After. All of these
are tried again with the same id until the deadline. Whatever the caller got wrong is raised at
once. Knows HTTP and the records, and neither Ray nor the engine, so it runs anywhere. What is
sent and what answers mean is decided in `genprm.client.calls`, when to try again in
`genprm.client.retry`; `Client` and `AsyncClient` carry it out, each in its own way of waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar, Unpack

import httpx

from genprm.client.calls import (
    HEALTH,
    MODEL,
    Call,
    StreamReader,
    batch_calls,
    score_call,
    stream_call,
)
from genprm.client.retry import Attempts, TryAgainError
from genprm.errors import ConfigError
from genprm.records import Judgement, StepJudgement
from genprm.scoring.base import ScoreItem, ScoreOptions
from genprm.util.aio import together

SLICES_IN_FLIGHT = 16  # requests of one batch at a time
JSON = {"Content-Type": "application/json"}
FAILURES = (httpx.TransportError, TryAgainError)

T = TypeVar("T")


class RequestOptions(ScoreOptions, total=False):
    """What a caller may set per request; left out or None, the service's defaults hold."""

    id: str | None  # comes back in the judgement
    solution: str | None  # in place of steps: one text, split by the service
    splitter: str | None


class _Connection:
    """What both clients are made with. They pickle, and connect anew where they arrive; the
    token goes with them."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        deadline_s: float = 120.0,
        attempt_s: float = 60.0,
    ):
        self._made_with = (url, token)
        self._settings = _settings(url, token)
        self._deadline_s, self._attempt_s = deadline_s, attempt_s

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self), deadline_s=self._deadline_s, attempt_s=self._attempt_s)
        return make, self._made_with

    def _attempts(self, call: Call[Any]) -> Attempts:
        return Attempts(self._deadline_s, self._attempt_s, call.judging_s())


class Client(_Connection):
    """A connection to one service, safe to share between threads.

    Args:
        url: where the service listens, such as `http://127.0.0.1:8000`.
        token: sent as a bearer token.
        deadline_s: seconds for one request, all retries included.
        attempt_s: seconds for one attempt.

    A `deadline_s` given with a request is the service's time to judge, and counts from the first
    attempt on: one that is sent again carries what is left of it. Where nothing is left, a tenth
    of a second, so that the answer is a judgement whose steps say that they missed the deadline.
    The client's own times are at least as long.

    Raises:
        ConfigError: `url` is not an http address.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        deadline_s: float = 120.0,
        attempt_s: float = 60.0,
    ):
        super().__init__(url, token, deadline_s=deadline_s, attempt_s=attempt_s)
        self._http = httpx.Client(**self._settings)

    def score(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[RequestOptions]
    ) -> Judgement:
        """The judgement of a solution, given as `steps` or as one text (`solution=`).

        Raises:
            InputError: the service refused the request; has the field.
            ConfigError: wrong token or address.
            EngineError: no answer within the deadline.
        """
        return self._send(score_call(problem, steps, options))

    def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order of `items`.

        They are sent in requests of 8 solutions, 16 at a time, and not as one: a request is
        judged by one replica, so a batch in one piece would leave the others idle, and the death
        of its replica would cost all of it. Single solutions would spread no better, and each
        replica works on a bounded number of requests; 8 solutions are hundreds of critiques, with
        which an engine is busy. Neighbours stay together: in RL they are attempts at one problem
        and share its cached prefix. Each request has the client's deadline, from when it is sent.

        Raises:
            InputError: the service refused an item; `field` has its place in `items`. Others may
                have been judged.
            ConfigError, EngineError: as `score`.
        """
        with ThreadPoolExecutor(SLICES_IN_FLIGHT) as threads:
            parts = threads.map(self._send, batch_calls(items))
            return [judgement for part in parts for judgement in part]

    def stream(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[RequestOptions]
    ) -> Generator[StepJudgement | Judgement]:
        """Each step's judgement when it is settled, in the order of that, and then the whole.
        Leaving the iterator gives up what is still to be judged.

        Until the first step has come, failures are retried as in `score`. From then on a stream
        that breaks off, tells of a failure or is silent for one attempt's time is an EngineError;
        its length is not limited.

        Raises:
            InputError, ConfigError, EngineError: as `score`, when the iterator is first used.
        """
        call = stream_call(problem, steps, options)
        attempts = self._attempts(call)
        while True:
            reader, request = StreamReader(), _request(self._http, call, attempts)
            try:
                with contextlib.closing(self._http.send(request, stream=True)) as response:
                    if response.status_code != 200:
                        response.read()
                        call.answer(response)
                    for line in response.iter_lines():
                        yield reader.read(line)
                reader.end()
                return
            except FAILURES as failure:
                reader.check_retry(failure)
                pause = attempts.pause_after(failure)
            time.sleep(pause)

    def model(self) -> dict[str, Any]:
        """Which critic serves, and with which defaults and limits."""
        return self._send(MODEL)

    def health(self) -> dict[str, Any]:
        """The answer of the service's health check, repeated until it is well or the deadline has
        passed (EngineError)."""
        return self._send(HEALTH)

    def _send(self, call: Call[T]) -> T:
        attempts = self._attempts(call)
        while True:
            request = _request(self._http, call, attempts)
            try:
                return call.answer(self._http.send(request))
            except FAILURES as failure:
                pause = attempts.pause_after(failure)
            time.sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Connection):
    """`Client` for asyncio: the same arguments, methods and errors, with `await`.

    It belongs to the event loop in which it is first used. It is a `StepScorer`; only, the
    service refuses a request with a blank step, of which other scorers make a status.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        deadline_s: float = 120.0,
        attempt_s: float = 60.0,
    ):
        super().__init__(url, token, deadline_s=deadline_s, attempt_s=attempt_s)
        self._http = httpx.AsyncClient(**self._settings)

    async def score(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[RequestOptions]
    ) -> Judgement:
        """As `Client.score`."""
        return await self._send(score_call(problem, steps, options))

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """As `Client.score_batch`; the first failure ends the others."""
        slots = asyncio.Semaphore(SLICES_IN_FLIGHT)

        async def send(call: Call[list[Judgement]]) -> list[Judgement]:
            async with slots:
                return await self._send(call)

        parts = await together([send(call) for call in batch_calls(items)])
        return [judgement for part in parts for judgement in part]

    async def stream(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[StepJudgement | Judgement]:
        """As `Client.stream`."""
        call = stream_call(problem, steps, options)
        attempts = self._attempts(call)
        while True:
            reader, request = StreamReader(), _request(self._http, call, attempts)
            try:
                async with contextlib.aclosing(
                    await self._http.send(request, stream=True)
                ) as response:
                    if response.status_code != 200:
                        await response.aread()
                        call.answer(response)
                    async for line in response.aiter_lines():
                        yield reader.read(line)
                reader.end()
                return
            except FAILURES as failure:
                reader.check_retry(failure)
                pause = attempts.pause_after(failure)
            await asyncio.sleep(pause)

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._send(MODEL)

    async def health(self) -> dict[str, Any]:
        """As `Client.health`."""
        return await self._send(HEALTH)

    async def _send(self, call: Call[T]) -> T:
        attempts = self._attempts(call)
        while True:
            request = _request(self._http, call, attempts)
            try:
                return call.answer(await self._http.send(request))
            except FAILURES as failure:
                pause = attempts.pause_after(failure)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _request(
    http: httpx.Client | httpx.AsyncClient, call: Call[Any], attempts: Attempts
) -> httpx.Request:
    content = call.content(attempts.spent())
    return http.build_request(
        call.method, call.path, content=content, headers=JSON, timeout=attempts.timeout()
    )


def _settings(url: str, token: str | None) -> dict[str, Any]:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"{url!r} is not the address of a service, such as http://host:8000")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    here = parsed.host in ("localhost", "127.0.0.1", "::1")  # never through a proxy
    return {"base_url": parsed, "headers": headers, "trust_env": not here}
