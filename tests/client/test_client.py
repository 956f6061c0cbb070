"""The HTTP client against a small local server that answers from a script."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import cluster
from genprm.client.calls import MAX_BATCH_STEPS, MAX_BODY_BYTES, request_body, slices
from genprm.client.http import AsyncClient, Client
from genprm.client.retry import Attempts, TryAgainError
from genprm.errors import ConfigError, EngineError, InputError
from genprm.records import CriticInfo, Judgement, StepJudgement, content_id
from genprm.scoring.base import ScoreItem
from serving import scripted_service

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
    """Answers request i with answer i of the script (the last one for all after it); an answer may
    be a function of the body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Any] = [OK]
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a caller that has given up

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
        scripted = server.script[min(len(server.bodies), len(server.script)) - 1]
        status, answer = scripted(server.bodies[-1]) if callable(scripted) else scripted
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


def test_a_silent_attempt_times_out_and_is_retried(server: ScriptedServer) -> None:
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
    says = r"within 0\.6 s; last: 500 engine is dead"
    with Client(server.url, deadline_s=0.6) as client, pytest.raises(EngineError, match=says):
        client.score("1 + 1", ["2"])
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
    says = rf"^field 'votes': too many \({status}\)$"
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


# ---- batches


def judged(batch: list[dict[str, Any]]) -> tuple[int, Any]:
    """A judgement for each, under its id."""
    return 200, [{**JUDGEMENT, "id": body["id"]} for body in batch]


def score_batch(url: str, items: Sequence[ScoreItem], asynchronous: bool) -> list[Judgement]:
    async def calls() -> list[Judgement]:
        async with AsyncClient(url) as client:
            return await client.score_batch(items)

    if asynchronous:
        return asyncio.run(calls())
    with Client(url) as client:
        return client.score_batch(items)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_batch_is_sent_in_slices_and_comes_back_in_order(
    server: ScriptedServer, asynchronous: bool
) -> None:
    server.script = [(500, b""), judged]  # the slice that came first is sent again
    items = [ScoreItem(f"{i} + 1", ("x", "y"), id=f"{i}", votes=2) for i in range(20)]
    assert [j.id for j in score_batch(server.url, items, asynchronous)] == [
        f"{i}" for i in range(20)
    ]
    again, *sent = server.bodies
    assert again in sent and sorted(map(len, sent)) == [4, 8, 8]
    bodies = sorted((body for slice in sent for body in slice), key=lambda body: int(body["id"]))
    assert bodies == [
        {"problem": f"{i} + 1", "steps": ["x", "y"], "id": f"{i}", "votes": 2} for i in range(20)
    ]
    assert score_batch(server.url, [], asynchronous) == []


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("field", "message", "says"),
    [
        ("[1].steps[0]", "must not be empty", "field '[9].steps[0]': must not be empty (422)"),
        (
            "votes",
            "temperature 0 allows one",
            "[8:16]: field 'votes': temperature 0 allows one (422)",
        ),
        (None, "nothing of ours", "[8:16]: nothing of ours (422)"),
    ],
)
def test_what_is_wrong_with_an_item_names_its_place_in_the_whole_batch(
    server: ScriptedServer, asynchronous: bool, field: str | None, message: str, says: str
) -> None:
    def answer(batch: list[dict[str, Any]]) -> tuple[int, Any]:
        error = message if field is None else f"{field}: {message}"
        return (422, {"error": error, "field": field}) if batch[0]["id"] == "8" else judged(batch)

    server.script = [answer]
    items = [ScoreItem("p", ["x"], id=f"{i}") for i in range(20)]
    with pytest.raises(InputError) as caught:
        score_batch(server.url, items, asynchronous)
    assert str(caught.value) == says


def test_one_text_as_steps_of_an_item_is_refused_by_its_place() -> None:
    items = [ScoreItem("p", ["x"]), ScoreItem("p", "one\ntwo")]
    with pytest.raises(InputError, match=r"^field '\[1\]\.steps': must be a list"):
        score_batch("http://127.0.0.1:9", items, asynchronous=False)


@pytest.mark.parametrize("answer", [[], [{"status": "ok"}], {"status": "ok"}])
def test_answers_that_are_not_the_judgements(server: ScriptedServer, answer: Any) -> None:
    server.script = [(200, answer)]
    with pytest.raises(EngineError):
        score_batch(server.url, [ScoreItem("p", ["x"])], asynchronous=False)


def test_slices_fit_the_limits_of_the_service() -> None:
    assert slices([]) == []
    assert slices([{"steps": ["x"]}] * 17) == [range(0, 8), range(8, 16), range(16, 17)]
    many = {"steps": ["x"] * (MAX_BATCH_STEPS // 3)}
    assert slices([many] * 4) == [range(0, 3), range(3, 4)]
    long = {"steps": ["x" * (MAX_BODY_BYTES // 3)]}
    assert slices([long] * 3) == [range(0, 2), range(2, 3)]
    assert slices([{"steps": ["x" * MAX_BODY_BYTES]}] * 2) == [range(0, 1), range(1, 2)]


def test_the_service_accepts_what_is_sent_and_refuses_by_the_place() -> None:
    items = [ScoreItem(f"{i}", ["right", "wrong"][: 1 + i % 2], id=f"{i}") for i in range(20)]
    with scripted_service() as url:
        for asynchronous in (False, True):
            judgements = score_batch(url, items, asynchronous)
            assert [j.first_error for j in judgements] == [-1, 1] * 10
            assert [j.id for j in judgements] == [f"{i}" for i in range(20)]
        with pytest.raises(InputError, match=r"must not be empty \(422\)$") as caught:
            score_batch(url, [*items, ScoreItem("p", [" "])], asynchronous=True)
    assert caught.value.field == "[20].steps[0]"


# ---- streams


def streamed(url: str, asynchronous: bool, **options: Any) -> list[Any]:
    steps = ["right", "wrong", "right"]

    async def calls() -> list[Any]:
        async with AsyncClient(url, deadline_s=5) as client:
            return [event async for event in client.stream("p", steps, **options)]

    if asynchronous:
        return asyncio.run(calls())
    with Client(url, deadline_s=5) as client:
        return list(client.stream("p", steps, **options))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_sends_each_step_and_then_the_judgement(asynchronous: bool) -> None:
    with scripted_service() as url:
        *steps, judgement = streamed(url, asynchronous, votes=2, id="mine")
        with Client(url) as client:
            judged = client.score("p", ["right", "wrong", "right"], votes=2, id="mine")
        with pytest.raises(InputError, match=r"^field 'votes': .*\(422\)$"):
            streamed(url, asynchronous, votes=0)
    assert isinstance(judgement, Judgement) and judgement.row() == judged.row()
    assert sorted(steps, key=lambda step: step.index) == judged.steps


STEP = json.dumps(JUDGEMENT["steps"][0]).encode() + b"\n"
REST = json.dumps({k: v for k, v in JUDGEMENT.items() if k != "steps"}).encode() + b"\n"
ERROR = b'{"error": "the engine is dead", "field": null}\n'


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "failure", [(200, ERROR), (200, b""), (503, b"busy"), (200, b"[]\n"), (200, b"<html>\n")]
)
def test_a_stream_that_sent_nothing_is_retried(
    server: ScriptedServer, asynchronous: bool, failure: tuple[int, bytes]
) -> None:
    server.script = [failure, (200, STEP + REST)]
    step, judgement = streamed(server.url, asynchronous)
    assert isinstance(step, StepJudgement) and judgement.row() == JUDGEMENT
    first, second = server.bodies
    assert first == second and first["stream"] is True


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("after", "says"),
    [
        (ERROR, "after 1 steps: the engine is dead$"),
        (b"", "after 1 steps: the stream ended early$"),
        (REST[:20], "after 1 steps: a line that is neither"),
    ],
)
def test_a_stream_that_sent_a_step_is_not_retried(
    server: ScriptedServer, asynchronous: bool, after: bytes, says: str
) -> None:
    server.script = [(200, STEP + after), (200, STEP + REST)]
    with pytest.raises(EngineError, match=says):
        streamed(server.url, asynchronous)
    assert len(server.bodies) == 1


# ---- what is common to all


def test_what_is_sent_again_carries_what_is_left_of_its_deadline(server: ScriptedServer) -> None:
    server.script = [SILENCE, OK, SILENCE, judged]
    with Client(server.url) as client:
        client.score("1 + 1", ["2"], deadline_s=5.0)
        client.score_batch([ScoreItem("p", ["x"], deadline_s=0.5), ScoreItem("q", ["x"])])
    first, second, batch, again = server.bodies
    assert first["deadline_s"] == 5.0 and 0.1 < second["deadline_s"] < 4.0  # silence lasts a second
    assert second == {**first, "deadline_s": second["deadline_s"]}
    assert [body.get("deadline_s") for body in batch + again] == [0.5, None, 0.1, None]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_pickle(server: ScriptedServer, kind: Any) -> None:
    client = pickle.loads(pickle.dumps(kind(server.url, token="secret", attempt_s=7.0)))
    if kind is Client:
        assert client.score("1 + 1", ["2"]).row() == JUDGEMENT
    else:
        assert asyncio.run(client.score("1 + 1", ["2"])).row() == JUDGEMENT
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert client.__reduce__()[0].keywords == {"deadline_s": 120.0, "attempt_s": 7.0}


def test_the_client_is_found_beside_the_service() -> None:
    assert cluster.Client is Client


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://", "http://h\n"])
def test_an_invalid_address_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        Client(url)


def test_one_text_as_steps_is_refused() -> None:
    with pytest.raises(InputError, match=r"^field 'steps': must be a list"):
        request_body("p", "line one\nline two", {})


def test_text_without_utf8_still_reaches_the_service(server: ScriptedServer) -> None:
    with Client(server.url) as client:
        client.score("1 + 1", ["\ud800"])
    assert server.bodies[0]["steps"] == ["\ud800"]


def test_attempts_never_outlast_the_deadline() -> None:
    now = [0.0]
    attempts = Attempts(deadline_s=10.0, attempt_s=4.0, clock=lambda: now[0])
    assert attempts.timeout() == 4.0
    pauses = [attempts.pause_after(TryAgainError("x")) for _ in range(4)]
    assert all(0.125 * 2**i <= pause <= 0.25 * 2**i for i, pause in enumerate(pauses))
    assert attempts.pause_after(TryAgainError("x", "5")) >= 5.0
    now[0] = 9.0
    assert attempts.timeout() == 1.0
    assert attempts.pause_after(TryAgainError("busy", "30")) == 1.0
    now[0] = 10.0
    with pytest.raises(EngineError, match="busy"):
        attempts.timeout()


def test_a_service_that_is_given_time_to_judge_gets_it() -> None:
    now = [0.0]
    attempts = Attempts(deadline_s=60.0, attempt_s=20.0, judging_s=100.0, clock=lambda: now[0])
    assert attempts.timeout() == 110.0 and attempts.spent() == 0.0
    now[0] = 40.0
    assert attempts.spent() == 0.0  # no attempt has failed yet
    attempts.pause_after(TryAgainError("x"))
    assert attempts.spent() == 40.0
    assert attempts.timeout() == 70.0
    now[0] = 105.0
    assert attempts.timeout() == 5.0
    short = Attempts(deadline_s=60.0, attempt_s=20.0, judging_s=1.0)
    assert short.timeout() == 20.0
