"""What a score request may say: accepted whole, or refused with the field at fault."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.serving.schema import (
    MAX_VOTES,
    RequestError,
    ScoreRequest,
    parse_request,
    refuse_unscorable,
    steps_of,
)
from genprm.client.calls import MAX_STEPS
from genprm.records import CriticInfo, Judgement, StepJudgement
from genprm.scoring.base import OPTIONS

GOOD = {"problem": "1 + 1", "steps": ["2"]}


def encoded(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def test_a_request_has_every_option_of_a_scorer() -> None:
    assert set(OPTIONS) < ScoreRequest.model_fields.keys()


def test_a_request_may_set_everything() -> None:
    request = parse_request(
        encoded(
            votes=MAX_VOTES,
            aggregate="product",
            return_critiques=True,
            stop_at_first_error=True,
            id="mine",
            seed=7,
        )
    )
    assert request.votes == MAX_VOTES
    assert request.aggregate == "product"
    assert steps_of(request, "lines") == ["2"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b"[" * 100_000, 400, "body"),
        (b'{"problem": "\\ud800", "steps": ["2"]}', 400, "body"),
        (b'{"problem": "a", "votes": ' + b"9" * 5000 + b"}", 400, "body"),
        (b"[]", 422, "body"),
        (b"null", 422, "body"),
        (b"{}", 422, "problem"),
        (encoded(problem=3), 422, "problem"),
        (encoded(problem=None), 422, "problem"),
        (encoded(steps="2"), 422, "steps"),
        (encoded(steps=[]), 422, "steps"),
        (encoded(steps=["2"] * (MAX_STEPS + 1)), 422, "steps"),
        (encoded(steps=["2", 3]), 422, "steps[1]"),
        (encoded(steps=["2", None]), 422, "steps[1]"),
        (encoded(votes=0), 422, "votes"),
        (encoded(votes=MAX_VOTES + 1), 422, "votes"),
        (encoded(votes="8"), 422, "votes"),
        (encoded(votes=True), 422, "votes"),
        (encoded(votes=2.0), 422, "votes"),
        (b'{"problem": "a", "steps": ["2"], "votes": NaN}', 422, "votes"),
        (encoded(aggregate="max"), 422, "aggregate"),
        (encoded(return_critiques="yes"), 422, "return_critiques"),
        (encoded(stop_at_first_error=1), 422, "stop_at_first_error"),
        (encoded(id=""), 422, "id"),
        (encoded(id="x" * 257), 422, "id"),
        (encoded(seed=-1), 422, "seed"),
        (encoded(seed=2**31), 422, "seed"),
        (encoded(vote=8), 422, "vote"),
        (encoded(**{"line\nbreak" + "x" * 500: 1}), 422, None),
    ],
)
def test_a_malformed_body_is_refused_by_name(body: bytes, status: int, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(body)
    assert caught.value.status == status
    if field is not None:
        assert caught.value.field == field
    assert str(caught.value).startswith(f"field {caught.value.field!r}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"problem": " \n", "steps": ["2"]}, "problem"),
        ({"problem": "p", "steps": ["2", "  ", "3"]}, "steps[1]"),
        ({"problem": "p"}, "steps"),
        ({"problem": "p", "steps": ["2"], "solution": "2"}, "solution"),
        ({"problem": "p", "steps": ["2"], "splitter": "lines"}, "splitter"),
        ({"problem": "p", "solution": "\n\n"}, "solution"),
        ({"problem": "p", "solution": "2", "splitter": "words"}, "splitter"),
        ({"problem": "p", "solution": "2\n" * (MAX_STEPS + 1)}, "solution"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(fields: dict[str, object], field: str) -> None:
    request = parse_request(json.dumps(fields).encode())
    with pytest.raises(RequestError) as caught:
        steps_of(request, "lines")
    assert (caught.value.field, caught.value.status) == (field, 422)


def test_a_solution_is_split_by_the_named_splitter() -> None:
    text = "a\nb\n\nc"
    by_default = ScoreRequest(problem="p", solution=text)
    assert steps_of(by_default, "lines") == ["a", "b", "c"]
    assert steps_of(by_default, "blank_lines") == ["a\nb", "c"]
    named = ScoreRequest(problem="p", solution=text, splitter="blank_lines")
    assert steps_of(named, "lines") == ["a\nb", "c"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_request_or_a_named_fault(body: bytes) -> None:
    try:
        steps_of(parse_request(body), "lines")
    except RequestError as error:
        assert error.status in (400, 422)
        assert "\n" not in str(error)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.text(max_size=20))
def test_steps_are_never_changed(steps: list[str], problem: str) -> None:
    body = json.dumps({"problem": problem, "steps": steps}).encode()
    blank = not problem.strip() or any(not step.strip() for step in steps)
    try:
        assert steps_of(parse_request(body), "lines") == steps
        assert not blank
    except RequestError:
        assert blank


def judgement(*statuses: str) -> Judgement:
    return Judgement(
        id="a",
        steps=[
            StepJudgement(
                index=i,
                score=0.9 if status == "ok" else None,
                verdict="correct" if status == "ok" else None,
                status=status,  # type: ignore[arg-type]
                reason=None if status == "ok" else "prompt of 9\ntokens does not fit",
            )
            for i, status in enumerate(statuses)
        ],
        first_error=-1,
        solution_score=None,
        aggregate="min",
        covered=False,
        usage={},
        critic=CriticInfo(model="m", pack="native", fingerprint="f", scoring="hard_votes"),
    )


def test_a_first_step_that_does_not_fit_names_the_longer_text() -> None:
    nothing_fits = judgement("too_long", "too_long")
    with pytest.raises(RequestError, match=r"^field 'problem': prompt of 9 tokens does not fit$"):
        refuse_unscorable(nothing_fits, "long problem", ["a", "b"])
    with pytest.raises(RequestError, match=r"^field 'steps\[0\]': "):
        refuse_unscorable(nothing_fits, "p", ["a long step", "b"])


def test_a_later_step_that_does_not_fit_is_data() -> None:
    refuse_unscorable(judgement("ok", "too_long"), "long problem", ["a", "b"])


def test_the_error_crosses_processes() -> None:
    error = RequestError("must not be empty", field="steps[2]", status=413)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.field, copy.status) == ("must not be empty", "steps[2]", 413)
    assert str(copy) == "field 'steps[2]': must not be empty"
