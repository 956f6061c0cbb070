"""The service: its start-up checks, and the real one, two replicas of a tiny random critic with a
LoRA adapter through vLLM, and beside it two of a scripted critic behind a token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray
import yaml
from ray import serve
from ray.serve.schema import ServeDeploySchema

import scripted_critic
from adapters import make_adapter
from cluster import service
from cluster.actors import connect
from cluster.serving.tokens import TOKENS_ENV
from genprm.client.http import AsyncClient, Client
from genprm.config.load import parse_config
from genprm.config.root import Config
from genprm.config.serve import ServeConfig
from genprm.errors import ConfigError, EngineError, InputError
from genprm.records import CriticInfo, Judgement
from genprm.scoring.base import ScoreItem
from genprm.util.paths import configs_dir
from ray_workers import helpers_on_path

CONTEXT = 256  # tokens
REPLICAS = 2
TOKEN = "a-token-of-some-length"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
SETTLED = {"ok", "no_valid_critique"}  # a random critic may end without a verdict


def tiny_config(model: Path) -> Config:
    return Config.model_validate(
        {
            "models": {"critic": str(model)},
            "engine": {"max_model_len": CONTEXT, "max_num_seqs": 32, "cpu": {"kv_cache_gib": 0.25}},
            "score": {"votes": 2, "max_critique_tokens": 12},
            "serve": {"port": 0, "num_replicas": REPLICAS},
            "runtime": {"num_cpus": 2},
        }
    )


# ---- before anything is started


def test_a_port_in_use_is_refused_before_ray_starts(tmp_path: Path) -> None:
    connected = ray.is_initialized()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        engine, serve = scripted_critic.ENGINE, {"port": port}
        config = Config.model_validate({"engine": engine, "serve": serve})
        with pytest.raises(ConfigError, match=rf"^serve\.port: .*{port}: Address already in use$"):
            service.run(config, blocking=False)
    assert ray.is_initialized() == connected


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^serve\.host: "):
        service.check_address(Config.model_validate({"serve": {"host": host}}))


def test_a_burst_of_rewards_waits_and_the_queue_has_an_end() -> None:
    assert ServeConfig().max_queued_requests == 4096 and ServeConfig().unscored == 0.0


def test_port_0_takes_a_free_one() -> None:
    host, port = service.check_address(Config.model_validate({"serve": {"port": 0}}))
    assert host == "127.0.0.1"
    assert port > 0


def test_a_directory_without_a_model_is_refused_before_ray_starts(tmp_path: Path) -> None:
    connected = ray.is_initialized()
    with pytest.raises(ConfigError, match="not a model directory"):
        service.run(tiny_config(tmp_path), blocking=False)
    assert ray.is_initialized() == connected


def test_relative_paths_are_made_absolute_and_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "critic").mkdir()
    (tmp_path / "critic" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    checked = service.check_config(Config.model_validate({"models": {"critic": "critic"}}))
    assert checked.models.critic == str(tmp_path / "critic")
    assert checked.pack == "native"


def serve_configs() -> list[dict[str, Any]]:
    plain = yaml.safe_load((configs_dir() / "deploy" / "serve.yaml").read_text())
    gpu = yaml.safe_load((configs_dir() / "deploy" / "serve-gpu.yaml").read_text())
    kubernetes = yaml.safe_load((configs_dir() / "deploy" / "kuberay-rayservice.yaml").read_text())
    return [plain, gpu, yaml.safe_load(kubernetes["spec"]["serveConfigV2"])]


@pytest.mark.parametrize("config", serve_configs(), ids=["serve", "gpu", "kuberay"])
def test_shipped_serve_configs_are_valid(config: dict[str, Any]) -> None:
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert application.import_path == "cluster.service:build_app"
    assert parse_config(application.args).serve.max_ongoing_requests == 64


def test_replicas_are_a_fixed_number_or_follow_the_load() -> None:
    assert service.replica_settings(ServeConfig(num_replicas=3)) == {"num_replicas": 3}
    scaling = {"max_replicas": 4, "downscale_delay_s": 120}
    settings = ServeConfig.model_validate({"autoscaling": scaling, "max_ongoing_requests": 30})
    autoscaling = service.replica_settings(settings)["autoscaling_config"]
    assert (autoscaling.min_replicas, autoscaling.max_replicas, autoscaling.downscale_delay_s) == (
        1,
        4,
        120,
    )
    assert autoscaling.target_ongoing_requests == pytest.approx(20)  # two thirds
    assert service.most_replicas(service.replica_settings(settings)) == 4
    assert service.most_replicas({"num_replicas": 3}) == 3
    own = ServeConfig(autoscaling={"max_replicas": 2, "target_ongoing_requests": 5})
    assert service.replica_settings(own)["autoscaling_config"].target_ongoing_requests == 5
    again = parse_config({"serve": own.model_dump(mode="json")}).serve  # as replicas get it
    assert again == own


@pytest.mark.parametrize(
    ("autoscaling", "message"),
    [
        ({}, "'serve.autoscaling.max_replicas': field required"),
        (
            {"max_replicas": 2, "upscale_delay": 1},
            "you mean 'serve.autoscaling.upscale_delay_s'",
        ),
        ({"max_replicas": 0}, "'serve.autoscaling.max_replicas': input should be greater than 0"),
        ({"max_replicas": "many"}, "'serve.autoscaling.max_replicas': input should be a valid int"),
        ({"max_replicas": 1, "min_replicas": 2}, "'serve.autoscaling': max_replicas (1) must be"),
        (
            {"max_replicas": 2, "target_ongoing_requests": 65},
            "'serve.autoscaling.target_ongoing_requests': 65 is more than a replica works on",
        ),
    ],
)
def test_autoscaling_that_could_not_act_is_refused(
    autoscaling: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        service.check_config(Config.model_validate({"serve": {"autoscaling": autoscaling}}))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_why_a_replica_did_not_start_is_one_line() -> None:
    trace = (
        "Deploying application genprm failed: The deployment failed to start 2 times in a row.\n"
        "Traceback (most recent call last):\n  File 'x.py', line 3\n"
    )
    ours = service.replica_error(trace + "genprm.errors.ConfigError: pack native: bad labels\n")
    assert isinstance(ours, ConfigError)
    assert str(ours) == "pack native: bad labels"
    other = service.replica_error(trace + "MemoryError: no memory\n")
    assert isinstance(other, EngineError)
    assert str(other) == "the scoring service did not start: MemoryError: no memory"


# ---- the real one


def engine_processes() -> set[int]:
    """Ids of the engine processes among this process's descendants."""
    below = psutil.Process().children(recursive=True)
    pids = set()
    for process in below:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if process.name().startswith("VLLM::"):
                pids.add(process.pid)
    return pids


@pytest.fixture(scope="module")
def versions(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters on the same tiny model; the first one serves."""
    folder = tmp_path_factory.mktemp("critic")
    return [make_adapter(tiny_model, folder / f"v{seed}", seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def url(starts_ray: None, starts_engine: None, versions: list[Path]) -> Iterator[str]:
    """A running service, which starts the Ray of this process where no test did; at its end, that
    the engines' processes end with it is checked too."""
    with helpers_on_path():
        address = service.run(tiny_config(versions[0]), blocking=False)
    yield address
    running = engine_processes()
    service.stop()
    assert len(running) == REPLICAS
    for _ in range(600):  # a minute; on a busy machine the kernel takes its time
        if not engine_processes():
            return
        time.sleep(0.1)
    raise AssertionError(f"engines outlive their service: {engine_processes()}")


@pytest.fixture(scope="module")
def guarded(url: str) -> Iterator[str]:
    """A scripted critic under a path of the same Serve, for those who have the token."""
    place = {"route_prefix": "/guarded", "port": int(url.rsplit(":", 1)[1]), "num_replicas": 2}
    config = {
        "engine": scripted_critic.ENGINE,
        "serve": place,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKENS_ENV, TOKEN)
        address = service.run(Config.model_validate(config), blocking=False, name="guarded")
    yield address
    service.stop("guarded")


def test_http_and_handle_agree(url: str) -> None:
    problem, steps = "What is 3 * (4 + 5)?", ["4 + 5 = 9", "3 * 9 = 27", "So the answer is 27."]
    options: dict[str, Any] = {"return_critiques": True, "votes": 3, "early_stop": False}
    with Client(url) as client:
        over_http = client.score(problem, steps, **options)
        model = client.model()
    handle = connect()

    async def calls() -> tuple[Judgement, list[Judgement]]:
        one = handle.score(problem, steps, **options)
        items = [ScoreItem(problem, steps, id=f"{i}", votes=1) for i in range(3)]
        return await one, await handle.score_batch(items)

    by_handle, batch = asyncio.run(calls())
    assert over_http.id == by_handle.id
    assert over_http.critic == by_handle.critic
    assert model["critic"] == over_http.critic.row()
    assert model["context_tokens"] == CONTEXT
    assert [judgement.id for judgement in batch] == ["0", "1", "2"]
    for judgement in (over_http, by_handle):
        assert [step.index for step in judgement.steps] == [0, 1, 2]
        for step in judgement.steps:
            assert step.status in SETTLED
            assert step.score is None or 0 <= step.score <= 1
            assert sum(step.votes.row().values()) == 3
            assert len(step.critiques or []) == 3
        critiques = [critique for step in judgement.steps for critique in step.critiques or []]
        # a random critic rarely ends by itself: it runs out of budget and gets a forced verdict
        forced = [critique for critique in critiques if critique.forced]
        assert forced
        assert all(0 < (critique.label_mass or 0) <= 1 for critique in forced)
        assert all(0 <= (critique.p_correct or 0) <= 1 for critique in forced)
        assert judgement.usage["completion_tokens"] > 0


def test_many_requests_with_seeds_leave_the_engine_alive(url: str) -> None:
    async def calls() -> list[Judgement]:
        async with AsyncClient(url) as client:
            problem = "Alice has the red ball. Bob and Claire swap balls. " * 3
            steps = ["Now Bob has the blue ball."] * 4
            return await asyncio.gather(
                *(client.score(problem, steps, seed=i, id=f"{i}") for i in range(24))
            )

    judgements = asyncio.run(calls())
    assert [judgement.id for judgement in judgements] == [f"{i}" for i in range(24)]
    assert all(step.status in SETTLED for judgement in judgements for step in judgement.steps)
    with Client(url) as client:
        assert client.health() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b'{"problem": "p", "steps": ["s"], "vote": 1}', 422, "vote"),
        (b'{"problem": "p", "steps": ["s", " "]}', 422, "steps[1]"),
        (b'{"problem": "p", "steps": ["' + b"4 + 5 " * CONTEXT + b'"]}', 422, "steps[0]"),
        (b" " * 5_000_000, 413, "body"),
    ],
)
def test_bad_input_over_http_names_the_field(
    url: str, body: bytes, status: int, field: str
) -> None:
    answer = httpx.post(f"{url}/v1/score", content=body)
    assert answer.status_code == status
    assert answer.json()["field"] == field


def test_a_step_too_long_is_a_status_and_its_siblings_stand(url: str) -> None:
    with Client(url) as client:
        judgement = client.score("p", ["4 + 5 = 9", "4 + 5 " * CONTEXT])
    assert judgement.steps[0].status in SETTLED
    assert judgement.steps[1].status == "too_long"


def test_handles_report_bad_input_as_our_error_or_as_a_status(url: str) -> None:
    handle = connect()
    with pytest.raises(InputError, match=r"^field 'steps': "):
        asyncio.run(handle.score("p", []))
    judgement = asyncio.run(handle.score("p", ["4 + 5 " * CONTEXT, " "]))
    assert [step.status for step in judgement.steps] == ["too_long", "empty"]


def test_a_second_service_runs_beside_the_first(url: str, guarded: str) -> None:
    assert guarded == f"{url}/guarded"
    with Client(guarded, TOKEN) as client:
        assert client.score("p", solution="right\nwrong").first_error == 1
    assert asyncio.run(connect("guarded").score("p", ["right"])).first_error == -1
    with Client(url) as client:
        assert client.health() == {"status": "ok"}


def test_tokens_guard_every_route_over_http(guarded: str) -> None:
    body = {"problem": "p", "steps": ["right"]}
    with httpx.Client(base_url=guarded) as http:
        assert http.get("/health").json() == {"status": "ok"}
        for path in ("/v1/score", "/v1/score/batch", "/get_reward", "/pooling", "/classify"):
            assert http.post(path, json=body).status_code == 401
        assert http.get("/v1/model").status_code == 401
        wrong = {"Authorization": f"Bearer {TOKEN}x"}
        assert http.post("/v1/score", json=body, headers=wrong).status_code == 401
        answer = http.post("/v1/score", json=body, headers=AUTHORIZED)
        assert answer.json()["first_error"] == -1
    with pytest.raises(ConfigError, match="refused the token"), Client(guarded, "no") as client:
        client.score("p", ["right"])


def test_batches_and_other_servers_formats_over_http(guarded: str) -> None:
    with httpx.Client(base_url=guarded, headers=AUTHORIZED) as http:
        items = [{"problem": "p", "steps": ["right"] * n + ["wrong"]} for n in range(3)]
        batch = http.post("/v1/score/batch", json=items)
        assert [row["first_error"] for row in batch.json()] == [0, 1, 2]
        assert http.post("/v1/score/batch", json=[*items, {}]).json()["field"] == "[3].problem"
        rollout = {"query": ["p\nright\nwrong</s>"], "prompts": ["p\n"], "labels": [""]}
        rewards = http.post("/get_reward", json=rollout)
        assert rewards.json()["rewards"] == [0.0]  # 0.1, rounded to the votes
        empty = http.post("/get_reward", json={"query": [], "prompts": [], "labels": []})
        assert empty.json()["rewards"] == empty.json()["scores"] == []
        turns = [
            {"role": "user", "content": "p"},
            {"role": "assistant", "content": "right<extra_0>right<extra_0>"},
        ]
        pooled = http.post("/pooling", json={"messages": turns}).json()["data"][0]["data"]
        assert pooled == [pytest.approx([0.2, 0.8])] * 2
        classified = http.post("/classify", json={"messages": turns}).json()["data"][0]
        assert classified["probs"][-1] == pytest.approx(0.8)
        assert http.post("/pooling", json={"input": "a<extra_0>"}).status_code == 400
        sample = http.post("/get_reward", json={"prompt": "p", "response": "", "label": "1"})
        assert sample.json() == 0.0 and sample.headers["genprm-unscored"] == "1"
        assert http.get("/v1/models").json()["data"][0]["object"] == "model"


def test_a_burst_of_rollouts_waits_and_none_is_refused(guarded: str) -> None:
    """As OpenRLHF sends them: all at once, each for itself."""
    waiting = 400  # more than two replicas work on
    limits = httpx.Limits(max_connections=None)

    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(headers=AUTHORIZED, limits=limits, timeout=180) as http:
            bodies = [
                {"query": [f"p{i}\nright"], "prompts": [f"p{i}\n"], "labels": [""]}
                for i in range(waiting)
            ]
            return await asyncio.gather(
                *[http.post(f"{guarded}/get_reward", json=body) for body in bodies]
            )

    answers = asyncio.run(burst())
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["rewards"] == [pytest.approx(0.8)] for answer in answers)


def test_a_stream_over_http_is_lines_and_ends_with_the_judgement(url: str) -> None:
    body = {"problem": "p", "steps": ["4 + 5 = 9", "3 * 9 = 27", "So 27."], "stream": True}
    with httpx.stream("POST", f"{url}/v1/score", json=body) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        *steps, rest = [json.loads(line) for line in answer.iter_lines()]
    assert sorted(step["index"] for step in steps) == [0, 1, 2]
    assert all(step["status"] in SETTLED for step in steps)
    assert "steps" not in rest and rest["usage"]["completion_tokens"] > 0


def test_what_is_in_work_is_answered_before_a_service_ends(url: str, tmp_path: Path) -> None:
    script = {**scripted_critic.ENGINE["extra"], "script": "scripted_critic:slow_critique"}
    config = {
        "engine": {**scripted_critic.ENGINE, "extra": script},
        "serve": {"route_prefix": "/slow", "port": int(url.rsplit(":", 1)[1])},
    }
    address = service.run(Config.model_validate(config), blocking=False, name="slow")
    begun = tmp_path / "begun"
    body = {"problem": f"slowly {begun}", "steps": ["right"], "votes": 3, "early_stop": False}
    with ThreadPoolExecutor(1) as pool, httpx.Client(trust_env=False, timeout=60) as http:
        answer = pool.submit(http.post, f"{address}/v1/score", json=body)
        while not begun.exists():
            assert not answer.done()
            time.sleep(0.05)
        service.stop("slow")
        assert answer.result().status_code == 200


def test_metrics_reach_rays_endpoint(guarded: str) -> None:
    request = {"problem": "p", "steps": ["right", "wrong", "word " * 300], "votes": 8}
    with httpx.Client(base_url=guarded, headers=AUTHORIZED) as http:
        assert [http.post("/v1/score", json=request).status_code for _ in range(4)] == [200] * 4
    assert httpx.post(f"{guarded}/v1/score", json=request).status_code == 401
    votes = 5  # for one verdict and none for the other settle eight
    ours, scored = 'application="guarded"', 'route="/guarded/v1/score"'
    wanted = {  # at least: other tests have sent requests as well
        ("ray_genprm_judgements_total", ours): 4,
        ("ray_genprm_steps_total", ours): 4 * 3,
        ("ray_genprm_steps_total", ours, 'status="too_long"'): 4,
        ("ray_genprm_critiques_total", ours): 4 * 2 * votes,
        ("ray_genprm_votes_saved_total", ours): 4 * 2 * (8 - votes),
        ("ray_genprm_tokens_total", ours): 4 * 2 * votes,
        ("ray_genprm_judgement_seconds_count", ours): 4,
        ("ray_genprm_step_seconds_count", ours): 4 * 3,
        ("ray_serve_num_http_requests_total", ours): 4,
        ("ray_serve_num_http_requests_total", scored, 'status_code="401"'): 1,
    }
    exported = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    deadline = time.monotonic() + 60  # they are collected every ten seconds
    counts: dict[tuple[str, ...], float] = {}
    while time.monotonic() < deadline and any(
        counts.get(what, 0) < wanted[what] for what in wanted
    ):
        time.sleep(1)
        page = httpx.get(exported).text
        counts = {(name, *labels): counted(page, name, *labels) for name, *labels in wanted}
    assert all(counts[what] >= wanted[what] for what in wanted), counts


def counted(page: str, name: str, *labels: str) -> float:
    """The sum of a metric over replicas and whatever labels are not given."""
    lines = [line for line in page.splitlines() if line.startswith(name + "{")]
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in lines if all(label in line for label in labels)
    )


def test_a_critic_that_cannot_start_is_one_line_and_leaves_nothing(url: str) -> None:
    config = {"engine": {"kind": "scripted"}, "serve": {"route_prefix": "/broken"}}
    with pytest.raises(ConfigError, match=r"^engine\.extra\.script: "):
        service.run(Config.model_validate(config), blocking=False, name="broken")
    with pytest.raises(ConfigError, match="no scoring service 'broken'"):
        connect("broken")
    with Client(url) as client:
        assert client.health() == {"status": "ok"}


# ---- another version of the critic; these come last, for they change what serves


def test_reloading_an_unusable_critic_is_refused_in_one_line(
    url: str, versions: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    handle = connect()
    before = asyncio.run(handle.score("p", ["4 + 5 = 9"])).critic
    for other, reason in (
        (tiny_model, "full weights"),
        (tmp_path / "absent", "no such model directory"),
    ):
        with pytest.raises(ConfigError, match=reason) as caught:
            asyncio.run(handle.reload(other))
        assert "\n" not in str(caught.value)
    broken = shutil.copytree(versions[1], tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EngineError, match="broken") as refused:
        asyncio.run(handle.reload(broken))
    assert "\n" not in str(refused.value)
    assert asyncio.run(handle.score("p", ["4 + 5 = 9"])).critic == before


def test_a_new_version_takes_over_without_a_dropped_request(url: str, versions: list[Path]) -> None:
    handle = connect()
    body = {"problem": "What is 3 * 9?", "steps": ["3 * 9 = 27", "So 27."]}

    async def replace() -> tuple[CriticInfo, list[Judgement], list[Judgement]]:
        over = asyncio.Event()
        answered: list[Judgement] = []

        async def over_http(http: httpx.AsyncClient) -> None:
            while not over.is_set():
                answer = await http.post("/v1/score", json=body)
                assert answer.status_code == 200, answer.text
                answered.append(Judgement.model_validate(answer.json()))

        async def by_handle() -> None:
            while not over.is_set():
                answered.append(await handle.score(**body))

        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            asking = [asyncio.create_task(over_http(http)) for _ in range(6)]
            asking += [asyncio.create_task(by_handle()) for _ in range(6)]
            while len(answered) < 24:
                await asyncio.sleep(0.05)
            critic = await handle.reload(versions[1])
            later = await asyncio.gather(*(handle.score(**body) for _ in range(24)))
            over.set()
            await asyncio.gather(*asking)
        return critic, answered, later

    critic, answered, later = asyncio.run(replace())
    assert {judgement.critic for judgement in later} == {critic}
    critics = {judgement.critic.version for judgement in answered}
    assert len(critics) == 2 and critic.version in critics
    assert all(step.status in SETTLED for judgement in answered for step in judgement.steps)
    with Client(url) as client:
        assert client.model()["critic"] == critic.row()


def test_a_replica_that_starts_again_serves_the_new_version(url: str, versions: list[Path]) -> None:
    handle = connect()
    critic = asyncio.run(handle.reload(versions[1]))  # again: nothing changes
    before = engine_processes()
    psutil.Process(min(before)).parent().kill()

    def has_recovered() -> bool:
        states = serve.status().applications["genprm"].deployments["ScoringService"].replica_states
        started = engine_processes() - before
        return states == {"RUNNING": REPLICAS} and len(started) == 1

    deadline = time.monotonic() + 120
    while not has_recovered():
        assert time.monotonic() < deadline
        time.sleep(0.5)

    async def calls() -> list[Judgement]:
        return await asyncio.gather(*(handle.score("p", ["4 + 5 = 9"]) for _ in range(32)))

    assert {judgement.critic for judgement in asyncio.run(calls())} == {critic}
