"""`genprm submit`: checks that need no cluster, and jobs on a real head node with tokens on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

import pipeline_scripts
from cluster.cli import main
from cluster.examples import http_client
from genprm import tasks
from genprm.client.http import Client
from genprm.data.rows import read_rows, write_jsonl
from genprm.models.manifest import load_manifest
from places import ROOT
from ports import free_ports
from training_rows import toy_targets

TOKEN = "a" * 64
WITH_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def labelled(n: int) -> list[dict[str, Any]]:
    """Right solutions of a built-in task, all steps labelled correct."""
    rng, rows = random.Random(0), []
    for number in range(n):
        problem, steps = tasks.get("arithmetic").solution(rng, 0.0)
        values = {"values": [1.0] * len(steps), "labels": [True] * len(steps)}
        counts = {"wins": [8] * len(steps), "rollouts": [8] * len(steps)}
        columns = {"steps": steps, "first_error": -1, "estimator": "flat_hard"}
        rows.append({**problem.row(), **values, **counts, **columns, "id": f"s{number}"})
    return rows


@dataclass(frozen=True)
class Head:
    """A head node, and a folder to submit from."""

    url: str  # of its dashboard, which takes jobs
    address: str
    folder: Path  # what is shipped
    shared: Path  # storage that the "cluster" shares

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`genprm submit` in a process of its own."""
        command = [sys.executable, "-m", "cluster.cli", "submit", *arguments]
        return subprocess.Popen(
            [*command, "--address", self.url],
            cwd=self.folder,
            env={**os.environ, "RAY_AUTH_TOKEN": TOKEN, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of `genprm submit`."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=400)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def head(
    starts_ray: None, starts_engine: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("project")
    for name in ("genprm", "cluster", "prompts", "configs"):
        skip = shutil.ignore_patterns("assets", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(pipeline_scripts.__file__, folder)
    temp = tempfile.mkdtemp(prefix="ray")  # Ray's sockets need a short path
    port, dashboard, agent, client = free_ports(4)
    options = {
        **{"port": port, "dashboard-port": dashboard, "dashboard-agent-listen-port": agent},
        **{"ray-client-server-port": client, "num-cpus": 2, "temp-dir": temp},
    }
    command = [f"--{name}={value}" for name, value in options.items()]
    log = (folder.parent / "head.log").open("w")
    process = subprocess.Popen(
        [Path(sys.executable).parent / "ray", "start", "--head", "--block", *command],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **WITH_TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for_port(dashboard, process)
        shared = tmp_path_factory.mktemp("shared")
        yield Head(f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{port}", folder, shared)
    finally:
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()  # asked nicely, it takes half a minute
        process.wait()
        log.close()
        shutil.rmtree(temp, ignore_errors=True)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the head node did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("no dashboard came up")


# ---- with a cluster


def test_a_stage_without_an_engine_runs_as_a_job(head: Head) -> None:
    rows = labelled(4)
    write_jsonl(head.folder / "labels.jsonl", rows)
    out = head.shared / "targets.jsonl"
    settings = ["--set", "distill.balance=null", "--set", "distill.rule.error_rate=0"]
    status, printed, errors = head.run(
        "distill", "--labels", "labels.jsonl", "--out", str(out), *settings
    )
    assert status == 0, printed + errors
    assert f"wrote {out}" in printed
    assert len(list(read_rows(out))) == sum(len(row["steps"]) for row in rows)


def test_the_exit_status_of_the_stage_is_passed_on(head: Head) -> None:
    files = ["--labels", "/no/such/labels.jsonl", "--out", str(head.shared / "no.jsonl")]
    status, printed, _ = head.run("distill", *files)
    assert status == 2
    assert "genprm: error: /no/such/labels.jsonl: no such file or folder" in printed


def test_a_job_that_was_stopped_is_submitted_again_and_goes_on(head: Head) -> None:
    log, out = head.shared / "calls", head.shared / "solutions.jsonl"
    text = f"Count {{}} calls={log}"
    problems = [{"id": f"p{i}", "problem": text.format(i), "answer": "7"} for i in range(200)]
    write_jsonl(head.folder / "problems.jsonl", problems)
    config = {"models": {"policy": "scripted"}, "engine": pipeline_scripts.engine()}
    (head.folder / "config.yaml").write_text(json.dumps(config))
    command = ["solve", "--config", "config.yaml", "--problems", "problems.jsonl"]
    command += ["--set", "runtime.rows_per_block=4", "--out", str(out)]
    command += ["--submission-id", "mine", "--env", "PIPELINE_SECONDS"]

    first = head.start(*command, PIPELINE_SECONDS="0.15")
    wait_for_results(Path(f"{out}.parts/checkpoint"), first)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=400)
    assert first.returncode == 130, errors
    assert "asked job mine to stop" in errors
    before = log.read_text().count("\n")
    assert before < 200

    status, printed, errors = head.run(*command, PIPELINE_SECONDS="0")
    assert status == 0, printed + errors
    assert errors.startswith("genprm: submitted job mine.2")
    assert len(errors.splitlines()) == 1
    assert f"wrote {out}" in printed  # the job's own table came through
    assert [row["problem_id"] for row in read_rows(out)] == [f"p{i}" for i in range(200)]
    assert log.read_text().count("\n") - before < 200  # not from the start


@dataclass(frozen=True)
class Served:
    """A service on the head node's cluster, and the folder of its critic."""

    url: str
    critic: Path


@pytest.fixture(scope="module")
def served(head: Head, tiny_model: Path) -> Served:
    """`cluster.examples.train_and_deploy` as its first lines say: the service outlives the job."""
    targets, critic = head.shared / "toy.jsonl", head.shared / "critic"
    write_jsonl(targets, (target.row() for target in toy_targets(8)))
    [port] = free_ports(1)
    config = {
        "models": {"policy": str(tiny_model)},
        "engine": {"max_num_seqs": 32, "cpu": {"kv_cache_gib": 0.25}},
        "train": {"method": "lora", "epochs": 1, "batch_size": 4, "micro_batch_size": 4},
        "score": {"votes": 2, "max_critique_tokens": 12},
        "serve": {"port": port},
    }
    (head.folder / "served.yaml").write_text(json.dumps(config))
    job = ["python", "-m", "cluster.examples.train_and_deploy", str(targets), str(critic)]
    where = ["--address", head.url, "--working-dir", str(head.folder)]
    ray = [Path(sys.executable).parent / "ray", "job"]
    submit = [*ray, "submit", *where, "--submission-id", "trains", "--", *job]
    settings: dict[str, Any] = {
        "env": {**os.environ, **WITH_TOKEN},
        "capture_output": True,
        "text": True,
        "check": False,
    }
    try:
        done = subprocess.run([*submit, "--config", "served.yaml"], timeout=500, **settings)
    except subprocess.TimeoutExpired:
        subprocess.run([*ray, "stop", "--address", head.url, "trains"], **settings)
        raise
    assert done.returncode == 0, done.stdout + done.stderr
    url = f"http://127.0.0.1:{port}"
    assert f"serving at {url}" in done.stdout
    return Served(url, critic)


def test_a_job_trains_a_critic_and_serves_it(served: Served) -> None:
    manifest = load_manifest(served.critic)
    with Client(served.url, deadline_s=60) as client:
        judgement = client.score("What is 1 + 1?", ["1 + 1 = 2"])
        version = client.model()["critic"]["version"]
    assert manifest and judgement.critic.version == version == manifest.fingerprint


def test_the_example_of_an_http_client(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    http_client.main(served.url)
    printed = capsys.readouterr().out
    assert "first error: " in printed and "scores: [" in printed
    assert all(f"step {place}: " in printed for place in range(3))


def test_the_example_of_a_pipeline(head: Head, served: Served) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cluster.examples.pipeline", "auto"],
        cwd=head.folder,
        env={**os.environ, **WITH_TOKEN, "RAY_ADDRESS": head.address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best: candidate ") == 2 and "step rewards: [" in done.stdout


def wait_for_results(folder: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(3000):  # five minutes; seconds on an idle machine
        if any(".pending" not in path.name for path in folder.glob("*.parquet")):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("no results came")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"RAY_AUTH_TOKEN": "b" * 64}, "Authentication failed"),
        ({"RAY_AUTH_MODE": "disabled"}, "Authentication required"),
    ],
)
def test_a_missing_or_wrong_token_is_told_in_one_line(
    head: Head, environment: dict[str, str], reason: str
) -> None:
    files = ["--labels", "/x.jsonl", "--out", "/y.jsonl"]
    status, _, errors = head.run("distill", *files, **environment)
    assert status == 2
    (line,) = errors.splitlines()
    assert line.startswith(f"genprm: error: {head.url}: {reason}")
    assert "RAY_AUTH_MODE=token" in line


# ---- without


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "labels.jsonl", labelled(1))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--labels", "labels.jsonl", "--out", "out.jsonl"], "--out out.jsonl: a job's own folder"),
        (["--labels", "no.jsonl", "--out", "/x.jsonl"], "no.jsonl: not in "),
        (["--labels", "../labels.jsonl", "--out", "/x.jsonl"], "../labels.jsonl: not in "),
        (["--labels", "labels.jsonl"], "required: --out"),
        (["--labels", "labels.jsonl", "--out", "/x", "--fast"], "unknown argument --fast"),
        (["--labels", "labels.jsonl", "--out", "/x", "--set", "a=1"], "unknown config key 'a'"),
        (["--labels", "labels.jsonl", "--out", "/x", "--config", "c.yaml"], "c.yaml: not in "),
        (["--labels", "labels.jsonl", "--out", "/x", "--env", "NO_SUCH"], "--env NO_SUCH: no such"),
    ],
)
def test_what_the_job_would_refuse_is_refused_here(
    project: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "distill", *arguments, "--address", "http://127.0.0.1:1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_an_ignored_input_is_not_shipped(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / ".gitignore").write_text("labels.jsonl\n")
    assert main(["submit", "distill", "--labels", "labels.jsonl", "--out", "/x.jsonl"]) == 2
    assert "named by .gitignore" in capsys.readouterr().err


@pytest.mark.slow
def test_no_cluster_is_told_in_one_line(project: Path) -> None:
    files = ["--labels", "labels.jsonl", "--out", "/x.jsonl", "--address", "http://127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-m", "cluster.cli", "submit", "distill", *files],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("genprm: error: no Ray dashboard at http://127.0.0.1:1: ")


def test_a_dry_run_shows_what_would_be_submitted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--labels", "labels.jsonl", "--out", "/x.jsonl", "--set", "distill.balance=null"]
    assert main(["submit", "distill", *files, "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "entrypoint: python -m cluster.cli distill --labels labels.jsonl --out /x.jsonl --set "
        f"distill.balance=null\nworking_dir: {project}\n"
    )
