"""The routes over a scripted critic, in this process: logic and bad input, without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.serving.tokens import TOKENS_ENV, token_hashes
from genprm.client.calls import MAX_BATCH, MAX_BODY_BYTES
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.generation import Prompt, Sampling
from genprm.records import Judgement
from scripted_critic import critique, label_probs
from scripted_routes import CONTEXT, call, routes


def score(app: FastAPI, **body: Any) -> httpx.Response:
    return call(app, "POST", "/v1/score", body)


def test_a_solution_is_judged_step_by_step() -> None:
    answer = score(routes(), problem="p", steps=["right", "wrong", "right"], id="mine")
    assert answer.status_code == 200
    judgement = Judgement.model_validate(answer.json())
    assert judgement.id == "mine"
    assert [step.score for step in judgement.steps] == pytest.approx([0.8, 0.1, 0.8])
    assert judgement.first_error == 1
    assert judgement.solution_score == pytest.approx(0.1)
    assert judgement.steps[0].votes.correct == 2
    assert judgement.steps[0].critiques is None


def test_a_service_with_tokens_lets_only_those_in(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = "a-token-of-some-length", "another-token-of-some-length"
    monkeypatch.setenv(TOKENS_ENV, f"{mine},{other}")
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    app = routes(engine, token_hashes())
    body = {"problem": "p", "steps": ["right"]}
    for authorization in (None, "", "Bearer", "Bearer ", f"Basic {mine}", f"Bearer {mine}x", mine):
        headers = {} if authorization is None else {"authorization": authorization}
        for method, path in (("POST", "/v1/score"), ("GET", "/v1/model"), ("GET", "/openapi.json")):
            refused = call(app, method, path, body if method == "POST" else None, **headers)
            assert refused.status_code == 401, (authorization, path)
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["field"] == "authorization" and mine not in refused.text
    assert not engine.calls  # whoever is not let in costs nothing
    for token in (mine, other):
        assert call(app, "POST", "/v1/score", body, authorization=f"Bearer {token}").is_success
        assert call(app, "GET", "/v1/model", authorization=f"bearer {token}").is_success
    assert call(app, "GET", "/health").is_success
    assert call(app, "GET", "/absent").status_code == 401  # hides which routes exist
    assert call(app, "GET", "/second/health", root="/second").is_success
    assert call(app, "GET", "/second/v1/model", root="/second").status_code == 401
    assert call(app, "GET", "/v1/model/health").status_code == 401


def test_options_reach_the_scorer() -> None:
    answer = score(
        routes(),
        problem="p",
        solution="right\n\nwrong\nright",
        splitter="lines",
        votes=3,
        aggregate="last",
        return_critiques=True,
        stop_at_first_error=True,
        seed=5,
    )
    judgement = Judgement.model_validate(answer.json())
    assert [step.status for step in judgement.steps] == ["ok", "ok", "not_scored"]
    assert len(judgement.steps[0].critiques or []) == 3
    assert judgement.aggregate == "last"


def test_the_content_type_does_not_matter() -> None:
    body = {"problem": "p", "steps": ["right"]}
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what plain curl -d sends
    assert call(routes(), "POST", "/v1/score", body, **form).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"not json", 400, "body"),
        ({"problem": "p", "steps": ["right"], "vote": 1}, 422, "vote"),
        ({"problem": "p", "steps": []}, 422, "steps"),
        ({"problem": "p", "steps": ["right", "\n"]}, 422, "steps[1]"),
        ({"problem": "", "steps": ["right"]}, 422, "problem"),
        ({"problem": "word " * CONTEXT, "steps": ["right"]}, 422, "problem"),
        ({"problem": "p", "steps": ["word " * CONTEXT, "right"]}, 422, "steps[0]"),
        (b" " * (MAX_BODY_BYTES + 1), 413, "body"),
    ],
)
def test_bad_input_is_a_4xx_that_names_the_field(
    body: bytes | dict[str, Any], status: int, field: str
) -> None:
    answer = call(routes(), "POST", "/v1/score", body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "field"}
    assert answer.json()["field"] == field
    assert answer.json()["error"].startswith(f"{field}: ")
    assert "\n" not in answer.json()["error"]


def test_a_streamed_body_is_cut_off_at_the_limit() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * MAX_BODY_BYTES:
            sent += 2**20
            yield b" " * 2**20

    assert call(routes(), "POST", "/v1/score", endless()).status_code == 413
    assert sent <= MAX_BODY_BYTES + 2**20


def test_a_later_step_that_is_too_long_has_a_status_and_so_have_those_after_it() -> None:
    steps = ["right", "word " * CONTEXT, "right"]
    answer = score(routes(), problem="p", steps=steps)
    assert answer.status_code == 200
    judgement = Judgement.model_validate(answer.json())
    assert [step.status for step in judgement.steps] == ["ok", "too_long", "too_long"]
    assert judgement.steps[1].reason
    assert judgement.solution_score is None


def batch(app: FastAPI, *items: dict[str, Any]) -> httpx.Response:
    return call(app, "POST", "/v1/score/batch", json.dumps(items).encode())


def test_a_batch_is_judged_in_order_each_as_it_asks() -> None:
    items = [
        {"problem": "p", "steps": ["right", "wrong"], "id": "a"},
        {"problem": "q", "solution": "right\nright\nwrong", "votes": 3},
        {"problem": "r", "steps": ["word " * CONTEXT]},  # too long: it fails alone
    ]
    answer = batch(routes(), *items)
    assert answer.status_code == 200
    judged = [Judgement.model_validate(row) for row in answer.json()]
    assert judged[0].id == "a" and [j.first_error for j in judged[:2]] == [1, 2]
    assert [j.steps[0].votes.correct for j in judged[:2]] == [2, 3]
    assert judged[2].steps[0].status == "too_long"


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "body"),
        ([{"problem": "p", "steps": ["a"]}, {"problem": "p"}], "[1].steps"),
        ([{"problem": "p", "steps": ["a", " "]}], "[0].steps[1]"),
        ([{"problem": "p", "steps": ["a"], "votes": 0}], "[0].votes"),
        ([{"problem": "p", "steps": ["a"], "wish": 0}], "[0].wish"),
        ([{"problem": "p", "steps": ["a"]}] * (MAX_BATCH + 1), "body"),
        ([{"problem": "p", "steps": ["a"] * 500}] * 9, "body"),
        ([7], "[0]"),
        ([{"problem": "p", "steps": ["a"], "stream": True}], "[0].stream"),
    ],
)
def test_a_batch_is_refused_as_a_whole(items: list[Any], field: str) -> None:
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    answer = batch(routes(engine), *items)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not engine.calls


def test_a_stream_tells_each_step_when_it_is_settled() -> None:
    class Slow(ScriptedEngine):
        async def generate(self, prompt: Prompt, *arguments: Any, **more: Any) -> Any:
            await asyncio.sleep(0.3 if "Last step:\nslow" in prompt.messages[-1]["content"] else 0)
            return await super().generate(prompt, *arguments, **more)

    app = routes(Slow(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer()))
    body = {"problem": "p", "steps": ["slow and right", "wrong", "right"], "id": "mine"}
    answer = score(app, **body, stream=True)
    assert answer.headers["content-type"] == "application/x-ndjson"
    *steps, rest = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(step["index"] for step in steps) == [0, 1, 2] and steps[-1]["index"] == 0
    assert "steps" not in rest and rest["id"] == "mine" and rest["first_error"] == 1
    judged = score(app, **body).json()
    in_order = sorted(steps, key=lambda step: step["index"])
    assert {**rest, "steps": in_order} == {**judged, "usage": rest["usage"]}
    stopped = score(app, **body, stream=True, stop_at_first_error=True)
    lines = [json.loads(line) for line in stopped.text.splitlines()]
    assert [line.get("status") for line in lines] == ["ok", "ok", "not_scored", None]


def test_a_stream_ends_with_what_went_wrong_and_begins_with_no_bad_request() -> None:
    class Dies(ScriptedEngine):
        async def generate(self, *arguments: Any, **more: Any) -> Any:
            self.alive = False
            return await super().generate(*arguments, **more)

    answer = score(routes(Dies(critique)), problem="p", steps=["a"], stream=True)
    assert answer.status_code == 200
    assert json.loads(answer.text.splitlines()[-1])["error"] == "the engine scripted is dead"
    refused = score(routes(), problem="p", steps=["a"], votes=2, stream=True, seed=-1)
    assert refused.status_code == 422
    greedy = score(routes(votes=1, temperature=0.0), problem="p", steps=["a"], votes=2, stream=True)
    assert (greedy.status_code, greedy.json()["field"]) == (422, "votes")


def test_a_batch_is_a_list() -> None:
    answer = call(routes(), "POST", "/v1/score/batch", {"problem": "p", "steps": ["a"]})
    assert (answer.status_code, answer.json()["field"]) == (422, "body")


def test_a_deadline_is_a_status_of_the_steps_that_missed_it() -> None:
    class Slow(ScriptedEngine):
        async def generate(self, *arguments: Any, **more: Any) -> Any:
            await asyncio.sleep(30)

    app = routes(Slow(critique, tokenizer=ScriptedTokenizer()))
    answer = score(app, problem="p", steps=["right"], deadline_s=0.1)
    assert answer.status_code == 200 and answer.json()["steps"][0]["status"] == "deadline"
    for wrong in (0, -1, 1e9, "soon", True):
        refused = score(app, problem="p", steps=["right"], deadline_s=wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, "deadline_s")


def test_what_the_scorer_refuses_is_the_callers_fault_too() -> None:
    app = routes(votes=1, temperature=0.0)
    answer = score(app, problem="p", steps=["right"], votes=2)
    assert answer.status_code == 422
    assert answer.json()["field"] == "votes"


def test_a_dead_engine_is_a_503_and_unhealthy() -> None:
    engine = ScriptedEngine(critique, label_probs=label_probs, tokenizer=ScriptedTokenizer())
    app = routes(engine)
    assert call(app, "GET", "/health").json() == {"status": "ok"}
    engine.alive = False
    assert call(app, "GET", "/health").status_code == 503
    answer = score(app, problem="p", steps=["right"])
    assert answer.status_code == 503
    assert "dead" in answer.json()["error"]


def test_a_bug_is_a_json_500_without_details() -> None:
    def broken(prompt: Prompt, sampling: Sampling, index: int) -> str:
        raise KeyError("secret")

    answer = score(
        routes(ScriptedEngine(broken, tokenizer=ScriptedTokenizer())), problem="p", steps=["right"]
    )
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error: KeyError", "field": None}


def test_unknown_paths_and_methods_answer_in_json() -> None:
    assert call(routes(), "GET", "/v2/score").json()["error"] == "Not Found: GET /v2/score"
    assert call(routes(), "GET", "/v1/score").status_code == 405


def test_the_model_route_names_critic_defaults_and_limits() -> None:
    description = call(routes(), "GET", "/v1/model").json()
    assert description["critic"]["pack"] == "native"
    assert description["critic"]["scoring"] == "label_probs"
    assert description["context_tokens"] == CONTEXT
    assert description["defaults"]["votes"] == 2
    assert description["limits"]["votes"] == 64
    assert description["calibrations"] == []
    assert description["early_stopping"] == {"round_votes": 2, "stop_risk": 0.0}


def test_the_schema_describes_the_request() -> None:
    schema = call(routes(), "GET", "/openapi.json").json()
    body = schema["paths"]["/v1/score"]["post"]["requestBody"]
    described = body["content"]["application/json"]["schema"]["properties"]
    assert described["votes"]["description"].startswith("Critiques sampled per step")


def test_the_engine_is_closed_when_the_application_shuts_down() -> None:
    engine = ScriptedEngine(critique, tokenizer=ScriptedTokenizer())
    app = routes(engine)

    async def live_and_die() -> None:
        async with app.router.lifespan_context(app):
            assert engine.alive

    asyncio.run(live_and_die())
    assert not engine.alive
