"""The scoring service under load: statuses and latencies, from one request at a time to 64.

    python benchmarks/load.py --out DIR [--requests 2000] [--set serve.num_replicas=2 ...]

Sends different solutions of the built-in tasks over HTTP, without retries. An answer is right if it
has the id and the number of steps that were sent, each step with a score or a reason. Lighter loads
send fewer requests. Afterwards comes a burst of more requests than the service accepts at once: the
refused ones must get 503 with Retry-After. Writes DIR/result.json and DIR/latency.svg. The exit
status is 1 if an answer is wrong or missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

from cluster import runtime, service
from genprm import tasks
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.records import Judgement
from genprm.report.html import plot_css
from genprm.report.plots import SECONDS, Series, line_chart, standalone
from genprm.report.terminal import print_table
from genprm.util.stats import Estimate

LOADS = (1, 4, 16, 64)  # requests at a time
LIGHT = 20  # requests per one at a time, for loads below the last
VOTES = 2
PERCENTILES = (50, 95, 99)
QUEUE = 256  # requests that may wait
BURST = 4  # times what the service works on and lets wait
SLIP_RATE = 0.2


class Answer(NamedTuple):
    """The answer to one request; `fault` is empty if it is right."""

    status: int
    seconds: float
    fault: str


def main() -> None:
    """Serve, load, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=2000, help="at the highest load")
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    changes = ["serve.port=0", f"serve.max_queued_requests={QUEUE}", *args.set]
    config = load_config(args.config, changes)
    args.out.mkdir(parents=True, exist_ok=True)
    url = service.run(config, blocking=False, tokens=False)
    try:
        levels, burst = asyncio.run(_measured(url, config, args.requests))
    finally:
        service.stop()
        runtime.stop()
    report = {
        "settings": {"config": args.config, "set": args.set, "cores": os.cpu_count()},
        "levels": {load: _summary(*answers) for load, answers in levels.items()},
        "burst": _summary(*burst),
    }
    (args.out / "result.json").write_text(json.dumps(report, indent=2) + "\n")
    _draw(args.out / "latency.svg", report["levels"])
    rows = [{"at a time": load, **_row(level)} for load, level in report["levels"].items()]
    print_table([*rows, {"at a time": "burst", **_row(report["burst"])}])
    faults = sum((Counter(each["faults"]) for each in report["levels"].values()), Counter())
    faults += Counter(report["burst"]["faults"])
    if faults:
        sys.exit(f"wrong or missing answers: {dict(faults)}")


async def _measured(
    url: str, config: Config, most: int
) -> tuple[dict[int, tuple[list[Answer], float]], tuple[list[Answer], float]]:
    bodies = _bodies(most)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:
        await _loaded(client, bodies[:8], 8)  # what a first request starts up
        levels = {}
        for load in LOADS:
            some = bodies if load == LOADS[-1] else bodies[: LIGHT * load]
            levels[load] = await _loaded(client, some, load)
            print(f"{load} at a time: {len(some)} requests", flush=True)
        taken = config.serve.max_ongoing_requests * config.serve.num_replicas
        size = BURST * (taken + max(config.serve.max_queued_requests, 0))
        many = [bodies[i % len(bodies)] for i in range(size)]
        return levels, await _loaded(client, many, size)


async def _loaded(
    client: httpx.AsyncClient, bodies: Sequence[dict[str, Any]], load: int
) -> tuple[list[Answer], float]:
    """Send all requests, a fixed number at a time; the answers and the seconds that it took."""
    waiting = iter(bodies)
    answers: list[Answer] = []

    async def one_after_another() -> None:
        for body in waiting:
            answers.append(await _answer(client, body))

    begun = time.monotonic()
    await asyncio.gather(*(one_after_another() for _ in range(load)))
    return answers, time.monotonic() - begun


async def _answer(client: httpx.AsyncClient, body: dict[str, Any]) -> Answer:
    begun = time.monotonic()
    try:
        response = await client.post("/v1/score", json=body)
    except httpx.HTTPError as error:
        return Answer(0, time.monotonic() - begun, type(error).__name__)
    seconds = time.monotonic() - begun
    if response.status_code == 503:
        has_header = "retry-after" in response.headers
        return Answer(503, seconds, "" if has_header else "503 without Retry-After")
    if response.status_code != 200:
        return Answer(response.status_code, seconds, f"status {response.status_code}")
    judgement = Judgement.model_validate(response.json())
    wrong = ""
    if judgement.id != body["id"]:
        wrong = "another's answer"
    elif [step.index for step in judgement.steps] != list(range(len(body["steps"]))):
        wrong = "not a result per step"
    elif any((step.score is None) == (step.reason is None) for step in judgement.steps):
        wrong = "a step with neither score nor reason"
    return Answer(200, seconds, wrong)


def _bodies(n: int) -> list[dict[str, Any]]:
    rng, bodies = random.Random(0), []
    for number in range(n):
        problem, steps = tasks.get(sorted(tasks.TASKS)[number % 2]).solution(rng, SLIP_RATE)
        body = {"problem": problem.problem, "steps": steps, "votes": VOTES, "id": f"load-{number}"}
        bodies.append(body)
    return bodies


def _summary(answers: Sequence[Answer], seconds: float) -> dict[str, Any]:
    good = [answer.seconds for answer in answers if answer.status == 200]
    return {
        "requests": len(answers),
        "seconds": seconds,
        "statuses": dict(Counter(str(answer.status) for answer in answers)),
        "faults": dict(Counter(answer.fault for answer in answers if answer.fault)),
        "requests_per_second": len(good) / seconds,
        "latency": {f"p{p}": float(np.percentile(good, p)) for p in PERCENTILES} if good else {},
    }


def _row(level: dict[str, Any]) -> dict[str, Any]:
    latencies = {f"{name}, s": value for name, value in level["latency"].items()}
    return {
        "requests": level["requests"],
        "statuses": " ".join(f"{status}: {n}" for status, n in level["statuses"].items()),
        "wrong": sum(level["faults"].values()),
        "requests/s": level["requests_per_second"],
        **latencies,
    }


def _draw(path: Path, levels: dict[int, dict[str, Any]]) -> None:
    series = [
        Series(
            f"p{p}",
            tuple((load, Estimate(level["latency"][f"p{p}"])) for load, level in levels.items()),
        )
        for p in PERCENTILES
    ]
    chart = line_chart(
        series, "Latency under load", "requests at a time", "latency", ticks=LOADS, unit=SECONDS
    )
    path.write_text(standalone(chart, plot_css()))


if __name__ == "__main__":
    main()
