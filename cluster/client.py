"""The HTTP client of the scoring service: retries inside a deadline, with idempotent ids.

A dying replica shows as 500 or 503, or as silence; overload as 503 with Retry-After. All of these
are tried again with the same id until the deadline. Whatever the caller got wrong is raised at
once. Knows HTTP and the records, and neither Ray nor the engine, so it runs anywhere.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, TypedDict, Unpack

import httpx
from pydantic import ValidationError

from genprm.errors import ConfigError, EngineError, InputError
from genprm.records import Aggregate, Judgement, content_id
from genprm.step_scorer import ScoreItem

RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
NOT_YET_STATUS = RETRIED_STATUS | {404}  # a proxy that is up before the service has no route to it
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0
ANSWER_S = 10.0  # from a judgement's deadline to the answer's arrival
JSON = {"Content-Type": "application/json"}


class ScoreOptions(TypedDict, total=False):
    """What a caller may set per request; left out or None, the service's defaults hold."""

    solution: str | None  # in place of steps: one text, split by the service
    splitter: str | None
    votes: int | None
    aggregate: Aggregate | None
    return_critiques: bool | None
    stop_at_first_error: bool | None
    early_stop: bool | None
    id: str | None
    seed: int | None
    deadline_s: float | None


def patience(options: Mapping[str, Any], attempt_s: float) -> float:
    """Seconds for one attempt: a service that is given time to judge must get it."""
    given = options.get("deadline_s")
    return attempt_s if given is None else max(attempt_s, given + ANSWER_S)


class Attempts:
    """One call, tried until it is settled: what to do after each attempt, without doing it.

    Args:
        deadline_s: seconds for all attempts together.
        attempt_s: seconds for one attempt; shorter than the deadline, so that an attempt that
            a dead replica swallowed is given up while there is time for another.
    """

    def __init__(
        self, deadline_s: float, attempt_s: float, clock: Callable[[], float] = time.monotonic
    ):
        self._clock = clock
        self._deadline_s = deadline_s
        self._end = clock() + deadline_s
        self._attempt_s = attempt_s
        self._pause_s = FIRST_PAUSE_S
        self._last = "no attempt was made"

    def timeout(self) -> float:
        """Seconds that the next attempt may take.

        Raises:
            EngineError: the deadline has passed; names the last failure.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise EngineError(f"no answer within {self._deadline_s:g} s; last: {self._last}")
        return min(left, self._attempt_s)

    def pause_after(self, failure: str, retry_after: str | None = None) -> float:
        """Seconds to wait before the next attempt: doubling, at random below that, never past
        the deadline, and at least what the service asked for."""
        self._last = failure
        pause = random.uniform(0.5, 1.0) * self._pause_s  # callers must not return in step
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if retry_after is not None and retry_after.isdigit():  # else an HTTP date: ours sends none
            pause = max(pause, float(retry_after))
        return min(pause, max(0.0, self._end - self._clock()))


def request_body(
    problem: str, steps: Sequence[str] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON body of a score request, without options that are None. Without an id the content
    is the id, so that every retry carries the same.

    Raises:
        InputError: `steps` is one text: it would be taken for a list of characters.
    """
    if isinstance(steps, str):
        raise InputError("steps: must be a list of texts; a whole text goes in as solution=...")
    given = {"problem": problem, "steps": None if steps is None else list(steps), **options}
    body = {name: value for name, value in given.items() if value is not None}
    body.setdefault("id", content_id(problem, body.get("steps", body.get("solution"))))
    return body


def _encode(body: Mapping[str, Any] | None) -> bytes | None:
    # ASCII escapes: text with a lone surrogate has no UTF-8, and the service must refuse it by name
    return None if body is None else json.dumps(body).encode("ascii")


def read_answer(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a settled answer.

    Raises:
        InputError: the service refused the request (4xx); names the field.
        ConfigError: the service refused the token, or the address is not a scoring service.
        EngineError: an answer that is not a JSON object.
    """
    status = response.status_code
    if status in (401, 403):
        raise ConfigError(f"{response.url}: the service refused the token ({status})")
    if status == 404:
        raise ConfigError(f"{response.url}: no scoring service at this address (404)")
    if status >= 400:
        raise InputError(_said(response))
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if status != 200 or not isinstance(answer, dict):
        raise EngineError(f"{response.url}: {status}, but not with a JSON object")
    return answer


def _said(response: httpx.Response) -> str:
    """What an error answer says, in one line: our `error` field, else the start of the body."""
    try:
        said = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        said = response.text
    return " ".join(f"{response.status_code} {said}".split())[:500]


def _judgement(answer: dict[str, Any], url: httpx.URL) -> Judgement:
    try:
        return Judgement.model_validate(answer)
    except ValidationError:
        raise EngineError(f"{url}: the answer is not a judgement") from None


def _settings(url: str, token: str | None) -> dict[str, Any]:
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"{url!r} is not the address of a service, such as http://host:8000")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    here = parsed.host in ("localhost", "127.0.0.1", "::1")  # never through a proxy
    return {"base_url": parsed, "headers": headers, "trust_env": not here}


class Client:
    """A connection to one service, safe to share between threads.

    Args:
        url: where the service listens, such as `http://127.0.0.1:8000`.
        token: sent as a bearer token.
        deadline_s: seconds for one call, all retries included.
        attempt_s: seconds for one attempt.

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
        self._http = httpx.Client(**_settings(url, token))
        self._deadline_s, self._attempt_s = deadline_s, attempt_s

    def score(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[ScoreOptions]
    ) -> Judgement:
        """The judgement of a solution, given as `steps` or as one text (`solution=`).

        Raises:
            InputError: the service refused the request; names the field.
            ConfigError: wrong token or address.
            EngineError: no answer within the deadline.
        """
        body = request_body(problem, steps, options)
        answer = self._send("POST", "/v1/score", body, attempt_s=patience(options, self._attempt_s))
        return _judgement(answer, self._http.base_url)

    def model(self) -> dict[str, Any]:
        """Which critic serves, and with which defaults and limits."""
        return self._send("GET", "/v1/model")

    def health(self) -> dict[str, Any]:
        """The service's own word on its health, asked for until it is well or the deadline is
        past (EngineError)."""
        return self._send("GET", "/health", retried=NOT_YET_STATUS)

    def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        retried: frozenset[int] = RETRIED_STATUS,
        attempt_s: float | None = None,
    ) -> dict[str, Any]:
        attempts = Attempts(self._deadline_s, attempt_s or self._attempt_s)
        while True:
            timeout = attempts.timeout()
            try:
                response = self._http.request(
                    method, path, content=_encode(body), headers=JSON, timeout=timeout
                )
            except httpx.TransportError as error:
                pause = attempts.pause_after(_failure(error))
            else:
                if response.status_code not in retried:
                    return read_answer(response)
                retry_after = response.headers.get("Retry-After")
                pause = attempts.pause_after(_said(response), retry_after)
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


class AsyncClient:
    """`Client` for asyncio: the same arguments, methods and errors, with `await`.

    It is a `StepScorer`; only, the service refuses a request with a blank step, of which other
    scorers make a status.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        deadline_s: float = 120.0,
        attempt_s: float = 60.0,
    ):
        self._http = httpx.AsyncClient(**_settings(url, token))
        self._deadline_s, self._attempt_s = deadline_s, attempt_s

    async def score(
        self, problem: str, steps: Sequence[str] | None = None, **options: Unpack[ScoreOptions]
    ) -> Judgement:
        """As `Client.score`."""
        body = request_body(problem, steps, options)
        answer = await self._send(
            "POST", "/v1/score", body, attempt_s=patience(options, self._attempt_s)
        )
        return _judgement(answer, self._http.base_url)

    async def score_batch(self, items: Sequence[ScoreItem]) -> list[Judgement]:
        """Judge many, in the order given, one request each; the first refusal is raised."""
        return await asyncio.gather(*(self.score(**asdict(item)) for item in items))

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._send("GET", "/v1/model")

    async def health(self) -> dict[str, Any]:
        """As `Client.health`."""
        return await self._send("GET", "/health", retried=NOT_YET_STATUS)

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        retried: frozenset[int] = RETRIED_STATUS,
        attempt_s: float | None = None,
    ) -> dict[str, Any]:
        attempts = Attempts(self._deadline_s, attempt_s or self._attempt_s)
        while True:
            timeout = attempts.timeout()
            try:
                response = await self._http.request(
                    method, path, content=_encode(body), headers=JSON, timeout=timeout
                )
            except httpx.TransportError as error:
                pause = attempts.pause_after(_failure(error))
            else:
                if response.status_code not in retried:
                    return read_answer(response)
                retry_after = response.headers.get("Retry-After")
                pause = attempts.pause_after(_said(response), retry_after)
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


def _failure(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
