"""Requests to the scoring service, the meaning of its answers, and whether to try again.

`Call` is one request, `StreamReader` reads the lines of a stream; when a call is sent again is
`genprm.client.retry`. All of it is data and decisions: nothing here sends, waits or knows an HTTP
library.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import ValidationError

from genprm.client.retry import (
    LEAST_DEADLINE_S,
    NOT_YET_STATUS,
    RETRIED_STATUS,
    TryAgainError,
    describe_failure,
)
from genprm.errors import ConfigError, EngineError, InputError, one_line
from genprm.records import Judgement, StepJudgement, content_id
from genprm.scoring.base import ScoreItem

SLICE = 8  # solutions of one request of a batch

T = TypeVar("T")
Body = dict[str, Any] | list[dict[str, Any]]


class Response(Protocol):
    """The parts of an HTTP response that are read here."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> Any: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how a settled answer to it is read."""

    method: str
    path: str
    read: Callable[[Response], T]
    body: Body | None = None
    retried: frozenset[int] = RETRIED_STATUS

    def answer(self, response: Response) -> T:
        """The content of the response.

        Raises:
            TryAgainError: the service failed or is overloaded.
            GenprmError: what `read` raises.
        """
        if response.status_code in self.retried:
            failure = f"{response.status_code} {_error_of(response)[0]}".strip()
            raise TryAgainError(failure, response.headers.get("Retry-After"))
        return self.read(response)

    def content(self, spent_s: float) -> bytes | None:
        """The body to send after `spent_s` seconds of earlier attempts, which count against the
        `deadline_s` of its requests."""
        body = self.body
        if spent_s and body is not None:
            items = body if isinstance(body, list) else [body]
            left = [_with_what_is_left(item, spent_s) for item in items]
            body = left if isinstance(body, list) else left[0]
        return None if body is None else _encode(body)

    def judging_s(self) -> float | None:
        """The longest `deadline_s` of its requests; None without any."""
        items = self.body if isinstance(self.body, list) else [self.body or {}]
        return max((item["deadline_s"] for item in items if _has_deadline(item)), default=None)


class StreamReader:
    """Reads one attempt at a stream: lines in, steps and then the judgement out."""

    def __init__(self) -> None:
        self._steps: list[StepJudgement] = []
        self._complete = False

    def read(self, line: str) -> StepJudgement | Judgement:
        """The step in a line, or the judgement in the last one, with all steps in order.

        Raises:
            TryAgainError: the line tells that the engine failed, or is something else.
        """
        try:
            row = json.loads(line)
            if "error" in row:
                raise TryAgainError(str(row["error"]))
            if "first_error" not in row:
                self._steps.append(StepJudgement.model_validate(row))
                return self._steps[-1]
            in_order = sorted(self._steps, key=lambda step: step.index)
            judgement = Judgement.model_validate({**row, "steps": in_order})
        except (ValueError, TypeError):  # pydantic's error is a ValueError
            raise TryAgainError("a line that is neither a step nor a judgement") from None
        self._complete = True
        return judgement

    def end(self) -> None:
        """Note the end of the stream; TryAgainError if it came before the judgement."""
        if not self._complete:
            raise TryAgainError("the stream ended early")

    def check_retry(self, failure: Exception) -> None:
        """EngineError if a step was read: the caller may have acted on it, and another attempt may
        judge it otherwise."""
        if self._steps:
            raise EngineError(
                f"the stream broke off after {len(self._steps)} steps: {describe_failure(failure)}"
            ) from None


def score_call(
    problem: str, steps: Sequence[str] | None, options: Mapping[str, Any]
) -> Call[Judgement]:
    """The call that judges one solution."""
    return Call("POST", "/v1/score", _read_judgement, request_body(problem, steps, options))


def stream_call(
    problem: str, steps: Sequence[str] | None, options: Mapping[str, Any]
) -> Call[dict[str, Any]]:
    """The call that opens a stream. Its `read` only sees error answers; the stream itself goes
    through `StreamReader`."""
    body = {**request_body(problem, steps, options), "stream": True}
    return Call("POST", "/v1/score", read_answer, body)


def batch_calls(items: Sequence[ScoreItem]) -> list[Call[list[Judgement]]]:
    """The calls that judge many solutions between them, in the order of the items.

    Raises:
        InputError: an item whose `steps` are one text; names its place.
    """
    bodies = []
    for place, item in enumerate(items):
        try:
            bodies.append(request_body(item.problem, item.steps, {"id": item.id, **item.options}))
        except InputError as error:
            raise InputError(error.message, field=f"[{place}].{error.field}") from None
    return [
        Call(
            "POST",
            "/v1/score/batch",
            functools.partial(_read_slice, places=places),
            bodies[places.start : places.stop],
        )
        for places in slices(bodies)
    ]


def slices(bodies: Sequence[Mapping[str, Any]]) -> list[range]:
    """The places of the bodies, cut into requests of at most SLICE that the service accepts."""
    cut: list[range] = []
    start = steps = size = 0
    for place, body in enumerate(bodies):
        more_steps, more_bytes = len(body.get("steps", ())), len(_encode(body)) + len(", ")
        full = place - start == SLICE
        if full or steps + more_steps > MAX_BATCH_STEPS or size + more_bytes > MAX_BODY_BYTES:
            cut.append(range(start, place))
            start, steps, size = place, 0, 0
        steps, size = steps + more_steps, size + more_bytes
    return [part for part in [*cut, range(start, len(bodies))] if part]


def request_body(
    problem: str, steps: Sequence[str] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON body of a score request, without options that are None. Without an id the content
    is the id, so that every retry carries the same.

    Raises:
        InputError: `steps` is one text: it would be taken for a list of characters.
    """
    if isinstance(steps, str):
        message = "must be a list of texts; a whole text goes in as solution=..."
        raise InputError(message, field="steps")
    fields = {"problem": problem, "steps": None if steps is None else list(steps), **options}
    body = {name: value for name, value in fields.items() if value is not None}
    body.setdefault("id", content_id(problem, body.get("steps", body.get("solution"))))
    return body


def _has_deadline(body: Mapping[str, Any]) -> bool:
    deadline = body.get("deadline_s")  # anything but a number is for the service to refuse
    return isinstance(deadline, int | float) and not isinstance(deadline, bool)


def _with_what_is_left(body: dict[str, Any], spent_s: float) -> dict[str, Any]:
    if not _has_deadline(body):
        return body
    return {**body, "deadline_s": max(LEAST_DEADLINE_S, body["deadline_s"] - spent_s)}


def _encode(body: Any) -> bytes:
    # ASCII escapes: text with a lone surrogate has no UTF-8, and the service must refuse it by name
    return json.dumps(body).encode("ascii")


def read_answer(response: Response) -> dict[str, Any]:
    """The JSON object of a settled answer.

    Raises:
        InputError: the service refused the request (4xx); has the field.
        ConfigError: the service refused the token, or the address is not a scoring service.
        EngineError: an answer that is not a JSON object.
    """
    return _read(response, dict, "object")


def _read(response: Response, kind: type[T], named: str) -> T:
    status = response.status_code
    if status in (401, 403):
        raise ConfigError(f"{response.url}: the service refused the token ({status})")
    if status == 404:
        raise ConfigError(f"{response.url}: no scoring service at this address (404)")
    if status >= 400:
        message, field = _error_of(response)
        raise InputError(f"{message} ({status})", field=field)
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if status != 200 or not isinstance(answer, kind):
        raise EngineError(f"{response.url}: {status}, but not with a JSON {named}")
    return answer


def _error_of(response: Response) -> tuple[str, str | None]:
    """The message of an error answer, in one line, and the field at fault. Of an answer that is
    not the service's own, the start of the body is the message."""
    field = None
    try:
        answer = response.json()
        message, field = str(answer["error"]), answer.get("field")
    except (ValueError, KeyError, TypeError, AttributeError):
        message = response.text
    if field is not None:
        message = message.removeprefix(f"{field}: ")
    return one_line(message, 500), field


def _read_judgement(response: Response) -> Judgement:
    return _judgement(read_answer(response), response)


def _read_slice(response: Response, places: range) -> list[Judgement]:
    try:
        rows = _read(response, list, "list")
    except InputError as error:
        item, bracket, rest = (error.field or "").removeprefix("[").partition("]")
        if bracket and item.isdigit():  # `[3].votes`: its place in the caller's list
            field = f"[{places.start + int(item)}]{rest}"
            raise InputError(error.message, field=field) from None
        slice_of = f"[{places.start}:{places.stop}]"
        raise InputError(error.message, field=error.field, place=slice_of) from None
    if len(rows) != len(places):
        raise EngineError(f"{response.url}: {len(rows)} judgements of {len(places)} solutions")
    return [_judgement(row, response) for row in rows]


def _judgement(answer: Any, response: Response) -> Judgement:
    try:
        return Judgement.model_validate(answer)
    except ValidationError:
        raise EngineError(f"{response.url}: the answer is not a judgement") from None


MODEL = Call("GET", "/v1/model", read_answer)
HEALTH = Call("GET", "/health", read_answer, retried=NOT_YET_STATUS)
MAX_BODY_BYTES = 4 * 1024 * 1024  # a problem with 512 long steps is well under 1 MiB
MAX_STEPS = 512  # of one solution
MAX_BATCH = 256  # solutions of one request
MAX_BATCH_STEPS = 4096  # of all of them together
