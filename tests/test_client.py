"""The HTTP client against a small local server that answers from a script."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cluster.client import AsyncClient, Attempts, Client, request_body
from genprm.errors import ConfigError, EngineError, InputError
from genprm.records import CriticInfo, Judgement, StepJudgement, content_id
from genprm.step_scorer import ScoreItem

JUDGEMENT = Judgement(
    id="a",
    steps=[StepJudgement(index=0, score=0.75, verdict="correct", status="ok")],
    first_error=-1,
    solution_score=0.75,
    aggregate="min",
    covered=True,
    usage={"completion_tokens": 10},
    critic=CriticInfo(model="m", pack="native", fingerprint="f", scoring="label_probs"),
).row()
OK: tuple[int, Any] = (200, JUDGEMENT)
SILENCE = (0, None)  # no answer until the caller has given up


class ScriptedServer(ThreadingHTTPServer):
    """Answers request i with answer i of the script (the last one for all after it)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, Any]] = [OK]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.times.append(time.monotonic())
        server.bodies.append(json.loads(body or b"{}"))
        server.headers.append(dict(self.headers))
        status, answer = server.script[min(len(server.bodies), len(server.script)) - 1]
        if status == 0:
            time.sleep(1.0)
            self.close_connection = True
            return
        payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_score_returns_the_judgement_and_sends_only_what_was_given(server: ScriptedServer) -> None:
    with Client(server.url, token="secret") as client:
        judgement = client.score("1 + 1", ["2"], votes=3, id="mine")
    assert isinstance(judgement, Judgement)
    assert judgement.row() == JUDGEMENT
    assert server.bodies == [{"problem": "1 + 1", "steps": ["2"], "votes": 3, "id": "mine"}]
    assert server.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [500, 502, 504, 429])
def test_server_failures_are_retried_with_the_same_id(server: ScriptedServer, status: int) -> None:
    server.script = [(status, b"Internal Server Error"), (status, {"error": "busy"}), OK]
    with Client(server.url) as client:
        assert client.score("1 + 1", ["2"]).row() == JUDGEMENT
    assert [body["id"] for body in server.bodies] == [content_id("1 + 1", ["2"])] * 3


def test_retry_after_is_respected(server: ScriptedServer) -> None:
    server.script = [(503, {"error": "overloaded"}), OK]
    with Client(server.url) as client:
        client.score("1 + 1", ["2"])
    assert server.times[1] - server.times[0] >= 1.0


def test_silence_is_given_up_and_tried_again(server: ScriptedServer) -> None:
    server.script = [SILENCE, OK]
    with Client(server.url, attempt_s=0.2) as client:
        assert client.score("1 + 1", ["2"]).row() == JUDGEMENT
    assert len(server.bodies) == 2


def test_health_waits_for_a_service_that_is_still_starting(server: ScriptedServer) -> None:
    server.script = [(404, b"Path '/health' not found"), (503, b""), (200, {"status": "ok"})]
    with Client(server.url) as client:
        assert client.health() == {"status": "ok"}


def test_deadline_ends_the_retries_and_names_the_last_failure(server: ScriptedServer) -> None:
    server.script = [(500, {"error": "engine is dead"})]
    started = time.monotonic()
    says = r"within 0\.6 s; last: 500 engine is dead"
    with Client(server.url, deadline_s=0.6) as client, pytest.raises(EngineError, match=says):
        client.score("1 + 1", ["2"])
    assert time.monotonic() - started < 3.0
    assert len(server.bodies) >= 2


def test_a_service_that_is_not_there_is_an_engine_error() -> None:
    with socket.socket() as held:  # bound but not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with Client(url, deadline_s=0.3) as client, pytest.raises(EngineError, match="Connect"):
            client.health()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_caller_got_wrong_is_raised_at_once(server: ScriptedServer, status: int) -> None:
    server.script = [(status, {"error": "votes: too many", "field": "votes"})]
    says = f"^{status} votes: too many$"
    with Client(server.url) as client, pytest.raises(InputError, match=says):
        client.score("1 + 1", ["2"], votes=65)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, b"no"), ConfigError),
        ((404, b"not here"), ConfigError),
        ((200, b"<html>hello</html>"), EngineError),
        ((200, [1, 2]), EngineError),
        ((200, {"status": "ok"}), EngineError),
        ((302, b""), EngineError),
    ],
)
def test_answers_of_something_else(
    server: ScriptedServer, answer: tuple[int, Any], error: type[Exception]
) -> None:
    server.script = [answer]
    with Client(server.url) as client, pytest.raises(error) as caught:
        client.score("1 + 1", ["2"])
    assert "\n" not in str(caught.value)
    assert len(server.bodies) == 1


def test_async_client_does_the_same(server: ScriptedServer) -> None:
    server.script = [(500, b""), OK, (422, {"error": "problem: must not be empty"})]

    async def calls() -> Judgement:
        async with AsyncClient(server.url) as client:
            judgement = await client.score("1 + 1", solution="2\n3", splitter="lines")
            with pytest.raises(InputError, match="problem"):
                await client.score("", ["2"])
            return judgement

    assert asyncio.run(calls()).row() == JUDGEMENT
    assert server.bodies[0] == server.bodies[1]
    assert server.bodies[0]["solution"] == "2\n3"
    assert "steps" not in server.bodies[0]


def test_async_client_scores_a_batch_in_order(server: ScriptedServer) -> None:
    items = [ScoreItem(f"{i} + 1", ("x", "y"), id=f"{i}", votes=2) for i in range(3)]

    async def calls() -> list[Judgement]:
        async with AsyncClient(server.url) as client:
            return await client.score_batch(items)

    assert len(asyncio.run(calls())) == 3
    sent = sorted(server.bodies, key=lambda body: body["id"])
    wanted = [
        {"problem": f"{i} + 1", "steps": ["x", "y"], "id": f"{i}", "votes": 2} for i in range(3)
    ]
    assert sent == wanted


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        Client(url)


def test_one_text_as_steps_is_refused() -> None:
    with pytest.raises(InputError, match=r"^steps: must be a list"):
        request_body("p", "line one\nline two", {})


def test_text_without_utf8_still_reaches_the_service(server: ScriptedServer) -> None:
    with Client(server.url) as client:
        client.score("1 + 1", ["\ud800"])
    assert server.bodies[0]["steps"] == ["\ud800"]


def test_attempts_never_outlast_the_deadline() -> None:
    now = [0.0]
    attempts = Attempts(deadline_s=10.0, attempt_s=4.0, clock=lambda: now[0])
    assert attempts.timeout() == 4.0
    pauses = [attempts.pause_after("x") for _ in range(4)]
    assert all(0.125 * 2**i <= pause <= 0.25 * 2**i for i, pause in enumerate(pauses))
    assert attempts.pause_after("x", "5") >= 5.0
    now[0] = 9.0
    assert attempts.timeout() == 1.0
    assert attempts.pause_after("busy", "30") == 1.0
    now[0] = 10.0
    with pytest.raises(EngineError, match="busy"):
        attempts.timeout()
