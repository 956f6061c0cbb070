"""The shipped Serve config as people use it, `serve run FILE`, with other settings in `args`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx
import psutil
import pytest
import yaml

import scripted_critic
from cluster.serving.tokens import FILE_ENV, TOKENS_ENV
from genprm.client.http import Client
from genprm.util.paths import configs_dir
from places import HELPERS
from ports import free_ports

ONGOING, QUEUED, REPLICAS = 2, 3, 2
LEFT_OUT = {"RAY_ADDRESS", TOKENS_ENV, FILE_ENV}  # this service is its own and open


class Running(NamedTuple):
    """The service, the process that holds it, and a client that ignores the environment's
    proxies."""

    url: str
    process: psutil.Process
    http: httpx.Client

    def replicas(self) -> int:
        """The number of replicas now."""
        children = self.process.children(recursive=True)
        return sum("ServeReplica" in " ".join(_command(child)) for child in children)

    def slowly(self, votes: int = 1) -> httpx.Response:
        """A request that takes a replica as many seconds as it has votes."""
        body = {"problem": "slowly", "steps": ["right"], "votes": votes, "early_stop": False}
        return self.http.post(f"{self.url}/v1/score", json=body)


@pytest.fixture(scope="module")
def running(starts_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service of configs/deploy/serve.yaml with a scripted engine, under a path."""
    config = yaml.safe_load((configs_dir() / "deploy" / "serve.yaml").read_text())
    [port] = free_ports(1)
    config["http_options"]["port"] = port
    [application] = config["applications"]
    application["route_prefix"] = "/critic"
    script = {**scripted_critic.ENGINE["extra"], "script": "scripted_critic:slow_critique"}
    scaling = {"max_replicas": REPLICAS, "target_ongoing_requests": 1, "upscale_delay_s": 1}
    application["args"] |= {
        "engine": {**scripted_critic.ENGINE, "extra": script},
        "score": {"aggregate": "product"},
        "serve": {
            "autoscaling": scaling,
            "max_ongoing_requests": ONGOING,
            "max_queued_requests": QUEUED,
            "retry_after_s": 7,
            "unscored": 0.25,
        },
    }
    folder = tmp_path_factory.mktemp("deploy")
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(config))
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    with (folder / "log").open("w+") as log, httpx.Client(trust_env=False, timeout=60) as http:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "serve", "run", file, "--address", "local"],
            env={
                **kept,
                "PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path]),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_worker_niceness": "0",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        started = Running(f"http://127.0.0.1:{port}/critic", psutil.Process(process.pid), http)
        children: list[psutil.Process] = []
        try:
            _wait(started, process, log)
            yield started
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = started.process.children(recursive=True)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            for each in (started.process, *children):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


def _wait(started: Running, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if started.http.get(f"{started.url}/health").status_code == 200:
                return
        time.sleep(0.5)
    log.seek(0)
    raise AssertionError(f"no service:\n{log.read()[-2000:]}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return [process.name(), *process.cmdline()]
    except psutil.NoSuchProcess:
        return []


def test_settings_in_args_reach_the_replicas(running: Running) -> None:
    with Client(running.url) as client:
        model = client.model()
        judgement = client.score("p", ["right", "right"])
    wanted = {"votes": 8, "early_stop": True, "aggregate": "product"}
    assert {name: model["defaults"][name] for name in wanted} == wanted
    assert judgement.solution_score == pytest.approx(0.8 * 0.8)
    assert [step.votes.correct for step in judgement.steps] == [5, 5]  # three more cannot outvote


def test_other_servers_formats_take_their_settings_too(running: Running) -> None:
    too_long = {"role": "assistant", "content": "word " * 300}
    request: dict[str, Any] = {"messages": [{"role": "user", "content": "p"}, too_long]}
    answer = running.http.post(f"{running.url}/classify", json=request)
    assert answer.status_code == 200 and answer.json()["data"][0]["probs"][-1] == 0.25


def test_the_page_and_what_it_loads_come_from_under_the_path(running: Running) -> None:
    page = running.http.get(running.url, follow_redirects=True)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert str(page.url) == f"{running.url}/"
    for name in ("page.js", "page.css"):
        assert name in page.text
        assert running.http.get(f"{page.url}{name}").status_code == 200


def test_excess_requests_get_retry_after_and_a_replica_is_added(
    running: Running,
) -> None:
    assert running.replicas() == 1
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: running.slowly(2), range(12)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503} and statuses[200] >= QUEUED
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.headers.get("retry-after") for answer in refused} == {"7"}
    end = time.monotonic() + 180
    with ThreadPoolExecutor(4) as pool:
        while running.replicas() < REPLICAS and time.monotonic() < end:
            list(pool.map(lambda _: running.slowly(), range(4)))
    assert running.replicas() == REPLICAS
