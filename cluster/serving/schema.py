"""What a request to the scoring service may say, and the one-line error for everything else.

Pure data and pure functions: no HTTP, no Ray, no engine. A request is either accepted whole or
refused with the name of the field at fault; nothing is repaired silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from genprm import steps as splitting
from genprm.client.calls import MAX_BATCH, MAX_BATCH_STEPS, MAX_STEPS
from genprm.errors import InputError, one_line
from genprm.records import Aggregate, Judgement
from genprm.util.validation import first_problem

MAX_VOTES = 64
MAX_ID_CHARS = 256
MAX_FIELD_CHARS = 100
MAX_DEADLINE_S = 3600.0
MAX_SEED = 2**31 - 1  # child i of n samples with seed + i: leaves room in 64 bits


class RequestError(InputError):
    """A request that cannot be served as it is; `field` names what to change, `status` is the HTTP
    status of the answer."""

    def __init__(self, message: str, *, field: str | None = None, status: int = 422):
        super().__init__(message, field=field)
        self.status = status


class ScoreRequest(BaseModel):
    """The body of `POST /v1/score`. Options left out take the service's own defaults."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    problem: str
    """The problem that the solution tries to solve."""
    steps: list[str] | None = Field(None, min_length=1, max_length=MAX_STEPS)
    """The solution's steps, in order. Give these or `solution`."""
    solution: str | None = None
    """The whole solution as one text, to be split by `splitter`."""
    splitter: str | None = None
    """How to split `solution`: lines, blank_lines, numbered, sentences or code."""
    votes: int | None = Field(None, ge=1, le=MAX_VOTES)
    """Critiques sampled per step; with `early_stop` at most so many."""
    aggregate: Aggregate | None = None
    """How step scores make the solution score: min, product, mean or last; overall for the answer
    about the whole that some prompt packs ask for."""
    return_critiques: bool | None = None
    """Whether the answer carries every critique's text and verdict."""
    stop_at_first_error: bool | None = None
    """Whether steps after the first incorrect one are left out (status not_scored)."""
    early_stop: bool | None = None
    """Whether a step gets no more critiques once its vote is settled, instead of all its votes."""
    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] | None = None
    """Comes back in the answer; derived from the content if left out."""
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    """Makes sampling repeatable where the engine can; ignored where it cannot."""
    deadline_s: float | None = Field(None, gt=0, le=MAX_DEADLINE_S)
    """Seconds for the judgement; steps that are not judged by then have status deadline."""
    stream: bool = False
    """Whether to answer in lines of JSON: each step when it is settled, then the judgement without
    its steps. Not in a batch."""


Batch = Annotated[list[ScoreRequest], Field(min_length=1, max_length=MAX_BATCH)]
_ONE, _BATCH = TypeAdapter(ScoreRequest), TypeAdapter(Batch)
T = TypeVar("T")


def parse_request(body: bytes) -> ScoreRequest:
    """Read the JSON body of a request.

    Raises:
        RequestError: not JSON, not an object, an unknown or missing field, a wrong type, a
            number out of bounds. The first fault is named.
    """
    return parse_as(_ONE, body)


def parse_batch(body: bytes) -> list[ScoreRequest]:
    """Read the JSON body of a batch: a list of requests. Errors as `parse_request`; a field is
    named with its place in the list, such as `[3].votes`."""
    return parse_as(_BATCH, body)


def parse_as(form: TypeAdapter[T], body: bytes) -> T:
    """Read a JSON body as a request of the given form; errors as `parse_request`."""
    try:
        return form.validate_json(body)
    except ValidationError as error:
        raise _fault(error) from None


def validate_as(form: TypeAdapter[T], content: Any) -> T:
    """Read the content of a JSON body as a request of the given form; errors as `parse_request`."""
    try:
        return form.validate_python(content)
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> RequestError:
    key, message, kind = first_problem(error)
    field = one_line(key)[:MAX_FIELD_CHARS] or "body"  # an unknown field may have any name
    if kind == "extra_forbidden":
        fields = ", ".join(ScoreRequest.model_fields)
        return RequestError(f"unknown field; known are {fields}", field=field)
    status = 400 if kind == "json_invalid" else 422
    return RequestError(one_line(message), field=field, status=status)


def steps_of(request: ScoreRequest, default_splitter: str) -> list[str]:
    """The steps to judge: `steps` as they are, or split from `solution`.

    Returns:
        1 to MAX_STEPS texts, none of them blank.

    Raises:
        RequestError: a blank problem, solution or step, both or neither of `steps` and
            `solution`, an unknown splitter, or a solution that splits into too many steps.
    """
    _refuse_blank("problem", request.problem)
    if request.steps is not None and request.solution is not None:
        raise RequestError("give either steps or solution, not both", field="solution")
    if request.steps is not None:
        if request.splitter is not None:
            raise RequestError("splits a solution, but steps were given", field="splitter")
        for index, step in enumerate(request.steps):
            _refuse_blank(f"steps[{index}]", step)
        return list(request.steps)
    if request.solution is None:
        raise RequestError("missing: give steps, or solution and a splitter", field="steps")
    _refuse_blank("solution", request.solution)
    splitter = request.splitter or default_splitter
    if splitter not in splitting.SPLITTERS:
        names = ", ".join(splitting.SPLITTERS)
        raise RequestError(f"unknown splitter {splitter!r}; known are {names}", field="splitter")
    steps = splitting.split(request.solution, splitter)
    if len(steps) > MAX_STEPS:
        message = f"splits into {len(steps)} steps, at most {MAX_STEPS}"
        raise RequestError(message, field="solution")
    return steps


def batch_steps(requests: Sequence[ScoreRequest], default_splitter: str) -> list[list[str]]:
    """`steps_of` each request of a batch.

    Raises:
        RequestError: as there, with the place in the list; or too many steps in all.
    """
    steps = []
    for place, request in enumerate(requests):
        if request.stream:
            raise RequestError("a batch is answered as a whole", field=f"[{place}].stream")
        try:
            steps.append(steps_of(request, default_splitter))
        except RequestError as error:
            field = f"[{place}].{error.field}"
            raise RequestError(error.message, field=field, status=error.status) from None
    if (total := sum(map(len, steps))) > MAX_BATCH_STEPS:
        raise RequestError(f"has {total} steps in all, at most {MAX_BATCH_STEPS}", field="body")
    return steps


def refuse_unscorable(judgement: Judgement, problem: str, steps: list[str]) -> None:
    """Raise if not even the first step fits the critic's context.

    A later step that is too long is data: it and those after it have status `too_long`, and the
    judgement of the steps before it is answered.

    Raises:
        RequestError: names the longer of problem and first step.
    """
    first = judgement.steps[0]
    if first.status == "too_long":
        field = "problem" if len(problem) >= len(steps[0]) else "steps[0]"
        message = one_line(first.reason or "too long for the critic's context")
        raise RequestError(message, field=field)


def _refuse_blank(field: str, text: str) -> None:
    if not text.strip():
        raise RequestError("must not be empty", field=field)
