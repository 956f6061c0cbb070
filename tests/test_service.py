"""The service: its start-up checks, and the real one with a tiny random model through vLLM."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray
import scripted_critic
import yaml
from ray.serve.schema import ServeDeploySchema
from tiny_model import make_tiny_model

from cluster import runtime, service
from cluster.actors import connect
from cluster.client import AsyncClient, Client
from genprm.config import Config, ServeConfig, parse_config
from genprm.errors import ConfigError, EngineError, InputError
from genprm.paths import configs_dir
from genprm.records import Judgement
from genprm.scorer import ScoreItem

CONTEXT = 256  # tokens
SETTLED = {"ok", "no_valid_critique"}  # a random critic may end without a verdict


def tiny_config(model: Path) -> Config:
    return Config.model_validate(
        {
            "models": {"critic": str(model)},
            "engine": {"max_model_len": CONTEXT, "max_num_seqs": 32, "kv_cache_gib": 0.25},
            "score": {"votes": 2, "max_critique_tokens": 12},
            "serve": {"port": 0},
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


def test_port_0_takes_a_free_one() -> None:
    host, port = service.check_address(Config.model_validate({"serve": {"port": 0}}))
    assert host == "127.0.0.1"
    assert port > 0


def test_a_directory_that_is_no_model_is_refused_before_ray_starts(tmp_path: Path) -> None:
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
    given = service.replica_settings(settings)["autoscaling_config"]
    assert (given.min_replicas, given.max_replicas, given.downscale_delay_s) == (1, 4, 120)
    assert given.target_ongoing_requests == pytest.approx(20)  # two thirds


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
    """Those of engines below this process, Ray's workers between them."""
    below = psutil.Process().children(recursive=True)
    return {process.pid for process in below if process.name().startswith("VLLM::")}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running service; at its end, that the engine's processes end with it is checked too."""
    model = make_tiny_model(tmp_path_factory.mktemp("critic"))
    with pytest.MonkeyPatch.context() as patch:
        tests = str(Path(__file__).parent)  # where workers find scripted_critic
        patch.setenv("PYTHONPATH", tests, prepend=os.pathsep)
        yield service.run(tiny_config(model), blocking=False)
        running = engine_processes()
        service.stop()
        left = engine_processes()
        runtime.stop()
    assert running
    assert not left


def test_http_and_handle_agree(url: str) -> None:
    problem, steps = "What is 3 * (4 + 5)?", ["4 + 5 = 9", "3 * 9 = 27", "So the answer is 27."]
    with Client(url) as client:
        over_http = client.score(problem, steps, return_critiques=True, votes=3)
        told = client.model()
    handle = connect()

    async def calls() -> tuple[Judgement, list[Judgement]]:
        one = handle.score(problem, steps, return_critiques=True, votes=3)
        items = [ScoreItem(problem, steps, id=f"{i}", votes=1) for i in range(3)]
        return await one, await handle.score_batch(items)

    by_handle, batch = asyncio.run(calls())
    assert over_http.id == by_handle.id
    assert over_http.critic == by_handle.critic
    assert told["critic"] == over_http.critic.row()
    assert told["context_tokens"] == CONTEXT
    assert [judgement.id for judgement in batch] == ["0", "1", "2"]
    for judgement in (over_http, by_handle):
        assert [step.index for step in judgement.steps] == [0, 1, 2]
        for step in judgement.steps:
            assert step.status in SETTLED
            assert step.score is None or 0 <= step.score <= 1
            assert sum(step.votes.row().values()) == 3
            assert len(step.critiques or []) == 3
        critiques = [critique for step in judgement.steps for critique in step.critiques or []]
        # a random critic rarely ends by itself: it runs out of budget, and is asked
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


def test_a_second_service_stands_beside_the_first(url: str) -> None:
    place = {"route_prefix": "/second", "port": int(url.rsplit(":", 1)[1])}
    config = {"engine": scripted_critic.ENGINE, "serve": place}
    second = service.run(Config.model_validate(config), blocking=False, name="second")
    try:
        assert second == f"{url}/second"
        with Client(second) as client:
            assert client.score("p", solution="right\nwrong").first_error == 1
        assert asyncio.run(connect("second").score("p", ["right"])).first_error == -1
        with Client(url) as client:
            assert client.health() == {"status": "ok"}
    finally:
        service.stop("second")


def test_a_critic_that_cannot_start_is_one_line_and_leaves_nothing(url: str) -> None:
    config = {"engine": {"kind": "scripted"}, "serve": {"route_prefix": "/broken"}}
    with pytest.raises(ConfigError, match=r"^engine\.extra\.script: "):
        service.run(Config.model_validate(config), blocking=False, name="broken")
    with pytest.raises(ConfigError, match="no scoring service 'broken'"):
        connect("broken")
    with Client(url) as client:
        assert client.health() == {"status": "ok"}
