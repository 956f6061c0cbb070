"""The scoring service under load while parts of it die or change: is a request lost?

    python benchmarks/faults.py --out DIR [--clients 16]

HTTP clients (`genprm.client`, which retries inside a deadline) send one request after another. In
turn the engine's process of one replica is killed, a replica is killed, another version of the
critic (a LoRA adapter) is loaded, and the service is deployed again with other settings; first with
two replicas, then with one. A request is lost if its client gives up. Also reported: the longest
wait, and the time from the fault to the last failed attempt. Writes DIR/result.json; exit status 1
if a request was lost with two replicas, or waited past its deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from cluster import runtime, service
from cluster.actors import connect
from genprm import tasks
from genprm.client.http import AsyncClient
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.errors import GenprmError
from genprm.models.names import resolve_model
from genprm.report.terminal import print_table

VOTES = 2
BEFORE_S, AFTER_S = 8.0, 60.0  # of load around each fault
CALM_S = 10.0  # without a failed attempt: the service is back
DEADLINE_S = 240.0
ATTEMPT_S = 60.0  # a little more than the longest wait under load alone
SLACK_S = 5.0
Fault = Callable[[Config], Awaitable[None]]


class Sent(NamedTuple):
    """One request: when it was sent, how long it took, and why the client gave up, if it did."""

    begun: float
    seconds: float
    lost: str


class _Watch(logging.Handler):
    """Records the times at which the client logs a failed attempt."""

    def __init__(self, failures: list[float]):
        super().__init__(logging.INFO)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        self._failures.append(time.monotonic())


def main() -> None:
    """Every fault, with two replicas and with one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--replicas", type=int, nargs="+", default=[2, 1])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genprm.client").setLevel(logging.INFO)
    versions = [_adapter(args.out / f"version-{number}", number) for number in range(2)]
    rows: list[dict[str, Any]] = []
    for replicas in args.replicas:
        changes = [
            f"models.critic={versions[0]}",
            f"serve.num_replicas={replicas}",
            "serve.port=0",
            "engine.max_lora_rank=8",
        ]
        config = load_config("tiny", changes)
        url = service.run(config, blocking=False, tokens=False)
        port = {"port": int(url.rsplit(":", 1)[1])}  # where it is to stay
        config = config.model_copy(update={"serve": config.serve.model_copy(update=port)})
        try:
            for name, fault in _faults(str(versions[1])).items():
                row = asyncio.run(_disturbed(url, config, fault, args.clients))
                rows.append({"replicas": replicas, "fault": name} | row)
                print(rows[-1], flush=True)
                result = {"cores": os.cpu_count(), "clients": args.clients, "faults": rows}
                (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
        finally:
            service.stop()
            runtime.stop()
    print_table([{k: v for k, v in row.items() if k != "why_lost"} for row in rows])
    lost = sum(row["lost"] for row in rows if row["replicas"] > 1)
    late = [row for row in rows if row["longest_s"] > DEADLINE_S + SLACK_S]
    if lost or late:
        sys.exit(f"{lost} requests lost with two replicas; {len(late)} faults with one too late")


def _faults(version: str) -> dict[str, Fault]:
    async def engine_killed(config: Config) -> None:
        os.kill(_process("EngineCore"), signal.SIGKILL)

    async def replica_killed(config: Config) -> None:
        os.kill(_process("ServeReplica"), signal.SIGKILL)

    async def reloaded(config: Config) -> None:
        await connect().reload(version)

    async def redeployed(config: Config) -> None:
        changed = config.model_copy(
            update={"score": config.score.model_copy(update={"max_critique_tokens": 200})}
        )
        await asyncio.to_thread(service.deploy, changed, tokens=False)

    return {
        "adapter reloaded": reloaded,
        "engine killed": engine_killed,
        "replica killed": replica_killed,
        "deployed again": redeployed,
    }


def _process(name: str) -> int:
    """A process of the service with this name in its command line."""
    for process in psutil.process_iter(["cmdline", "name"]):
        command_line = " ".join([process.info["name"] or "", *(process.info["cmdline"] or ())])
        if name in command_line and process.pid != os.getpid():
            return process.pid
    sys.exit(f"no process of the service is called {name}")


async def _disturbed(url: str, config: Config, fault: Fault, clients: int) -> dict[str, Any]:
    """Load, a fault during it, and load until attempts have not failed for a while."""
    sent: list[Sent] = []
    failures: list[float] = []
    over = asyncio.Event()
    async with AsyncClient(url, deadline_s=DEADLINE_S, attempt_s=ATTEMPT_S) as client:
        watch = _Watch(failures)
        logging.getLogger("genprm.client").addHandler(watch)

        async def one(number: int) -> None:
            rng = random.Random(f"{time.time()} {number}")
            while not over.is_set():
                problem, steps = tasks.get(rng.choice(sorted(tasks.TASKS))).solution(rng, 0.2)
                begun, lost = time.monotonic(), ""
                try:
                    await client.score(problem.problem, steps, votes=VOTES)
                except GenprmError as error:
                    lost = str(error)
                sent.append(Sent(begun, time.monotonic() - begun, lost))

        running = [asyncio.create_task(one(number)) for number in range(clients)]
        await asyncio.sleep(BEFORE_S)
        at = time.monotonic()
        await fault(config)
        took = time.monotonic() - at
        while time.monotonic() - max([at, *failures]) < CALM_S or time.monotonic() - at < CALM_S:
            await asyncio.sleep(0.5)
            if time.monotonic() - at > DEADLINE_S:
                break
        over.set()
        await asyncio.gather(*running)
        logging.getLogger("genprm.client").removeHandler(watch)
    back = max([at, *failures]) - at
    return {
        "requests": len(sent),
        "lost": sum(bool(each.lost) for each in sent),
        "failed_attempts": len(failures),
        "longest_s": round(max(each.seconds for each in sent), 1),
        "fault_took_s": round(took, 1),
        "back_after_s": round(back, 1),
        "why_lost": sorted({each.lost for each in sent if each.lost}),
    }


def _adapter(directory: Path, seed: int) -> Path:
    """A LoRA adapter that does not change the embedded critic: its second factor is zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = str(resolve_model("embedded:critic"))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(directory)
    AutoTokenizer.from_pretrained(base).save_pretrained(directory)
    return directory.resolve()


if __name__ == "__main__":
    main()
